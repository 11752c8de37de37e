/**
 * The one API behind every door. Dialects decode into it and encode out of it; `pods/router` implements it once, for one
 * process and for a cluster alike. All errors are `ShoalError`s. All scores: higher is better.
 */

import type { CollectionChanges, CollectionInput, CollectionSpec } from '../domain/collection.ts';
import type { Filter } from '../domain/filter.ts';
import type { HashRange } from '../domain/hash-range.ts';
import type { PointParts, PointView } from '../domain/point.ts';
import type { ShardStatistics } from '../domain/shard-statistics.ts';
import type { ItemResult, PayloadChange, PointDelete, PointUpsert } from '../domain/write.ts';
import type { Action, Consistency, ConsistencyToken, RequestContext } from './context.ts';

export type { PointParts, PointView } from '../domain/point.ts';
export type { ShardStatistics } from '../domain/shard-statistics.ts';
export type { ItemOutcome, ItemResult, PayloadChange, PointDelete, PointUpsert, WriteCondition } from '../domain/write.ts';

export interface VectorApi {
  readonly collections: CollectionApi;
  readonly points: PointApi;
  readonly search: SearchApi;
  readonly feedback: FeedbackApi;
  readonly keys: KeyApi;
  readonly cluster: ClusterApi;
}

// ---------------------------------------------------------------- collections

export interface CollectionApi {
  /** Resolves when every shard accepts writes. COLLECTION_EXISTS when the name is taken by a different spec; the same spec again succeeds with `created: false`. */
  create(context: RequestContext, input: CollectionInput): Promise<{ created: boolean; collection: CollectionDescription }>;
  /** Those that the identity may see, by name. */
  list(context: RequestContext): Promise<readonly CollectionDescription[]>;
  get(context: RequestContext, name: string): Promise<CollectionDescription>;
  update(context: RequestContext, name: string, changes: CollectionChanges): Promise<CollectionDescription>;
  /** COLLECTION_NOT_FOUND when there is none. Resolves when no later request can see it. */
  delete(context: RequestContext, name: string): Promise<void>;
}

export interface CollectionDescription {
  readonly spec: CollectionSpec;
  readonly uid: string;
  readonly createdAtMs: number;
  readonly phase: 'creating' | 'ready' | 'degraded' | 'deleting';
  /** Routing epoch: grows when the shards of the collection change. */
  readonly epoch: number;
  readonly pointCount: number;
  readonly shards: readonly ShardDescription[];
}

export interface ShardDescription {
  readonly index: number;
  readonly uid: string;
  readonly hashRange: HashRange;
  readonly ready: boolean;
  /** Why it is not ready, as a sentence. */
  readonly because?: string;
  readonly term: number;
  readonly primary: string;
  readonly replicas: readonly string[];
  readonly pointCount: number;
  readonly statistics: ShardStatistics;
}

// --------------------------------------------------------------------- points

export interface WriteAnswer {
  /** One per item, in the order of the request. */
  readonly items: readonly ItemResult[];
  /** One per shard that took part. */
  readonly tokens: readonly ConsistencyToken[];
}

export interface PointApi {
  /** Each shard's part of the batch is atomic: all of it survives or none. Acknowledged when durable. */
  upsert(context: RequestContext, collection: string, points: readonly PointUpsert[]): Promise<WriteAnswer>;
  delete(context: RequestContext, collection: string, points: readonly PointDelete[]): Promise<WriteAnswer>;
  /** Deletes in chunks; when it fails half-way, `deletedCount` of the error's details tells how many are gone. */
  deleteByFilter(context: RequestContext, collection: string, filter: Filter): Promise<{ deletedCount: number; tokens: readonly ConsistencyToken[] }>;
  changePayload(context: RequestContext, collection: string, changes: readonly PayloadChange[]): Promise<WriteAnswer>;
  /** One entry per id, in order; undefined where there is no such point. */
  get(context: RequestContext, collection: string, request: GetRequest): Promise<readonly (PointView | undefined)[]>;
  scroll(context: RequestContext, collection: string, request: ScrollRequest): Promise<ScrollAnswer>;
  count(context: RequestContext, collection: string, request: CountRequest): Promise<number>;
}

export interface GetRequest extends PointParts {
  readonly ids: readonly string[];
  readonly consistency: Consistency;
}

export interface ScrollRequest extends PointParts {
  readonly filter?: Filter;
  /** Opaque; from the answer before. Absent to begin. Order is by shard, then by id's bytes. */
  readonly cursor?: string;
  readonly limit: number;
  readonly consistency: Consistency;
}

export interface ScrollAnswer {
  readonly points: readonly PointView[];
  /** Absent after the last page. */
  readonly nextCursor?: string;
}

export interface CountRequest {
  readonly filter?: Filter;
  readonly consistency: Consistency;
}

// --------------------------------------------------------------------- search

