/** What the tasks of a pool decide from, read once for all of them. */

import type { ObservedPod } from '../../../pods/control/observation.ts';
import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import type { VectorCollection, VectorPool, VectorShard } from '../../../pods/metadata/objects.ts';
import { podsOf } from '../../../pods/controller/known-shards.ts';
import { ordinalOf, podsService, poolLabel } from '../../desired/names.ts';
import type { ObservedCluster } from '../../observe/cluster.ts';
import type { SeenClaim, SeenNode, SeenObject, SeenPod, SeenStatefulSet } from '../../observe/objects.ts';
import type { ShoalObjects } from '../../observe/shoal-objects.ts';

export interface PoolState {
  /** As a linearizable read answered. */
  readonly pool: VectorPool;
  /** From here on: as the watches know it. */
  readonly pools: readonly VectorPool[];
  readonly statefulSet: SeenStatefulSet | undefined;
  readonly disruptionBudget: SeenObject | undefined;
  /** Of all pools. */
  readonly service: SeenObject | undefined;
  /** By name: those with the pool's label. */
  readonly pods: readonly SeenPod[];
  readonly claims: readonly SeenClaim[];
  /** By name. */
  readonly nodes: ReadonlyMap<string, SeenNode>;
  /** Those of which a pod of this pool has a replica, or shall have one. */
  readonly shards: readonly VectorShard[];
  /** By object name. */
  readonly collections: ReadonlyMap<string, VectorCollection>;
  /** Whether what is known of shards is being kept up: where it is not, nothing is concluded from a shard that is not there. */
  readonly areShardsFresh: boolean;
  /** What pods say of themselves, by name; of all pods. */
  readonly heard: ReadonlyMap<string, ObservedPod>;
  /** Wall time. */
  readonly nowMs: number;
}

export interface PoolSources {
  readonly metadata: ClusterMetadata;
  readonly observed: ObservedCluster;
  readonly pools: ShoalObjects<VectorPool>;
  readonly collections: ShoalObjects<VectorCollection>;
  readonly shards: ShoalObjects<VectorShard>;
  readonly heard: () => ReadonlyMap<string, ObservedPod>;
  readonly nowMs: () => number;
}

/** Undefined when there is no such pool. */
export async function readPoolState(name: string, sources: PoolSources): Promise<PoolState | undefined> {
  const { metadata, observed } = sources;
  const pool = await metadata.pools.get(name);
  if (pool === undefined) return undefined;
  const pods = observed.pods.list().filter((pod) => pod.metadata.labels?.[poolLabel] === name);
  const isOfPool = (pod: string): boolean => ordinalOf(name, pod) !== undefined;
  return {
    pool,
    pools: sources.pools.list(),
    statefulSet: observed.statefulSets.get(name),
    disruptionBudget: observed.disruptionBudgets.get(name),
    service: observed.services.get(podsService),
    pods: pods.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)),
    claims: observed.claims.list().filter((claim) => claim.metadata.labels?.[poolLabel] === name),
    nodes: new Map(observed.nodes.list().map((node) => [node.metadata.name, node])),
    shards: sources.shards.list().filter((shard) => [...podsOf(shard)].some(isOfPool)),
    collections: new Map(sources.collections.list().map((collection) => [collection.metadata.name, collection])),
    areShardsFresh: sources.shards.isFresh,
    heard: sources.heard(),
    nowMs: sources.nowMs(),
  };
}
