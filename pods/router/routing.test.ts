/**
 * Aim: a read with the token of a write goes to the collection that was written, through a gateway too that has not heard
 * yet that the collection was deleted and made anew under its name; and tokens that tell nothing new cost nothing.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import type { RequestContext } from '../api/context.ts';
import type { SearchRequest, VectorApi } from '../api/vector-api.ts';
import type { Consistency } from '../domain/consistency.ts';
import { startDeadline } from '../kernel/deadline.ts';
import { limits } from '../kernel/limits.ts';
import { silentLogger } from '../kernel/logger.ts';
import { seededRandom } from '../kernel/random.ts';
import { noSpan } from '../kernel/span.ts';
import type { VectorCollection } from '../metadata/objects.ts';
import { TestMetadata } from './metadata.fixture.ts';
import { CountedMetrics, outcomeOf, TestPods } from './router.fixture.ts';
import { createRouter } from './router.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 5);
const docs = { name: 'docs', dimension: 1 };
const session = (...shardUIDs: string[]): Consistency => ({ level: 'session', tokens: shardUIDs.map((shardUID) => ({ shardUID, seq: 1 })) });
const eventual: Consistency = { level: 'eventual' };

/** `docs` is known, on pod a. */
async function setUp() {
  const clock = new SimulatedClock();
  const metadata = new TestMetadata();
  const pods = new TestPods(clock);
  for (const pod of ['a', 'b']) {
    pods.behaviours.set(pod, ({ method }) => Promise.resolve({ get: [undefined], scroll: { points: [] }, count: 0, search: { hits: [], plan: 'scan', seq: 1 } }[method as string]));
  }
  metadata.addCollection(docs, ['a'], { uid: 'first' });
  const router = createRouter({ metadata, pods, clock, random: seededRandom(seed), logger: silentLogger, metrics: new CountedMetrics(), replicaCountMax: 3 });
  const api = router.api({ keys: undefined as never, cluster: undefined as never });
  const context = (): RequestContext => ({ requestId: 'r', identity: { subject: 's', actions: [], collections: 'all' }, signal: startDeadline(clock, 30_000).signal, span: noSpan });
  const count = (consistency: Consistency): Promise<unknown> => outcomeOf(clock, api.points.count(context(), 'docs', { consistency }));
  await count(eventual);
  metadata.tell();
  metadata.forgetReads();
  pods.calls.length = 0;
  return { clock, metadata, pods, api, context, count };
}

type SetUp = Awaited<ReturnType<typeof setUp>>;

/** On pod b; the watch has not told of it. */
function makeAnew({ metadata }: SetUp, name = 'docs'): void {
  metadata.addCollection(docs, ['b'], { uid: 'second', name });
}

const parts = { includeVector: false, includePayload: false };
const search = (consistency: Consistency): SearchRequest => ({ ...parts, vector: Float32Array.of(1), topK: 1, consistency });
const reads: Record<string, (api: VectorApi, context: RequestContext, consistency: Consistency) => Promise<unknown>> = {
  get: ({ points }, context, consistency) => points.get(context, 'docs', { ...parts, ids: ['p'], consistency }),
  scroll: ({ points }, context, consistency) => points.scroll(context, 'docs', { ...parts, limit: 1, consistency }),
  count: ({ points }, context, consistency) => points.count(context, 'docs', { consistency }),
  search: ({ search: { search: one } }, context, consistency) => one(context, 'docs', search(consistency)),
  batch: ({ search: { batch } }, context, consistency) => batch(context, 'docs', [search(consistency)]),
  stream: async ({ search: { stream } }, context, consistency) => {
    for await (const _ of stream(context, 'docs', search(consistency)));
  },
};

describe('with a token of the new collection it is read', () => {
  for (const [name, read] of Object.entries(reads)) {
    test(name, async () => {
      const parts = await setUp();
      makeAnew(parts);
      await outcomeOf(parts.clock, read(parts.api, parts.context(), session('second-0')));
      assert.deepEqual(parts.pods.asked, ['b']);
    });
  }
});

test('without one the old collection may answer, and nothing is read', async () => {
  const parts = await setUp();
  makeAnew(parts);
  for (const consistency of [eventual, session(), session('first-0')]) await parts.count(consistency);
  assert.deepEqual([parts.pods.asked, parts.metadata.reads], [['a', 'a', 'a'], []]);
});

test('a token of a shard that is gone costs one read of the collection', async () => {
  const { count, pods, metadata } = await setUp();
  for (let i = 0; i < 3; i++) await count(session('gone-0', 'first-0', 'gone-1'));
  assert.deepEqual([pods.asked, metadata.reads], [['a', 'a', 'a'], ['docs']]);
});

test('a token of another collection costs none', async () => {
  const { count, pods, metadata } = await setUp();
  metadata.addCollection({ name: 'others', dimension: 1 }, ['b']);
  metadata.tell();
  await count(session('others-uid-0'));
  assert.deepEqual([pods.asked, metadata.reads], [['a'], []]);
});

test('the collection that was made anew has an object of another name', async () => {
  const parts = await setUp();
  makeAnew(parts, 'by-hand');
  parts.metadata.collections.stored.delete('docs');
  // The watch has told of its shard alone, or of nothing; then of all.
  parts.metadata.shards.tell('by-hand-1-0');
  assert.equal(await parts.count(session('second-0')), 'COLLECTION_NOT_FOUND');
  parts.metadata.tell();
  await parts.count(session('second-0'));
  assert.deepEqual(parts.pods.asked, ['b']);
});

test('a watch that is late does not bring the old collection back', async () => {
  const parts = await setUp();
  const old = parts.metadata.collections.stored.get('docs')!;
  makeAnew(parts);
  for (let i = 0; i < 3; i++) {
    await parts.count(session('second-0'));
    parts.metadata.collections.tellOld(old);
  }
  assert.deepEqual(parts.pods.asked, ['b', 'b', 'b']);
});

test('a read of the collection that began before the token was given does not count', async () => {
  const parts = await setUp();
  const { collections } = parts.metadata;
  const old = collections.stored.get('docs')!;
  const get = collections.get.bind(collections);
  let answer = (_: VectorCollection): void => undefined;
  collections.get = () => new Promise((resolve) => (answer = resolve));
  const earlier = parts.count(session('gone-0'));
  makeAnew(parts);
  const later = parts.count(session('second-0'));
  collections.get = get;
  answer(old);
  await Promise.all([earlier, later]);
  assert.equal(parts.pods.asked.at(-1), 'b');
});

test('without the store a token of a shard that nobody told of is not passed over; requests that came together share one read', async () => {
  const { count, pods, metadata } = await setUp();
  metadata.isAway = true;
  assert.deepEqual(await Promise.all(Array.from({ length: limits.mapRefreshesPerSecondMax + 1 }, () => count(session('second-0')))), new Array(limits.mapRefreshesPerSecondMax + 1).fill('UNAVAILABLE'));
  assert.deepEqual([pods.asked, metadata.reads], [[], ['docs']]);
  await count(session('first-0'));
  assert.deepEqual(pods.asked, ['a']);
});

test('tokens of any number of shards do not flood the store', async () => {
  const { count, metadata } = await setUp();
  for (let i = 0; i < limits.mapRefreshesPerSecondMax * 3; i++) await count(session(`gone-${i}`));
  assert.ok(metadata.reads.length >= limits.mapRefreshesPerSecondMax && metadata.reads.length <= limits.mapRefreshesPerSecondMax + 2, `${metadata.reads.length} reads`);
});