export interface SearchRequest extends PointParts {
  readonly vector: Float32Array;
  readonly topK: number;
  readonly filter?: Filter;
  /** Breadth of the graph search; the collection's efSearch when absent. */
  readonly ef?: number;
  /** Compare with every point instead of walking the graph. */
  readonly exact?: boolean;
  /** Leave out hits with a lower score. */
  readonly scoreThreshold?: number;
  readonly consistency: Consistency;
  /**
   * A partial answer is wanted rather than none: what has arrived when this much time has passed, without the shards that
   * cannot answer; it says which these are and why.
   */
  readonly partialAfterMs?: number;
  /** Have the index count the points it visits (costs time; for diagnosis and benchmarks). */
  readonly countVisited?: boolean;
}

export interface SearchHit extends PointView {
  readonly score: number;
}

export interface SearchAnswer {
  /** Best first. */
  readonly hits: readonly SearchHit[];
  readonly shards: readonly ShardWork[];
  /** Some shard did not answer (only where partial answers were asked for). */
  readonly partial: boolean;
}

/** What one shard did for a search. */
export interface ShardWork {
  readonly shardUID: string;
  readonly index: number;
  readonly answered: boolean;
  /** Why it did not answer, as a sentence. */
  readonly because?: string;
  readonly plan?: 'scan' | 'graph';
  /** Points compared with the query, when the index counts them. */
  readonly visitedCount?: number;
  readonly tookMs: number;
  readonly seq: number;
}

export interface SearchApi {
  search(context: RequestContext, collection: string, request: SearchRequest): Promise<SearchAnswer>;
  /** Each message is the whole top-k so far; the last equals `search`. The first comes as soon as one shard answered. */
  stream(context: RequestContext, collection: string, request: SearchRequest): AsyncIterable<SearchAnswer>;
  /** One answer per request, in order. */
  batch(context: RequestContext, collection: string, requests: readonly SearchRequest[]): Promise<readonly SearchAnswer[]>;
}

// ------------------------------------------------------------------- feedback

export interface FeedbackItem {
  readonly resultId: string;
  /** 1 to 5. */
  readonly relevanceScore: number;
  readonly clicked: boolean;
  /** From 0. */
  readonly position: number;
  readonly comment: string;
}

export interface Feedback {
  readonly collection: string;
  readonly query: string;
  readonly resultIds: readonly string[];
  readonly items: readonly FeedbackItem[];
  readonly context: Readonly<Record<string, string>>;
}

export interface StoredFeedback extends Feedback {
  readonly id: string;
  readonly createdAtMs: number;
  readonly subject: string;
}

export interface FeedbackApi {
  submit(context: RequestContext, feedback: Feedback): Promise<{ id: string }>;
  /** Oldest first. */
  list(context: RequestContext, collection: string, page: { cursor?: string; limit: number }): Promise<{ feedback: readonly StoredFeedback[]; nextCursor?: string }>;
}

// ----------------------------------------------------------------------- keys

export interface KeyInput {
  readonly name: string;
  readonly actions: readonly Action[];
  readonly collections: 'all' | readonly string[];
  readonly expiresAtMs?: number;
}

export interface KeyDescription extends KeyInput {
  /** Identifies the key; safe to show. */
  readonly prefix: string;
  readonly createdAtMs: number;
}

export interface KeyApi {
  /** `secret` is shown here and never again; only its hash is kept. */
  create(context: RequestContext, input: KeyInput): Promise<{ secret: string; key: KeyDescription }>;
  list(context: RequestContext): Promise<readonly KeyDescription[]>;
  delete(context: RequestContext, prefix: string): Promise<void>;
}

// -------------------------------------------------------------------- cluster

export interface ClusterStatus {
  readonly version: string;
  readonly mode: 'standalone' | 'cluster';
  readonly startedAtMs: number;
  readonly pods: readonly PodDescription[];
}

export interface PodDescription {
  readonly name: string;
  readonly ready: boolean;
  readonly because?: string;
  readonly shardCount: number;
  // Of the process that answers; a gateway does not know them of data pods.
  readonly dataDirectory?: string;
  readonly diskUsedFraction?: number;
  readonly writable?: boolean;
  readonly memoryBytes?: number;
  readonly logBytes?: number;
  readonly logSegmentCount?: number;
  readonly pointCount?: number;
}

export interface BackupAnswer {
  readonly directory: string;
  readonly sizeBytes: number;
  readonly shardCount: number;
  readonly pointCount: number;
}

export interface VerifyAnswer {
  readonly ok: boolean;
  /** Each fault as a sentence with the file it is in. */
  readonly faults: readonly string[];
  readonly checked: { readonly logRecords: number; readonly logBytes: number; readonly storeEntries: number; readonly storeBytes: number };
}

export interface ClusterApi {
  status(context: RequestContext): Promise<ClusterStatus>;
  /** Writes a consistent copy of the data directory to `directory` on the server, which must not exist, while serving. */
  backup(context: RequestContext, directory: string): Promise<BackupAnswer>;
  /** Reads and checks everything stored, while serving. */
  verify(context: RequestContext): Promise<VerifyAnswer>;
}
