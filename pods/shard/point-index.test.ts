/**
 * Aim: while points move from the tail into the graph, are replaced and removed, a search finds every point that was
 * there all the time and is near enough, and nothing that is not there. The graph answers a few turns late, as one in a
 * worker does. SHOAL_SEED runs one seed alone.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { LabelBits } from '../domain/label-set.ts';
import { bytesOfVector, type VectorBytes } from '../domain/vector-bytes.ts';
import type { IndexParameters, VectorIndexFactory } from '../index/vector-index.ts';
import { ShoalError } from '../kernel/errors.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { silentLogger } from '../kernel/logger.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import { LabelTable } from './label-table.ts';
import { PointIndex } from './point-index.ts';
import { ReaderEpochs } from './reader-epochs.ts';

const dimension = 2;
const parameters: IndexParameters = { dimension, metric: 'euclidean', m: 4, efConstruction: 8 };
const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise(setImmediate);

/** An index with what stands around it in a shard. */
class Shard {
  readonly labels = new LabelTable();
  readonly epochs = new ReaderEpochs();
  readonly vectors = new Map<number, Float32Array>();
  readonly index: PointIndex;

  constructor(random: Random, bounds: { flatFloatsMax: number; tailFloatsMax: number }, graphFactory?: VectorIndexFactory) {
    const factory = graphFactory ?? simulatedGraphFactory(faultyFileSystem({ random }), random);
    this.index = new PointIndex({ parameters, graphFactory: factory, labels: this.labels, epochs: this.epochs, logger: silentLogger, ...bounds });
  }

  /** Adds points and takes others away at one instant, as an entry does. */
  change(added: readonly Float32Array[], removed: readonly number[] = []): number[] {
    for (const label of removed) {
      this.labels.remove(label);
      this.vectors.delete(label);
    }
    const labels = added.map((vector) => {
      const label = this.labels.allocate();
      assert(!this.vectors.has(label), 'a label names one vector');
      this.labels.set(label, `p${label}`, 1, 1);
      this.vectors.set(label, vector);
      return label;
    });
    if (labels.length > 0) this.index.add(labels, added.map(unaligned));
    this.index.remove(removed);
    return labels;
  }

  /** A search as a read runs it, checked against the points that were there from its beginning to its end. */
  async search(query: Float32Array, k: number, filter?: LabelBits): Promise<number[]> {
    const before = new Map(this.vectors);
    const epoch = this.epochs.begin();
    try {
      const found = await this.index.search({ query, k, ef: k, ...(filter === undefined ? {} : { filter }) });
      const labels = [...found.labels];
      assert.equal(new Set(labels).size, labels.length, 'each once');
      labels.forEach((label, i) => {
        assert(this.vectors.has(label), `label ${label} is dead`);
        assert.equal(found.distances[i], distance(query, this.vectors.get(label)!), `label ${label} has its own distance`);
        assert(filter === undefined || filter.has(label), 'within the filter');
      });
      const farthest = labels.length < k ? Infinity : found.distances.at(-1)!;
      for (const [label, vector] of this.vectors) {
        const stayed = before.get(label) === vector && (filter === undefined || filter.has(label));
        assert(!stayed || labels.includes(label) || distance(query, vector) >= farthest, `label ${label} is missed`);
      }
      return labels;
    } finally {
      this.epochs.end(epoch);
    }
  }
}

function distance(a: Float32Array, b: Float32Array): number {
  return (a[0]! - b[0]!) ** 2 + (a[1]! - b[1]!) ** 2;
}

function randomVector(random: Random): Float32Array {
  return Float32Array.of(below(random, 64), below(random, 64));
}

describe('points move from the tail into the graph', () => {
  const only = process.env['SHOAL_SEED'];
  const seeds = only === undefined ? Array.from({ length: 150 }, (_, i) => i + 1) : [Number(only)];

  test(`searches beside changes, ${seeds.length} seeds`, async () => {
    for (const seed of seeds) {
      const random = seededRandom(seed);
      const shard = new Shard(random, { flatFloatsMax: 10, tailFloatsMax: 60 });
      const searches: Promise<unknown>[] = [];
      let failure: unknown;
      for (let step = 0; step < 60 && failure === undefined; step++) {
        const live = [...shard.vectors.keys()];
        const removed = live.filter(() => random.fraction() < (random.fraction() < 0.1 ? 0.9 : 0.08));
        shard.change(Array.from({ length: below(random, 8) }, () => randomVector(random)), removed);
        if (random.fraction() < 0.7) {
          const filter = random.fraction() < 0.3 ? LabelBits.from([...shard.vectors.keys()].filter((label) => label % 2 === 0)) : undefined;
          const k = 1 + below(random, random.fraction() < 0.5 ? 5 : 200);
          searches.push(shard.search(randomVector(random), k, filter).catch((error: unknown) => (failure ??= error)));
        }
        for (let pause = below(random, 5); pause > 0; pause--) await turn();
      }
      await Promise.all(searches);
      if (failure !== undefined) throw new Error(`SHOAL_SEED=${seed}`, { cause: failure });
      await shard.index.settled();
      assert.deepEqual((await shard.search(Float32Array.of(0, 0), 1_000)).sort(), [...shard.vectors.keys()].sort());
      assert.equal(shard.index.tailPointCount, shard.index.hasGraph ? 0 : shard.vectors.size);
      // All that died is free again: labels do not grow beyond what was ever alive at once, by much.
      for (let i = 0; i < 20; i++) await turn();
      assert.equal(shard.index.deadRowCount, 0);
      assert.deepEqual([...shard.index.graphLabels()].sort(), shard.index.hasGraph ? [...shard.vectors.keys()].sort() : []);
      await shard.index.close();
    }
  });
});

