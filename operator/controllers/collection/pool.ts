/** Where a collection's shards are: on pods of its own, in a pool that is made for it, or in a pool that must be there. */

import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import { isDeleting, type VectorPool } from '../../../pods/metadata/objects.ts';
import { dedicatedPool, isDedicated, poolOf, type PoolManifest } from '../../desired/dedicated-pool.ts';
import { firstDifference, type ObjectWriter } from '../../runtime/apply.ts';
import { act, complete, fail, task, wait, type Decision, type Task } from '../../runtime/task.ts';
import type { CollectionState } from './collection-state.ts';
import { poolFinalizer } from './deletion.ts';

/** As the CRD bounds names of pools: their pods are named by them. */
const poolNamePattern = /^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$/;

export type PoolStep = { readonly do: 'add-finalizer' } | { readonly do: 'apply'; readonly pool: PoolManifest };

export function decidePool({ collection, pool }: CollectionState): Decision<PoolStep> {
  const name = poolOf(collection);
  if (!isDedicated(collection.spec)) {
    if (pool === undefined) return wait(`there is no VectorPool ${name}`, { reason: 'PoolMissing' });
    return isDeleting(pool) ? wait(`VectorPool ${name} is being deleted`, { reason: 'PoolEnding' }) : complete(`its shards are in pool ${name}`);
  }
  if (!poolNamePattern.test(name)) return fail(`its pods would be named by it, and ${name} is no name for pods: at most 52 lower-case letters, digits and hyphens, beginning with a letter`, 'InvalidName');
  if (pool !== undefined && !isOwn(pool, collection)) {
    return fail(`VectorPool ${name} is not its own: give the object another name, or placement.pool: ${name} to share that pool`, 'PoolNameTaken');
  }
  if (pool !== undefined && isDeleting(pool)) return wait(`an earlier VectorPool ${name} is ending`, { reason: 'PoolEnding' });
  if (!collection.metadata.finalizers.includes(poolFinalizer)) return act({ do: 'add-finalizer' }, 'the collection will not go before its pods', 'AddedFinalizer');
  const desired = dedicatedPool(collection);
  const difference = pool === undefined ? 'it is missing' : firstDifference(desired, pool);
  if (difference === undefined) return complete(`its pods are those of pool ${name}`);
  return act({ do: 'apply', pool: desired }, pool === undefined ? `made pool ${name} for it` : `applied pool ${name}: ${difference} is not as desired`, pool === undefined ? 'CreatedPool' : 'AppliedPool');
}

function isOwn(pool: VectorPool, { metadata }: CollectionState['collection']): boolean {
  return pool.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid) === true;
}

export function ensurePool(metadata: ClusterMetadata, writer: ObjectWriter): Task<CollectionState> {
  return task<CollectionState, PoolStep>({
    name: 'ensure-pool',
    decide: decidePool,
    async apply(step, state) {
      const { collection } = state;
      if (step.do === 'add-finalizer') {
        await metadata.collections.replace({ ...collection, metadata: { ...collection.metadata, finalizers: [...collection.metadata.finalizers, poolFinalizer] } });
        return { outcome: 'retry', afterMs: 0, because: 'the finalizer was added' };
      }
      // The watch may be behind: nobody else's pool is written over.
      const present = await metadata.pools.get(step.pool.metadata.name);
      const decision = decidePool({ ...state, pool: present });
      if (decision.outcome !== 'act') return decision;
      if (present === undefined) await writer.create('VectorPool', step.pool);
      else await writer.apply('VectorPool', step.pool, { ifVersion: present.metadata.resourceVersion });
      return complete(`its pods are those of pool ${step.pool.metadata.name}`);
    },
  });
}
