/** The collection of the system's own records, which gateways need: made with the default pool, once, and a collection like any other from then on. */

import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import { collectionSpec } from '../../../pods/domain/collection.ts';
import { systemCollectionName, systemLabel, type VectorCollection } from '../../../pods/metadata/objects.ts';
import { defaultPool } from '../../desired/names.ts';
import { act, complete, task, type Decision, type Task } from '../../runtime/task.ts';
import type { PoolState } from './pool-state.ts';

export function decideSystemCollection({ pool, collections }: PoolState): Decision<VectorCollection['spec']> {
  if (pool.metadata.name !== defaultPool) return complete('the system collection is on another pool');
  if ([...collections.values()].some(({ metadata }) => metadata.labels[systemLabel] !== undefined)) return complete('there is a system collection');
  if (pool.spec.replicas === 0) return complete('a pool without pods holds nothing');
  const replicas = Math.min(3, pool.spec.replicas);
  const spec = collectionSpec({ name: systemCollectionName, dimension: 1, index: { type: 'flat' }, replication: { replicas, minInSync: replicas === 3 ? 2 : 1 } });
  return act({ ...spec, placement: { pool: defaultPool } }, `made the system collection, with ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`, 'CreatedSystemCollection');
}

export function ensureSystemCollection(metadata: ClusterMetadata): Task<PoolState> {
  return task<PoolState, VectorCollection['spec']>({
    name: 'ensure-system-collection',
    decide: decideSystemCollection,
    async apply(spec) {
      // The watch may be behind: a name that is taken is a conflict, and the next look sees it.
      if ((await metadata.collections.get(systemCollectionName)) !== undefined) return complete('there is a system collection');
      await metadata.collections.create({ metadata: { name: systemCollectionName, labels: { [systemLabel]: 'true' } }, spec });
      return complete('there is a system collection');
    },
  });
}
