/**
 * The end of a collection.
 *
 *     Delete   pods remove its shards' data, then the shards go (the shard controller's work) ─▶ its own pool goes, with its
 *              volumes ─▶ the collection goes
 *     Retain   the shards' objects go without a word to the pods, which keep the data under UIDs that never come again ─▶
 *              its own pool goes, without its volumes ─▶ the collection goes
 */

import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import { collectionFinalizer, isDeleting, type VectorPool, type VectorShard } from '../../../pods/metadata/objects.ts';
import { dedicatedPool, isDedicated, volumesAnnotation, type PoolManifest } from '../../desired/dedicated-pool.ts';
import type { ObjectWriter } from '../../runtime/apply.ts';
import { act, complete, task, wait, type Decision, type Task } from '../../runtime/task.ts';
import type { CollectionState } from './collection-state.ts';
import { keepsData } from './rules.ts';

/** A collection with pods of its own goes when its pool has gone. */
export const poolFinalizer = 'shoal.dev/pool';

export type EndStep =
  | { readonly do: 'forget-shards' }
  | { readonly do: 'tell-pool'; readonly pool: VectorPool; readonly manifest: PoolManifest }
  | { readonly do: 'delete-pool'; readonly pool: VectorPool }
  | { readonly do: 'release'; readonly finalizers: readonly string[] };

export function decideEnd({ collection, shards, pool }: CollectionState): Decision<EndStep> {
  if (!isDeleting(collection)) return complete('it is to stay');
  const { finalizers } = collection.metadata;
  const isKept = keepsData(collection);
  if (isKept && shards.length > 0) return act({ do: 'forget-shards' }, `removed the objects of ${shards.length} shards; their data stays where it is`, 'RetainedData');
  if (!isKept && finalizers.includes(collectionFinalizer)) {
    const left = shards.map(({ metadata }) => metadata.name).slice(0, 3).join(', ');
    return wait(shards.length === 0 ? 'its shards are being removed' : `the pods remove the data of ${left}${shards.length > 3 ? ` and ${shards.length - 3} more shards` : ''}`, { reason: 'RemovingData', holdsBack: true });
  }
  const own = isDedicated(collection.spec) && pool?.metadata.ownerReferences?.some(({ uid }) => uid === collection.metadata.uid) === true ? pool : undefined;
  if (own !== undefined && !isDeleting(own)) {
    // The policy may have changed just before the deletion.
    const manifest = dedicatedPool(collection);
    const volumes = manifest.metadata.annotations?.[volumesAnnotation];
    if (own.metadata.annotations?.[volumesAnnotation] !== volumes) return act({ do: 'tell-pool', pool: own, manifest }, `told pool ${own.metadata.name} what becomes of its volumes: ${volumes}`, 'AppliedPool');
    return act({ do: 'delete-pool', pool: own }, `deleted its pool ${own.metadata.name}, ${isKept ? 'but not its volumes' : 'and its volumes'}`, 'DeletedPool');
  }
  if (own !== undefined) return wait(`its pool ${own.metadata.name} is ending`, { reason: 'RemovingPool', holdsBack: true });
  const left = finalizers.filter((each) => each !== poolFinalizer && each !== collectionFinalizer);
  if (left.length === finalizers.length) return wait('it waits for finalizers of others', { holdsBack: true });
  return act({ do: 'release', finalizers: left }, isKept ? 'all is removed but its data' : 'all is removed', 'Removed');
}

export function finishEnd(metadata: ClusterMetadata, writer: ObjectWriter): Task<CollectionState> {
  return task<CollectionState, EndStep>({
    name: 'finish-end',
    decide: decideEnd,
    async apply(step, { collection, shards }) {
      switch (step.do) {
        case 'forget-shards':
          for (const shard of shards) await forget(metadata, shard);
          return { outcome: 'retry', afterMs: 100, because: 'its shards have been removed' };
        case 'tell-pool':
          await writer.apply('VectorPool', step.manifest, { ifVersion: step.pool.metadata.resourceVersion });
          return { outcome: 'retry', afterMs: 100, because: 'its pool knows what becomes of its volumes' };
        case 'delete-pool': {
          const { name, resourceVersion } = step.pool.metadata;
          await metadata.pools.delete(name, resourceVersion);
          return wait(`its pool ${name} is ending`, { reason: 'RemovingPool', holdsBack: true });
        }
        case 'release':
          await metadata.collections.replace({ ...collection, metadata: { ...collection.metadata, finalizers: step.finalizers } });
          return wait('it is gone', { holdsBack: true });
      }
    },
  });
}

/** Pods remove the data of a shard that they see being deleted; one that is simply gone leaves an orphan, which they keep. */
async function forget(metadata: ClusterMetadata, { metadata: { name, uid } }: VectorShard): Promise<void> {
  const shard = await metadata.shards.get(name);
  if (shard?.metadata.uid !== uid) return;
  const free = shard.metadata.finalizers.length === 0 ? shard : await metadata.shards.replace({ ...shard, metadata: { ...shard.metadata, finalizers: [] } });
  // Where it was being deleted already, it has gone with its last finalizer.
  if (!isDeleting(free)) await metadata.shards.delete(name, free.metadata.resourceVersion);
}
