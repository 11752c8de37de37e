/** Aim: what clients report becomes the operations that the judges need, above all where requests are sent again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History, unknownOutcomeCountMax, type Attempt, type WriteAnswer } from './history.ts';
import { linearizable, point, remove, upsert } from './operations.fixture.ts';

const created: WriteAnswer = { outcome: 'created', version: 5, tokens: [{ shardUID: 'shard', seq: 5 }] };
const request = { id: 'p', clientId: 'c', requestNumber: 1, call: upsert(1) };

function clocked(): History {
  let ms = 0;
  return new History(() => (ms += 10));
}

type Step = 'send' | 'answered' | 'failed' | 'lost';

/** Each step of an attempt by the attempt's number, and what the operation is in the end. */
const resends: readonly (readonly [steps: readonly (readonly [Step, number])[], outcome: string, invokedAt: number, respondedAt: number])[] = [
  [[['send', 1]], 'unknown', 1, Infinity],
  [[['send', 1], ['answered', 1]], 'ok', 1, 2],
  [[['send', 1], ['lost', 1]], 'unknown', 1, Infinity],
  [[['send', 1], ['failed', 1]], 'failed', 1, 2],
  [[['send', 1], ['lost', 1], ['send', 2], ['answered', 2]], 'ok', 1, 2],
  // The first may still be on its way.
  [[['send', 1], ['lost', 1], ['send', 2], ['failed', 2]], 'unknown', 1, Infinity],
  [[['send', 1], ['failed', 1], ['send', 2], ['lost', 2]], 'unknown', 1, Infinity],
  [[['send', 1], ['failed', 1], ['send', 2], ['failed', 2]], 'failed', 1, 3],
  [[['send', 1], ['failed', 1], ['send', 2], ['answered', 2]], 'ok', 1, 3],
  // It had happened when somebody first knew.
  [[['send', 1], ['send', 2], ['answered', 2], ['answered', 1]], 'ok', 1, 2],
  [[['send', 1], ['answered', 1], ['send', 2], ['failed', 2]], 'ok', 1, 2],
  [[['send', 1], ['answered', 1], ['send', 2], ['lost', 2]], 'ok', 1, 2],
];

for (const [steps, outcome, invokedAt, respondedAt] of resends) {
  test(`${steps.map(([step, attempt]) => `${step} ${attempt}`).join(', ')}: ${outcome}`, () => {
    const history = clocked();
    const attempts = new Map<number, Attempt<WriteAnswer>>();
    for (const [step, number] of steps) {
      if (step === 'send') attempts.set(number, history.invoke(request));
      else if (step === 'answered') attempts.get(number)!.answered(created);
      else attempts.get(number)![step]();
    }
    const { call, ...identity } = request;
    assert.deepEqual(history.operations, [
      {
        ...identity,
        call,
        number: 1,
        outcome,
        ...(outcome === 'ok' ? { answer: created } : {}),
        attemptCount: attempts.size,
        invokedAt,
        respondedAt,
        invokedMs: 10 * invokedAt,
        respondedMs: outcome === 'unknown' ? undefined : 10 * respondedAt,
      },
    ]);
    assert.deepEqual(history.contradictions, []);
  });
}

test('another answer to the same request is a contradiction', () => {
  const history = clocked();
  history.invoke(request).answered(created);
  history.invoke(request).answered({ ...created, outcome: 'updated', version: 6 });
  assert.deepEqual(history.contradictions, ['p: request 1 of c was answered created 5, then updated 6']);
});

test('a request number stands for one request, an attempt is settled once', () => {
  const history = clocked();
  const attempt = history.invoke(request);
  assert.throws(() => history.invoke({ ...request, call: upsert(2) }), /a request number stands for one request/);
  attempt.lost();
  assert.throws(() => attempt.answered(created), /settled once/);
});

test('the items of a batch are operations of their own', () => {
  const history = clocked();
  for (const id of ['p', 'q']) history.invoke({ ...request, id }).answered(created);
  assert.deepEqual(history.ids, ['p', 'q']);
  assert.deepEqual(history.operationsOf('q').map(({ id, number, outcome }) => ({ id, number, outcome })), [{ id: 'q', number: 2, outcome: 'ok' }]);
});

test('an id is retired after too many unknown outcomes of writes, until they are known', () => {
  const history = clocked();
  const write = (requestNumber: number) => history.invoke({ ...request, requestNumber, call: remove() });
  for (let n = 1; n < unknownOutcomeCountMax; n++) write(n).lost();
  history.invoke({ ...request, requestNumber: 90, call: { kind: 'get', consistency: linearizable } }).lost();
  write(91).failed();
  const last = write(92);
  assert.equal(history.isRetired('p'), false, 'one is still under way');
  last.lost();
  assert.equal(history.isRetired('p'), true);
  assert.equal(history.isRetired('q'), false);
  write(92).answered({ outcome: 'not-found', version: 0, tokens: [] });
  assert.equal(history.isRetired('p'), false);
});

test('a condition names only a version that was seen', () => {
  const history = clocked();
  const conditional = (requestNumber: number, version: number) => history.invoke({ ...request, requestNumber, call: upsert(1, { kind: 'version', version }) });
  assert.throws(() => conditional(1, 5), /nothing in this history saw version 5 of p/);
  conditional(2, 0).answered(created);
  conditional(3, 5).lost();
  history.given('q', point(1, 7));
  assert.throws(() => conditional(4, 7), /nothing in this history saw version 7 of p/);
});

test('a point from before the run is an acknowledged write', () => {
  const history = clocked();
  history.given('p', point(1, 7));
  assert.deepEqual(
    history.operations.map(({ outcome, call, invokedAt, respondedAt }) => ({ outcome, call, invokedAt, respondedAt })),
    [{ outcome: 'ok', call: upsert(1), invokedAt: 1, respondedAt: 2 }],
  );
});

test('searches', () => {
  const history = clocked();
  const [first, second] = [history.search('c', linearizable), history.search('d', linearizable)];
  second.answered([{ id: 'p', version: 5 }]);
  first.answered([], { complete: true });
  const common = { consistency: linearizable };
  assert.deepEqual(history.searches, [
    { ...common, number: 1, clientId: 'd', invokedAt: 2, respondedAt: 3, invokedMs: 20, respondedMs: 30, hits: [{ id: 'p', version: 5 }], complete: false },
    { ...common, number: 2, clientId: 'c', invokedAt: 1, respondedAt: 4, invokedMs: 10, respondedMs: 40, hits: [], complete: true },
  ]);
});
