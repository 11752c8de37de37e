/**
 * What every VectorIndex does. An implementation's test calls this with its factory. All data is seeded; nothing here
 * depends on time. Points lie in clusters, because uniform random vectors have no neighbourhoods worth the name.
 */

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { metrics, type Metric } from '../domain/metric.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import { LabelBits, type LabelSet } from '../domain/label-set.ts';
import type { CheckpointPart, IndexHits, IndexParameters, IndexSearch, VectorIndex, VectorIndexFactory } from './vector-index.ts';

const dimension = 16;
const seed = Number(process.env['SHOAL_SEED'] ?? 20_241);
const parametersOf = (metric: Metric): IndexParameters => ({ dimension, metric, m: 16, efConstruction: 100 });

export function vectorIndexConformance(name: string, factory: VectorIndexFactory): void {
  const exact = name.startsWith('flat');
  const using = async (metric: Metric, body: (index: VectorIndex) => Promise<void>): Promise<void> => {
    const index = await factory.create(parametersOf(metric));
    try {
      await body(index);
    } finally {
      await index.close();
    }
  };

  describe(`${name} is a VectorIndex (seed ${seed})`, () => {
    test('an empty index answers nothing', () =>
      using('cosine', async (index) => {
        const model = new Model('cosine');
        await index.remove(Uint32Array.of(3));
        const result = await index.search({ queries: model.queries(2), k: 5, ef: 10 });
        assert.deepEqual(result.hits.map(plain), [
          { labels: [], distances: [] },
          { labels: [], distances: [] },
        ]);
        assert.deepEqual({ size: index.size, labels: [...index.labels()] }, { size: 0, labels: [] });
      }));

    test('a search without queries answers without hits', () =>
      using('dot', async (index) => {
        assert.deepEqual((await index.search({ queries: new Float32Array(0), k: 1, ef: 1 })).hits, []);
      }));

    for (const metric of metrics) {
      test(`one point, and k larger than the size, ${metric}`, () =>
        using(metric, async (index) => {
          const model = new Model(metric);
          await model.add(index, [7]);
          const queries = model.queries(1);
          const { hits } = await index.search({ queries, k: 10, ef: 4 });
          assertHits(hits[0]!, model.nearest(queries, 0, 10));
          assert.deepEqual({ size: index.size, labels: [...index.labels()] }, { size: 1, labels: [7] });
        }));

      test(`many points: distances are right, exact is exact, the rest has recall ≥ 0.95, ${metric}`, () =>
        using(metric, async (index) => {
          const model = new Model(metric);
          await model.add(index, range(0, 1_500));
          await model.add(index, range(1_500, 4_000));
          assert.equal(index.size, 4_000);
          const queries = model.queries(30);
          await assertRecall(index, model, { queries, k: 10, ef: 64 }, exact ? 1 : 0.95);
          await assertRecall(index, model, { queries, k: 10, ef: 64, exact: true }, 1);
          await assertRecall(index, model, { queries, k: 100, ef: 100 }, exact ? 1 : 0.95);
        }));

      test(`filters of every selectivity, ${metric}`, () =>
        using(metric, async (index) => {
          const model = new Model(metric);
          await model.add(index, range(0, 6_000));
          const queries = model.queries(20);
          for (const fraction of [0.001, 0.01, 0.1, 0.5, 1]) {
            const filter = new LabelBits();
            // Labels that the index does not have are in the filter, too.
            for (const label of range(0, 6_500)) if (model.random.fraction() < fraction) filter.add(label);
            await assertRecall(index, model, { queries, k: 10, ef: 64, filter }, exact ? 1 : 0.95);
            await assertRecall(index, model, { queries, k: 10, ef: 64, filter, exact: true }, 1);
          }
        }));
    }

    test('a filter far from the query finds what is there', () =>
      using('euclidean', async (index) => {
        const model = new Model('euclidean');
        await model.add(index, range(0, 4_000));
        const queries = model.queries(20);
        const filter = LabelBits.from(range(0, 4_000).filter((label) => label % clusterCount < clusterCount / 4));
        await assertRecall(index, model, { queries, k: 10, ef: 64, filter }, exact ? 1 : 0.95);
      }));

    test('an empty filter finds nothing', () =>
      using('dot', async (index) => {
        const model = new Model('dot');
        await model.add(index, range(0, 300));
        const filters: LabelSet[] = [new LabelBits(), LabelBits.from([900]), { words: new Uint32Array(0), count: 0 }];
        for (const filter of filters) {
          const { hits } = await index.search({ queries: model.queries(1), k: 3, ef: 8, filter });
          assert.deepEqual(plain(hits[0]!), { labels: [], distances: [] });
        }
      }));

    test('equal points are ordered by label under exact', () =>
      using('euclidean', async (index) => {
        const vector = new Float32Array(dimension).fill(0.5);
        const labels = Uint32Array.of(9, 2, 5, 7, 1);
        const vectors = new Float32Array(labels.length * dimension).fill(0.5);
        await index.add(labels, vectors);
        const { hits } = await index.search({ queries: vector, k: 3, ef: 8, exact: true });
        assert.deepEqual(plain(hits[0]!), { labels: [1, 2, 5], distances: [0, 0, 0] });
      }));

    test('removed points are gone, replaced ones are where they are now, re-added ones are back', () =>
      using('cosine', async (index) => {
        const model = new Model('cosine');
        await model.add(index, range(0, 800));
        await model.remove(index, [...range(0, 100), 5_000]);
        await model.add(index, range(200, 300));
        await model.add(index, range(50, 70));
        assert.equal(index.size, 720);
        assert.deepEqual([...index.labels()].sort((a, b) => a - b), [...model.vectors.keys()].sort((a, b) => a - b));
        // Every present point is the nearest one to itself.
        for (const label of [...range(200, 210), ...range(50, 60), 150, 799]) {
          const queries = model.vectors.get(label)!.slice();
          const { hits } = await index.search({ queries, k: 1, ef: 64 });
          assert.deepEqual([...hits[0]!.labels], [label]);
        }
        await assertRecall(index, model, { queries: model.queries(20), k: 10, ef: 64 }, exact ? 1 : 0.95);
        await assertRecall(index, model, { queries: model.queries(20), k: 10, ef: 64, exact: true }, 1);
      }));

    test('an index that was emptied fills again', () =>
      using('euclidean', async (index) => {
        const model = new Model('euclidean');
        for (let round = 0; round < 3; round++) {
          await model.add(index, range(0, 120));
          await model.remove(index, range(0, 120));
          assert.equal(index.size, 0);
          const { hits } = await index.search({ queries: model.queries(1), k: 3, ef: 8 });
          assert.deepEqual([...hits[0]!.labels], []);
        }
        await model.add(index, range(10, 20));
        await assertRecall(index, model, { queries: model.queries(3), k: 10, ef: 16 }, 1);
      }));

    test('removing nearly all and adding again leaves a working index', () =>
      using('euclidean', async (index) => {
        const model = new Model('euclidean');
        await model.add(index, range(0, 2_000));
        await model.remove(index, range(3, 2_000));
        await model.add(index, range(2_000, 3_500));
        await assertRecall(index, model, { queries: model.queries(30), k: 10, ef: 64 }, exact ? 1 : 0.95);
      }));

    test('space of removed points is used again: memory is bounded over 20 rounds of replacing all', () =>
      using('euclidean', async (index) => {
        const model = new Model('euclidean');
        const count = 500;
        const memory: number[] = [];
        for (let round = 0; round < 20; round++) {
          const first = (round % 2) * count;
          await model.add(index, range(first, first + count));
          if (round > 0) await model.remove(index, range(count - first, 2 * count - first));
          memory.push(index.memoryBytes());
        }
        assert.equal(index.size, count);
        // Space that came back to nobody would make it ten times that of the second round; a rebuild may be late by some.
        assert.ok(Math.max(...memory) <= 5 * memory[1]!, memory.join(' '));
        await assertRecall(index, model, { queries: model.queries(30), k: 10, ef: 64 }, exact ? 1 : 0.95);
      }));

    test('searches beside additions and removals never return what was removed before they began', () =>
      using('euclidean', async (index) => {
        const model = new Model('euclidean');
        await model.add(index, range(0, 1_000));
        const removed = new Set<number>();
        const searches: Promise<void>[] = [];
        let next = 1_000;
        for (let round = 0; round < 60; round++) {
          const adding = model.add(index, range(next, next + 40));
          next += 40;
          const victims = [...model.vectors.keys()].filter(() => model.random.fraction() < 0.02);
          const removing = model.remove(index, victims).then(() => victims.forEach((label) => removed.add(label)));
          if (round % 3 === 0) await removing;
          const gone = new Set(removed);
          const filter = round % 2 === 0 ? undefined : LabelBits.from(range(0, next).filter((label) => label % 3 > 0));
          const search = { queries: model.queries(3), k: 20, ef: 40, ...(filter && { filter }), exact: round % 4 === 0 };
          searches.push(
            index.search(search).then(({ hits }) => {
              for (const label of hits.flatMap((hit) => [...hit.labels])) {
                assert.ok(!gone.has(label), `label ${label} was removed before the search`);
                assert.ok(filter === undefined || filter.has(label), `label ${label} is not in the filter`);
              }
              for (const hit of hits) assert.equal(new Set(hit.labels).size, hit.labels.length, 'no label twice');
            }),
          );
          if (round % 5 === 0) await adding;
        }
        await Promise.all(searches);
        await index.remove(new Uint32Array(0));
        await index.add(new Uint32Array(0), new Float32Array(0));
        assert.deepEqual(sorted(index.labels()), sorted(model.vectors.keys()));
        await assertRecall(index, model, { queries: model.queries(20), k: 10, ef: 64, exact: true }, 1);
      }));

    test('a label removed while it is being added stays removed', () =>
      using('dot', async (index) => {
        const model = new Model('dot');
        const adding = model.add(index, range(0, 2_000));
        const removing = model.remove(index, range(500, 1_500));
        const again = model.add(index, [700, 701]);
        await Promise.all([adding, removing, again]);
        assert.deepEqual(sorted(index.labels()), sorted(model.vectors.keys()));
        await assertRecall(index, model, { queries: model.queries(5), k: 10, ef: 64, exact: true }, 1);
      }));

    test('an aborted search rejects with the reason, the others go on', () =>
      using('euclidean', async (index) => {
        const model = new Model('euclidean');
        await model.add(index, range(0, 3_000));
        const reason = new ShoalError('DEADLINE_EXCEEDED', 'too late');
        const early = AbortSignal.abort(reason);
        await assert.rejects(index.search({ queries: model.queries(1), k: 1, ef: 8, signal: early }), reason);
        const controller = new AbortController();
        const queries = model.queries(200);
        const aborted = index.search({ queries, k: 10, ef: 64, exact: true, signal: controller.signal });
        const other = assertRecall(index, model, { queries: model.queries(5), k: 10, ef: 64 }, exact ? 1 : 0.95);
        controller.abort(reason);
        await assert.rejects(aborted, reason);
        await other;
      }));

    test('after close every call rejects with UNAVAILABLE, those under way too or they succeed', async () => {
      const index = await factory.create(parametersOf('euclidean'));
      const model = new Model('euclidean');
      await model.add(index, range(0, 500));
      const queries = model.queries(50);
      const pending = [
        index.search({ queries, k: 10, ef: 64, exact: true }),
        model.add(index, range(500, 1_000)),
        index.remove(Uint32Array.of(1)),
      ].map((call) => call.then(() => 'done', (error: ShoalError) => error.code));
      // Twice at once, as when a shard is dropped while its pod stops.
      await Promise.all([index.close(), index.close()]);
      await index.close();
      for (const outcome of await Promise.all(pending)) assert.ok(['done', 'UNAVAILABLE'].includes(outcome), outcome);
      const closed = { code: 'UNAVAILABLE' };
      await assert.rejects(index.search({ queries, k: 1, ef: 8 }), closed);
      await assert.rejects(index.add(Uint32Array.of(1), model.queries(1)), closed);
      await assert.rejects(index.remove(Uint32Array.of(1)), closed);
    });
  });

  describe(`${name} checkpoints`, () => {
    let root: string | undefined;
    const directory = async (): Promise<string> => {
      root ??= await mkdtemp(join(tmpdir(), 'shoal-index-'));
      return mkdtemp(join(root, 'checkpoint-'));
    };
    after(async () => {
      if (root !== undefined) await rm(root, { recursive: true, force: true });
    });

    const cases: [string, number[], number[]][] = [
      ['an empty index', [], []],
      ['one point', [4], []],
      ['points, some removed', range(0, 900), range(100, 250)],
      ['points, nearly all removed', range(0, 900), range(3, 900)],
      ['points, all removed', range(0, 100), range(0, 100)],
    ];
    for (const metric of metrics) {
      for (const [what, added, removed] of cases) {
        test(`${what}, ${metric}: the loaded index gives the same answers, and goes on`, async () => {
          const model = new Model(metric);
          const target = await directory();
          const queries = model.queries(10);
          const search: IndexSearch = { queries, k: 10, ef: 64 };
          let before: unknown;
          let parts: readonly CheckpointPart[] = [];
          await using(metric, async (index) => {
            await model.add(index, added);
            await model.remove(index, removed);
            parts = await index.checkpoint(target);
            before = (await index.search(search)).hits.map(plain);
          });
          const index = await factory.load(parametersOf(metric), target, parts);
          try {
            assert.deepEqual((await index.search(search)).hits.map(plain), before);
            assert.equal(index.size, model.vectors.size);
            assert.deepEqual(sorted(index.labels()), sorted(model.vectors.keys()));
            await model.add(index, range(1_000, 1_400));
            await model.remove(index, range(1_000, 1_010));
            await assertRecall(index, model, { queries, k: 10, ef: 64 }, exact ? 1 : 0.95);
            await assertRecall(index, model, { queries, k: 10, ef: 64, exact: true }, 1);
          } finally {
            await index.close();
          }
        });
      }
    }

    test('searches go on while it is written; changes made meanwhile are not in it', () =>
      using('euclidean', async (index) => {
        const model = new Model('euclidean');
        await model.add(index, range(0, 1_500));
        const target = await directory();
        const writing = index.checkpoint(target);
        const searching = index.search({ queries: model.queries(5), k: 5, ef: 32 });
        const labels = [...model.vectors.keys()];
        const changing = [model.add(index, range(1_500, 1_600)), model.remove(index, range(0, 50))];
        assert.equal((await searching).hits.length, 5);
        const loaded = await factory.load(parametersOf('euclidean'), target, await writing);
        const found = sorted(loaded.labels());
        await loaded.close();
        assert.deepEqual(found, labels);
        await Promise.all(changing);
        assert.deepEqual(sorted(index.labels()), sorted(model.vectors.keys()));
      }));

    test('damage of every kind is CORRUPTION, never an index', async () => {
      const model = new Model('cosine');
      const good = await directory();
      let parts: readonly CheckpointPart[] = [];
      await using('cosine', async (index) => {
        await model.add(index, range(0, 300));
        parts = await index.checkpoint(good);
      });
      const damages: [string, (path: string, size: number) => Promise<void>][] = [
        ['missing', (path) => rm(path)],
        ['empty', (path) => truncate(path, 0)],
        ['one byte short', (path, size) => truncate(path, size - 1)],
        ['one byte longer', (path) => writeFile(path, 'x', { flag: 'a' })],
        ['a flipped bit at the beginning', (path) => flipBit(path, 0)],
        ['a flipped bit in the middle', (path, size) => flipBit(path, size >> 1)],
        ['a flipped bit at the end', (path, size) => flipBit(path, size - 1)],
      ];
      for (const part of parts) {
        const attempts = damages.map(async ([what, damage]) => {
          const target = await directory();
          for (const { name: file } of parts) await copyFile(join(good, file), join(target, file));
          await damage(join(target, part.name), part.sizeBytes);
          await assert.rejects(
            factory.load(parametersOf('cosine'), target, parts),
            { code: 'CORRUPTION' },
            `${part.name} ${what}`,
          );
        });
        await Promise.all(attempts);
        const without = parts.filter((other) => other !== part);
        await assert.rejects(factory.load(parametersOf('cosine'), good, without), { code: 'CORRUPTION' });
      }
      for (const other of [{ metric: 'dot' as const }, { dimension: dimension + 1 }]) {
        const parameters = { ...parametersOf('cosine'), ...other };
        await assert.rejects(factory.load(parameters, good, parts), { code: 'CORRUPTION' });
      }
      const undamaged = await factory.load(parametersOf('cosine'), good, parts);
      assert.equal(undamaged.size, 300);
      await undamaged.close();
      assert.ok((await readFile(join(good, parts[0]!.name))).length === parts[0]!.sizeBytes);
    });
  });

  test(`${name}: more searches than the queue holds are OVERLOADED, or all are answered`, () =>
    using('euclidean', async (index) => {
      const model = new Model('euclidean');
      await model.add(index, range(0, 200));
      const queries = model.queries(1);
      const outcomes = await Promise.all(
        range(0, limits.shardSearchQueueMax + 10).map(() =>
          index.search({ queries, k: 1, ef: 8 }).then(() => 'found', (error: ShoalError) => error.code),
        ),
      );
      const refused = outcomes.filter((outcome) => outcome !== 'found');
      assert.deepEqual(refused, index.kind === 'flat' ? [] : new Array<string>(10).fill('OVERLOADED'));
      assert.equal((await index.search({ queries, k: 1, ef: 8 })).hits.length, 1);
    }));
}

