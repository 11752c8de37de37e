/** What a primary keeps in mind, and the plain questions about it. Pure. */

import type { Authority } from './authority.ts';
import { includesMember, sameMember } from './authority.ts';
import type { CoreOutput, CoreState } from './state.ts';
import type { Address, MemberId } from './messages.ts';

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

export type LeadingState = CoreState & { readonly role: PrimaryRole };

export function isLeading(state: CoreState): state is LeadingState {
  return state.role.kind === 'primary';
}

/** Committed inSync plus the member being added; one that is being removed counts until that is confirmed. */
export function maximalInSync(role: PrimaryRole): readonly MemberId[] {
  const { inSync } = role.authority;
  const { add } = role.change ?? {};
  return add === undefined || includesMember(inSync, add) ? inSync : [...inSync, add];
}

export function progressOf(role: PrimaryRole, pod: string): Progress | undefined {
  return role.others.find((other) => other.pod === pod);
}

/** Through which seq a member is known to have everything on its disk; 0 of one that has not said so in this term. */
export function durableAt(state: LeadingState, member: MemberId): number {
  if (sameMember(member, state.self)) return state.durableSeq;
  const progress = progressOf(state.role, member.pod);
  return progress?.incarnation === member.incarnation ? progress.durableSeq : 0;
}

export function addressOf(progress: Progress): Address {
  return { pod: progress.pod, incarnation: progress.incarnation, session: progress.session };
}

export function withRole(state: LeadingState, role: Partial<PrimaryRole>): LeadingState {
  return { ...state, role: { ...state.role, ...role } };
}

export function withProgress(state: LeadingState, pod: string, change: Partial<Progress>): LeadingState {
  return withRole(state, { others: state.role.others.map((other) => (other.pod === pod ? { ...other, ...change } : other)) });
}

/** Runs one decision after another; what both want done is done in that order. */
export function andThen(first: CoreOutput, next: (state: LeadingState) => CoreOutput): CoreOutput {
  if (first.state.role.kind !== 'primary') return first;
  const second = next(first.state as LeadingState);
  const send = [...(first.send ?? []), ...(second.send ?? [])];
  return {
    ...first,
    ...second,
    ...(send.length > 0 ? { send } : {}),
    because: second.state === first.state ? first.because : `${first.because}; ${second.because}`,
  };
}

/** Whom the driver has to hear from: members that writes and reads wait for. */
export function awaited(state: LeadingState): readonly Progress[] {
  return maximalInSync(state.role).flatMap((member) => progressOf(state.role, member.pod) ?? []);
}
