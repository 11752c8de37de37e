/** Aim: a search is whole, or it was asked to do with less and then says which shards are missing and why. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestContext } from '../api/context.ts';
import type { SearchAnswer, SearchRequest } from '../api/vector-api.ts';
import { deadlineOf, startDeadline } from '../kernel/deadline.ts';
import { silentLogger } from '../kernel/logger.ts';
import { seededRandom } from '../kernel/random.ts';
import { noSpan } from '../kernel/span.ts';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { TestMetadata } from './metadata.fixture.ts';
import { answersAfter, CountedMetrics, fails, outcomeOf, TestPods } from './router.fixture.ts';
import { createRouter } from './router.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 3);

/** Three shards, each on a pod of its own. */
function setUp() {
  const clock = new SimulatedClock();
  const metadata = new TestMetadata();
  const pods = new TestPods(clock);
  metadata.addCollection({ name: 'docs', dimension: 1, shards: 3 }, ['a']);
  for (const [index, pod] of ['a', 'b', 'c'].entries()) metadata.lead(`docs-1-${index}`, 1, [pod]);
  const router = createRouter({ metadata, pods, clock, random: seededRandom(seed), logger: silentLogger, metrics: new CountedMetrics(), replicaCountMax: 3 });
  const { search } = router.api({ keys: undefined as never, cluster: undefined as never });
  const context = (timeoutMs = 30_000): RequestContext =>
    ({ requestId: 'r', identity: { subject: 's', actions: [], collections: 'all' }, signal: startDeadline(clock, timeoutMs).signal, span: noSpan }) as const;
  return { clock, metadata, pods, search, context };
}

const request: SearchRequest = { vector: Float32Array.of(1), topK: 3, includeVector: false, includePayload: false, consistency: { level: 'eventual' } };
const short = (answer: SearchAnswer | string): unknown =>
  typeof answer === 'string' ? answer : [answer.hits.map(({ id }) => id), answer.partial, answer.shards.map(({ answered, because }) => because ?? answered)];

test('a search asks every shard and merges', async () => {
  const { search, context, clock } = setUp();
  assert.deepEqual(short(await outcomeOf(clock, search.search(context(), 'docs', request))), [['a', 'b', 'c'], false, [true, true, true]]);
});

const cases: readonly [name: string, partialAfterMs: number | undefined, b: 'late' | Parameters<typeof fails>[0], expected: unknown][] = [
  ['a late shard, whole answer wanted', undefined, 'late', [['a', 'b', 'c'], false, [true, true, true]]],
  ['a late shard, partial answer wanted', 100, 'late', [['a', 'c'], true, [true, 'no answer within 100 ms', true]]],
  ['a shard without a primary, whole answer wanted', undefined, 'NOT_PRIMARY', 'NOT_PRIMARY'],
  ['a shard without a primary, partial answer wanted', 100, 'NOT_PRIMARY', [['a', 'c'], true, [true, 'no answer within 100 ms; before that: b says NOT_PRIMARY', true]]],
  ['an overloaded shard, whole answer wanted', undefined, 'OVERLOADED', 'OVERLOADED'],
  ['an overloaded shard, partial answer wanted', 100, 'OVERLOADED', [['a', 'c'], true, [true, 'b says OVERLOADED', true]]],
  ['a request that is wrong', 100, 'FIELD_NOT_INDEXED', 'FIELD_NOT_INDEXED'],
];
for (const [name, partialAfterMs, b, expected] of cases) {
  test(name, async () => {
    const { search, pods, context, clock } = setUp();
    pods.behaviours.set('b', b === 'late' ? answersAfter(clock, 2_000) : fails(b));
    const answer = await outcomeOf(clock, search.search(context(), 'docs', { ...request, ...(partialAfterMs === undefined ? {} : { partialAfterMs }) }), 10);
    assert.deepEqual(short(answer), expected);
  });
}

test('the deadline is an error, also where a partial answer was asked for later than that', async () => {
  const { search, pods, context, clock } = setUp();
  pods.behaviours.set('b', answersAfter(clock, 60_000));
  assert.equal(await outcomeOf(clock, search.search(context(50), 'docs', { ...request, partialAfterMs: 500 })), 'DEADLINE_EXCEEDED');
  const { signal } = pods.calls[0]!;
  assert.deepEqual([deadlineOf(signal), signal.aborted], [clock.monotonicMs(), true]);
});

test('a stream tells of each shard as it comes, and what is missing so far', async () => {
  const { search, pods, context, clock } = setUp();
  for (const [pod, delayMs] of [['a', 10], ['b', 30], ['c', 20]] as const) pods.behaviours.set(pod, answersAfter(clock, delayMs));
  const answers: unknown[] = [];
  const reading = (async () => {
    for await (const answer of search.stream(context(), 'docs', request)) answers.push(short(answer));
  })();
  await outcomeOf(clock, reading);
  const notYet = 'no answer yet';
  assert.deepEqual(answers, [
    [['a'], true, [true, notYet, notYet]],
    [['a', 'c'], true, [true, notYet, true]],
    [['a', 'b', 'c'], false, [true, true, true]],
  ]);
});

test('a collection that was made anew while a search was under way is searched anew', async () => {
  const { search, pods, metadata, context, clock } = setUp();
  pods.behaviours.set('b', (call) => {
    metadata.addCollection({ name: 'docs', dimension: 1, shards: 1 }, ['d'], { uid: 'second' });
    metadata.tell();
    return fails('NOT_PRIMARY')(call);
  });
  assert.deepEqual(short(await outcomeOf(clock, search.search(context(), 'docs', request))), [['d'], false, [true]]);
});

test('a collection whose shards are not all known is waited for', async () => {
  const { search, metadata, context, clock } = setUp();
  const missing = metadata.shards.stored.get('docs-1-2')!;
  metadata.shards.stored.delete('docs-1-2');
  clock.after(700, () => {
    metadata.shards.put(missing);
    metadata.shards.tell();
  });
  assert.deepEqual(short(await outcomeOf(clock, search.search(context(), 'docs', request))), [['a', 'b', 'c'], false, [true, true, true]]);
  metadata.shards.stored.delete('docs-1-2');
  metadata.shards.tell('docs-1-2');
  assert.equal(await outcomeOf(clock, search.search(context(60_000), 'docs', request), 50), 'UNAVAILABLE');
});
