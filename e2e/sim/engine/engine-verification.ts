/** Reads everything in several ways and compares: with the model, which says what every point may be, and with each other. */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { CollectionDescription, PointView } from '../../../pods/api/vector-api.ts';
import type { Filter } from '../../../pods/domain/filter.ts';
import { scoreFromDistance } from '../../../pods/domain/metric.ts';
import { created, ids, type CollectionModel } from './collection-model.ts';
import { newFilter, newVector } from './engine-choices.ts';
import { allParts, turnCountMax, type EngineWorld } from './engine-world.ts';
import { filterAccepts, type Present, type ShardPart, type State } from './point-model.ts';

/** What reading told about a part of a write whose outcome was unknown. */
export interface Decision {
  applied: boolean;
  skipped: boolean;
  seq: number | undefined;
}

export class EngineVerification {
  readonly #world: EngineWorld;
  #decisions = new Map<ShardPart, Decision>();

  constructor(world: EngineWorld) {
    this.#world = world;
  }

  /** What was found out since it was taken last. */
  takeDecisions(): ReadonlyMap<ShardPart, Decision> {
    const decisions = this.#decisions;
    this.#decisions = new Map();
    return decisions;
  }

  /** False when the process failed meanwhile. */
  async verify(): Promise<boolean> {
    if (this.#world.process.failure() !== undefined && !this.#world.isDamaged) return false;
    await this.#verifyCollections();
    for (const [name, collection] of this.#world.collections) await this.#verifyPoints(name, collection);
    return true;
  }

  async #verifyCollections(): Promise<void> {
    const { collections } = this.#world.process.api;
    const listed = await this.#world.drive(collections.list(this.#world.context()));
    for (const { spec } of listed) assert(this.#world.collections.has(spec.name), `collection "${spec.name}" should not exist`);
    for (const [name, collection] of this.#world.collections) {
      const found = listed.find(({ spec }) => spec.name === name);
      if (found === undefined) {
        assert(collection.inDoubt, `collection "${name}" is gone`);
        this.#world.collections.delete(name);
        continue;
      }
      if (collection.shardUIDs.length > 0) assert.deepEqual(found.shards.map((shard) => shard.uid), collection.shardUIDs);
      created(collection, await this.#world.drive(this.#whenReady(name)));
    }
  }

  async #whenReady(name: string): Promise<CollectionDescription> {
    for (let turn = 0; ; turn++) {
      assert(turn < turnCountMax && (this.#world.isDamaged || this.#world.process.failure() === undefined), `collection "${name}" does not get ready: ${this.#world.process.failure()?.message}`);
      const found = await this.#world.process.api.collections.get(this.#world.context(), name);
      if (found.phase === 'ready' || this.#world.isDamaged) return found;
      await this.#world.turns(1);
    }
  }

  async #verifyPoints(name: string, collection: CollectionModel): Promise<void> {
    const { points } = this.#world.process.api;
    const views = await this.#world.drive(points.get(this.#world.context(), name, { ids, ...allParts }));
    const decisions = new Map<ShardPart, Decision>();
    const present: PointView[] = [];
    for (const [i, id] of ids.entries()) {
      const view = views[i];
      if (view !== undefined) present.push(view);
      const observed: State = view === undefined ? undefined : { version: view.version, vector: view.vector!, payload: view.payload!, text: view.text };
      try {
        for (const { part, applied, skipped, seq } of collection.points.get(id)!.settle(observed)) {
          const decision = decisions.get(part) ?? { applied: true, skipped: true, seq: undefined };
          decisions.set(part, decision);
          decision.applied &&= applied;
          decision.skipped &&= skipped;
          if (seq !== undefined) {
            assert(decision.seq === undefined || decision.seq === seq, `${part.name} gave versions ${decision.seq} and ${seq}`);
            decision.seq = seq;
          }
          assert(decision.applied || decision.skipped, `${part.name} happened in part`);
        }
      } catch (error) {
        throw new Error(`point "${id}" of "${name}": ${(error as Error).message}`, { cause: error });
      }
    }
    this.#decisions = new Map([...this.#decisions, ...decisions]);
    await this.#verifyOtherReads(name, collection, present);
  }

  /** Scroll, count and search agree with get. */
  async #verifyOtherReads(name: string, collection: CollectionModel, present: readonly PointView[]): Promise<void> {
    const { points, search } = this.#world.process.api;
    const filter = newFilter(this.#world);
    const matching = present.filter(({ payload }) => filterAccepts(filter, { payload } as Present));
    const scrolled: PointView[] = [];
    let cursor: string | undefined;
    const limit = 1 + this.#world.below(9);
    do {
      const page = await this.#world.drive(points.scroll(this.#world.context(), name, { limit, ...allParts, ...(cursor === undefined ? {} : { cursor }) }));
      scrolled.push(...page.points);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    const order = (a: PointView, b: PointView): number => {
      return collection.ring.ownerOf(a.id) - collection.ring.ownerOf(b.id) || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id));
    };
    assert.deepEqual(scrolled, [...present].sort(order), 'scroll gives what get gives');
    const count = (request: { filter?: Filter }): Promise<number> => this.#world.drive(points.count(this.#world.context(), name, { consistency: allParts.consistency, ...request }));
    assert.equal(await count({}), present.length, 'count');
    assert.equal(await count({ filter }), matching.length, `count with ${JSON.stringify(filter)}`);
    const vector = newVector(this.#world, collection.input.dimension);
    for (const [wanted, extra] of [[present, {}], [matching, { filter }]] as const) {
      const exact = this.#world.chance(0.5);
      const topK = Math.max(1, wanted.length + this.#world.below(3));
      const { hits } = await this.#world.drive(search.search(this.#world.context(), name, { vector, topK, exact, ...allParts, ...extra }));
      const expected = wanted.map((point) => ({ ...point, score: scoreOf(collection.input.metric, vector, point.vector!) })).sort((a, b) => b.score - a.score);
      assert.equal(hits.length, expected.length, `search finds ${hits.map(({ id }) => id).join()} instead of ${expected.map(({ id }) => id).join()}`);
      hits.forEach((hit, i) => {
        const { score, ...point } = expected.find(({ id }) => id === hit.id) ?? assert.fail(`search found "${hit.id}", which get does not`);
        const { score: hitScore, ...found } = hit;
        assert(isDeepStrictEqual(found, point), `search gives ${JSON.stringify(found)} for ${JSON.stringify(point)}`);
        assert(isClose(hitScore, score) && isClose(hitScore, expected[i]!.score), `"${hit.id}" has score ${hitScore} at place ${i}; it should be ${score}, and the place ${expected[i]!.score}`);
      });
    }
  }
}

function scoreOf(metric: 'cosine' | 'euclidean' | 'dot', a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  let distance = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    squaresA += a[i]! ** 2;
    squaresB += b[i]! ** 2;
    distance += (a[i]! - b[i]!) ** 2;
  }
  if (metric === 'euclidean') return scoreFromDistance(metric, distance);
  return metric === 'dot' ? dot : dot / Math.sqrt(squaresA * squaresB);
}

function isClose(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(a), Math.abs(b));
}
