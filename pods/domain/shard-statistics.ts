/** Figures of one shard replica, for descriptions, metrics and `shoal status`. */

export interface ShardStatistics {
  readonly lastSeq: number;
  readonly commitSeq: number;
  readonly appliedSeq: number;
  readonly checkpointSeq: number;
  /** Points that are searchable but not yet in the graph. */
  readonly tailPointCount: number;
  readonly graphPointCount: number;
  readonly indexMemoryBytes: number;
  readonly indexKind: string;
}
