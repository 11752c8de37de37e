/**
 * What a log entry does to a shard: effects only. Conditions, filters and clocks were resolved by the primary before it
 * logged, so that every replica applies the same change whatever it knows.
 */

import type { VectorBytes } from '../domain/vector-bytes.ts';
import type { Idempotency, OperationResult } from '../domain/write.ts';

export type Operation =
  | {
      readonly kind: 'upsert';
      readonly id: string;
      readonly version: number;
      readonly vector: VectorBytes;
      /** JSON text in UTF-8. */
      readonly payload: Uint8Array;
      readonly text: string | undefined;
    }
  /** The whole payload as it is afterwards; vector and text stay. */
  | { readonly kind: 'set-payload'; readonly id: string; readonly version: number; readonly payload: Uint8Array }
  | { readonly kind: 'delete'; readonly id: string }
  | { readonly kind: 'put-record'; readonly key: string; readonly version: number; readonly value: Uint8Array }
  | { readonly kind: 'delete-record'; readonly key: string };

/** The content of a log entry. An entry without operations and results is the no-op of a new term (rule P2). */
export interface Entry {
  /** Rule D1: remembered with the results by every replica that applies the entry. */
  readonly idempotency: Idempotency | undefined;
  readonly operations: readonly Operation[];
  /** One per item of the request, in its order; more than the operations when some had no effect. */
  readonly results: readonly OperationResult[];
}

export const noOp: Entry = { idempotency: undefined, operations: [], results: [] };
