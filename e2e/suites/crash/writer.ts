/**
 * A writer of the crash test: sends one operation after the other, knows what every acknowledged one left behind, and
 * after a crash finds out what became of the one that had no answer.
 */

import assert from 'node:assert/strict';
import { HashRing, splitHashSpace } from '../../../pods/domain/hash-range.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';
import type { ItemResult, Point } from '../../../proto/gen/shoal/v1/point.ts';
import type { ShoalClient } from '../../framework/shoal-client.ts';
import { deleteOf, hasContent, isStored, payloadChangeOf, upsertOf, writes, type Effect, type Operation, type Shape, type StoredPoint } from './operations.ts';

export interface WriterOptions extends Shape {
  readonly shards: number;
  /** How many ids it owns. */
  readonly idCount: number;
  readonly batchMax: number;
}

/** How many ids that name no point an upsert has on top of its random ones. */
const absentMax = 3;

export interface WriterCounts {
  acknowledgedRequests: number;
  acknowledgedItems: number;
  unknownApplied: number;
  unknownLost: number;
  /** Unknown requests of which some shards had their part and others had not. */
  unknownSplit: number;
}

export class Writer {
  readonly options: WriterOptions;
  /** What is stored, by id. */
  readonly known = new Map<string, StoredPoint>();
  readonly ids: readonly string[];
  readonly counts: WriterCounts = { acknowledgedRequests: 0, acknowledgedItems: 0, unknownApplied: 0, unknownLost: 0, unknownSplit: 0 };
  readonly #ring: HashRing;
  #requestNumber = 0;
  #pending: Operation | undefined;

  constructor(options: WriterOptions) {
    this.options = options;
    this.ids = Array.from({ length: options.idCount }, (_, i) => `${options.owner}/${i}`);
    this.#ring = new HashRing(splitHashSpace(options.shards));
  }

  /** Writes until the server is killed; `killed` tells a failure that was to be expected from one that was not. */
  async run(client: ShoalClient, random: Random, killed: () => boolean, choose: (random: Random) => Operation = (r) => this.nextOperation(r)): Promise<void> {
    while (!killed()) {
      const operation = choose(random);
      this.#pending = operation;
      try {
        this.#acknowledge(operation, await operation.send(client));
      } catch (error) {
        if (killed() && !(error instanceof assert.AssertionError)) return;
        throw error;
      }
      this.#pending = undefined;
    }
  }

