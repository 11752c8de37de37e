/** The vocabulary of writes: what makes one recognisable, what it may depend on, what becomes of each item. */

import type { Filter } from './filter.ts';

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

export interface ItemResult {
  readonly id: string;
  readonly outcome: ItemOutcome;
  /** The point's version afterwards; 0 when there is no such point. */
  readonly version: number;
}
