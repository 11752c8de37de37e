/** What a primary learns from the other replicas (rules W2, A1, P2, R1). Pure. */

import { advance } from './advance.ts';
import { ask } from './fencing.ts';
import { onSuspect } from './membership.ts';
import type { Address, MessageBody } from './messages.ts';
import { progressOf, withProgress, type LeadingState } from './primary-role.ts';
import type { Progress } from './roles.ts';
import { checks } from './read-rounds.ts';
import { message, nothing, type CoreOutput } from './state.ts';
import { lastCommonSeq } from './term-runs.ts';

type MemberBody = Extract<MessageBody, { kind: 'report' | 'stored' | 'checked' | 'hello' | 'goodbye' }>;
type Report = Extract<MessageBody, { kind: 'report' }>;

export function onMemberMessage(state: LeadingState, term: number, from: Address, body: MemberBody): CoreOutput {
  const progress = progressOf(state.role, from.pod);
  if (progress === undefined) return nothing(state, `${from.pod} shall have no replica`);
  const known = progress.session === from.session && progress.incarnation === from.incarnation;
  if (body.kind === 'hello') return known ? nothing(state, 'known') : ask(state, progress);
  if (body.kind === 'goodbye') return known ? onSuspect(state, from, `${from.pod} leaves`) : nothing(state, 'unknown');
  if (term !== state.term) return nothing(state, 'W2: an answer of another term counts for nothing');
  if (body.kind === 'report') {
    const answersFence = body.number === progress.fence && progress.phase === 'asked';
    return answersFence || known ? onReport(state, progress, from, body) : nothing(state, 'W2: an answer to an older fence');
  }
  if (!known) return nothing(state, 'W0: an answer of another session counts for nothing');
  if (body.kind === 'checked') return advance({ state: withProgress(state, from.pod, { checkedRound: Math.max(progress.checkedRound, body.round) }), because: 'R1: answered' });
  const durableSeq = Math.max(progress.durableSeq, Math.min(body.throughSeq, state.lastSeq));
  return advance({ state: withProgress(state, from.pod, { durableSeq, matchedSeq: Math.max(progress.matchedSeq, durableSeq) }), because: 'W2: answered' });
}

/** Finds the last common entry; entries above it are sent, or a snapshot if they cannot be (rule A1). */
function onReport(state: LeadingState, progress: Progress, from: Address, report: Report): CoreOutput {
  const isSame = progress.session === from.session && progress.incarnation === from.incarnation;
  const common = state.mutations.has('match-by-seq-only') ? Math.min(state.lastSeq, report.lastSeq) : lastCommonSeq(state.runs, report.runs);
  const reachable = common + 1 >= state.firstSeq && report.appliedSeq <= common;
  const next = withProgress(state, from.pod, {
    incarnation: from.incarnation,
    session: from.session,
    phase: reachable ? 'matched' : 'needs-snapshot',
    matchedSeq: common,
    durableSeq: isSame ? Math.max(progress.durableSeq, common) : common,
    joinsAboveSeq: isSame ? progress.joinsAboveSeq : -1,
    checkedRound: isSame ? progress.checkedRound : 0,
  });
  if (!reachable) return { state: next, send: [message(next, from, { kind: 'take-snapshot' })], because: `A1: ${from.pod} agrees through ${common} only, and needs a snapshot` };
  return advance({ state: next, send: checks(next, [from]), because: `P2: ${from.pod} agrees through ${common}` });
}
