/** How fresh a read must be, and the tokens that say how far a shard had come. */

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
