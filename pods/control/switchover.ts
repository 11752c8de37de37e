/** Rule S1: a planned change of the primary. Chosen here before writes stop, and judged again once they have. */

import type { ShardMember, VectorShard } from '../metadata/objects.ts';
import { nextTerm } from './failover.ts';
import type { ObservedPod } from './observation.ts';
import { sameMember, type ShardFacts, type ShardStep } from './shard-facts.ts';

/** The member that shall follow a primary that serves; `among` the members that may. */
export function decideSwitchover(facts: ShardFacts, among: readonly ShardMember[], why: string): ShardStep {
  const { primary } = facts.shard.status.authority!;
  const going = new Set(facts.placement.pods.filter(({ isDraining, isBeingReplaced }) => isDraining || isBeingReplaced === true).map(({ name }) => name));
  const leads = (pod: string): number => facts.primaryCounts.get(pod) ?? 0;
  const [to] = among
    .filter((member) => member.pod !== primary.pod && !going.has(member.pod) && isFit(facts.shard, member, facts.pods.get(member.pod)))
    .sort((a, b) => leads(a.pod) - leads(b.pod) || (a.pod < b.pod ? -1 : 1));
  if (to === undefined) return { action: 'wait', soon: false, because: `${why}; no other member in sync can lead` };
  return { action: 'switch', to, because: `${why}; ${to.pod} shall lead` };
}

/**
 * After the primary has stopped: `shard` as it is read now, `target` as it reports now. A promotion, or why there is none;
 * then the primary goes on by itself when its stop expires.
 */
export function confirmSwitchover(shard: VectorShard, to: ShardMember, stopped: { readonly term: number; readonly lastSeq: number }, target: ObservedPod | undefined): Extract<ShardStep, { action: 'promote' | 'none' }> {
  const { authority } = shard.status;
  if (authority?.term !== stopped.term) return { action: 'none', because: `writes stopped in term ${stopped.term}, the object says ${authority?.term ?? 'none'}` };
  if (!isFit(shard, to, target)) return { action: 'none', because: `${to.pod} cannot lead any more` };
  const { lastSeq } = target!.report!.replicas.get(shard.metadata.uid)!;
  if (lastSeq < stopped.lastSeq) return { action: 'none', because: `${to.pod} ends at seq ${lastSeq}, below ${stopped.lastSeq}` };
  return { action: 'promote', authority: nextTerm(authority, to, target!.report!), because: `writes stopped at seq ${stopped.lastSeq}: ${to.pod} leads in term ${authority.term + 1}` };
}

function isFit(shard: VectorShard, member: ShardMember, pod: ObservedPod | undefined): boolean {
  if (pod?.report === undefined || !pod.isReachable || pod.isSilent) return false;
  const replica = pod.report.replicas.get(shard.metadata.uid);
  const isInSync = shard.status.authority?.inSync.some((other) => sameMember(other, member)) === true;
  return isInSync && replica?.incarnation === member.incarnation && !replica.quarantined;
}
