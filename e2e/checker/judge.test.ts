/** Aim: every judge is asked, and what they say arrives. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History } from './history.ts';
import { judge } from './judge.ts';
import { eventual, linearizable, point, remove, upsert } from './operations.fixture.ts';

/** A client that writes a point, is answered twice, and looks at it. */
function history(): History {
  const history = new History(() => 0);
  const request = { id: 'p', clientId: 'c', requestNumber: 1, call: upsert(1) };
  const tokens = [{ shardUID: 'shard', seq: 5 }];
  history.invoke(request).answered({ outcome: 'created', version: 5, tokens });
  history.invoke(request).answered({ outcome: 'created', version: 5, tokens });
  history.invoke({ ...request, requestNumber: 2, call: { kind: 'get', consistency: linearizable } }).answered({ seen: point(1, 5) });
  history.invoke({ ...request, requestNumber: 3, call: { kind: 'get', consistency: eventual } }).answered({ seen: undefined });
  history.search('c', linearizable).answered([{ id: 'p', ...point(1, 5) }], { complete: true });
  return history;
}

test('nothing wrong', () => {
  const points = new Map([['p', point(1, 5)]]);
  assert.deepEqual(judge(history(), { points, replicasOfShards: [new Map([['a', points], ['b', points]])] }), {
    violations: [],
    undecided: [],
    counts: { operations: 3, acknowledgedWrites: 1, unknownWrites: 0, linearizableGets: 1, ids: 1, searches: 1, retiredIds: 0, states: 2 },
  });
});

test('everything wrong', () => {
  // A second answer, a get of nothing, a content nobody wrote in a get and under a version of another in a hit, a point lost.
  const wrong = history();
  const request = { id: 'p', clientId: 'c', requestNumber: 1, call: upsert(1) };
  wrong.invoke(request).answered({ outcome: 'updated', version: 6, tokens: [] });
  wrong.invoke({ ...request, requestNumber: 4, call: { kind: 'get', consistency: linearizable } }).answered({ seen: undefined });
  wrong.invoke({ ...request, requestNumber: 5, call: { kind: 'get', consistency: eventual } }).answered({ seen: point(2, 5) });
  wrong.search('c', linearizable).answered([{ id: 'p', ...point(3, 5) }]);
  const [a, b] = [new Map([['p', point(1, 5)]]), new Map()];
  const { violations } = judge(wrong, { points: b, replicasOfShards: [new Map([['a', a], ['b', b]])] });
  assert.deepEqual(violations.map(({ promise }) => promise), ['answered once', 'linearizable', 'versions', 'versions', 'session reads', 'searches', 'durable', 'replicas equal']);
});

test('an id that is too much work is named', () => {
  const undecided = history();
  for (let n = 10; n < 30; n++) undecided.invoke({ id: 'p', clientId: 'c', requestNumber: n, call: n % 2 === 0 ? upsert(n) : remove() });
  undecided.invoke({ id: 'p', clientId: 'c', requestNumber: 30, call: { kind: 'get', consistency: linearizable } }).answered({ seen: point(99, 9) });
  const { violations, undecided: ids } = judge(undecided, { stateCountMax: 100 });
  assert.deepEqual({ violations, ids }, { violations: [], ids: ['p'] });
});
