/**
 * Rule P1: whether a shard needs another primary, and which member it shall be. Pure: it decides from the object as it was
 * read and from what pods reported; whoever writes the answer compares the version that was read.
 */

import assert from 'node:assert/strict';
import { limits } from '../kernel/limits.ts';
import type { Mutations } from '../kernel/mutations.ts';
import type { ShardAuthority, ShardMember } from '../metadata/objects.ts';
import { reportsOf, type ObservedPod, type ObservedReport, type ReportedReplica } from './observation.ts';
import { decideRollback } from './rollback.ts';
import { sameMember, standingStop, type ShardFacts, type ShardStep } from './shard-facts.ts';

/** A member that gave up a term it had just got is granted the next no sooner than after this time. */
const regrantDelayMs = 1_000;

export function decideFailover(facts: ShardFacts, mutations: Mutations): ShardStep {
  const { authority } = facts.shard.status;
  assert(authority !== undefined);
  const rollback = decideRollback(facts);
  if (rollback?.action === 'wait') return rollback;
  const suspicion = suspect(facts, authority);
  const stop = standingStop(facts.shard);
  const why = suspicion.isSuspect || suspicion.isUnfit ? suspicion.because : undefined;
  if (rollback !== undefined || stop !== undefined) {
    const accepted = suspicion.isSuspect ? acceptedLoss(facts, authority, suspicion.because) : undefined;
    return accepted?.action === 'promote' ? accepted : (rollback ?? { action: 'stop', condition: stop!.condition, because: stop!.because });
  }
  if (why === undefined) return suspicion.step;
  const choice = chooseCandidate(facts, authority, mutations, suspicion.isUnfit);
  if (choice.action !== 'promote') {
    if (suspicion.isUnfit) return { action: 'none', because: `${why}; ${choice.because}` };
    return acceptedLoss(facts, authority, why) ?? { ...choice, because: `${why}; ${choice.because}` };
  }
  return regrant(facts, choice.authority) ?? { ...choice, because: `${why}; ${choice.because}` };
}

/** The next term of an authority: what rule G1 lets a promotion change. */
export function nextTerm(authority: ShardAuthority, member: ShardMember, report: Pick<ObservedReport, 'podUID' | 'session'>): ShardAuthority {
  const { pod, incarnation } = member;
  return { ...authority, term: authority.term + 1, primary: { pod, podUID: report.podUID, incarnation, session: report.session } };
}

interface Suspicion {
  readonly because: string;
  readonly isSuspect: boolean;
  /** It answers and leads, but another should: promoted if there is one. */
  readonly isUnfit: boolean;
  /** What to do where it is neither. */
  readonly step: ShardStep;
}

function suspect(facts: ShardFacts, { primary, term }: ShardAuthority): Suspicion {
  const pod = facts.pods.get(primary.pod);
  const yes = (because: string): Suspicion => ({ because, isSuspect: true, isUnfit: false, step: { action: 'none', because } });
  const no = (step: ShardStep): Suspicion => ({ because: step.because, isSuspect: false, isUnfit: false, step });
  if (pod?.isSilent === true) return yes(`the primary's pod ${primary.pod} has not answered for ${limits.suspectAfterMs} ms`);
  if (pod?.report === undefined) return no({ action: 'wait', soon: true, because: `${primary.pod} has not been heard yet` });
  const { report } = pod;
  if (report.podUID !== primary.podUID || report.session !== primary.session) return yes(`the process on ${primary.pod} is another one than was granted term ${term}`);
  const replica = report.replicas.get(facts.shard.metadata.uid);
  if (replica?.incarnation !== primary.incarnation) return yes(`${primary.pod} does not hold incarnation ${primary.incarnation} any more`);
  if (replica.role !== 'primary') {
    if (replica.term < term) return no({ action: 'nudge', pods: [primary.pod], because: `${primary.pod} has not taken up term ${term}` });
    return yes(`${primary.pod} gave up term ${term}`);
  }
  if (replica.blockedMs >= limits.suspectAfterMs) {
    const answersMs = facts.nowMs - facts.storeAnswersSinceMs;
    if (answersMs < limits.suspectAfterMs) return no({ action: 'wait', soon: true, because: `${primary.pod} may have waited for the store of objects, which answers again for ${Math.round(answersMs)} ms` });
    return { ...yes(`${primary.pod} has been blocked for ${Math.round(replica.blockedMs)} ms`), isUnfit: true, isSuspect: false };
  }
  if (replica.quarantined) return { ...yes(`the replica on ${primary.pod} is damaged`), isUnfit: true, isSuspect: false };
  return no({ action: 'none', because: `${primary.pod} leads in term ${term}` });
}

type Choice = Extract<ShardStep, { action: 'promote' | 'wait' | 'stop' }>;

interface Candidate {
  readonly member: ShardMember;
  readonly found: ReportedReplica;
}

