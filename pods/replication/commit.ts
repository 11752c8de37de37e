/** What a primary assigns and what it may call committed (rules W1, W3, W5, S1). Pure. */

import { durableAt, maximalInSync, withRole, type LeadingState } from './primary-role.ts';
import { nothing, type CoreOutput } from './state.ts';
import { extend } from './term-runs.ts';

export function onPropose(state: LeadingState, entryCount: number): CoreOutput {
  const { authority, writesStopped } = state.role;
  if (writesStopped) return nothing(state, 'S1: writes are stopped for a switchover');
  if (authority.inSync.length < authority.minInSync && !state.mutations.has('min-in-sync-ignored')) {
    return nothing(state, `W5: ${authority.inSync.length} in sync, ${authority.minInSync} needed`);
  }
  const firstSeq = state.lastSeq + 1;
  return {
    state: { ...state, lastSeq: state.lastSeq + entryCount, runs: extend(state.runs, state.lastSeq, state.term, entryCount) },
    append: { term: state.term, firstSeq, entryCount },
    because: 'W1: assigned',
  };
}

/** W3. Entries of earlier terms commit through the no-op of this one, never by being counted on their own. */
export function commitCovered(state: LeadingState): CoreOutput {
  const { authority, noOpSeq } = state.role;
  const enough = authority.inSync.length >= authority.minInSync || state.mutations.has('min-in-sync-ignored');
  const members = state.mutations.has('acknowledge-before-all-answered') ? [state.self] : maximalInSync(state.role);
  const covered = Math.min(...members.map((member) => durableAt(state, member)));
  if (!enough || covered < noOpSeq || covered <= state.commitSeq) return nothing(state, 'W3: not yet durable on every member');
  return { state: { ...state, commitSeq: covered }, commitThroughSeq: covered, because: 'W3: durable on every member' };
}

export function onStopWrites(state: LeadingState, writesStopped: boolean): CoreOutput {
  return { state: withRole(state, { writesStopped }), because: writesStopped ? 'S1: stops writes' : 'S1: takes writes again' };
}
