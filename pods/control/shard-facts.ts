/** What a decision about one shard is made from, and what it can be. */

import type { VectorCollection, VectorShard, ShardAuthority, ShardMember } from '../metadata/objects.ts';
import type { ObservedPod } from './observation.ts';
import type { PlacementFacts } from './placement.ts';

export interface ShardFacts {
  /** As a linearizable read answered. */
  readonly shard: VectorShard;
  /** When that read began: what was reported before it cannot be newer than the object. Monotonic. */
  readonly readAtMs: number;
  /** Its collection, read linearizably for a shard without authority; undefined when there is none. */
  readonly collection: VectorCollection | undefined;
  readonly pods: ReadonlyMap<string, ObservedPod>;
  readonly placement: PlacementFacts;
  /** Where one of its replicas shall go for a better balance (`rebalance.ts`). */
  readonly rebalanceTo?: string;
  /** How many other shards each pod leads. */
  readonly primaryCounts: ReadonlyMap<string, number>;
  /** Since when it is known here that the authority names this process as primary: what its pod was asked before may be of an earlier one. */
  readonly primaryKnownAtMs: number;
  /** Since when the store of objects has answered all that was asked here: who waited for it before that is not to blame. */
  readonly storeAnswersSinceMs: number;
  /** The pod that the authority names, by its UID, is proven not to run any more, and never to run again. */
  readonly isPrimaryGone: boolean;
  /** The last term that was granted here, so that a primary that gives up at once is not granted one after another. */
  readonly lastGrant?: { readonly session: string; readonly atMs: number };
  readonly nowMs: number;
}

/** Reasons to write no authority any more until a human has looked. */
export type StopCondition = 'MetadataRolledBack' | 'CommittedEntriesMissing' | 'Lost';

/** What to do next about a shard: one thing, and why, in a sentence for status, log and Event. */
export type ShardStep = { readonly because: string } & (
  | { readonly action: 'none' }
  /** `soon`: nothing but a newer report or read is missing. */
  | { readonly action: 'wait'; readonly soon: boolean }
  /** These pods have not acted upon the object yet. */
  | { readonly action: 'nudge'; readonly pods: readonly string[] }
  /** B1, P1: compare-and-swap this authority. */
  | { readonly action: 'bootstrap'; readonly authority: ShardAuthority }
  | { readonly action: 'promote'; readonly authority: ShardAuthority }
  /** S1: stop writes on the primary, then promote this member. */
  | { readonly action: 'switch'; readonly to: ShardMember }
  | { readonly action: 'change-spec'; readonly spec: VectorShard['spec'] }
  /** Say so in the object, and do nothing else. */
  | { readonly action: 'stop'; readonly condition: StopCondition }
  /** Its data is removed: let the object go. */
  | { readonly action: 'release' }
);

export function sameMember(a: ShardMember, b: ShardMember): boolean {
  return a.pod === b.pod && a.incarnation === b.incarnation;
}

const stopConditions: readonly string[] = ['MetadataRolledBack', 'CommittedEntriesMissing', 'Lost'] satisfies readonly StopCondition[];

/** It stands until a human takes it away: the report that showed it may not come again. */
export function standingStop(shard: VectorShard): { readonly condition: StopCondition; readonly because: string } | undefined {
  const found = shard.status.conditions?.find(({ type, status }) => status === 'True' && stopConditions.includes(type));
  return found === undefined ? undefined : { condition: found.type as StopCondition, because: found.message };
}
