/** What the decisions about a pool's life after its first day are made from: read once, all of it plain. */

import type { VectorPool, VectorShard } from '../../pods/metadata/objects.ts';
import type { Operation } from '../runtime/operation.ts';

export interface PoolFacts {
  readonly pool: string;
  /** How many pods are wanted. */
  readonly replicas: number;
  /** What `allowOutageAnnotation` says. */
  readonly allowsOutage: boolean;
  readonly operation?: Operation;
  /** As recorded in the pool's status. */
  readonly drains: readonly Drain[];
  readonly statefulSet?: StatefulSetFacts;
  /** Those that are there, by ordinal. */
  readonly pods: readonly PodFacts[];
  /** All that name a pod of this pool. */
  readonly shards: readonly ShardUse[];
  /** Wall time: compared with the times that objects carry, and only where minutes count. */
  readonly nowMs: number;
}

export type Drain = NonNullable<VectorPool['status']['drains']>[number];

export interface StatefulSetFacts {
  readonly uid: string;
  readonly replicas: number;
  /** What its pods shall be of; undefined until its controller has looked at its newest template. */
  readonly updateRevision?: string;
}

export interface PodFacts {
  readonly name: string;
  readonly ordinal: number;
  readonly uid: string;
  readonly revision?: string;
  /** What differs first from the StatefulSet's template, in words. */
  readonly difference?: string;
  /** Its volume has grown, and its file system grows when it starts. */
  readonly needsRestart?: boolean;
  /** As its Ready condition says, with the readiness gate. */
  readonly isReady: boolean;
  /** Its process answers: what it has in sync counts. */
  readonly isServing: boolean;
  /** Of its disk, for new data, as it says itself. */
  readonly freeBytes?: number;
  /** Asked to end. */
  readonly isEnding: boolean;
  /** Why it does not get ready, as well as Kubernetes knows. */
  readonly trouble?: string;
  readonly node?: NodeFacts;
  /** Since when it has been out of reach: stuck while ending, on a node that is not ready, or without a node to run on. */
  readonly away?: { readonly sinceMs: number; readonly because: string };
  /** What `drainAnnotation` says. */
  readonly isAskedToDrain?: boolean;
}

export interface NodeFacts {
  readonly name: string;
  readonly isCordoned: boolean;
  /** Values of the labels that the pool spreads over. */
  readonly domains: readonly string[];
}

export interface ShardUse {
  readonly shard: VectorShard;
  /** How many replicas its collection wants. */
  readonly replicas: number;
  readonly minInSync: number;
}

/** On a pool, with the value `true`: a pod may be replaced although shards that need it are refused writes meanwhile. */
export const allowOutageAnnotation = 'shoal.dev/allow-outage';

/** Pods that the object names, in whichever role. */
export function podsNamedBy({ spec, status }: VectorShard): Set<string> {
  const { authority } = status;
  return new Set([...spec.replicas, ...(authority?.inSync ?? []).map(({ pod }) => pod), ...(authority === undefined ? [] : [authority.primary.pod])]);
}
