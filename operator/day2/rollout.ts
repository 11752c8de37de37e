/**
 * Replacing pods whose template is old: one at a time, and never one whose loss would break minInSync of a shard. The
 * sequence about one pod is recorded in the pool's status, so that of two leaders one does it, and the next goes on:
 *
 *     begin ─▶ make-ready   others lead its shards (S1); a shard that needs all of its members leaves the pod first (A2)
 *           ─▶ evict        the Eviction API, for the pod's UID: disruption budgets have their say
 *           ─▶ await        the StatefulSet makes the pod anew, and it gets in sync
 *           ─▶ end
 *
 * A crash in between leaves the record; each step looks at what is there and may be done again.
 */

import { isBroken, lossesWithout, lossText, ledBy } from './pod-loss.ts';
import type { PodFacts, PoolFacts } from './pool-facts.ts';

/** Values of `status.operation.step`. */
export type ReplaceStepName = 'make-ready' | 'evict' | 'await';

export type RolloutStep = { readonly because: string } & (
  | { readonly action: 'none' | 'wait' }
  | { readonly action: 'end' }
  | { readonly action: 'begin'; readonly pod: string; readonly podUID: string }
  | { readonly action: 'advance'; readonly step: ReplaceStepName }
  | { readonly action: 'evict'; readonly pod: string; readonly podUID: string }
);

export function nextRolloutStep(facts: PoolFacts): RolloutStep {
  return facts.operation === undefined ? choose(facts) : goOn(facts, facts.operation);
}

/** Why the pod shall be replaced; undefined when it is as it shall be. */
export function outdated(pod: PodFacts, { statefulSet }: Pick<PoolFacts, 'statefulSet'>): string | undefined {
  const wanted = statefulSet?.updateRevision;
  if (pod.needsRestart === true) return `${pod.name} has to start again for its volume to grow`;
  if (wanted === undefined || pod.revision === undefined || pod.revision === wanted) return undefined;
  return pod.difference === undefined ? `${pod.name} is of revision ${pod.revision}, and ${wanted} is wanted` : `${pod.name}: ${pod.difference}`;
}

function choose(facts: PoolFacts): RolloutStep {
  const { pods, statefulSet } = facts;
  const old = pods.filter((pod) => outdated(pod, facts) !== undefined);
  if (old.length === 0) return { action: 'none', because: statefulSet?.updateRevision === undefined ? 'the StatefulSet has not said yet what its pods shall be' : 'all pods are as they shall be' };
  const leads = new Map(old.map((pod) => [pod.name, ledBy(pod.name, facts).length]));
  // What is broken first: a template that mends it must get through. Then the pods that cost the fewest switchovers.
  const ordered = [...old].sort((a, b) => Number(isBroken(b, facts)) - Number(isBroken(a, facts)) || leads.get(a.name)! - leads.get(b.name)! || b.ordinal - a.ordinal);
  const refusals: string[] = [];
  for (const pod of ordered) {
    const refusal = refusalOf(pod, facts);
    if (refusal === undefined) return { action: 'begin', pod: pod.name, podUID: pod.uid, because: outdated(pod, facts)! };
    refusals.push(refusal);
  }
  return { action: 'wait', because: `${old.length} of ${pods.length} pods are to be replaced; ${refusals[0]!}` };
}

/** Why not this one now. What can only be mended by moving replicas away is no reason: that begins with the sequence. */
function refusalOf(pod: PodFacts, facts: PoolFacts): string | undefined {
  if (pod.isEnding) return `${pod.name} is ending already`;
  if (facts.replicas <= pod.ordinal) return `${pod.name} leaves the pool and is not replaced`;
  if (pod.node?.isCordoned === true && !isBroken(pod, facts)) return `${pod.name} is on node ${pod.node.name}, which takes no pods`;
  const away = facts.pods.find((other) => other.name !== pod.name && (other.isEnding || !other.isServing));
  const losses = lossesWithout(pod.name, facts).filter(({ isForGood }) => !isForGood);
  if (losses.length === 0) return undefined;
  return `${lossText(losses)}${away === undefined ? '' : ` (${away.name} ${away.isEnding ? 'is ending' : (away.trouble ?? 'does not answer')})`}`;
}

function goOn(facts: PoolFacts, { pod: name, podUID, step }: NonNullable<PoolFacts['operation']>): RolloutStep {
  const pod = facts.pods.find((each) => each.name === name);
  if (pod === undefined) return goneStep(facts, name, step);
  if (pod.uid !== podUID) return returnedStep(facts, pod, step);
  if (pod.isEnding) return step === 'await' ? { action: 'wait', because: `${name} is ending` } : { action: 'advance', step: 'await', because: `${name} is ending` };
  const why = outdated(pod, facts);
  if (why === undefined) return { action: 'end', because: `${name} is as it shall be after all` };
  const losses = lossesWithout(name, facts).filter((loss) => !(facts.allowsOutage && loss.isForGood));
  const [first] = losses;
  if (first !== undefined) {
    // Somebody else's failure may last, and what mends it may be the replacement of that other pod.
    if (losses.some(({ isForGood }) => !isForGood)) return { action: 'end', because: `${name} has to wait: ${lossText(losses)}` };
    const hint = first.isForGood ? `; a replica of it moves to another pod first, if there is room (or allow the outage: annotation shoal.dev/allow-outage=true on the pool)` : '';
    return { action: 'wait', because: `${why}; ${lossText(losses)}${hint}` };
  }
  const led = ledBy(name, facts).filter((shard) => canBeFollowed(shard, name, facts));
  if (led.length > 0) return { action: 'wait', because: `${why}; others shall lead ${led.slice(0, 3).join(', ')}${led.length > 3 ? ` and ${led.length - 3} more shards` : ''} first` };
  if (step === 'make-ready') return { action: 'advance', step: 'evict', because: `${why}; nothing needs ${name} at the moment` };
  return { action: 'evict', pod: name, podUID, because: why };
}

function goneStep(facts: PoolFacts, name: string, step: string): RolloutStep {
  const { statefulSet } = facts;
  const ordinal = Number(name.slice(name.lastIndexOf('-') + 1));
  if (statefulSet !== undefined && ordinal >= statefulSet.replicas) return { action: 'end', because: `${name} has left the pool` };
  if (step !== 'await') return { action: 'advance', step: 'await', because: `${name} is gone` };
  return { action: 'wait', because: `${name} is being made anew` };
}

function returnedStep(facts: PoolFacts, pod: PodFacts, step: string): RolloutStep {
  const why = outdated(pod, facts);
  if (why !== undefined) return { action: 'end', because: `${pod.name} was made anew, and has to be once more: ${why}` };
  if (pod.isReady) return { action: 'end', because: `${pod.name} is back and in sync` };
  if (step !== 'await') return { action: 'advance', step: 'await', because: `${pod.name} was made anew` };
  return { action: 'wait', because: `${pod.name} is not ready yet${pod.trouble === undefined ? '' : `: ${pod.trouble}`}` };
}

/** Whether a member in sync that answers could lead the shard instead. */
function canBeFollowed(shard: string, pod: string, { shards, pods }: PoolFacts): boolean {
  const { status, spec } = shards.find((use) => use.shard.metadata.name === shard)!.shard;
  return status.authority!.inSync.some((member) => member.pod !== pod && spec.leaving?.includes(member.pod) !== true && pods.find(({ name }) => name === member.pod)?.isServing === true);
}
