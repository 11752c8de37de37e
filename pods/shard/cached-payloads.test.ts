/**
 * Aim: whatever reads, writes, failures, evictions and ends of replicas come between, a read shows what the store had at
 * one moment between its begin and its end, as a read of the store alone would.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom, type Random } from '../kernel/random.ts';
import { CachedPayloads } from './cached-payloads.ts';
import { PayloadRing } from './payload-ring.ts';

type Value = Uint8Array | undefined;

const failed = new Error('the store failed');

/** A store of which a read sees one moment and a write becomes seen at one, somewhere while it is under way. */
class HistoricStore {
  readonly #random: Random;
  /** What it held, one after another. */
  readonly history: ReadonlyMap<number, Uint8Array>[] = [new Map()];
  readCount = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  readonly read = async (labels: readonly number[]): Promise<Value[]> => {
    this.readCount += labels.length;
    await this.#someTurns();
    const seen = this.history.at(-1)!;
    await this.#someTurns();
    if (this.#random.uint32() % 50 === 0) throw failed;
    return labels.map((label) => seen.get(label));
  };

  /** Fails now and then, before it is seen or after. */
  async write(changes: ReadonlyMap<number, Value>): Promise<void> {
    await this.#someTurns();
    if (this.#random.uint32() % 50 === 0) throw failed;
    const next = new Map(this.history.at(-1));
    for (const [label, value] of changes) {
      if (value === undefined) next.delete(label);
      else next.set(label, value);
    }
    this.history.push(next);
    await this.#someTurns();
    if (this.#random.uint32() % 50 === 0) throw failed;
  }

  async #someTurns(): Promise<void> {
    for (let turns = this.#random.uint32() % 12; turns > 0; turns--) await Promise.resolve();
  }
}

const labelCount = 60;
const readerCount = 6;
const orFailed = (error: unknown): void => assert.equal(error, failed);

class Run {
  readonly #random: Random;
  readonly #store: HistoricStore;
  readonly #cached: CachedPayloads;
  #writing = true;
  readCount = 0;

  constructor(seed: number, ring: PayloadRing) {
    this.#random = seededRandom(seed);
    this.#store = new HistoricStore(this.#random);
    this.#cached = new CachedPayloads(ring, this.#store.read);
  }

  get storeReadCount(): number {
    return this.#store.readCount;
  }

  async run(writeCount: number): Promise<void> {
    await Promise.all([this.#write(writeCount), ...Array.from({ length: readerCount }, () => this.#read())]);
    this.#cached.close();
  }

  async #write(count: number): Promise<void> {
    for (let write = 0; write < count; write++) {
      const changes = new Map<number, Value>();
      // Values of up to two segments together: they drive one another out.
      for (let left = 1 + (this.#random.uint32() % 4); left > 0; left--) changes.set(this.#label(), this.#random.uint32() % 5 === 0 ? undefined : this.#value());
      await this.#cached.change([...changes.keys()], () => this.#store.write(changes)).catch(orFailed);
      for (let turns = this.#random.uint32() % 60; turns > 0; turns--) await Promise.resolve();
    }
    this.#writing = false;
  }

  async #read(): Promise<void> {
    while (this.#writing) {
      const labels = Array.from({ length: 1 + (this.#random.uint32() % 6) }, () => this.#label());
      const { history } = this.#store;
      const first = history.length - 1;
      const found = await this.#cached.read(labels).catch(orFailed);
      if (found === undefined) continue;
      this.readCount += labels.length;
      const during = history.slice(first);
      assert(during.some((moment) => labels.every((label, i) => same(found[i], moment.get(label)))), `labels ${labels.join()} were like that at no moment of the read`);
    }
  }

  #label(): number {
    // Few are asked for often, as of searches.
    return this.#random.uint32() % (this.#random.uint32() % 2 === 0 ? 8 : labelCount);
  }

  #value(): Uint8Array {
    const value = Buffer.alloc(4_000 + (this.#random.uint32() % 12_000), this.#random.uint32() & 0xff);
    value.writeUInt32LE(this.#random.uint32(), 0);
    return value;
  }
}

function same(a: Value, b: Value): boolean {
  return a === b || (a !== undefined && b !== undefined && Buffer.compare(a, b) === 0);
}

test('a read shows what the store had at one moment of it', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const ring = new PayloadRing(512 * 1024);
    const runs: Run[] = [];
    // Replicas beside and after one another, with the same labels.
    for (let round = 0; round < 3; round++) {
      const beside = [new Run(10 * seed + 2 * round, ring), new Run(10 * seed + 2 * round + 1, ring)];
      runs.push(...beside);
      await Promise.all(beside.map((run) => run.run(40))).catch((error: unknown) => assert.fail(`seed ${seed}: ${String(error)}`));
    }
    assert.equal(ring.memoryBytes(), 512 * 1024);
    assert(ring.evictionCount > 10, `${ring.evictionCount} evictions`);
    const readCount = runs.reduce((sum, run) => sum + run.readCount, 0);
    const storeReadCount = runs.reduce((sum, run) => sum + run.storeReadCount, 0);
    assert(storeReadCount < 0.9 * readCount, `${storeReadCount} of ${readCount} values came from the store`);
  }
});

test('a replica whose payloads nobody reads keeps nothing; one that is closed, nothing more', async () => {
  const ring = new PayloadRing();
  const store = new Map([[3, Uint8Array.of(3)]]);
  let readCount = 0;
  const cached = new CachedPayloads(ring, (labels) => {
    readCount += 1;
    return Promise.resolve(labels.map((label) => store.get(label)));
  });
  await cached.change([3, 1_000_000], () => Promise.resolve());
  assert.equal(ring.memoryBytes(), 0);
  assert.deepEqual(await cached.read([3, 4]), [Uint8Array.of(3), undefined]);
  assert.deepEqual((await cached.read([3])).map((value) => value && Uint8Array.from(value)), [Uint8Array.of(3)]);
  assert.equal(readCount, 1);
  cached.close();
  assert.deepEqual(await cached.read([3]), [Uint8Array.of(3)]);
  assert.equal(readCount, 2);
});

/** A store that answers the newest of its reads, with what it has by then, when the test says so. */
function steppedStore(entries: readonly (readonly [label: number, text: string])[]): {
  readonly values: Map<number, Uint8Array>;
  readonly read: (labels: readonly number[]) => Promise<Value[]>;
  readonly answer: () => Promise<void>;
} {
  const values = new Map(entries.map(([label, text]) => [label, Buffer.from(text)]));
  const waiting: (() => void)[] = [];
  const read = (labels: readonly number[]): Promise<Value[]> => new Promise((resolve) => waiting.push(() => resolve(labels.map((label) => values.get(label)))));
  const answer = async (): Promise<void> => {
    waiting.pop()!();
    await new Promise(setImmediate);
  };
  return { values, read, answer };
}

const texts = (values: readonly Value[]): (string | undefined)[] => values.map((value) => value && Buffer.from(value).toString());

test('the first read of a label that is being written keeps nothing', async () => {
  const { values, read, answer } = steppedStore([[9, 'old']]);
  const cached = new CachedPayloads(new PayloadRing(), read);
  const written = Promise.withResolvers<void>();
  const change = cached.change([9], () => written.promise);
  const first = cached.read([9]);
  await answer();
  assert.deepEqual(texts(await first), ['old']);
  values.set(9, Buffer.from('new'));
  const second = cached.read([9]);
  await answer();
  assert.deepEqual(texts(await second), ['new'], 'the store shows it, though the write has not been acknowledged');
  written.resolve();
  await change;
});

test('a place that has come to mean a later value is not taken for unchanged', async () => {
  // One segment, which sixteen such values fill.
  const size = 16_000;
  const filling = Array.from({ length: 15 }, (_, i) => [100 + i, 'x'.repeat(size)] as const);
  const { values, read, answer } = steppedStore([[1, 'a'.repeat(size)], [2, 'old'], ...filling]);
  const ring = new PayloadRing(256 * 1024);
  const cached = new CachedPayloads(ring, read);
  const readAlone = async (...labels: number[]): Promise<void> => {
    const found = cached.read(labels);
    await answer();
    await found;
  };
  await readAlone(1);
  const joined = cached.read([1, 2]);
  await cached.change([1, 2], () => {
    values.set(1, Buffer.from('b'.repeat(size)));
    values.set(2, Buffer.from('new'));
    return Promise.resolve();
  });
  await readAlone(...filling.map(([label]) => label));
  assert.equal(ring.evictionCount, 0);
  await readAlone(1);
  assert.equal(ring.evictionCount, 1, 'the first label lies where it lay before');
  await answer();
  await answer();
  assert.deepEqual(texts(await joined).map((text) => text!.slice(0, 3)), ['bbb', 'new']);
});

test('what is read when it is closed is not kept, and the ring forgets it', async () => {
  const { read, answer } = steppedStore([[1, 'one'], [2, 'two']]);
  const ring = new PayloadRing();
  const left: number[] = [];
  ring.leave = (owner) => void left.push(owner);
  const never = new CachedPayloads(ring, read);
  const first = never.read([1]);
  never.close();
  await answer();
  assert.deepEqual(texts(await first), ['one']);
  assert.equal(ring.memoryBytes(), 0);
  const cached = new CachedPayloads(ring, read);
  const second = cached.read([2]);
  await answer();
  await second;
  cached.close();
  assert.deepEqual(left, [1]);
});
