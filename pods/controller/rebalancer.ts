/**
 * Looks now and then whether replicas are spread well over the pods that may hold them, and says which shards shall give one
 * to another pod. The shards' own steps do it (`pods/control/move.ts`); nothing is kept here that a restart would lose.
 */

import { decideRebalance, type RebalancedShard } from '../control/rebalance.ts';
import type { PlacementFacts } from '../control/placement.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { isDeleting, type VectorCollection, type VectorShard } from '../metadata/objects.ts';

export interface RebalancerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly shards: () => Iterable<VectorShard>;
  /** Undefined where it is not known, or is left alone. */
  readonly collectionOf: (shard: VectorShard) => VectorCollection | undefined;
  readonly placement: (collection: VectorCollection) => PlacementFacts;
  /** The shard shall be looked at. */
  readonly onMove: (shard: string) => void;
}

export class Rebalancer {
  readonly #options: RebalancerOptions;
  #targets: ReadonlyMap<string, string> = new Map();
  #timer: Timer | undefined;

  constructor(options: RebalancerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= this.#options.clock.after(limits.rebalanceIntervalMs, () => {
      this.#timer = undefined;
      this.look();
      this.start();
    });
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** The pod to which one of the shard's replicas shall go, by the last look. */
  target(shard: string): string | undefined {
    return this.#targets.get(shard);
  }

  look(): void {
    const { logger, onMove } = this.#options;
    const moves = [...this.#groups()].flatMap(({ shards, placement }) => decideRebalance({ shards, placement, movesMax: limits.rebalanceMovesMax }).moves);
    this.#targets = new Map(moves.map(({ shard, to }) => [shard, to]));
    for (const { shard, because } of moves) {
      logger.info({ shard, because }, 'a replica shall move');
      onMove(shard);
    }
  }

  /** Shards that share their pods, hence their balance. */
  #groups(): Iterable<{ readonly shards: RebalancedShard[]; readonly placement: PlacementFacts }> {
    const { shards, collectionOf, placement } = this.#options;
    const placements = new Map<VectorCollection, PlacementFacts>();
    const groups = new Map<string, { shards: RebalancedShard[]; placement: PlacementFacts }>();
    for (const shard of shards()) {
      const collection = collectionOf(shard);
      if (collection === undefined || isDeleting(collection) || isDeleting(shard)) continue;
      let facts = placements.get(collection);
      if (facts === undefined) placements.set(collection, (facts = placement(collection)));
      const key = facts.pods.map(({ name }) => name).join();
      const group = groups.get(key) ?? { shards: [], placement: facts };
      group.shards.push({ shard, replicas: collection.spec.replication.replicas });
      groups.set(key, group);
    }
    return groups.values();
  }
}
