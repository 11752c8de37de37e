/** What travels with every call through `VectorApi`: who asks, until when, under which request id. */

import type { Idempotency } from '../domain/write.ts';
import type { Span } from '../kernel/span.ts';

export type { Consistency, ConsistencyToken } from '../domain/consistency.ts';
export type { Idempotency } from '../domain/write.ts';

export type Action = 'read' | 'write' | 'admin';

/** Who the caller is and what it may do; made by `pods/auth` from a credential. */
export interface Identity {
  /** Prefix of the API key, or `anonymous` where authentication is switched off. Never the secret. */
  readonly subject: string;
  readonly actions: readonly Action[];
  /** `all`, or the names of the collections it may touch. */
  readonly collections: 'all' | readonly string[];
}

export interface RequestContext {
  readonly requestId: string;
  readonly identity: Identity;
  /** Aborts with a ShoalError: DEADLINE_EXCEEDED at the deadline, CANCELLED when the client leaves, SHUTTING_DOWN. */
  readonly signal: AbortSignal;
  readonly span: Span;
  readonly idempotency?: Idempotency;
}
