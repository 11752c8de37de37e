/** Which change of inSync a primary asks the store for, one at a time (rules W4, W5, A1). Pure. */

import { limits } from '../kernel/limits.ts';
import { includesMember, sameMember } from './authority.ts';
import type { MemberId } from './messages.ts';
import { addressOf, durableAt, withRole, type LeadingState } from './primary-role.ts';
import type { Change, Progress } from './roles.ts';
import { checks } from './read-rounds.ts';
import { nothing, type CoreOutput } from './state.ts';

/** Without a change under way: who is to be removed, replaced or added next? With one that waits for its joiner: is it there? */
export function considerChange(state: LeadingState): CoreOutput {
  const { change, authority } = state.role;
  if (change !== undefined) {
    if (change.phase !== 'entered' || durableAt(state, change.add!) < change.enteredAtSeq) return nothing(state, 'a change is under way');
    return send(state, change);
  }
  const leaving = authority.inSync.find((member) => authority.leaving.includes(member.pod) && mayRemove(state, member));
  if (leaving !== undefined) return send(state, removal(leaving));
  for (const progress of state.role.others) {
    if (mayJoin(state, progress)) return enter(state, progress);
  }
  return nothing(state, 'nothing to change');
}

/** A1: it is caught up but for what is on its way, so that writes hardly wait for it. */
function mayJoin(state: LeadingState, progress: Progress): boolean {
  const { authority } = state.role;
  const { pod, phase, durableSeq, joinsAboveSeq } = progress;
  if (phase !== 'matched' || !authority.replicas.includes(pod) || authority.leaving.includes(pod)) return false;
  if (durableSeq <= joinsAboveSeq && durableSeq < state.lastSeq) return false;
  return !includesMember(authority.inSync, progress) && durableSeq + limits.joinLagEntryCountMax >= state.commitSeq;
}

/** A1: from here on writes wait for the joiner too; the store hears of it when it has all that was assigned so far. */
function enter(state: LeadingState, progress: Progress): CoreOutput {
  const add = { pod: progress.pod, incarnation: progress.incarnation };
  // Another incarnation on the same pod is replaced in the same change: its data is gone.
  const remove = state.role.authority.inSync.find((member) => member.pod === add.pod);
  const change: Change = {
    add,
    ...(remove === undefined ? {} : { remove }),
    enteredAtSeq: state.lastSeq,
    phase: 'entered',
    resourceVersion: '',
    cancelled: false,
  };
  const entered = withRole(state, { change });
  const asked = checks(entered, [addressOf(progress)]);
  if (progress.durableSeq < change.enteredAtSeq) return { state: entered, send: asked, because: `A1: ${add.pod} enters at ${change.enteredAtSeq}` };
  return { ...send(entered, change), send: asked };
}

export function removal(remove: MemberId): Change {
  return { remove, enteredAtSeq: 0, phase: 'entered', resourceVersion: '', cancelled: false };
}

/** W5: never below minInSync, never the last one, never itself. */
export function mayRemove(state: LeadingState, member: MemberId): boolean {
  const { inSync, minInSync } = state.role.authority;
  return inSync.length > 1 && inSync.length - 1 >= minInSync && !sameMember(member, state.self);
}

export function send(state: LeadingState, change: Change): CoreOutput {
  const { authority } = state.role;
  const { resourceVersion } = authority;
  const sent = withRole(state, { change: { ...change, phase: 'sent', resourceVersion } });
  const inSync = changed(authority.inSync, change);
  return {
    state: sent,
    metadata: { kind: 'cas', resourceVersion, inSync, configVersion: authority.configVersion + 1 },
    because: `W4: inSync shall be ${inSync.map((member) => member.pod).join(', ')}`,
  };
}

function changed(inSync: readonly MemberId[], { add, remove }: Change): readonly MemberId[] {
  const kept = inSync.filter((member) => remove === undefined || !sameMember(member, remove));
  return add === undefined ? kept : [...kept, add];
}
