/** Collections come, go, and change their payload indexes. */

import assert from 'node:assert/strict';
import { HashRing, splitHashSpace } from '../../../pods/domain/hash-range.ts';
import { created, ids, type CollectionModel } from './collection-model.ts';
import { someIndexes } from './engine-choices.ts';
import { quiesce, repair } from './engine-faults.ts';
import type { EngineVerification } from './engine-verification.ts';
import type { EngineWorld } from './engine-world.ts';
import { PointModel } from './point-model.ts';

export class EngineCollections {
  readonly #world: EngineWorld;
  readonly #verification: EngineVerification;

  constructor(world: EngineWorld, verification: EngineVerification) {
    this.#world = world;
    this.#verification = verification;
  }

  async createCollection(): Promise<void> {
    const name = this.#world.pick(['a', 'b', 'c']);
    if (this.#world.collections.has(name) || !(await quiesce(this.#world))) return;
    const input = {
      name,
      dimension: 2 + this.#world.below(3),
      metric: this.#world.pick(['cosine', 'euclidean', 'dot'] as const),
      shards: 1 + this.#world.below(3),
      index: { type: this.#world.pick(['hnsw', 'hnsw', 'flat'] as const) },
      payloadIndexes: someIndexes(this.#world),
    };
    const collection: CollectionModel = {
      input,
      ring: new HashRing(splitHashSpace(input.shards)),
      points: new Map(ids.map((id) => [id, new PointModel()])),
      shardUIDs: [],
      inDoubt: true,
    };
    this.#world.collections.set(name, collection);
    this.#world.tell(`create ${JSON.stringify(input)}`);
    await this.#world.exclusive('create', async () => {
      const { created: isNew, collection: made } = await this.#world.process.api.collections.create(this.#world.context(), input);
      assert(isNew, 'a new collection is created');
      created(collection, made);
    });
  }

  async deleteCollection(): Promise<void> {
    const [name, collection] = this.#world.pickCollection() ?? [];
    if (name === undefined || collection === undefined || !(await quiesce(this.#world)) || !(await this.#verification.verify())) return;
    collection.inDoubt = true;
    this.#world.tell(`delete collection ${name}`);
    await this.#world.exclusive('delete collection', async () => {
      await this.#world.process.api.collections.delete(this.#world.context(), name);
      this.#world.collections.delete(name);
    });
  }

  async changeIndexes(): Promise<void> {
    const [name] = this.#world.pickCollection() ?? [];
    if (name === undefined) return;
    // A full disk would make it wait for room.
    repair(this.#world);
    const payloadIndexes = someIndexes(this.#world);
    this.#world.tell(`payload indexes of ${name}: ${JSON.stringify(payloadIndexes)}`);
    await this.#world.exclusive('change indexes', async () => void (await this.#world.process.api.collections.update(this.#world.context(), name, { payloadIndexes })));
  }
}