function chooseCandidate(facts: ShardFacts, authority: ShardAuthority, mutations: Mutations, exceptPrimary: boolean): Choice {
  const uid = facts.shard.metadata.uid;
  const claims = reportsOf(uid, facts.pods);
  const outside = mutations.has('promote-outside-in-sync') ? claims.map(({ pod, replica }) => ({ pod: pod.name, incarnation: replica.incarnation })) : [];
  const members = [...authority.inSync, ...outside.filter((member) => !authority.inSync.some(({ pod }) => pod === member.pod))];
  const candidates: Candidate[] = [];
  const refusals: Refusal[] = [];
  for (const member of members) {
    const verdict = examine(facts, authority, member, claims, exceptPrimary);
    if ('refused' in verdict) refusals.push(verdict);
    else candidates.push({ member, found: verdict });
  }
  const [best] = candidates.sort((a, b) => compareCandidates(facts, a, b));
  if (best === undefined) {
    const because = `no member in sync can lead: ${refusals.map(({ refused }) => refused).join(', ')}`;
    if (refusals.every(({ why }) => why === 'lacks-entries')) return { action: 'stop', condition: 'CommittedEntriesMissing', because };
    return { action: 'wait', soon: refusals.some(({ why }) => why === 'early'), because };
  }
  const next = nextTerm(authority, best.member, best.found.report);
  const isOutside = !authority.inSync.some((member) => sameMember(member, best.member));
  return {
    action: 'promote',
    authority: isOutside ? { ...next, inSync: [...authority.inSync, best.member], configVersion: authority.configVersion + 1 } : next,
    because: `${best.member.pod} has seq ${best.found.replica.lastSeq} and leads in term ${next.term}`,
  };
}

interface Refusal {
  readonly refused: string;
  /** `early`: a newer report may say otherwise. */
  readonly why: 'away' | 'early' | 'lacks-entries';
}

function examine(facts: ShardFacts, authority: ShardAuthority, member: ShardMember, claims: readonly ReportedReplica[], exceptPrimary: boolean): ReportedReplica | Refusal {
  const away = (because: string): Refusal => ({ refused: `${member.pod} ${because}`, why: 'away' });
  const pod: ObservedPod | undefined = facts.pods.get(member.pod);
  if (pod?.report === undefined || !pod.isReachable || pod.isSilent) return away('does not answer');
  if (exceptPrimary && member.pod === authority.primary.pod) return away('is the primary itself');
  const replica = pod.report.replicas.get(facts.shard.metadata.uid);
  if (replica === undefined) return { refused: `${member.pod} has not opened its replica`, why: 'early' };
  if (replica.incarnation !== member.incarnation) return away('holds another incarnation');
  if (replica.quarantined && authority.inSync.length > 1) return away('is damaged');
  const claim = claims.find((other) => other.replica.commitSeq > replica.lastSeq);
  if (claim === undefined) return { pod, report: pod.report, replica };
  const refused = `${member.pod} ends at seq ${replica.lastSeq}, and ${claim.pod.name} reported ${claim.replica.commitSeq} as committed`;
  // Unless it was asked after the claim had been heard, it may have the entries by now.
  return { refused, why: pod.report.askedAtMs >= claim.report.answeredAtMs ? 'lacks-entries' : 'early' };
}

/** Most entries first; then no pod that drains or is about to be replaced, fewest primaries, name. */
function compareCandidates(facts: ShardFacts, a: Candidate, b: Candidate): number {
  const isGoing = ({ member }: Candidate): number => (facts.placement.pods.some(({ name, isDraining, isBeingReplaced }) => name === member.pod && (isDraining || isBeingReplaced === true)) ? 1 : 0);
  const primaries = ({ member }: Candidate): number => facts.primaryCounts.get(member.pod) ?? 0;
  return b.found.replica.lastSeq - a.found.replica.lastSeq || isGoing(a) - isGoing(b) || primaries(a) - primaries(b) || (a.member.pod < b.member.pod ? -1 : 1);
}

/** A human's word for a copy that may lack acknowledged writes: it names the copy and the term, and the old primary is gone. */
function acceptedLoss(facts: ShardFacts, authority: ShardAuthority, why: string): ShardStep | undefined {
  const { acceptDataLoss, replicas } = facts.shard.spec;
  if (acceptDataLoss?.term !== authority.term + 1) return undefined;
  const wait = (because: string): Extract<ShardStep, { action: 'wait' }> => ({ action: 'wait', soon: false, because: `${why}; data loss is accepted, but ${because}` });
  const present = facts.pods.get(authority.primary.pod)?.report;
  const hasRestarted = present !== undefined && present.session !== authority.primary.session;
  if (!facts.isPrimaryGone && hasRestarted && present.askedAtMs < facts.primaryKnownAtMs) return { ...wait(`${authority.primary.pod} has to say once more which process it is`), soon: facts.pods.get(authority.primary.pod)?.isSilent !== true };
  if (!facts.isPrimaryGone && !hasRestarted) return wait(`it is not proven that the old primary on ${authority.primary.pod} is gone`);
  const copy = reportsOf(facts.shard.metadata.uid, facts.pods).find(({ replica }) => replica.incarnation === acceptDataLoss.incarnation);
  if (copy === undefined || !copy.pod.isReachable) return wait(`no pod that answers holds incarnation ${acceptDataLoss.incarnation}`);
  if (!replicas.includes(copy.pod.name)) return wait(`${copy.pod.name} is not in spec.replicas`);
  if (copy.replica.term > acceptDataLoss.term) return wait(`${copy.pod.name} knows term ${copy.replica.term} and refuses an older one`);
  const member = { pod: copy.pod.name, incarnation: acceptDataLoss.incarnation };
  const isAlone = authority.inSync.length === 1 && sameMember(authority.inSync[0]!, member);
  return {
    action: 'promote',
    authority: { ...nextTerm(authority, member, copy.report), inSync: [member], configVersion: authority.configVersion + (isAlone ? 0 : 1) },
    because: `${why}; a human accepts the loss of what ${member.pod} lacks: it has seq ${copy.replica.lastSeq} and leads alone in term ${acceptDataLoss.term}`,
  };
}

function regrant({ lastGrant, nowMs }: ShardFacts, { primary }: ShardAuthority): ShardStep | undefined {
  if (lastGrant?.session !== primary.session || nowMs - lastGrant.atMs >= regrantDelayMs) return undefined;
  return { action: 'wait', soon: true, because: `${primary.pod} gave up the term it had just been granted` };
}
