/** The vocabulary of writes: what makes one recognisable, what it may depend on, what becomes of each item. */

import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Filter } from './filter.ts';
import { utf8Length, type Payload } from './point.ts';
import type { VectorBytes } from './vector-bytes.ts';

/** Makes a write recognisable when it is sent again (rule D1). */
export interface Idempotency {
  readonly clientId: string;
  /** Positive; grows with every new request of this client. */
  readonly requestNumber: number;
}

export type WriteCondition =
  | { readonly kind: 'absent' }
  | { readonly kind: 'present' }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'matches'; readonly filter: Filter };

export type ItemOutcome = 'created' | 'updated' | 'deleted' | 'not-found' | 'condition-failed';

/** What became of one item of a request. The version is that of the point afterwards, 0 when there is none. */
export interface OperationResult {
  readonly outcome: ItemOutcome;
  readonly version: number;
}

export interface ItemResult extends OperationResult {
  readonly id: string;
}

export interface PointUpsert {
  readonly id: string;
  /** Nobody changes it any more, also when the write has failed: it may be under way for longer than its caller waits. */
  readonly vector: Float32Array | VectorBytes;
  readonly payload: Payload;
  readonly text?: string;
  /** Evaluated on the primary under the id's latch; when it does not hold the item's outcome is `condition-failed`. */
  readonly condition?: WriteCondition;
}

export interface PointDelete {
  readonly id: string;
  readonly condition?: WriteCondition;
}

/** Changes of a point's payload that leave its vector alone. Paths are top-level keys. */
export interface PayloadChange {
  readonly id: string;
  /** Keys to set. */
  readonly set?: Payload;
  /** Keys to remove; keys that are not there are passed over. */
  readonly remove?: readonly string[];
  /** Start from an empty payload rather than the present one. */
  readonly replace?: boolean;
  readonly condition?: WriteCondition;
}

/** INVALID_ARGUMENT unless the client id has 1 to 128 bytes of Unicode without U+0000, and the number is a positive integer. */
export function checkIdempotency({ clientId, requestNumber }: Idempotency): void {
  const bytes = utf8Length(clientId);
  if (bytes === 0 || bytes > limits.clientIdBytesMax || !clientId.isWellFormed() || clientId.includes('\0')) {
    throw new ShoalError('INVALID_ARGUMENT', `clientId must have 1 to ${limits.clientIdBytesMax} bytes of valid Unicode without U+0000`, {
      details: { field: 'clientId', limit: limits.clientIdBytesMax, found: bytes },
    });
  }
  if (!Number.isSafeInteger(requestNumber) || requestNumber < 1) {
    throw new ShoalError('INVALID_ARGUMENT', 'requestNumber must be a positive integer below 2^53', { details: { field: 'requestNumber' } });
  }
}