test('a small shard has no graph; a flat one never has', async () => {
  const small = new Shard(seededRandom(1), { flatFloatsMax: 10, tailFloatsMax: 100 });
  small.change([1, 2, 3, 4, 5].map((x) => Float32Array.of(x, x)));
  await small.index.settled();
  assert.deepEqual([small.index.kind, small.index.tailPointCount, small.index.graphPointCount], ['flat', 5, 0]);
  small.change([Float32Array.of(6, 6)]);
  await small.index.settled();
  assert.deepEqual([small.index.kind, small.index.tailPointCount, small.index.graphPointCount], ['hnswlib', 0, 6]);
  const labels = new LabelTable();
  const flat = new PointIndex({ parameters, graphFactory: undefined, labels, epochs: new ReaderEpochs(), logger: silentLogger, flatFloatsMax: 2, tailFloatsMax: 2 });
  for (const label of [0, 1, 2]) labels.set(label, `p${label}`, 1, 1);
  flat.add([0, 1, 2], [0, 1, 2].map(() => new Uint8Array(8)));
  (await flat.reserveRoom(1_000, never))();
  await flat.settled();
  assert.equal(flat.hasGraph, false);
});

test('a label is reused only when no search that began before can hold it', async () => {
  const shard = new Shard(seededRandom(2), { flatFloatsMax: 100, tailFloatsMax: 100 });
  const [first] = shard.change([Float32Array.of(1, 1)]);
  const epoch = shard.epochs.begin();
  shard.change([], [first!]);
  assert.notEqual(shard.change([Float32Array.of(2, 2)])[0], first);
  shard.epochs.end(epoch);
  assert.equal(shard.change([Float32Array.of(3, 3)])[0], first);
});

test('points that a full disk keeps out of the graph stay in the tail, and move when a later write finds room', async () => {
  const random = seededRandom(11);
  const inner = simulatedGraphFactory(faultyFileSystem({ random }), random);
  let isFull = true;
  const factory: VectorIndexFactory = {
    ...inner,
    async create(of) {
      const graph = await inner.create(of);
      const add = graph.add.bind(graph);
      graph.add = (labels, vectors) => (isFull ? Promise.reject(new ShoalError('STORAGE_READ_ONLY', 'full')) : add(labels, vectors));
      return graph;
    },
  };
  const shard = new Shard(random, { flatFloatsMax: 4, tailFloatsMax: 4 }, factory);
  const labels = shard.change(Array.from({ length: 30 }, () => randomVector(random)));
  await assert.rejects(shard.index.settled(), { code: 'STORAGE_READ_ONLY' });
  // Writers do not wait for room that there will not be.
  (await shard.index.reserveRoom(10, AbortSignal.timeout(1_000)))();
  shard.change([randomVector(random)], labels.slice(0, 5));
  await assert.rejects(shard.index.settled(), { code: 'STORAGE_READ_ONLY' });
  assert.equal(shard.index.graphPointCount, 0);
  assert.equal((await shard.search(randomVector(random), 26)).length, 26);
  isFull = false;
  shard.change([randomVector(random)]);
  await shard.index.settled();
  assert.deepEqual([shard.index.graphPointCount, shard.index.tailPointCount], [27, 0]);
  assert.equal((await shard.search(randomVector(random), 27)).length, 27);
});

