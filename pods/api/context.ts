/** What travels with every call through `VectorApi`: who asks, until when, under which request id. */

import type { Span } from '../kernel/span.ts';

export type Action = 'read' | 'write' | 'admin';

/** Who the caller is and what it may do; made by `pods/auth` from a credential. */
export interface Identity {
  /** Prefix of the API key, or `anonymous` where authentication is switched off. Never the secret. */
  readonly subject: string;
  readonly actions: readonly Action[];
  /** `all`, or the names of the collections it may touch. */
  readonly collections: 'all' | readonly string[];
}

/** Makes a write recognisable when it is sent again (rule D1). */
export interface Idempotency {
  readonly clientId: string;
  /** Positive; grows with every new request of this client. */
  readonly requestNumber: number;
}

export interface RequestContext {
  readonly requestId: string;
  readonly identity: Identity;
  /** Aborts with a ShoalError: DEADLINE_EXCEEDED at the deadline, CANCELLED when the client leaves, SHUTTING_DOWN. */
  readonly signal: AbortSignal;
  readonly span: Span;
  readonly idempotency?: Idempotency;
}

/** Proof of how far a shard had come: a later read may ask for at least that. */
export interface ConsistencyToken {
  readonly shardUID: string;
  readonly seq: number;
}

/**
 * `eventual`: any in-sync replica answers. `session`: a replica that has applied at least the tokens given.
 * `linearizable`: sees every write acknowledged before the read began, per shard (rule R1).
 */
export type Consistency =
  | { readonly level: 'eventual' }
  | { readonly level: 'session'; readonly tokens: readonly ConsistencyToken[] }
  | { readonly level: 'linearizable' };
