/**
 * Which replicas would be better off elsewhere: on pods that joined, or in a zone that their shard is not in yet. Moving
 * costs a copy of the replica, so that nothing moves unless it is worth it, few move at a time, and none while anything
 * else is going on. A move is begun by one replica more than wanted (`move.ts`); which one then goes is for `placement.ts`
 * to choose, and a move is proposed only where it will choose the one that was meant.
 */

import type { VectorShard } from '../metadata/objects.ts';
import { compareLevels, isOpen, matesByDomain, placeReplicas, type PlaceablePod, type PlacementFacts } from './placement.ts';

export interface RebalanceFacts {
  /** Of pods of one pool. */
  readonly shards: readonly RebalancedShard[];
  readonly placement: PlacementFacts;
  /** Moves at a time. */
  readonly movesMax: number;
}

export interface RebalancedShard {
  readonly shard: VectorShard;
  /** How many replicas its collection wants. */
  readonly replicas: number;
}

export interface RebalanceMove {
  /** Name of the shard's object. */
  readonly shard: string;
  readonly from: string;
  readonly to: string;
  readonly because: string;
}

export interface Rebalance {
  readonly moves: readonly RebalanceMove[];
  readonly because: string;
}

/** Two pods whose loads differ by less are even: a replica, or this part of what a pod holds on average. */
const unevenFraction = 0.2;

export function decideRebalance({ shards, placement: all, movesMax }: RebalanceFacts): Rebalance {
  // Pods that hold nothing and take nothing are as good as not there.
  const placement = { ...all, pods: all.pods.filter((pod) => isOpen(pod) || loadOf(all, pod) > 0) };
  const unwell = placement.pods.filter((pod) => pod.isDraining || pod.isSilent || pod.isBeingReplaced === true);
  if (unwell.length > 0) return { moves: [], because: `nothing is moved for balance while ${unwell.map(({ name }) => name).join(', ')} drains, is replaced or does not answer` };
  const moving = shards.filter(({ shard, replicas }) => isMoving(shard, replicas));
  const load = new Map(placement.load);
  const moves: RebalanceMove[] = [];
  const taken = new Set(moving.map(({ shard }) => shard.metadata.name));
  while (moving.length + moves.length < movesMax) {
    const free = shards.filter(({ shard }) => shard.status.authority !== undefined && !taken.has(shard.metadata.name));
    const move = betterSpread(free, { ...placement, load }) ?? betterLoad(free, { ...placement, load });
    if (move === undefined) break;
    moves.push(move);
    taken.add(move.shard);
    load.set(move.from, load.get(move.from)! - 1);
    load.set(move.to, (load.get(move.to) ?? 0) + 1);
  }
  if (moves.length > 0) return { moves, because: moves.map(({ because }) => because).join('; ') };
  return { moves, because: moving.length > 0 ? `${moving.length} replicas are on their way` : 'replicas are spread as well as they can be without moving much' };
}

/** Its replicas are changing already, or not all of them are in sync. */
function isMoving({ spec, status }: VectorShard, replicas: number): boolean {
  const inSync = status.authority?.inSync.length ?? 0;
  return spec.replicas.length !== replicas || (spec.leaving ?? []).length > 0 || (status.authority !== undefined && inSync !== replicas);
}

/** A shard with two replicas in one zone (node, …) and none in another that has a pod for it. */
function betterSpread(shards: readonly RebalancedShard[], placement: PlacementFacts): RebalanceMove | undefined {
  const byName = new Map(placement.pods.map((pod) => [pod.name, pod]));
  for (const { shard, replicas } of shards) {
    const present = shard.spec.replicas.map((name) => byName.get(name));
    if (present.includes(undefined)) continue;
    for (const from of present as PlaceablePod[]) {
      const mates = present.filter((pod) => pod !== from);
      const now = matesByDomain(from, mates);
      if (now.every((count) => count === 0)) continue;
      const better = placement.pods
        .filter((pod) => isOpen(pod) && !present.includes(pod) && compareLevels(matesByDomain(pod, mates), now) < 0)
        .sort((a, b) => compareLevels(matesByDomain(a, mates), matesByDomain(b, mates)) || loadOf(placement, a) - loadOf(placement, b) || (a.name < b.name ? -1 : 1));
      const to = better.find((pod) => leavesAfter(shard, replicas, pod.name, placement) === from.name);
      if (to !== undefined) return { shard: shard.metadata.name, from: from.name, to: to.name, because: `a replica of ${shard.metadata.name} moves from ${from.name} to ${to.name}, where it is farther from the others` };
    }
  }
  return undefined;
}

function betterLoad(shards: readonly RebalancedShard[], placement: PlacementFacts): RebalanceMove | undefined {
  const { pods } = placement;
  const byName = (a: PlaceablePod, b: PlaceablePod): number => (a.name < b.name ? -1 : 1);
  const fullest = [...pods].sort((a, b) => loadOf(placement, b) - loadOf(placement, a) || byName(a, b));
  const emptiest = [...pods].sort((a, b) => loadOf(placement, a) - loadOf(placement, b) || byName(a, b));
  const total = pods.reduce((sum, pod) => sum + loadOf(placement, pod), 0);
  const unevenMin = Math.max(2, Math.ceil((unevenFraction * total) / Math.max(1, pods.length)));
  for (const from of fullest) {
    for (const to of emptiest) {
      const difference = loadOf(placement, from) - loadOf(placement, to);
      if (difference < unevenMin) break;
      if (!isOpen(to)) continue;
      const found = shards
        .filter(({ shard, replicas }) => shard.spec.replicas.includes(from.name) && !shard.spec.replicas.includes(to.name) && leavesAfter(shard, replicas, to.name, placement) === from.name)
        // A backup moves without anybody else having to lead.
        .sort((a, b) => leads(a.shard, from.name) - leads(b.shard, from.name) || (a.shard.metadata.name < b.shard.metadata.name ? -1 : 1))[0];
      if (found === undefined) continue;
      const { name } = found.shard.metadata;
      return { shard: name, from: from.name, to: to.name, because: `a replica of ${name} moves from ${from.name}, which holds ${loadOf(placement, from)}, to ${to.name}, which holds ${loadOf(placement, to)}` };
    }
  }
  return undefined;
}

/** Which pod will be chosen to go once `to` has a replica too. */
function leavesAfter(shard: VectorShard, replicas: number, to: string, placement: PlacementFacts): string | undefined {
  const present = [...shard.spec.replicas, to];
  const load = new Map(placement.load).set(to, (placement.load.get(to) ?? 0) + 1);
  const after = placeReplicas(replicas, present, [], { ...placement, load }, shard.status.authority?.primary.pod);
  const gone = after.action === 'place' ? present.filter((name) => !after.replicas.includes(name)) : [];
  return gone.length === 1 ? gone[0] : undefined;
}

function loadOf(placement: PlacementFacts, pod: PlaceablePod): number {
  return placement.load.get(pod.name) ?? 0;
}

function leads(shard: VectorShard, pod: string): number {
  return shard.status.authority?.primary.pod === pod ? 1 : 0;
}