test('two batches are on their way into the graph, no label twice, and those that died meanwhile leave it', async () => {
  const random = seededRandom(4);
  const inner = simulatedGraphFactory(faultyFileSystem({ random }), random);
  const gates: PromiseWithResolvers<void>[] = [];
  const handed: number[] = [];
  const factory: VectorIndexFactory = {
    ...inner,
    async create(of) {
      const graph = await inner.create(of);
      const add = graph.add.bind(graph);
      graph.add = async (labels, vectors) => {
        handed.push(...labels);
        const gate = Promise.withResolvers<void>();
        gates.push(gate);
        await gate.promise;
        await add(labels, vectors);
      };
      return graph;
    },
  };
  const shard = new Shard(random, { flatFloatsMax: 4, tailFloatsMax: 10_000 }, factory);
  const labels = shard.change(Array.from({ length: 700 }, (_, i) => Float32Array.of(i, i)));
  for (let i = 0; i < 5; i++) await turn();
  assert.deepEqual([gates.length, handed.length], [2, 512]);
  // One of each batch, and one that waits.
  shard.change([], [labels[1]!, labels[300]!, labels[600]!]);
  await shard.search(Float32Array.of(300, 300), 3);
  for (let batch = 0; batch < 3; batch++) {
    gates[batch]!.resolve();
    while (gates.length < 3) await turn();
    await shard.search(Float32Array.of(1, 1), 3);
  }
  await shard.index.settled();
  for (let i = 0; i < 20; i++) await turn();
  assert.equal(new Set(handed).size, handed.length, 'no label twice');
  assert.deepEqual([...shard.index.graphLabels()].sort(), [...shard.vectors.keys()].sort());
  assert.deepEqual([shard.index.tailPointCount, shard.index.graphPointCount], [0, 697]);
  await shard.index.close();
});

describe('back-pressure', () => {
  /** A graph whose additions wait until they are let through. */
  function heldFactory(random: Random): { factory: VectorIndexFactory; letThrough: () => void } {
    const inner = simulatedGraphFactory(faultyFileSystem({ random }), random);
    const gate = Promise.withResolvers<void>();
    return {
      letThrough: gate.resolve,
      factory: {
        quantizations: inner.quantizations,
        load: (...args) => inner.load(...args),
        async create(of) {
          const graph = await inner.create(of);
          const add = graph.add.bind(graph);
          graph.add = async (labels, vectors) => (await gate.promise, add(labels, vectors));
          return graph;
        },
      },
    };
  }
  const points = (count: number): Float32Array[] => Array.from({ length: count }, (_, i) => Float32Array.of(i, i));

  async function fullShard(): Promise<{ shard: Shard; letThrough: () => void; labels: number[] }> {
    const random = seededRandom(3);
    const { factory, letThrough } = heldFactory(random);
    const shard = new Shard(random, { flatFloatsMax: 4, tailFloatsMax: 20 }, factory);
    const labels = shard.change(points(9));
    for (let i = 0; i < 5; i++) await turn();
    return { shard, letThrough, labels };
  }

  /** What became of a request for room. */
  function asked(shard: Shard, count: number, signal = never): { state: string; release: () => void } {
    const request = { state: 'waiting', release: (): void => undefined };
    shard.index.reserveRoom(count, signal).then(
      (release) => Object.assign(request, { state: 'in', release }),
      () => (request.state = 'aborted'),
    );
    return request;
  }

  test('a write waits for room, in order, until the tail has moved', async () => {
    const { shard, letThrough } = await fullShard();
    const fits = asked(shard, 1);
    await turn();
    const large = asked(shard, 4);
    const small = asked(shard, 1);
    await turn();
    assert.deepEqual([fits.state, large.state, small.state], ['in', 'waiting', 'waiting']);
    fits.release();
    await turn();
    assert.deepEqual([large.state, small.state], ['waiting', 'waiting'], 'a later one does not overtake');
    letThrough();
    await shard.index.settled();
    await turn();
    assert.deepEqual([large.state, small.state], ['in', 'in']);
  });

  test('a write larger than the tail is let in alone', async () => {
    const { shard, letThrough } = await fullShard();
    const huge = asked(shard, 1_000);
    letThrough();
    await shard.index.settled();
    await turn();
    const next = asked(shard, 1);
    await turn();
    assert.deepEqual([huge.state, next.state], ['in', 'waiting']);
    huge.release();
    await turn();
    assert.equal(next.state, 'in');
  });

  test('one that gives up makes room for the next; deletions and the end let the rest in', async () => {
    const { shard, labels } = await fullShard();
    const abort = new AbortController();
    const large = asked(shard, 5, abort.signal);
    const fits = asked(shard, 1);
    const later = asked(shard, 3);
    const last = asked(shard, 1_000);
    await turn();
    abort.abort(new Error('enough'));
    await turn();
    assert.deepEqual([large.state, fits.state, later.state], ['aborted', 'in', 'waiting']);
    shard.change([], labels.slice(0, 5));
    await turn();
    assert.deepEqual([later.state, last.state], ['in', 'waiting']);
    void shard.index.close();
    await turn();
    assert.equal(last.state, 'in');
  });
});

/** As it lies in a message: at no multiple of four bytes. */
function unaligned(vector: Float32Array): VectorBytes {
  const message = new Uint8Array(3 + vector.byteLength);
  message.set(bytesOfVector(vector), 3);
  return message.subarray(3);
}
