/** What `hnswlib-index.ts` and `hnswlib-worker.ts` say to each other. */

import type { LabelSet } from '../domain/label-set.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import type { CheckpointPart, IndexParameters } from './vector-index.ts';

export interface HnswlibWorkerData {
  readonly parameters: IndexParameters;
  readonly insertSliceMs: number;
  readonly load: { readonly directory: string; readonly parts: readonly CheckpointPart[] } | undefined;
}

export interface SearchRequest {
  readonly type: 'search';
  readonly id: number;
  readonly queries: Float32Array;
  readonly k: number;
  readonly ef: number;
  readonly filter: LabelSet | undefined;
  readonly exact: boolean;
  readonly countVisited: boolean;
}

export type HnswlibRequest =
  | { readonly type: 'add'; readonly id: number; readonly labels: Uint32Array; readonly vectors: Float32Array }
  | { readonly type: 'remove'; readonly id: number; readonly labels: Uint32Array }
  | SearchRequest
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'checkpoint'; readonly id: number; readonly directory: string }
  /** End between two steps. The thread must not be terminated: an interrupted call of hnswlib-node aborts the process. */
  | { readonly type: 'close' };

export type HnswlibResponse =
  /** The index is open; the labels it has. */
  | { readonly type: 'ready'; readonly labels: Uint32Array; readonly memoryBytes: number }
  | { readonly type: 'not-loaded'; readonly code: ErrorCode; readonly message: string }
  /** `labels`: those that were not removed again meanwhile. */
  | { readonly type: 'added'; readonly id: number; readonly labels: Uint32Array; readonly memoryBytes: number }
  | { readonly type: 'removed'; readonly id: number; readonly labels: Uint32Array; readonly memoryBytes: number }
  /** The hits of all queries one after another; `counts` says how many each has. */
  | {
      readonly type: 'found';
      readonly id: number;
      readonly counts: Uint32Array;
      readonly labels: Uint32Array;
      readonly distances: Float32Array;
      readonly visitedCount: number | undefined;
      readonly plan: 'scan' | 'graph';
    }
  | { readonly type: 'checkpointed'; readonly id: number; readonly parts: readonly CheckpointPart[] }
  | { readonly type: 'failed'; readonly id: number; readonly code: ErrorCode; readonly message: string };
