/**
 * The end of a pool. It waits until no shard names one of its pods, then the StatefulSet goes and its pods with it; last the
 * volumes, where the pool was a collection's own and the collection did not want them kept.
 *
 *     still named by shards ─▶ StatefulSet deleted ─▶ pods gone ─▶ (Delete) volumes deleted ─▶ finalizer taken away
 */

import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import { isDeleting } from '../../../pods/metadata/objects.ts';
import { volumesAnnotation } from '../../desired/dedicated-pool.ts';
import type { ObjectWriter } from '../../runtime/apply.ts';
import { act, complete, task, wait, type Decision, type Task } from '../../runtime/task.ts';
import type { PoolState } from './pool-state.ts';

/** A pool goes when its pods have gone. */
export const poolFinalizer = 'shoal.dev/pods';

export type DeletionStep =
  | { readonly do: 'remove-stateful-set'; readonly uid: string }
  | { readonly do: 'remove-volumes' }
  | { readonly do: 'release' };

export function decideDeletion({ pool, statefulSet, pods, shards, claims }: PoolState): Decision<DeletionStep> {
  if (!isDeleting(pool)) return complete('it is to stay');
  if (shards.length > 0) {
    const names = shards.slice(0, 3).map(({ metadata }) => metadata.name).join(', ');
    return wait(`it was deleted, but its pods hold replicas of ${shards.length} shards (${names}${shards.length > 3 ? ', …' : ''}): delete their collections first`, { reason: 'InUse', holdsBack: true });
  }
  if (statefulSet !== undefined) return act({ do: 'remove-stateful-set', uid: statefulSet.metadata.uid }, 'removed the StatefulSet: nothing is on its pods', 'RemovedStatefulSet');
  if (pods.length > 0) return wait(`${pods.map(({ metadata }) => metadata.name).join(', ')} ${pods.length === 1 ? 'is' : 'are'} ending`, { reason: 'Ending', holdsBack: true });
  const removesVolumes = pool.metadata.annotations?.[volumesAnnotation] === 'Delete';
  const left = claims.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (removesVolumes && left.length > 0) return act({ do: 'remove-volumes' }, `removed the volumes ${left.map(({ metadata }) => metadata.name).join(', ')}`, 'RemovedVolumes');
  const kept = left.length === 0 ? '' : `; the volumes ${left.map(({ metadata }) => metadata.name).join(', ')} are kept`;
  return act({ do: 'release' }, `all its pods have gone${kept}`, 'Removed');
}

/** Nothing is done for a pool that goes but to let it go. */
export function finishDeletion(writer: ObjectWriter, metadata: ClusterMetadata): Task<PoolState> {
  return task<PoolState, DeletionStep>({
    name: 'finish-deletion',
    decide: decideDeletion,
    async apply(step, state) {
      const { pool, claims } = state;
      const { name } = pool.metadata;
      switch (step.do) {
        case 'remove-stateful-set':
          await writer.remove('StatefulSet', { name, uid: step.uid });
          return wait('its pods are ending', { reason: 'Ending', holdsBack: true });
        case 'remove-volumes':
          for (const { metadata: claim } of claims) await writer.remove('PersistentVolumeClaim', { name: claim.name, uid: claim.uid });
          return wait('its volumes are being removed', { reason: 'RemovingVolumes', holdsBack: true });
        case 'release': {
          const finalizers = pool.metadata.finalizers.filter((finalizer) => finalizer !== poolFinalizer);
          await metadata.pools.replace({ ...pool, metadata: { ...pool.metadata, finalizers } });
          return wait('it is gone', { holdsBack: true });
        }
      }
    },
  });
}

export function ensureFinalizer(metadata: ClusterMetadata): Task<PoolState> {
  return task<PoolState, true>({
    name: 'ensure-finalizer',
    decide({ pool }) {
      if (isDeleting(pool) || pool.metadata.finalizers.includes(poolFinalizer)) return complete('its end waits for its pods');
      return act(true, 'the pool will not go before its pods', 'AddedFinalizer');
    },
    async apply(_, { pool }) {
      await metadata.pools.replace({ ...pool, metadata: { ...pool.metadata, finalizers: [...pool.metadata.finalizers, poolFinalizer] } });
      // The object has a new version: what else is written to it begins from that.
      return { outcome: 'retry', afterMs: 0, because: 'the finalizer was added' };
    },
  });
}
