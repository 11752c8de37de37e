/** Plain questions about what a primary keeps in mind (`roles.ts`), and plain changes of it. Pure. */

import { includesMember, sameMember } from './authority.ts';
import type { PrimaryRole, Progress } from './roles.ts';
import type { CoreOutput, CoreState } from './state.ts';
import type { Address, MemberId } from './messages.ts';

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
