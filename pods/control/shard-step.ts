/** The one decision about a shard: the first thing that has to be done, of all that may have to be. */

import type { Mutations } from '../kernel/mutations.ts';
import { isDeleting } from '../metadata/objects.ts';
import { decideBootstrap } from './bootstrap.ts';
import { decideFailover } from './failover.ts';
import { decideMove, decidePlacementBeforeBootstrap } from './move.ts';
import { reportsOf } from './observation.ts';
import { standingStop, type ShardFacts, type ShardStep } from './shard-facts.ts';
import { decideSwitchover } from './switchover.ts';

export function nextShardStep(facts: ShardFacts, mutations: Mutations): ShardStep {
  const { shard } = facts;
  if (isDeleting(shard)) return decideRelease(facts);
  const { authority, handover } = shard.status;
  const stop = standingStop(shard);
  if (authority === undefined) {
    if (stop !== undefined) return { action: 'stop', ...stop };
    const step = decideBootstrap(facts);
    return step.action === 'wait' ? (decidePlacementBeforeBootstrap(facts) ?? step) : step;
  }
  const failover = decideFailover(facts, mutations);
  if (failover.action !== 'none') return failover;
  if (handover?.term !== authority.term) return decideMove(facts);
  const { to } = handover;
  const switchover = decideSwitchover(facts, to === undefined ? authority.inSync : [to], `${authority.primary.pod} asks to be relieved`);
  if (switchover.action === 'switch') return switchover;
  const move = decideMove(facts);
  return move.action === 'none' ? switchover : move;
}

/**
 * Pods remove the data of a shard that is being deleted with its collection; one that was deleted by itself, by mistake,
 * stays as it is. A pod that does not answer keeps the data as an orphan, under a UID that never comes again.
 */
function decideRelease({ shard, collection, pods }: ShardFacts): ShardStep {
  const isOwnerDeleting = collection?.metadata.uid === shard.spec.collection.uid && isDeleting(collection);
  if (!isOwnerDeleting) return { action: 'wait', soon: false, because: 'it was deleted, but its collection was not: its data is kept' };
  const holders = reportsOf(shard.metadata.uid, pods).filter(({ pod }) => !pod.isSilent);
  const unheard = shard.spec.replicas.filter((name) => pods.get(name)?.report === undefined && pods.get(name)?.isSilent !== true);
  if (holders.length > 0) return { action: 'nudge', pods: holders.map(({ pod }) => pod.name), because: `${holders.map(({ pod }) => pod.name).join(', ')} has to remove its data` };
  if (unheard.length > 0) return { action: 'wait', soon: true, because: `${unheard.join(', ')} has not been heard yet` };
  return { action: 'release', because: 'no pod that answers holds data of it' };
}
