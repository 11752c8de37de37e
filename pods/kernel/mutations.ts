/**
 * Deliberate violations of the replication rules, one at a time, for the simulator alone: each must be caught, or the
 * simulator does not look at that rule. Handed in by constructors; no option, environment or file reaches them.
 */

export const mutationNames = [
  'acknowledge-before-all-answered',
  'acknowledge-before-sync',
  'term-not-durable',
  'add-cancelled-on-same-version',
  'restart-in-same-term',
  'match-by-seq-only',
  'truncate-on-higher-term',
  'no-trim-above-no-op',
  'apply-before-commit',
  'min-in-sync-ignored',
  'wipe-while-listed',
  'incarnation-reused',
  'read-round-over-in-sync-only',
  'idempotency-not-replicated',
  'write-without-version',
  'promote-outside-in-sync',
] as const;

export type MutationName = (typeof mutationNames)[number];

/** What production passes. */
export const noMutations: ReadonlySet<MutationName> = new Set();

export type Mutations = ReadonlySet<MutationName>;
