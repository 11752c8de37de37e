/** What the tasks of a collection decide from, read once for all of them. */

import type { ObservedPod } from '../../../pods/control/observation.ts';
import type { CollectionOutcome } from '../../../pods/controller/collection-writer.ts';
import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import type { VectorCollection, VectorPool, VectorShard } from '../../../pods/metadata/objects.ts';
import { poolOf } from '../../desired/dedicated-pool.ts';
import { poolLabel } from '../../desired/names.ts';
import type { ObservedCluster } from '../../observe/cluster.ts';
import type { SeenPod } from '../../observe/objects.ts';
import type { ShoalObjects } from '../../observe/shoal-objects.ts';

export interface CollectionState {
  /** As a linearizable read answered. */
  readonly collection: VectorCollection;
  /** From here on: as the watches know it. */
  readonly collections: readonly VectorCollection[];
  /** The pool that its shards are on. */
  readonly pool: VectorPool | undefined;
  /** Of that pool. */
  readonly pods: readonly SeenPod[];
  /** Of this collection's UID, by index. */
  readonly shards: readonly VectorShard[];
  /** What became of the last attempt to bring its shards up. */
  readonly outcome: CollectionOutcome | undefined;
  readonly heard: ReadonlyMap<string, ObservedPod>;
  /** Wall time. */
  readonly nowMs: number;
}

export interface CollectionSources {
  readonly metadata: ClusterMetadata;
  readonly observed: ObservedCluster;
  readonly pools: ShoalObjects<VectorPool>;
  readonly collections: ShoalObjects<VectorCollection>;
  readonly shards: ShoalObjects<VectorShard>;
  readonly outcome: (name: string) => CollectionOutcome | undefined;
  readonly heard: () => ReadonlyMap<string, ObservedPod>;
  readonly nowMs: () => number;
}

/** Undefined when there is no such collection. */
export async function readCollectionState(name: string, sources: CollectionSources): Promise<CollectionState | undefined> {
  const collection = await sources.metadata.collections.get(name);
  if (collection === undefined) return undefined;
  const pool = poolOf(collection);
  return {
    collection,
    collections: sources.collections.list(),
    pool: sources.pools.get(pool),
    pods: sources.observed.pods.list().filter(({ metadata }) => metadata.labels?.[poolLabel] === pool),
    shards: sources.shards.list().filter(({ spec }) => spec.collection.uid === collection.metadata.uid).sort((a, b) => a.spec.index - b.spec.index),
    outcome: sources.outcome(name),
    heard: sources.heard(),
    nowMs: sources.nowMs(),
  };
}
