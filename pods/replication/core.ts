/**
 * The replication protocol of one replica as a pure step function: same state and input, same output. It knows no clock,
 * no network and no disk: the driver gives it those, and the simulator runs the same code. Rules by their names are those
 * of docs/replication.md. A backup's decisions are in `backup.ts`; a primary's
 * in `begin.ts`, `commit.ts`, `answers.ts`, `changes.ts`, `membership.ts` and `read-rounds.ts`.
 *
 * Entries themselves stay with the driver. The core says which are to be logged; those that a member lacks (everything
 * above its `matchedSeq`) the driver sends at its own pace, as nothing depends on what is sent when.
 */

import { advance } from './advance.ts';
import { onMemberMessage } from './answers.ts';
import { isNewer, sameMember, type Authority } from './authority.ts';
import * as backup from './backup.ts';
import { begin } from './begin.ts';
import { onPropose, onStopWrites } from './commit.ts';
import { onAskAgain, onNeedsSnapshot } from './fencing.ts';
import { onAuthorityAsPrimary, onCasAmbiguous, onConfirmed, onSuspect } from './membership.ts';
import type { Message } from './messages.ts';
import { isLeading } from './primary-role.ts';
import { onCheckAgain, onReadRound } from './read-rounds.ts';
import { message, nothing, stepDown, type CoreInput, type CoreOutput, type CoreState } from './state.ts';
import { cutFrom, type TermRuns } from './term-runs.ts';

export function step(state: CoreState, input: CoreInput): CoreOutput {
  switch (input.kind) {
    case 'authority':
      return onAuthority(state, input.authority, input.source);
    case 'message':
      return onMessage(state, input.message);
    case 'durable':
      return onDurable(state, input.throughSeq, input.term);
    case 'term-durable':
      return onTermDurable(state, input.term);
    case 'applied':
      return { state: { ...state, appliedSeq: input.throughSeq }, because: 'applied' };
    case 'trimmed':
      return { state: { ...state, firstSeq: input.firstSeq, runs: trimmed(state.runs, input.firstSeq) }, because: 'T1: trimmed' };
    case 'step-down':
      return stepDown({ ...state, lastSeq: input.lastSeq, runs: cutFrom(state.runs, input.lastSeq + 1) }, input.because);
    case 'cas-confirmed':
      return isLeading(state) ? onConfirmed(state, input.authority) : takeAuthority(state, input.authority);
    case 'cas-ambiguous':
      return isLeading(state) ? onCasAmbiguous(state) : nothing(state, 'not the primary any more');
    case 'propose':
      return isLeading(state) ? onPropose(state, input.entryCount) : nothing(state, 'W0: not the primary');
    case 'suspect':
      return isLeading(state) ? onSuspect(state, input.member, input.because) : nothing(state, 'W0: not the primary');
    case 'ask-again':
      return isLeading(state) ? onAskAgain(state, input.pod) : nothing(state, 'W0: not the primary');
    case 'needs-snapshot':
      return isLeading(state) ? onNeedsSnapshot(state, input.member) : nothing(state, 'W0: not the primary');
    case 'read-round':
      return isLeading(state) ? onReadRound(state) : nothing(state, 'W0: not the primary');
    case 'leave':
      return leave(state);
    case 'check-again':
      return isLeading(state) ? onCheckAgain(state) : nothing(state, 'W0: not the primary');
    case 'stop-writes':
      return isLeading(state) ? onStopWrites(state, true) : nothing(state, 'W0: not the primary');
    case 'resume-writes':
      return isLeading(state) ? onStopWrites(state, false) : nothing(state, 'W0: not the primary');
  }
}

function onAuthority(state: CoreState, authority: Authority, source: 'watch' | 'read'): CoreOutput {
  if (isLeading(state)) return onAuthorityAsPrimary(state, authority, source);
  return takeAuthority(state, authority);
}

/** As one who does not lead: is it my turn (W0), or whom do I follow? */
function takeAuthority(state: CoreState, authority: Authority): CoreOutput {
  if (state.authority !== undefined && isNewer(state.authority, authority)) return nothing(state, 'an older authority than the one known');
  const next = { ...state, authority };
  const { self, mutations } = state;
  const mine = sameMember(authority.primary, self) && (authority.primary.session === self.session || mutations.has('restart-in-same-term'));
  if (mine) {
    if (authority.term > state.term || (mutations.has('restart-in-same-term') && authority.term === state.term)) return begin(next, authority);
    return nothing(next, `W0: term ${authority.term} is not newer than ${state.term}`);
  }
  if (state.role.kind === 'backup' && state.role.leader.session === authority.primary.session) return nothing(next, 'follows this primary already');
  if (authority.term < state.term || sameMember(authority.primary, self)) return nothing(next, 'W0: the term was granted to another session');
  return { state: next, send: [message(next, authority.primary, { kind: 'hello' })], because: 'says to the primary that it is here' };
}

function onMessage(state: CoreState, received: Message): CoreOutput {
  const { self } = state;
  const { from, to, body } = received;
  if (received.shardUID !== state.shardUID || received.collectionUID !== state.collectionUID) return nothing(state, 'W0: of another shard');
  const mayNotKnow = body.kind === 'fence' || body.kind === 'hello' || body.kind === 'outdated';
  const fits = (known: string, mine: string): boolean => known === mine || (mayNotKnow && known === '');
  if (to.pod !== self.pod || !fits(to.incarnation, self.incarnation) || !fits(to.session, self.session)) {
    return nothing(state, 'W0: for another incarnation or session');
  }
  switch (body.kind) {
    case 'fence':
    case 'append':
    case 'check':
    case 'take-snapshot':
      return backup.onLeaderMessage(state, received.term, from, body);
    case 'report':
    case 'stored':
    case 'checked':
    case 'hello':
    case 'goodbye':
      return isLeading(state) ? onMemberMessage(state, received.term, from, body) : nothing(state, 'W0: not the primary');
    case 'outdated':
      if (!isLeading(state) || received.term <= state.term) return nothing(state, 'W0: no newer term');
      return { ...stepDown(state, `W0: ${from.pod} knows term ${received.term}`), metadata: { kind: 'read' } };
  }
}

function onDurable(state: CoreState, throughSeq: number, term: number): CoreOutput {
  const isStill = state.runs.some((run) => run.term === term && run.firstSeq <= throughSeq && throughSeq <= run.lastSeq);
  if (!isStill || throughSeq <= state.durableSeq) return nothing(state, 'replaced or known');
  const next = { ...state, durableSeq: throughSeq };
  return isLeading(next) ? advance({ state: next, because: 'durable here' }) : backup.afterDurable(next);
}

function onTermDurable(state: CoreState, term: number): CoreOutput {
  const next = { ...state, durableTerm: Math.max(state.durableTerm, term) };
  return isLeading(next) ? nothing(next, 'the term is durable') : backup.afterTermDurable(next);
}

/** The process ends in order: says so to its primary. */
function leave(state: CoreState): CoreOutput {
  if (state.role.kind !== 'backup') return nothing(state, 'it follows nobody');
  return { state: { ...state, role: { kind: 'waiting' } }, send: [message(state, state.role.leader, { kind: 'goodbye' })], because: 'it leaves' };
}

function trimmed(runs: TermRuns, firstSeq: number): TermRuns {
  return runs.filter((run) => run.lastSeq >= firstSeq - 1).map((run) => (run.firstSeq >= firstSeq - 1 ? run : { ...run, firstSeq: firstSeq - 1 }));
}
