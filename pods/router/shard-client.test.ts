/**
 * Aim: each request of a shard goes to a pod that may answer it, is sent again exactly where the rules allow it, as long
 * as it may, and never waits longer than it must.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import type { Consistency } from '../domain/consistency.ts';
import type { ShardContext, ShardService } from '../domain/shard-service.ts';
import { deadlineOf } from '../kernel/deadline.ts';
import { ShoalError, type ErrorCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import { requestKinds } from './request-kinds.ts';
import { answersAfter, CountedMetrics, fails, failsFirst, outcomeOf, settle, searchAnswer, TestPods, TestRoutes, testContext, testRoute, testSearch } from './router.fixture.ts';
import { ShardClient } from './shard-client.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 11);

function setUp(pods: readonly string[] = ['a', 'b', 'c'], randomSeed = seed) {
  const clock = new SimulatedClock();
  const testPods = new TestPods(clock);
  const routes = new TestRoutes(clock);
  const metrics = new CountedMetrics();
  const client = new ShardClient({ pods: testPods, routes, clock, random: seededRandom(randomSeed), metrics });
  const route = routes.set(testRoute(pods));
  const context = (timeoutMs = 30_000): ShardContext => testContext(clock, timeoutMs);
  return { clock, pods: testPods, routes, metrics, route, shard: client.shard(route), context };
}

const upsert = { kind: 'upsert', points: [] } as const;
const idempotency = { clientId: 'c', requestNumber: 1 };
const session: Consistency = { level: 'session', tokens: [{ shardUID: 'shard-0', seq: 9 }] };

// ------------------------------------------------------------------ where to

const requests: Record<keyof ShardService, (shard: ShardService, context: ShardContext, consistency: Consistency) => Promise<unknown>> = {
  write: (shard, context) => shard.write(context, upsert),
  deleteMatching: (shard, context) => shard.deleteMatching(context, { kind: 'equals', field: 'f', value: 1 }),
  get: (shard, context, consistency) => shard.get(context, { ids: ['x'], includeVector: false, includePayload: false, consistency }),
  scroll: (shard, context, consistency) => shard.scroll(context, { afterId: undefined, filter: undefined, limit: 1, includeVector: false, includePayload: false, consistency }),
  count: (shard, context, consistency) => shard.count(context, { filter: undefined, consistency }),
  search: (shard, context, consistency) => shard.search(context, { ...testSearch, consistency }),
  getRecord: (shard, context) => shard.getRecord(context, 'k'),
  scanRecords: (shard, context) => shard.scanRecords(context, { prefix: '', after: undefined, limit: 1 }),
  describe: (shard, context) => shard.describe(context),
};

async function askedBy(name: keyof ShardService, consistency: Consistency): Promise<string[]> {
  const { shard, pods, context } = setUp();
  for (let i = 0; i < 40; i++) await requests[name](shard, context(), consistency);
  assert.ok(pods.calls.every((call) => call.method === name && call.epoch === 1));
  return [...new Set(pods.asked)].sort();
}

describe('every request goes where its kind says', () => {
  for (const name of Object.keys(requestKinds) as (keyof ShardService)[]) {
    const isSpread = ['get', 'scroll', 'count', 'search'].includes(name);
    test(name, async () => {
      assert.deepEqual(await askedBy(name, { level: 'eventual' }), isSpread ? ['a', 'b', 'c'] : ['a']);
      assert.deepEqual(await askedBy(name, session), isSpread ? ['a', 'b', 'c'] : ['a']);
      assert.deepEqual(await askedBy(name, { level: 'linearizable' }), ['a'], 'rule R1: the primary alone');
    });
  }
});

test('a request carries what it was given, and its deadline', async () => {
  const { shard, pods, context, clock } = setUp();
  const given = context(5_000);
  await shard.write(given, upsert, idempotency);
  await shard.search(given, testSearch);
  assert.deepEqual(pods.calls.map(({ args }) => args), [[upsert, idempotency], [testSearch]]);
  assert.deepEqual(pods.calls.map(({ signal }) => deadlineOf(signal)), [clock.monotonicMs() + 5_000, clock.monotonicMs() + 5_000]);
});

// --------------------------------------------------------------- again or not

type Send = (shard: ShardService, context: ShardContext) => Promise<unknown>;
const send: Record<string, Send> = {
  'linearizable read': (shard, context) => shard.search(context, { ...testSearch, consistency: { level: 'linearizable' } }),
  'write with a number': (shard, context) => shard.write(context, upsert, idempotency),
  write: (shard, context) => shard.write(context, upsert),
  'deletion by filter': (shard, context) => shard.deleteMatching(context, { kind: 'equals', field: 'f', value: 1 }),
  description: (shard, context) => shard.describe(context),
};

const once = 1;
const again = 2;
const retries: readonly [code: ErrorCode, times: Record<string, number>][] = [
  ['NOT_PRIMARY', { 'linearizable read': again, 'write with a number': again, write: again, 'deletion by filter': again, description: once }],
  ['STALE_EPOCH', { 'linearizable read': again, 'write with a number': again, write: again, 'deletion by filter': again, description: once }],
  ['NOT_IN_SYNC', { 'linearizable read': again, 'write with a number': again, write: again, 'deletion by filter': again, description: once }],
  ['UNAVAILABLE', { 'linearizable read': again, 'write with a number': again, write: again, 'deletion by filter': again, description: once }],
  ['OUTCOME_UNKNOWN', { 'linearizable read': again, 'write with a number': again, write: once, 'deletion by filter': once, description: once }],
  ['SHUTTING_DOWN', { 'linearizable read': again, 'write with a number': again, write: once, 'deletion by filter': once, description: once }],
  ['NOT_ENOUGH_IN_SYNC', { 'linearizable read': once, 'write with a number': once, write: once, 'deletion by filter': once, description: once }],
  ['OVERLOADED', { 'linearizable read': once, 'write with a number': once, write: once, 'deletion by filter': once, description: once }],
  ['STORAGE_READ_ONLY', { 'linearizable read': once, 'write with a number': once, write: once, 'deletion by filter': once, description: once }],
  ['REQUEST_TOO_OLD', { 'linearizable read': once, 'write with a number': once, write: once, 'deletion by filter': once, description: once }],
  ['CORRUPTION', { 'linearizable read': once, 'write with a number': once, write: once, 'deletion by filter': once, description: once }],
];
for (const [code, times] of retries) {
  test(`after ${code}`, async () => {
    const found: Record<string, number> = {};
    for (const [name, request] of Object.entries(send)) {
      const { shard, pods, context, clock } = setUp();
      pods.behaviours.set('a', failsFirst(code));
      const outcome = await outcomeOf(clock, request(shard, context()));
      found[name] = pods.calls.length;
      assert.equal(outcome === code, pods.calls.length === once, name);
    }
    assert.deepEqual(found, times);
  });
}

test('what a later attempt is refused for does not take back that an earlier one may have been done', async () => {
  const { shard, pods, context, clock } = setUp();
  const codes: ErrorCode[] = ['OUTCOME_UNKNOWN', 'NOT_PRIMARY', 'STORAGE_READ_ONLY'];
  pods.behaviours.set('a', () => Promise.reject(new ShoalError(codes.shift()!, 'no')));
  assert.equal(await outcomeOf(clock, shard.write(context(), upsert, idempotency)), 'OUTCOME_UNKNOWN');
  assert.equal(pods.calls.length, 3);
});

test('a defect is thrown as it is', async () => {
  const { shard, pods, context } = setUp();
  const defect = new TypeError('x is not a function');
  pods.behaviours.set('a', () => Promise.reject(defect));
  await assert.rejects(shard.write(context(), upsert), (error) => error === defect);
});

test('a pod that throws at once is like one that rejects', async () => {
  const { shard, pods, context, clock } = setUp(['a', 'b']);
  for (const pod of ['a', 'b']) {
    pods.behaviours.set(pod, () => {
      throw new ShoalError('NOT_IN_SYNC', 'not here');
    });
  }
  assert.equal(await outcomeOf(clock, shard.search(context(100), testSearch)), 'DEADLINE_EXCEEDED');
  assert.equal(await outcomeOf(clock, shard.write(context(100), upsert)), 'DEADLINE_EXCEEDED');
});

// -------------------------------------------------------------------- waiting

test('a switchover: a write waits for the new primary and fails no client', async () => {
  const { shard, pods, routes, context, clock, metrics } = setUp();
  pods.behaviours.set('a', fails('NOT_PRIMARY'));
  pods.behaviours.set('b', failsFirst('NOT_PRIMARY', 'NOT_PRIMARY'));
  const startMs = clock.monotonicMs();
  clock.after(2_500, () => routes.set(testRoute(['b', 'a', 'c'])));
  assert.deepEqual(await outcomeOf(clock, shard.write(context(), upsert)), searchAnswer('b'));
  const tookMs = clock.monotonicMs() - startMs;
  assert.ok(tookMs < 2_500 + 100, `it took ${tookMs} ms; the news came at 2500`);
  assert.ok(pods.asked.filter((pod) => pod === 'a').length < 15, 'it does not spin meanwhile');
  assert.deepEqual(pods.asked.filter((pod) => pod === 'b').length, 3);
  assert.equal(metrics.counts['routerRetries write NOT_PRIMARY'], pods.calls.length - 1);
});

describe('a primary that hangs while another comes to lead', () => {
  const hung = (): ReturnType<typeof setUp> => {
    const all = setUp();
    all.pods.behaviours.set('a', answersAfter(all.clock, 60_000));
    all.clock.after(1_000, () => all.routes.set(testRoute(['b', 'c'])));
    return all;
  };
  for (const name of ['linearizable read', 'write with a number'] as const) {
    test(`${name}: goes to the next`, async () => {
      const { clock, shard, pods, context } = hung();
      const startMs = clock.monotonicMs();
      assert.deepEqual(await outcomeOf(clock, send[name]!(shard, context())), searchAnswer('b'));
      const tookMs = clock.monotonicMs() - startMs;
      assert.ok(tookMs <= 1_000 + 2 * limits.successionLookMs + 2 * limits.shardRetryFirstPauseMs, `it took ${tookMs} ms; the news came at 1000`);
      assert.deepEqual([pods.asked, pods.calls.map(({ signal }) => signal.aborted)], [['a', 'b'], [true, false]]);
    });
  }
  for (const name of ['write', 'deletion by filter'] as const) {
    test(`${name}: waits, as nobody else knows what became of it`, async () => {
      const { clock, shard, pods, context } = hung();
      assert.equal(await outcomeOf(clock, send[name]!(shard, context(5_000))), 'DEADLINE_EXCEEDED');
      assert.deepEqual(pods.asked, ['a']);
    });
  }
  test('what is refused afterwards does not take back that it may have been done', async () => {
    const { clock, shard, pods, context } = hung();
    pods.behaviours.set('b', fails('NOT_ENOUGH_IN_SYNC'));
    assert.equal(await outcomeOf(clock, shard.write(context(), upsert, idempotency)), 'OUTCOME_UNKNOWN');
  });
  test('one that leads no more and answers at once is heard', async () => {
    const { clock, shard, pods, context } = hung();
    pods.behaviours.set('a', answersAfter(clock, 1_000 + limits.successionLookMs - 10));
    assert.deepEqual(await outcomeOf(clock, shard.write(context(), upsert, idempotency)), searchAnswer('a'));
    assert.deepEqual(pods.asked, ['a']);
  });
});

test('pauses grow up to their bound, with chance in them', async () => {
  const { shard, pods, context, clock } = setUp();
  pods.behaviours.set('a', fails('UNAVAILABLE'));
  await outcomeOf(clock, shard.write(context(10_000), upsert));
  const pauses = pods.calls.slice(1).map(({ atMs }, i) => atMs - pods.calls[i]!.atMs);
  for (const [i, pauseMs] of pauses.entries()) {
    const longestMs = Math.min(limits.shardRetryPauseMsMax, limits.shardRetryFirstPauseMs * 2 ** i);
    assert.ok(pauseMs >= Math.floor(longestMs / 2) && pauseMs <= longestMs + 1, `pause ${i} of ${pauseMs} ms`);
  }
  assert.ok(new Set(pauses.slice(6)).size > 3, `${String(pauses)} have no chance in them`);
});

test('the deadline ends it, and says what the last attempt met', async () => {
  const { shard, pods, context, clock } = setUp();
  pods.behaviours.set('a', fails('NOT_PRIMARY'));
  const outcome = await settle(clock, shard.write(context(1_000), upsert));
  assert.ok(outcome.status === 'rejected');
  const { code, message, details } = outcome.reason as ShoalError;
  assert.deepEqual({ code, message, details }, { code: 'DEADLINE_EXCEEDED', message: 'the deadline of 1000 ms passed; before that: a says NOT_PRIMARY', details: { lastCode: 'NOT_PRIMARY' } });
});

test('a request under way is given up at the deadline', async () => {
  for (const request of [requests.write, requests.search]) {
    const { shard, pods, context, clock } = setUp();
    for (const pod of ['a', 'b', 'c']) pods.behaviours.set(pod, answersAfter(clock, 60_000));
    const startMs = clock.monotonicMs();
    assert.equal(await outcomeOf(clock, request(shard, context(500), { level: 'eventual' })), 'DEADLINE_EXCEEDED');
    assert.equal(clock.monotonicMs() - startMs, 500);
    assert.ok(pods.calls.every(({ signal }) => signal.aborted));
  }
});

test('without a near deadline it goes on for a while, no longer', async () => {
  const { shard, pods, context, clock } = setUp();
  pods.behaviours.set('a', fails('NOT_PRIMARY'));
  const startMs = clock.monotonicMs();
  assert.equal(await outcomeOf(clock, shard.write(context(600_000), upsert)), 'NOT_PRIMARY');
  const tookMs = clock.monotonicMs() - startMs;
  assert.ok(tookMs >= limits.shardRetryMsMax && tookMs < limits.shardRetryMsMax + 2 * limits.shardRetryPauseMsMax, `${tookMs} ms`);
});

test('a shard without a primary is waited for; one that nothing is routed to is not', async () => {
  const { shard, routes, route, context, clock } = setUp();
  routes.set(testRoute([]));
  clock.after(300, () => routes.set(route));
  assert.deepEqual(await outcomeOf(clock, shard.write(context(), upsert)), searchAnswer('a'));
  routes.remove(route);
  assert.equal(await outcomeOf(clock, shard.write(context(), upsert)), 'STALE_EPOCH');
});

test('a new epoch of the same shard goes with the next attempt', async () => {
  const { shard, pods, routes, context, clock } = setUp();
  pods.behaviours.set('a', ({ epoch }) => (epoch === 2 ? Promise.resolve('done') : Promise.reject(new ShoalError('STALE_EPOCH', 'old'))));
  clock.after(40, () => routes.set(testRoute(['a', 'b', 'c'], { epoch: 2 })));
  assert.equal(await outcomeOf<unknown>(clock, shard.write(context(), upsert)), 'done');
});

const doubts: readonly [code: ErrorCode, staleness: string | undefined, expected: string[]][] = [
  ['NOT_PRIMARY', undefined, ['shard']],
  ['STALE_EPOCH', undefined, ['collection']],
  ['UNAVAILABLE', undefined, []],
  ['UNAVAILABLE', 'the store is away', ['shard']],
];
for (const [code, staleness, expected] of doubts) {
  test(`${code}${staleness === undefined ? '' : ' while the map may be old'} casts doubt on: ${expected.join() || 'nothing'}`, async () => {
    const { shard, pods, routes, context, clock } = setUp();
    routes.staleness = staleness;
    pods.behaviours.set('a', failsFirst(code));
    await outcomeOf(clock, shard.write(context(), upsert));
    assert.deepEqual(routes.doubts, expected);
  });
}

test('where there is news already nothing is doubted', async () => {
  const { shard, pods, routes, context, clock } = setUp();
  pods.behaviours.set('a', async (call) => {
    routes.set(testRoute(['b', 'c']));
    return fails('NOT_PRIMARY')(call);
  });
  assert.deepEqual(await outcomeOf(clock, shard.write(context(), upsert)), searchAnswer('b'));
  assert.deepEqual(routes.doubts, []);
});

test('what a deletion by filter removed before it failed is counted', async () => {
  const { shard, pods, context, clock } = setUp();
  const token = { shardUID: 'shard-0', seq: 4 };
  const outcomes: (() => Promise<unknown>)[] = [
    () => Promise.reject(new ShoalError('NOT_PRIMARY', 'moved', { details: { deletedCount: 1_000 } })),
    () => Promise.resolve({ deletedCount: 7, token }),
    () => Promise.reject(new ShoalError('NOT_PRIMARY', 'moved', { details: { deletedCount: 30 } })),
    () => Promise.reject(new ShoalError('OUTCOME_UNKNOWN', 'lost', { details: { deletedCount: 2 } })),
  ];
  pods.behaviours.set('a', () => outcomes.shift()!());
  const filter = { kind: 'equals', field: 'f', value: 1 } as const;
  assert.deepEqual(await outcomeOf(clock, shard.deleteMatching(context(), filter)), { deletedCount: 1_007, token });
  const failure = await settle(clock, shard.deleteMatching(context(), filter));
  assert.ok(failure.status === 'rejected');
  assert.deepEqual([(failure.reason as ShoalError).code, (failure.reason as ShoalError).details], ['OUTCOME_UNKNOWN', { deletedCount: 32 }]);
});

// ------------------------------------------------------- any replica, hedging

test('a read goes on to the next replica at once, until all have failed', async () => {
  const { shard, pods, context, clock, metrics } = setUp();
  pods.behaviours.set('a', fails('UNAVAILABLE'));
  pods.behaviours.set('b', fails('NOT_IN_SYNC'));
  const startMs = clock.monotonicMs();
  for (let i = 0; i < 20; i++) assert.deepEqual(await outcomeOf(clock, shard.search(context(), testSearch)), searchAnswer('c'));
  assert.equal(clock.monotonicMs(), startMs, 'nothing was waited for');
  assert.ok(pods.asked.filter((pod) => pod === 'a').length <= 1, 'who failed is passed over for a while');
  assert.equal(metrics.counts['routerRetries search UNAVAILABLE'], undefined);
  pods.behaviours.set('c', failsFirst('UNAVAILABLE'));
  assert.deepEqual(await outcomeOf(clock, shard.search(context(), testSearch)), searchAnswer('c'), 'after a pause it begins anew');
});

test('a read that is wrong is wrong at once', async () => {
  const { shard, pods, context, clock } = setUp();
  for (const pod of ['a', 'b', 'c']) pods.behaviours.set(pod, fails('FIELD_NOT_INDEXED'));
  assert.equal(await outcomeOf(clock, shard.search(context(), testSearch)), 'FIELD_NOT_INDEXED');
  assert.equal(pods.calls.length, 1);
});

test('a late read goes to a second replica; the first answer wins, the other one is cancelled', async () => {
  const { shard, pods, context, clock, metrics } = setUp(['a', 'b']);
  const delays: Record<string, number> = { a: 500, b: 3 };
  for (const [pod, delayMs] of Object.entries(delays)) pods.behaviours.set(pod, answersAfter(clock, delayMs));
  let hedgedAt: number[] = [];
  while (hedgedAt.length === 0) {
    pods.calls.length = 0;
    assert.deepEqual(await outcomeOf(clock, shard.search(context(), testSearch)), searchAnswer('b'));
    if (pods.asked[0] === 'a') hedgedAt = pods.calls.map(({ atMs }) => atMs - pods.calls[0]!.atMs);
  }
  assert.deepEqual(hedgedAt, [0, limits.hedgeFirstDelayMs]);
  assert.deepEqual(pods.calls.map(({ pod, signal }) => [pod, signal.aborted && (signal.reason as ShoalError).code]), [['a', 'CANCELLED'], ['b', false]]);
  assert.deepEqual([metrics.counts['routerHedges sent'], metrics.counts['routerHedges won']], [1, 1]);
});

test('when the first one fails the second one counts', async () => {
  const { shard, pods, context, clock } = setUp(['a', 'b']);
  for (const pod of ['a', 'b']) {
    pods.behaviours.set(pod, async (call) => {
      const isFirst = pods.calls.length === 1;
      await answersAfter(clock, isFirst ? 60 : 30)(call);
      if (isFirst) throw new ShoalError('UNAVAILABLE', 'lost');
      return searchAnswer('second');
    });
  }
  assert.deepEqual(await outcomeOf(clock, shard.search(context(), testSearch)), searchAnswer('second'));
  assert.equal(pods.calls.length, 2);
});

test('a session read that is late goes to the primary', async () => {
  const hedged: (string | undefined)[] = [];
  for (let run = 0; run < 20; run++) {
    const { shard, pods, context, clock } = setUp(['a', 'b', 'c'], seed + run);
    for (const pod of ['b', 'c']) pods.behaviours.set(pod, answersAfter(clock, 10_000));
    assert.deepEqual(await outcomeOf(clock, shard.search(context(), { ...testSearch, consistency: session })), searchAnswer('a'));
    hedged.push(pods.asked[1]);
  }
  assert.deepEqual([...new Set(hedged)].sort(), ['a', undefined], 'never to another backup');
});

test('a cluster that is slow as a whole is not asked twice as much', async () => {
  const { shard, pods, context, clock } = setUp();
  for (const pod of ['a', 'b', 'c']) pods.behaviours.set(pod, answersAfter(clock, 40));
  for (let i = 0; i < 200; i++) await outcomeOf(clock, shard.search(context(), testSearch), 5);
  for (const pod of ['a', 'b', 'c']) pods.behaviours.set(pod, answersAfter(clock, 400));
  pods.calls.length = 0;
  for (let i = 0; i < 200; i++) await outcomeOf(clock, shard.search(context(), testSearch), 20);
  const second = pods.calls.length - 200;
  assert.ok(second >= 1 && second <= limits.hedgeBurstCountMax + 200 * limits.hedgedFractionMax, `${second} second reads of 200`);
});

test('linearizable reads and writes are never sent twice at once', async () => {
  const { shard, pods, context, clock } = setUp();
  pods.behaviours.set('a', answersAfter(clock, 3_000));
  await outcomeOf(clock, shard.search(context(), { ...testSearch, consistency: { level: 'linearizable' } }));
  await outcomeOf(clock, shard.write(context(), upsert, idempotency));
  assert.deepEqual(pods.asked, ['a', 'a']);
});
