/** What a replica does that follows a primary: adopt terms, accept entries, answer (rules W2, W3, P3, R1). Pure. */

import type { LogEntry } from '../log/log.ts';
import type { Address, Message, MessageBody } from './messages.ts';
import type { BackupRole } from './roles.ts';
import { message, nothing, stepDown, type CoreOutput, type CoreState } from './state.ts';
import { cutFrom, extend, termAt } from './term-runs.ts';

type LeaderBody = Extract<MessageBody, { kind: 'fence' | 'append' | 'check' | 'take-snapshot' }>;
type FollowingState = CoreState & { readonly role: BackupRole };

export function isFollowing(state: CoreState): state is FollowingState {
  return state.role.kind === 'backup';
}

export function onLeaderMessage(state: CoreState, term: number, from: Address, body: LeaderBody): CoreOutput {
  if (term < state.term) return { state, send: [message(state, from, { kind: 'outdated' })], because: `W2: term ${term} is older than ${state.term}` };
  if (term === state.term && state.role.kind === 'primary') return nothing(state, 'W0: leads this term itself');
  const following = follow(state, term, from);
  // Also after a full disk has refused to take it.
  const adopts = term > state.term || (term > state.durableTerm && !isFollowing(state));
  return {
    ...answer(following, body),
    ...(adopts ? { adoptTerm: term } : {}),
    ...(state.role.kind === 'primary' ? { steppedDown: true } : {}),
  };
}

/** Makes `from` the leader; what matched an earlier one counts for nothing any more. */
function follow(state: CoreState, term: number, from: Address): FollowingState {
  if (term === state.term && isFollowing(state) && state.role.leader.session === from.session) return state;
  const given = state.role.kind === 'primary' ? stepDown(state, 'a newer primary').state : state;
  const kept = term > state.term && state.mutations.has('truncate-on-higher-term') ? dropUncommitted(given) : given;
  return { ...kept, term, role: { kind: 'backup', leader: from, matchedSeq: 0, leaderCommitSeq: 0, fence: undefined } };
}

/** Deliberately wrong. */
function dropUncommitted(state: CoreState): CoreState {
  const { commitSeq } = state;
  return { ...state, lastSeq: commitSeq, durableSeq: Math.min(state.durableSeq, commitSeq), runs: cutFrom(state.runs, commitSeq + 1) };
}

function answer(state: FollowingState, body: LeaderBody): CoreOutput {
  switch (body.kind) {
    case 'fence':
      return afterTermDurable({ ...state, role: { ...state.role, fence: body.number } });
    case 'check':
      if (!isTermDurable(state)) return nothing(state, 'R1: the term is not durable yet');
      return { state, send: [message(state, state.role.leader, { kind: 'checked', round: body.round })], because: 'R1: knows no newer term' };
    case 'append':
      return onAppend(state, body);
    case 'take-snapshot':
      return { state, takeSnapshotFrom: state.role.leader, because: 'A1: the log does not reach back far enough' };
  }
}

function onAppend(state: FollowingState, body: Extract<MessageBody, { kind: 'append' }>): CoreOutput {
  const { prevSeq, prevTerm, entries } = body;
  if (!matches(state, prevSeq, prevTerm)) {
    return { state, send: isTermDurable(state) ? [report(state, 0)] : [], because: `W2: the entry at ${prevSeq} is not of term ${prevTerm}` };
  }
  const fresh = entries.findIndex((entry) => entry.seq > state.commitSeq && !has(state, entry));
  const stored = fresh === -1 ? { state } : store(state, entries.slice(fresh));
  const through = prevSeq + entries.length;
  const accepted: FollowingState = {
    ...stored.state,
    role: {
      ...state.role,
      matchedSeq: Math.max(state.role.matchedSeq, state.mutations.has('no-trim-above-no-op') ? Math.max(through, state.lastSeq) : through),
      leaderCommitSeq: Math.max(state.role.leaderCommitSeq, body.commitSeq),
    },
  };
  return { ...settle(accepted), ...('store' in stored ? { store: stored.store } : {}) };
}

/** W2. Below its commit seq a replica agrees with every primary, and may have trimmed the entry. */
function matches(state: FollowingState, prevSeq: number, prevTerm: number): boolean {
  if (state.mutations.has('match-by-seq-only')) return prevSeq <= state.lastSeq;
  return prevSeq === 0 || prevSeq <= state.commitSeq || termAt(state.runs, prevSeq) === prevTerm;
}

function has(state: FollowingState, entry: LogEntry): boolean {
  if (state.mutations.has('match-by-seq-only')) return entry.seq <= state.lastSeq;
  return termAt(state.runs, entry.seq) === entry.term;
}

/** P3: the first of `entries` is missing here, or of another term than the one here: only then is something dropped. */
function store(state: FollowingState, entries: readonly LogEntry[]): Required<Pick<CoreOutput, 'store'>> & { readonly state: FollowingState } {
  const fromSeq = entries[0]!.seq;
  const replace = fromSeq <= state.lastSeq;
  let runs = replace ? cutFrom(state.runs, fromSeq) : state.runs;
  for (const { seq, term } of entries) runs = extend(runs, seq - 1, term, 1);
  const next = { ...state, runs, lastSeq: entries.at(-1)!.seq, durableSeq: Math.min(state.durableSeq, fromSeq - 1) };
  return { state: next, store: { fromSeq, replace, entries } };
}

export function afterDurable(state: CoreState): CoreOutput {
  return isFollowing(state) ? settle(state) : nothing(state, 'durable');
}

export function afterTermDurable(state: CoreState): CoreOutput {
  if (!isFollowing(state) || !isTermDurable(state)) return nothing(state, 'the term is on its way to the disk');
  const { fence, matchedSeq } = state.role;
  const answered: FollowingState = { ...state, role: { ...state.role, fence: undefined } };
  return {
    state: answered,
    send: [...(fence === undefined ? [] : [report(answered, fence)]), ...(matchedSeq === 0 ? [] : [stored(answered)])],
    because: `P2: term ${state.term} is durable here`,
  };
}

/** Commits what the leader has committed, as far as it is durable here and known to be what the leader has; answers. */
function settle(state: FollowingState): CoreOutput {
  const { matchedSeq, leaderCommitSeq } = state.role;
  const known = state.mutations.has('apply-before-commit') ? state.lastSeq : leaderCommitSeq;
  const through = Math.min(known, matchedSeq, state.durableSeq);
  const commits = through > state.commitSeq;
  const next: FollowingState = commits ? { ...state, commitSeq: through } : state;
  return {
    state: next,
    ...(commits ? { commitThroughSeq: through } : {}),
    send: isTermDurable(state) ? [stored(next)] : [],
    because: commits ? 'W3: the primary has committed it' : 'W2: accepted',
  };
}

function isTermDurable(state: CoreState): boolean {
  return state.durableTerm >= state.term;
}

function stored(state: FollowingState): Message {
  const { matchedSeq, leader } = state.role;
  const throughSeq = state.mutations.has('no-trim-above-no-op') ? matchedSeq : Math.min(matchedSeq, state.durableSeq);
  return message(state, leader, { kind: 'stored', throughSeq, appliedSeq: state.appliedSeq });
}

function report(state: FollowingState, number: number): Message {
  const { durableSeq, commitSeq, appliedSeq } = state;
  return message(state, state.role.leader, { kind: 'report', number, runs: cutFrom(state.runs, durableSeq + 1), lastSeq: durableSeq, commitSeq, appliedSeq });
}
