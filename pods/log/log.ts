/**
 * The pod's log: one append-only sequence of segment files shared by all replicas of the pod, written by one writer
 * with group commit. The log tells *durable* from *committed*: it knows only the former; what is committed is the
 * business of replication, and what is applied the business of the shard.
 */

/** Number of a replica within its pod; handed out once, never reused (rule F1). */
export type LocalReplica = number;

export interface LogEntry {
  /** The term in which the entry was assigned; re-sending never re-stamps it (rule W1). */
  readonly term: number;
  /** 1-based position within the shard's history; contiguous. */
  readonly seq: number;
  /** Encoded operations: opaque to the log. */
  readonly payload: Uint8Array;
}

/** A half-open run of seqs assigned in one term: what rule W2 compares. */
export interface TermRun {
  readonly term: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export interface ReplicaLog {
  readonly localReplica: LocalReplica;
  /** The oldest seq still in a segment, released or not; lastSeq + 1 when there is none. */
  readonly firstSeq: number;
  /** The newest seq appended (perhaps not yet durable); 0 when there was never one. */
  readonly lastSeq: number;
  readonly lastTerm: number;
  /** The highest term ever adopted, or of any entry there ever was (perhaps not yet durable); 0 when there was none. */
  readonly adoptedTerm: number;
  /** The newest seq that is durable. */
  readonly durableSeq: number;
  /** Half of what may wait for the disk does, over all replicas of the pod: what can still be refused should be. */
  readonly isCrowded: boolean;
  /**
   * Term of the entry at `seq`, or undefined when it is not in the log any more or not yet. The term of the entry just
   * before `firstSeq` is known too: what follows it can still be matched.
   */
  termAt(seq: number): number | undefined;
  termRuns(): readonly TermRun[];
  /**
   * Queues `entries` (contiguous from lastSeq + 1; terms never fall) and resolves when all of them are durable. Calls
   * made while a sync is running go out together in the next group, and one call is never split. The payloads must not
   * change before it resolves. Rejects with
   *  - INVALID_ARGUMENT or OVERLOADED before anything was queued;
   *  - STORAGE_READ_ONLY when the disk was full: nothing of it was kept, lastSeq is back at the newest durable seq, and
   *    everything else that was queued is rejected alike;
   *  - OUTCOME_UNKNOWN after any other I/O error, which is final: the log is poisoned, and `PodLog.failure` says why
   *    (rule F1). Calls after that reject with UNAVAILABLE.
   */
  append(entries: readonly LogEntry[]): Promise<void>;
  /**
   * Makes `term` the adopted one; resolves when it, or a higher one, is durable (rules W2 and P2), and never goes back: not
   * by `replaceSuffix`, not by `reset`. Entries of a lower term may still be appended: a new primary re-sends them with
   * the term in which they were assigned. What is appended afterwards is ordered after it. Rejects as `append` does.
   */
  adoptTerm(term: number): Promise<void>;
  /**
   * Drops every entry from `fromSeq` on and appends `replacement` in the same synced write (rule P3).
   */
  replaceSuffix(fromSeq: number, replacement: readonly LogEntry[]): Promise<void>;
  /**
   * Durable entries with fromSeq ≤ seq ≤ throughSeq, in order, checked against their checksums; CORRUPTION
   * otherwise, and UNAVAILABLE when some are not in the log any more. Entries dropped by `replaceSuffix` while it runs may
   * still come. Payloads belong to the caller.
   */
  read(fromSeq: number, throughSeq: number, signal?: AbortSignal): AsyncIterable<LogEntry>;
  /**
   * This replica needs no entry at or below `seq` any more (rule T1); segments nobody needs are deleted. Not kept across
   * a restart: say it again once the checkpoint is known.
   */
  release(seq: number): Promise<void>;
  /**
   * Durably forgets everything and continues after `seq`/`term`: the replica got its state from elsewhere (a snapshot).
   */
  reset(seq: number, term: number): Promise<void>;
}

export interface LogStatistics {
  readonly segmentCount: number;
  readonly sizeBytes: number;
  readonly groupCount: number;
  readonly recordCount: number;
  /** Bytes written to segments since the log was opened, padding included. */
  readonly writtenBytesTotal: number;
  readonly syncMsTotal: number;
  readonly queuedRecordCount: number;
  readonly queuedBytes: number;
}

export interface OldestNeeded {
  readonly segment: number;
  readonly localReplica: LocalReplica;
  /** Entries from here through `lastSeq` of the replica lie in that segment and are not released. */
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export interface PodLog {
  /** Replicas that the log holds anything of: entries, a reset or an adopted term. */
  replicas(): readonly LocalReplica[];
  /** The log of one replica; made empty (durably with its first append) when the number is new. */
  replica(localReplica: LocalReplica): ReplicaLog;
  /** The replica is gone: its entries hold no segment back any more, and its number is not used again. */
  forget(localReplica: LocalReplica): Promise<void>;
  /** Set once an append or sync failed: nothing can be acknowledged any more and the process should end. */
  readonly failure: Error | undefined;
  /** What keeps the oldest segment from being deleted; undefined when nothing does (the newest one always stays). */
  oldestNeeded(): OldestNeeded | undefined;
  statistics(): LogStatistics;
  /** Reads and checks every record of every segment; throws CORRUPTION with file and offset at the first bad one. */
  verify(signal?: AbortSignal): Promise<{ segments: number; records: number; bytes: number }>;
  /** Waits for what is queued, then closes the files. */
  close(): Promise<void>;
}
