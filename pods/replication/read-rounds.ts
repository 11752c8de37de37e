/** Rule R1: rounds in which every member of maximalInSync says that it knows no newer term. Pure. */

import { sameMember } from './authority.ts';
import type { Address, MemberId, Message } from './messages.ts';
import { addressOf, andThen, maximalInSync, progressOf, withRole, type LeadingState } from './primary-role.ts';
import { message, nothing, type CoreOutput } from './state.ts';

/** Starts a round: what was read before it began waits for its end. */
export function onReadRound(state: LeadingState): CoreOutput {
  const next = withRole(state, { round: state.role.round + 1 });
  return andThen({ state: next, send: checks(next, unanswered(next)), because: `R1: round ${next.role.round}` }, completeRound);
}

export function onCheckAgain(state: LeadingState): CoreOutput {
  return { state, send: checks(state, unanswered(state)), because: `R1: asks again about round ${state.role.round}` };
}

/** Members that have not answered the newest round, as far as it is known where they are. */
function unanswered(state: LeadingState): readonly Address[] {
  return checkedMembers(state)
    .flatMap((member) => progressOf(state.role, member.pod) ?? [])
    .filter((progress) => progress.session !== '' && progress.checkedRound < state.role.round)
    .map(addressOf);
}

/** Asks `members` about the round under way. */
export function checks(state: LeadingState, members: readonly Address[]): Message[] {
  const { round, roundComplete } = state.role;
  return round === roundComplete ? [] : members.map((to) => message(state, to, { kind: 'check', round }));
}

function checkedMembers(state: LeadingState): readonly MemberId[] {
  const members = state.mutations.has('read-round-over-in-sync-only') ? state.role.authority.inSync : maximalInSync(state.role);
  return members.filter((member) => !sameMember(member, state.self));
}

/** R1: a round is complete when every member of maximalInSync, as of now, has answered it or a later one. */
export function completeRound(state: LeadingState): CoreOutput {
  const { round, roundComplete } = state.role;
  const answered = checkedMembers(state).map((member) => {
    const progress = progressOf(state.role, member.pod);
    return progress?.incarnation === member.incarnation ? progress.checkedRound : 0;
  });
  const complete = Math.min(round, ...answered);
  if (complete <= roundComplete) return nothing(state, 'R1: not every member has answered');
  return { state: withRole(state, { roundComplete: complete }), roundComplete: complete, because: `R1: round ${complete} is complete` };
}