// The model: all vectors, and the answers by brute force in float64.

const clusterCount = 40;

class Model {
  readonly metric: Metric;
  readonly random: Random = seededRandom(seed);
  readonly vectors = new Map<number, Float32Array>();
  readonly #centers: number[][];

  constructor(metric: Metric) {
    this.metric = metric;
    this.#centers = range(0, clusterCount).map(() => range(0, dimension).map(() => this.#gauss()));
  }

  add(index: VectorIndex, labels: readonly number[]): Promise<void> {
    const packed = new Float32Array(labels.length * dimension);
    labels.forEach((label, i) => {
      const vector = this.#vector(label % clusterCount);
      this.vectors.set(label, vector);
      packed.set(vector, i * dimension);
    });
    return index.add(Uint32Array.from(labels), packed);
  }

  remove(index: VectorIndex, labels: readonly number[]): Promise<void> {
    for (const label of labels) this.vectors.delete(label);
    return index.remove(Uint32Array.from(labels));
  }

  queries(count: number): Float32Array {
    const packed = new Float32Array(count * dimension);
    for (let i = 0; i < count; i++) packed.set(this.#vector(below(this.random, clusterCount)), i * dimension);
    return packed;
  }

  nearest(queries: Float32Array, which: number, k: number, filter?: LabelSet): { label: number; distance: number }[] {
    const query = queries.subarray(which * dimension, (which + 1) * dimension);
    const bits = filter && LabelBits.copyOf(filter);
    return [...this.vectors]
      .filter(([label]) => bits === undefined || bits.has(label))
      .map(([label, vector]) => ({ label, distance: this.#distance(query, vector) }))
      .sort((a, b) => a.distance - b.distance || a.label - b.label)
      .slice(0, k);
  }

  #distance(a: Float32Array, b: Float32Array): number {
    let dot = 0;
    let squared = 0;
    let lengths = [0, 0];
    for (let i = 0; i < dimension; i++) {
      dot += a[i]! * b[i]!;
      squared += (a[i]! - b[i]!) ** 2;
      lengths = [lengths[0]! + a[i]! ** 2, lengths[1]! + b[i]! ** 2];
    }
    if (this.metric === 'euclidean') return squared;
    return this.metric === 'dot' ? -dot : 1 - dot / Math.sqrt(lengths[0]! * lengths[1]!);
  }

  #vector(cluster: number): Float32Array {
    return Float32Array.from(this.#centers[cluster]!, (x) => x + 0.4 * this.#gauss());
  }

  #gauss(): number {
    return Math.sqrt(-2 * Math.log(1 - this.random.fraction())) * Math.cos(2 * Math.PI * this.random.fraction());
  }
}

async function assertRecall(index: VectorIndex, model: Model, search: IndexSearch, least: number): Promise<void> {
  const { hits } = await index.search(search);
  assert.equal(hits.length, search.queries.length / dimension);
  let found = 0;
  let wanted = 0;
  hits.forEach((hit, which) => {
    const nearest = model.nearest(search.queries, which, search.k, search.filter);
    // A point as near as the last wanted one counts: float32 cannot tell them apart.
    const bound = nearest.length === 0 ? -Infinity : nearest.at(-1)!.distance + 1e-5;
    assert.equal(new Set(hit.labels).size, hit.labels.length, 'no label twice');
    for (const [i, label] of hit.labels.entries()) {
      assert.ok(model.vectors.has(label), `label ${label} is present`);
      assert.ok(search.filter === undefined || LabelBits.copyOf(search.filter).has(label), `label ${label} is allowed`);
      if (i > 0) assert.ok(hit.distances[i]! >= hit.distances[i - 1]!, 'nearest first');
      if (hit.distances[i]! <= bound) found++;
    }
    if (least === 1) assertHits(hit, nearest);
    wanted += nearest.length;
  });
  assert.ok(found >= least * wanted, `recall ${found / wanted} is below ${least}; filter of ${search.filter?.count}`);
}

function assertHits(hits: IndexHits, expected: { label: number; distance: number }[]): void {
  assert.equal(hits.labels.length, expected.length);
  expected.forEach(({ distance }, i) => {
    const error = Math.abs(hits.distances[i]! - distance);
    assert.ok(error <= 1e-5 * Math.max(1, Math.abs(distance)), `distance ${hits.distances[i]} instead of ${distance}`);
  });
}

const plain = (hits: IndexHits): { labels: number[]; distances: number[] } => ({
  labels: [...hits.labels],
  distances: [...hits.distances],
});

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const sorted = (labels: Iterable<number>): number[] => [...labels].sort((a, b) => a - b);

async function flipBit(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = new Uint8Array(1);
    if ((await file.read(byte, 0, 1, offset)).bytesRead === 0) {
      // An empty file has no bit to flip; a byte more is damage as well.
      await file.write(Uint8Array.of(1), 0, 1, 0);
      return;
    }
    await file.write(Uint8Array.of(byte[0]! ^ 1), 0, 1, offset);
  } finally {
    await file.close();
  }
}
