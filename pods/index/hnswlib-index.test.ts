import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { below, seededRandom } from '../kernel/random.ts';
import { hnswlibIndexFactory } from './hnswlib-index.ts';
import { LabelBits } from '../domain/label-set.ts';
import type { IndexParameters, VectorIndex } from './vector-index.ts';
import { vectorIndexConformance } from './vector-index.conformance.ts';

vectorIndexConformance('hnswlib', hnswlibIndexFactory);

async function open(context: TestContext, parameters: IndexParameters): Promise<VectorIndex> {
  const index = await hnswlibIndexFactory.create(parameters);
  context.after(() => index.close());
  return index;
}

const line = { dimension: 1, metric: 'euclidean', m: 16, efConstruction: 100 } as const;

test('an error that nothing caught in the worker fails the calls under way and all later ones', async (context) => {
  const index = await open(context, line);
  // No caller can send this: it stands for a defect in the worker.
  const queries = Float32Array.of(1);
  const filter = { words: undefined as unknown as Uint32Array, count: 5 };
  await index.add(Uint32Array.of(1), Float32Array.of(1));
  const broken = index.search({ queries, k: 1, ef: 1, filter });
  const waiting = index.search({ queries, k: 1, ef: 1 });
  await assert.rejects(broken, { code: 'UNAVAILABLE' });
  await assert.rejects(waiting, { code: 'UNAVAILABLE' });
  await assert.rejects(index.add(Uint32Array.of(2), Float32Array.of(2)), { code: 'UNAVAILABLE' });
});

test('vectors of ever larger norm stay reachable by inner product', async (context) => {
  const dimension = 8;
  const random = seededRandom(11);
  const index = await open(context, { dimension, metric: 'dot', m: 16, efConstruction: 100 });
  const count = 3_000;
  const vectors = new Float32Array(count * dimension);
  for (let label = 0; label < count; label++) {
    const norm = 1.002 ** label;
    for (let i = 0; i < dimension; i++) vectors[label * dimension + i] = norm * (random.fraction() - 0.5);
  }
  for (let start = 0; start < count; start += 500) {
    const labels = Uint32Array.from({ length: 500 }, (_, i) => start + i);
    await index.add(labels, vectors.slice(start * dimension, (start + 500) * dimension));
  }
  const queries = Float32Array.from({ length: 20 * dimension }, () => random.fraction() - 0.5);
  const right = await index.search({ queries, k: 10, ef: 64, exact: true });
  const found = await index.search({ queries, k: 10, ef: 64 });
  const hits = found.hits.flatMap((hit, i) => [...hit.labels].filter((label) => right.hits[i]!.labels.includes(label)));
  assert.ok(hits.length >= 190, `${hits.length} of 200`);
});

test('visited nodes are counted when asked for, and always under a filter or by a scan', async (context) => {
  const index = await open(context, line);
  const count = 5_000;
  const random = seededRandom(3);
  const labels = Array.from({ length: count }, (_, i) => i);
  await index.add(Uint32Array.from(labels), Float32Array.from(labels, () => below(random, 1_000_000)));
  const search = { queries: Float32Array.of(500_000), k: 5, ef: 20 };
  const visited = async (more: object): Promise<number | undefined> =>
    (await index.search({ ...search, ...more })).visitedCount;
  const half = LabelBits.from(labels.filter((label) => label % 2 === 0));
  const few = LabelBits.from([1, 2, 3]);
  const outcome = {
    plain: await visited({}),
    exact: await visited({ exact: true }),
    few: await visited({ filter: few }),
  };
  const counted = (await visited({ countVisited: true }))!;
  const filtered = (await visited({ filter: half }))!;
  assert.deepEqual(outcome, { plain: undefined, exact: count, few: 3 });
  assert.ok(counted >= 20 && counted < 500, `${counted}`);
  assert.ok(filtered >= counted && filtered < 500, `${filtered}`);
});
