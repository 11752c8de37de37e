/**
 * What one shard replica answers: the requests that a router sends it, in one process or over the network. A request
 * names what to do with points of this shard only; finding the shard and merging answers is the router's work.
 */

import type { Consistency, ConsistencyToken } from './consistency.ts';
import type { Filter } from './filter.ts';
import type { PointParts, PointView } from './point.ts';
import type { ShardStatistics } from './shard-statistics.ts';
import type { VectorBytes } from './vector-bytes.ts';
import type { Idempotency, OperationResult, PayloadChange, PointDelete, PointUpsert } from './write.ts';
import type { Span } from '../kernel/span.ts';

/** What travels with a request; the signal aborts at the deadline. */
export interface ShardContext {
  readonly signal: AbortSignal;
  readonly span: Span;
}

/** A point whose payload is its JSON text in UTF-8 already, checked against the limits. */
export type EncodedUpsert = Omit<PointUpsert, 'vector' | 'payload'> & { readonly vector: VectorBytes; readonly payload: Uint8Array };

/** Ids, vectors and payloads have been checked by whoever sends it. */
export type ShardWrite =
  | { readonly kind: 'upsert'; readonly points: readonly EncodedUpsert[] }
  | { readonly kind: 'delete'; readonly points: readonly PointDelete[] }
  | { readonly kind: 'change-payload'; readonly changes: readonly PayloadChange[] }
  /** `expectedVersion` 0: must not exist; undefined: whatever is there. */
  | { readonly kind: 'put-record'; readonly key: string; readonly value: Uint8Array; readonly expectedVersion: number | undefined }
  | { readonly kind: 'delete-record'; readonly key: string };

export interface ShardWriteAnswer {
  /** One per item, in the order of the request. */
  readonly results: readonly OperationResult[];
  readonly token: ConsistencyToken;
}

export interface ShardGet extends PointParts {
  readonly ids: readonly string[];
  readonly consistency: Consistency;
}

export interface ShardScroll extends PointParts {
  /** Ids greater than this, by their UTF-8 bytes. */
  readonly afterId: string | undefined;
  readonly filter: Filter | undefined;
  readonly limit: number;
  readonly consistency: Consistency;
}

export interface ShardScrollAnswer {
  readonly points: readonly PointView[];
  /** Where to go on; undefined at the shard's end. */
  readonly nextAfterId: string | undefined;
}

export interface ShardSearch extends PointParts {
  readonly vector: Float32Array;
  readonly topK: number;
  readonly ef: number | undefined;
  readonly exact: boolean;
  readonly filter: Filter | undefined;
  readonly scoreThreshold: number | undefined;
  readonly countVisited: boolean;
  readonly consistency: Consistency;
}

export interface ShardHit extends PointView {
  readonly score: number;
}

export interface ShardSearchAnswer {
  /** Best first. */
  readonly hits: readonly ShardHit[];
  readonly plan: 'scan' | 'graph';
  readonly visitedCount: number | undefined;
  readonly seq: number;
}

export interface ShardRecord {
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: number;
}

/** Figures of the replica that answered. */
export interface ShardReport {
  readonly pointCount: number;
  readonly term: number;
  /** Why it does not serve; undefined when it does. */
  readonly notServing: string | undefined;
  readonly statistics: ShardStatistics;
}

export interface ShardService {
  write(context: ShardContext, write: ShardWrite, idempotency?: Idempotency): Promise<ShardWriteAnswer>;
  deleteMatching(context: ShardContext, filter: Filter): Promise<{ deletedCount: number; token: ConsistencyToken }>;
  /** One entry per id, in order. */
  get(context: ShardContext, request: ShardGet): Promise<readonly (PointView | undefined)[]>;
  scroll(context: ShardContext, request: ShardScroll): Promise<ShardScrollAnswer>;
  count(context: ShardContext, request: { readonly filter: Filter | undefined; readonly consistency: Consistency }): Promise<number>;
  search(context: ShardContext, request: ShardSearch): Promise<ShardSearchAnswer>;
  getRecord(context: ShardContext, key: string): Promise<ShardRecord | undefined>;
  /** Keys that begin with `prefix` and are greater than `after`, in key order. */
  scanRecords(context: ShardContext, request: { readonly prefix: string; readonly after: string | undefined; readonly limit: number }): Promise<readonly ShardRecord[]>;
  describe(context: ShardContext): Promise<ShardReport>;
}
