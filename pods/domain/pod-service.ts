/**
 * What a data pod answers as a whole, beside the requests of its shards: to the controller that decides who leads, and to
 * other pods that fetch a snapshot from it.
 */

import type { ShardService } from './shard-service.ts';

/** Rule P1: what a candidate, and every other member, says of itself. */
export interface ReplicaReport {
  readonly collectionUID: string;
  readonly shardUID: string;
  readonly incarnation: string;
  readonly role: 'waiting' | 'backup' | 'primary';
  /** The newest that it has taken up, perhaps not durable yet: a primary that gave its term up says so by it. */
  readonly term: number;
  /** Durable. */
  readonly lastSeq: number;
  readonly commitSeq: number;
  readonly appliedSeq: number;
  /** The newest authority it knows of; 0 when it knows none. */
  readonly configVersion: number;
  /** Rule F1: damaged bytes are kept and not served. */
  readonly quarantined: boolean;
  /** How long a primary's disk or compare-and-swap has been stuck, in milliseconds; 0 when nothing is. */
  readonly blockedMs: number;
  readonly pointCount: number;
}

export interface PodReport {
  readonly pod: string;
  readonly podUID: string;
  /** Random per start of the process (rule W0). */
  readonly session: string;
  /** Of its disk, for new data: 0 while it takes none. */
  readonly freeBytes: number;
  readonly replicas: readonly ReplicaReport[];
}

/** One part of a replica's state on its way to another pod; parts of one transfer come in order. */
export interface SnapshotPart {
  /** Position in the transfer, from 0. */
  readonly offset: number;
  readonly content:
    /** The first part: the prefix that the snapshot holds, and the term of its last entry. */
    | { readonly kind: 'begin'; readonly appliedSeq: number; readonly appliedTerm: number }
    /** Keys without the replica number, in key order. */
    | { readonly kind: 'entries'; readonly entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[] }
    /** A piece of a file of the newest checkpoint, or of a value that is too long for one part (named after its key). */
    | { readonly kind: 'file'; readonly name: string; readonly position: number; readonly bytes: Uint8Array }
    | { readonly kind: 'end' };
}

export interface SnapshotRequest {
  readonly shardUID: string;
  /** The replica that asks; a transfer belongs to one incarnation. */
  readonly incarnation: string;
  /** Empty to begin; else the transfer to go on with. */
  readonly transfer: string;
  /** Parts from here on. */
  readonly offset: number;
}

export interface SnapshotAnswer {
  readonly transfer: string;
  readonly parts: readonly SnapshotPart[];
  /** Which part of the whole has been sent, 0 to 1, as well as it is known. */
  readonly progress: number;
}

/** What a request of a shard is for; a pod that disagrees answers STALE_EPOCH or NOT_PRIMARY. */
export interface ShardTarget {
  readonly collectionUID: string;
  readonly shardUID: string;
  /** The routing epoch of the collection that the sender knows. */
  readonly epoch: number;
}

export interface PodService {
  report(signal: AbortSignal): Promise<PodReport>;
  /** The shard's object has changed: look now (it reads it anew, and believes nothing of this call). */
  nudge(shardUID: string, signal: AbortSignal): Promise<void>;
  /**
   * Rule S1: the primary stops taking writes for `limits.handoverMsMax` and lets those under way finish. Answers when
   * everything it assigned is committed.
   */
  stopWrites(shardUID: string, signal: AbortSignal): Promise<{ readonly term: number; readonly lastSeq: number }>;
  /**
   * The next parts of a snapshot of the replica here, at most a frame's worth. TRANSFER_NOT_FOUND when the transfer is not there any
   * more: the receiver starts over.
   */
  snapshot(request: SnapshotRequest, signal: AbortSignal): Promise<SnapshotAnswer>;
  /** What answers a router's requests for the shard. NOT_PRIMARY when this pod holds no replica of it. */
  shard(target: ShardTarget): ShardService;
}

/** Reaches other pods' services. */
export interface PodClient {
  /** By name. Calls fail with UNAVAILABLE when the pod cannot be reached, OUTCOME_UNKNOWN when the connection broke under way. */
  pod(name: string): PodService;
}
