/**
 * Rule A2: what to change next so that a shard's replicas come to be where they shall be:
 *
 *     add to spec.replicas ─▶ in sync ─▶ switch over, if the primary goes (S1) ─▶ spec.leaving ─▶ out of sync ─▶ out of spec.replicas
 *
 * One step at a time, each from the object as it is: a crash between two leaves the rest to the next look.
 */

import type { VectorShard } from '../metadata/objects.ts';
import { isOpen, placeReplicas, type PlacementFacts } from './placement.ts';
import type { ShardFacts, ShardStep } from './shard-facts.ts';
import { decideSwitchover } from './switchover.ts';

/** As the CRD bounds it. */
const replicaCountMax = 9;

/** For a shard whose primary serves. */
export function decideMove(facts: ShardFacts): ShardStep {
  const { shard, collection } = facts;
  const { inSync, primary } = shard.status.authority!;
  const relief = decideRelief(facts);
  if (relief !== undefined) return relief;
  if (collection === undefined) return { action: 'none', because: 'its collection is not there' };
  const { replicas, minInSync } = collection.spec.replication;
  // Raised once so many are in sync, so that no write is refused until more have come.
  if (shard.spec.minInSync !== minInSync && (minInSync < shard.spec.minInSync || inSync.length >= minInSync)) return changed(shard, { minInSync }, `minInSync is ${minInSync} now`);
  const placement = placeReplicas(replicas, shard.spec.replicas, shard.spec.leaving ?? [], sparing(facts.placement, replicas <= minInSync), primary.pod);
  if (placement.action === 'refuse') return { action: 'none', because: placement.because };
  const wanted = placement.replicas;
  const { because } = placement;

  const missing = wanted.filter((pod) => !shard.spec.replicas.includes(pod));
  const surplus = shard.spec.replicas.filter((pod) => !wanted.includes(pod));
  const leaving = shard.spec.leaving ?? [];
  const recalled = leaving.filter((pod) => wanted.includes(pod));
  if (recalled.length > 0) return changed(shard, { leaving: leaving.filter((pod) => !recalled.includes(pod)) }, `${recalled.join(', ')} may stay`);
  if (missing.length > 0 && shard.spec.replicas.length < replicaCountMax) return changed(shard, { replicas: [...shard.spec.replicas, missing[0]!] }, because);
  if (surplus.length === 0) return standing(facts, because);

  const isInSync = (pod: string): boolean => inSync.some((member) => member.pod === pod);
  const behind = wanted.filter((pod) => shard.spec.replicas.includes(pod) && !isInSync(pod));
  if (behind.length > 0) return { action: 'wait', soon: false, because: `${because}; ${behind.join(', ')} is not in sync yet` };
  if (surplus.includes(primary.pod)) return decideSwitchover(facts, inSync.filter(({ pod }) => wanted.includes(pod)), because);
  if (!surplus.every((pod) => leaving.includes(pod))) return changed(shard, { leaving: surplus }, `${because}; ${surplus.join(', ')} shall leave`);
  if (surplus.some(isInSync)) return { action: 'wait', soon: false, because: `${because}; ${surplus.filter(isInSync).join(', ')} is still in sync` };
  return changed(shard, { replicas: shard.spec.replicas.filter((pod) => !surplus.includes(pod)), leaving: [] }, `${surplus.join(', ')} has left`);
}

/**
 * A shard that needs all of its members in sync can spare none while a pod is replaced: its replica there goes elsewhere
 * first, as from a pod that drains.
 */
function sparing(placement: PlacementFacts, sparesNone: boolean): PlacementFacts {
  if (!sparesNone) return placement;
  return { ...placement, pods: placement.pods.map((pod) => (pod.isBeingReplaced === true ? { ...pod, isDraining: true } : pod)) };
}

/** Another one leads before the primary's pod is replaced, if there is another. */
function decideRelief(facts: ShardFacts): ShardStep | undefined {
  const { inSync, primary } = facts.shard.status.authority!;
  if (facts.placement.pods.find(({ name }) => name === primary.pod)?.isBeingReplaced !== true) return undefined;
  const step = decideSwitchover(facts, inSync, `${primary.pod} is about to be replaced`);
  return step.action === 'switch' ? step : undefined;
}

/** All replicas are where they shall be; one may be better off elsewhere. */
function standing({ shard, placement, rebalanceTo }: ShardFacts, because: string): ShardStep {
  const target = rebalanceTo === undefined || shard.spec.replicas.includes(rebalanceTo) ? undefined : placement.pods.find(({ name }) => name === rebalanceTo);
  if (target === undefined || !isOpen(target) || shard.spec.replicas.length >= replicaCountMax) return { action: 'none', because };
  return changed(shard, { replicas: [...shard.spec.replicas, target.name] }, `${target.name} takes a replica, for a better balance`);
}

/** Nothing is in any replica yet, so they can be anywhere. */
export function decidePlacementBeforeBootstrap(facts: ShardFacts): ShardStep | undefined {
  const { shard, collection } = facts;
  if (collection === undefined) return undefined;
  const placement = placeReplicas(collection.spec.replication.replicas, shard.spec.replicas, [], facts.placement);
  if (placement.action === 'refuse') return undefined;
  const isSame = placement.replicas.length === shard.spec.replicas.length && placement.replicas.every((pod) => shard.spec.replicas.includes(pod));
  return isSame ? undefined : changed(shard, { replicas: placement.replicas }, placement.because);
}

function changed(shard: VectorShard, change: Partial<VectorShard['spec']>, because: string): ShardStep {
  const { leaving, ...spec } = { ...shard.spec, ...change };
  return { action: 'change-spec', spec: leaving === undefined || leaving.length === 0 ? spec : { ...spec, leaving }, because };
}
