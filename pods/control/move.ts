/**
 * Rule A2: what to change next so that a shard's replicas come to be where they shall be:
 *
 *     add to spec.replicas ─▶ in sync ─▶ switch over, if the primary goes (S1) ─▶ spec.leaving ─▶ out of sync ─▶ out of spec.replicas
 *
 * One step at a time, each from the object as it is: a crash between two leaves the rest to the next look.
 */

import type { VectorShard } from '../metadata/objects.ts';
import { placeReplicas } from './placement.ts';
import type { ShardFacts, ShardStep } from './shard-facts.ts';
import { decideSwitchover } from './switchover.ts';

/** As the CRD bounds it. */
const replicaCountMax = 9;

/** For a shard whose primary serves. */
export function decideMove(facts: ShardFacts): ShardStep {
  const { shard, collection } = facts;
  const { inSync, primary } = shard.status.authority!;
  if (collection === undefined) return { action: 'none', because: 'its collection is not there' };
  const { replicas, minInSync } = collection.spec.replication;
  const placement = placeReplicas(replicas, shard.spec.replicas, shard.spec.leaving ?? [], facts.placement);
  if (placement.action === 'refuse') return { action: 'none', because: placement.because };
  const wanted = placement.replicas;
  const { because } = placement;

  const missing = wanted.filter((pod) => !shard.spec.replicas.includes(pod));
  const surplus = shard.spec.replicas.filter((pod) => !wanted.includes(pod));
  const leaving = shard.spec.leaving ?? [];
  if (shard.spec.minInSync !== minInSync) return changed(shard, { minInSync }, `minInSync is ${minInSync} now`);
  const recalled = leaving.filter((pod) => wanted.includes(pod));
  if (recalled.length > 0) return changed(shard, { leaving: leaving.filter((pod) => !recalled.includes(pod)) }, `${recalled.join(', ')} may stay`);
  if (missing.length > 0 && shard.spec.replicas.length < replicaCountMax) return changed(shard, { replicas: [...shard.spec.replicas, missing[0]!] }, because);
  if (surplus.length === 0) return { action: 'none', because };

  const isInSync = (pod: string): boolean => inSync.some((member) => member.pod === pod);
  const behind = wanted.filter((pod) => shard.spec.replicas.includes(pod) && !isInSync(pod));
  if (behind.length > 0) return { action: 'wait', soon: false, because: `${because}; ${behind.join(', ')} is not in sync yet` };
  if (surplus.includes(primary.pod)) return decideSwitchover(facts, inSync.filter(({ pod }) => wanted.includes(pod)), because);
  if (!surplus.every((pod) => leaving.includes(pod))) return changed(shard, { leaving: surplus }, `${because}; ${surplus.join(', ')} shall leave`);
  if (surplus.some(isInSync)) return { action: 'wait', soon: false, because: `${because}; ${surplus.filter(isInSync).join(', ')} is still in sync` };
  return changed(shard, { replicas: shard.spec.replicas.filter((pod) => !surplus.includes(pod)), leaving: [] }, `${surplus.join(', ')} has left`);
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
