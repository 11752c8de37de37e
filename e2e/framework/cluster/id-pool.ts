/**
 * The ids that a load works on: a fixed number of places, each of one shard for good. An id that is done with is followed at
 * its place by a fresh one of the same shard, so that no shard ever runs out of ids, however unevenly they are used up.
 */

import { HashRing, splitHashSpace } from '../../../pods/domain/hash-range.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';

export interface IdPoolOptions {
  readonly shardCount: number;
  /** Ids in use at one time; at least one of each shard. */
  readonly idCount: number;
  /** An id is done with after being chosen so often. */
  readonly usesMax: number;
  /** Whether an id is done with for another reason. */
  readonly isRetired: (id: string) => boolean;
}

interface Place {
  readonly shard: number;
  id: string;
  generation: number;
  useCount: number;
}

export class IdPool {
  /** Ids that have been in use so far. */
  idCount: number;
  readonly #options: IdPoolOptions;
  readonly #ring: HashRing;
  readonly #places: readonly Place[];

  constructor(options: IdPoolOptions) {
    const { idCount, shardCount } = options;
    if (idCount < shardCount) throw new RangeError(`${idCount} ids are not enough for ${shardCount} shards`);
    this.#options = options;
    this.#ring = new HashRing(splitHashSpace(shardCount));
    this.#places = Array.from({ length: idCount }, (_, i) => {
      const place = { shard: i % shardCount, id: '', generation: -1, useCount: 0 };
      this.#renew(place, i);
      return place;
    });
    this.idCount = idCount;
  }

  /** An id of this shard, or of any. */
  choose(random: Random, shard?: number): string {
    const { idCount, shardCount, usesMax, isRetired } = this.#options;
    const index = shard === undefined ? below(random, idCount) : shard + shardCount * below(random, Math.ceil((idCount - shard) / shardCount));
    const place = this.#places[index]!;
    if (place.useCount >= usesMax || isRetired(place.id)) {
      this.#renew(place, index);
      this.idCount++;
    }
    place.useCount++;
    return place.id;
  }

  #renew(place: Place, index: number): void {
    place.useCount = 0;
    do place.id = `point-${index}.${++place.generation}`;
    while (this.#ring.ownerOf(place.id) !== place.shard);
  }
}
