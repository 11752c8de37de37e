/** What a replica keeps in mind as backup or as primary, beside what every replica does. */

import type { Authority } from './authority.ts';
import type { Address, MemberId } from './messages.ts';

export type Role =
  /** Knows of no primary that has spoken to it in this session. */
  | { readonly kind: 'waiting' }
  | BackupRole
  | PrimaryRole;

export interface BackupRole {
  readonly kind: 'backup';
  readonly leader: Address;
  /** Everything through here is what the leader has, as it said in this term and session (rule W2). */
  readonly matchedSeq: number;
  readonly leaderCommitSeq: number;
  /** A fence that is answered as soon as its term is durable. */
  readonly fence: number | undefined;
}

/** How far another replica has come, as it said in this term. Keyed by pod: a pod has one replica of the shard. */
export interface Progress {
  readonly pod: string;
  /** Empty until it has reported; a report may name another incarnation than inSync does. */
  readonly incarnation: string;
  readonly session: string;
  /**
   * `asked`: a fence is under way, nothing is sent. `matched`: what lies above `matchedSeq` is sent. `needs-snapshot`: it
   * cannot be brought up from the log (rule A1).
   */
  readonly phase: 'asked' | 'matched' | 'needs-snapshot';
  readonly fence: number;
  readonly matchedSeq: number;
  readonly durableSeq: number;
  /** Having failed with this as its `durableSeq`, it joins only with more, or with all: one whose disk hangs still answers. */
  readonly joinsAboveSeq: number;
  /** The newest round of rule R1 that it answered. */
  readonly checkedRound: number;
}

/** One change of inSync at a time: a member is added, removed, or replaced by another. */
export interface Change {
  readonly add?: MemberId;
  readonly remove?: MemberId;
  /** Rule A1: `add` was entered into maximalInSync when this was the last seq assigned. */
  readonly enteredAtSeq: number;
  /** `entered`: nothing was sent. `sent`: the compare-and-swap is under way. `ambiguous`: the object is read again. */
  readonly phase: 'entered' | 'sent' | 'ambiguous';
  /** What the compare-and-swap compares with. */
  readonly resourceVersion: string;
  /** The joiner has failed: it leaves as soon as the store shows that the add can land no more. */
  readonly cancelled: boolean;
  /** The object was read while the compare-and-swap was under way: what that read said has to be read again. */
  readonly passedOver?: boolean;
}

export interface PrimaryRole {
  readonly kind: 'primary';
  readonly authority: Authority;
  /** Seq of the no-op that began the term. */
  readonly noOpSeq: number;
  readonly others: readonly Progress[];
  readonly change: Change | undefined;
  readonly lastFence: number;
  readonly round: number;
  readonly roundComplete: number;
  /** Rule S1. */
  readonly writesStopped: boolean;
}
