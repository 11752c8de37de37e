/** How changes of inSync go on: failing members, and what the store's answers prove (rules W4, W5, A1). Pure. */

import { adopt } from './advance.ts';
import { includesMember, isNewer, sameMember, type Authority } from './authority.ts';
import { ask } from './fencing.ts';
import { mayRemove, removal, send } from './changes.ts';
import type { MemberId } from './messages.ts';
import { andThen, progressOf, withProgress, withRole, type LeadingState } from './primary-role.ts';
import type { Change } from './roles.ts';
import { nothing, stepDown, type CoreOutput } from './state.ts';

export function onSuspect(state: LeadingState, member: MemberId, because: string): CoreOutput {
  const { change, authority } = state.role;
  if (change?.add !== undefined && sameMember(change.add, member)) return andThen(unheard(state, member), (next) => cancel(next, change));
  if (!includesMember(authority.inSync, member)) return nothing(state, 'not in sync');
  if (change !== undefined && change.phase !== 'entered') return nothing(state, 'a change is under way');
  if (!mayRemove(state, member)) return nothing(state, `W5: ${member.pod} cannot be removed`);
  // A joiner that was not announced yet makes way.
  return andThen({ ...unheard(state, member), because }, (next) => send(next, removal(member)));
}

/** Whatever it said before: it joins only after it has answered again, and stored more if it lacks something. */
function unheard(state: LeadingState, { pod }: MemberId): CoreOutput {
  const progress = progressOf(state.role, pod);
  if (progress === undefined) return nothing(state, 'unknown');
  const held = withProgress(state, pod, { joinsAboveSeq: progress.durableSeq });
  return progress.phase === 'matched' ? ask(held, progress) : nothing(held, 'silent');
}

/** A1: a joiner whose add was sent stays in maximalInSync until the store shows that the add can land no more. */
function cancel(state: LeadingState, change: Change): CoreOutput {
  if (change.phase === 'entered') return { state: resolved(state), because: 'A1: the joiner failed before it was announced' };
  return { state: withRole(state, { change: { ...change, cancelled: true } }), because: 'A1: the joiner failed; its add may still land' };
}

export function onAuthorityAsPrimary(state: LeadingState, authority: Authority, source: 'watch' | 'read'): CoreOutput {
  const mine = state.role.authority;
  const moved = authority.term > state.term || (authority.term === state.term && authority.primary.session !== state.self.session);
  if (moved) return { ...stepDown({ ...state, authority }, `W4: term ${authority.term} belongs to ${authority.primary.pod}`) };
  if (isNewer(mine, authority)) return nothing(state, 'older than what is confirmed');
  if (source === 'read') return onReadAuthority(state, authority);
  if (authority.resourceVersion === mine.resourceVersion) return nothing(state, 'nothing new');
  // What a watch says may be old in parts that have no order of their own.
  return { state, metadata: { kind: 'read' }, because: 'the object has changed' };
}

export function onConfirmed(state: LeadingState, authority: Authority): CoreOutput {
  const readAgain = state.role.change?.passedOver === true;
  const confirmed = adopt(resolved(state), authority, 'W4: confirmed');
  // A compare-and-swap that follows fails on a newer version, and leads to the read as well.
  return readAgain && confirmed.metadata === undefined ? { ...confirmed, metadata: { kind: 'read' } } : confirmed;
}

export function onCasAmbiguous(state: LeadingState): CoreOutput {
  const { change } = state.role;
  if (change === undefined) return { state, metadata: { kind: 'read' }, because: 'W4: reads again' };
  return { state: withRole(state, { change: { ...change, phase: 'ambiguous' } }), metadata: { kind: 'read' }, because: 'W4: nobody knows whether it landed' };
}

/** The object as a linearizable GET shows it, in a term that is still this primary's. */
function onReadAuthority(state: LeadingState, authority: Authority): CoreOutput {
  const { change } = state.role;
  if (change === undefined || change.phase === 'entered') return adopt(unlessUnwanted(state, authority), authority, 'read');
  if (change.phase === 'sent') return { state: withRole(state, { change: { ...change, passedOver: true } }), because: 'the answer to the compare-and-swap comes first' };
  if (authority.resourceVersion === change.resourceVersion) {
    if (!change.cancelled) return send(state, change);
    if (state.mutations.has('add-cancelled-on-same-version')) return adopt(resolved(state), authority, 'deliberately wrong');
    return {
      state: withRole(state, { change: { ...change, phase: 'sent' } }),
      metadata: { kind: 'cas', resourceVersion: change.resourceVersion, configVersion: authority.configVersion },
      because: 'A1: the same version proves nothing; moves it',
    };
  }
  const landed = (change.add === undefined || includesMember(authority.inSync, change.add)) && (change.remove === undefined || !includesMember(authority.inSync, change.remove));
  if (landed || change.cancelled || change.add === undefined) return adopt(resolved(state), authority, landed ? 'W4: it had landed' : 'W4: it can land no more');
  return adopt(unlessUnwanted(withRole(state, { change: { ...change, phase: 'entered' } }), authority), authority, 'A1: tries again on the newer version');
}

/** A joiner that shall not join any more would be waited for without end: nobody asks its pod. Nothing of it is under way. */
function unlessUnwanted(state: LeadingState, { replicas, leaving }: Authority): LeadingState {
  const pod = state.role.change?.add?.pod;
  return pod === undefined || (replicas.includes(pod) && !leaving.includes(pod)) ? state : resolved(state);
}

function resolved(state: LeadingState): LeadingState {
  return withRole(state, { change: undefined });
}