  /** Writes every id once, in batches. */
  async fill(client: ShoalClient, random: Random, batchCount: number): Promise<void> {
    for (let start = 0; start < this.ids.length; start += batchCount) {
      const operation = upsertOf(random, this.options, ++this.#requestNumber, this.ids.slice(start, start + batchCount), this.known, true);
      this.#acknowledge(operation, await operation.send(client));
    }
  }

  nextOperation(random: Random): Operation {
    const { options, known } = this;
    const count = below(random, 3) === 0 ? 1 : 1 + below(random, options.batchMax);
    const ids = this.#someIds(random, count);
    const kind = below(random, 10);
    // Few deletions against many upserts keep most ids alive, so that a large collection stays large.
    if (kind < 6) return upsertOf(random, options, ++this.#requestNumber, [...new Set([...ids, ...this.#someAbsentIds(random)])], known, false);
    if (kind < 8) return payloadChangeOf(random, options, ++this.#requestNumber, ids, known, false);
    return deleteOf(random, options, ++this.#requestNumber, ids.slice(0, 1 + options.batchMax / 4), known);
  }

  /** A payload change of everything it owns: many changes at little cost, which is what makes a checkpoint due. */
  sweep(random: Random): Operation {
    return payloadChangeOf(random, this.options, ++this.#requestNumber, [...this.known.keys()], this.known, true);
  }

  /**
   * After a restart: each shard has its part of the unanswered request whole or not at all, and `known` says which. Then
   * the request is sent again, twice, as a client would: it is applied once, whether it had been or not.
   */
  async observe(client: ShoalClient): Promise<(() => Promise<void>) | undefined> {
    const operation = this.#pending;
    if (operation === undefined) return undefined;
    this.#pending = undefined;
    const ids = operation.effects.map(({ id }) => id);
    const found = new Map((await client.get(this.options.collection, ids)).map((point) => [point.id, point]));
    const appliedByShard = new Map<number, boolean>();
    for (const effect of operation.effects) {
      const applied = this.#wasApplied(effect, found.get(effect.id));
      if (applied === undefined) continue;
      const shard = this.#ring.ownerOf(effect.id);
      assert.equal(applied, appliedByShard.get(shard) ?? applied, `shard ${shard} has a part of a batch (${operation.kind} by ${this.options.owner}, at "${effect.id}")`);
      appliedByShard.set(shard, applied);
    }
    this.#take(operation.effects.filter(({ id }) => appliedByShard.get(this.#ring.ownerOf(id)) === true), (id) => Number(found.get(id)?.version ?? 0));
    const verdicts = new Set(appliedByShard.values());
    if (verdicts.size > 1) this.counts.unknownSplit++;
    else if (verdicts.has(true)) this.counts.unknownApplied++;
    else this.counts.unknownLost++;
    return () => this.#sendAgain(client, operation, appliedByShard);
  }

  async #sendAgain(client: ShoalClient, operation: Operation, appliedByShard: ReadonlyMap<number, boolean>): Promise<void> {
    const first = await operation.send(client);
    const second = await operation.send(client);
    assert.deepEqual(second, first, 'a repeated request gets the answer of the first');
    operation.effects.forEach((effect, i) => {
      const before = this.known.get(effect.id);
      if (!writes(effect) || effect.outcome === 'deleted' || appliedByShard.get(this.#ring.ownerOf(effect.id)) !== true) return;
      assert.equal(Number(first[i]!.version), before!.version, `"${effect.id}" was written again by a repeated request`);
    });
    this.#acknowledge(operation, first);
  }

  #acknowledge(operation: Operation, results: readonly ItemResult[]): void {
    const expected = operation.effects.map(({ id, outcome }) => ({ id, outcome }));
    assert.deepEqual(
      results.map(({ id, outcome }) => ({ id, outcome })),
      expected,
      `${operation.kind} by ${this.options.owner}, request ${operation.requestNumber}`,
    );
    const versions = new Map(results.map(({ id, version }) => [id, Number(version)]));
    for (const { id, before, outcome } of operation.effects) {
      const version = versions.get(id)!;
      if (outcome === 'created' || outcome === 'updated') assert.ok(version > (before?.version ?? 0), `the version of "${id}" went from ${before?.version} to ${version}`);
      else assert.equal(version, outcome === 'condition-failed' ? (before?.version ?? 0) : 0, `the version of "${id}", ${outcome}`);
    }
    this.#take(operation.effects, (id) => versions.get(id)!);
    this.counts.acknowledgedRequests++;
    this.counts.acknowledgedItems += results.length;
  }

  /** Notes what the effects left behind. */
  #take(effects: readonly Effect[], versionOf: (id: string) => number): void {
    for (const effect of effects) {
      if (!writes(effect)) continue;
      if (effect.after === undefined) this.known.delete(effect.id);
      else this.known.set(effect.id, { vector: effect.after.vector, payload: effect.after.payload, text: effect.after.text, version: versionOf(effect.id) });
    }
  }

  /** Undefined where both outcomes look the same. Fails when the point is in neither of its two states. */
  #wasApplied(effect: Effect, point: Point | undefined): boolean | undefined {
    const { id, before, after } = effect;
    const unchanged = isStored(point, before);
    if (!writes(effect)) {
      assert.ok(unchanged, `"${id}" changed, though its item ends as ${effect.outcome}`);
      return undefined;
    }
    if (unchanged) return false;
    const applied = point === undefined || after === undefined ? point === undefined && after === undefined : Number(point.version) > (before?.version ?? 0) && hasContent(point, after);
    assert.ok(applied, `"${id}" is neither as it was nor as an unanswered ${effect.outcome} would leave it`);
    return true;
  }

  #someIds(random: Random, count: number): string[] {
    const start = below(random, this.ids.length);
    const stride = 1 + below(random, 7);
    return [...new Set(Array.from({ length: count }, (_, i) => this.ids[(start + i * stride) % this.ids.length]!))];
  }

  #someAbsentIds(random: Random): string[] {
    const start = below(random, this.ids.length);
    return [...this.ids.slice(start), ...this.ids.slice(0, start)].filter((id) => !this.known.has(id)).slice(0, absentMax);
  }
}
