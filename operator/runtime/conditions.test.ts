/** Aim: conditions say what the table says, keep the time of what has not changed, and leave those of others alone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressOf, sameConditions, withConditions } from './conditions.ts';
import { complete, fail, retry, wait } from './task.ts';

test('a table as conditions', () => {
  const rows = [
    { task: 'make-pods', result: complete('made') },
    { task: 'place-shards', result: wait('no room yet', { reason: 'NoRoom' }) },
    { task: 'grow', result: retry(5, 'it grows') },
    { task: 'hold-name', result: fail('the name is taken') },
  ];
  assert.deepEqual(progressOf(rows), [
    { type: 'Progressing', status: 'True', reason: 'NoRoom', message: 'no room yet; it grows' },
    { type: 'Degraded', status: 'True', reason: 'HoldName', message: 'the name is taken' },
  ]);
  assert.deepEqual(progressOf([]), [
    { type: 'Progressing', status: 'False', reason: 'AsDesired', message: 'everything that was asked for is done' },
    { type: 'Degraded', status: 'False', reason: 'AsDesired', message: 'nothing is wrong' },
  ]);
});

test('the time is that of the last change of the status, not of the sentence', () => {
  const ready = (status: 'True' | 'False', message: string) => ({ type: 'Ready', status, reason: 'R', message });
  const theirs = { type: 'Theirs', status: 'True', reason: 'T', message: 't', lastTransitionTime: '2026-01-01T00:00:00Z' } as const;
  const first = withConditions([theirs], [ready('False', 'a')], 1, Date.parse('2026-01-02T00:00:00.700Z'));
  const second = withConditions(first, [ready('False', 'b')], 2, Date.parse('2026-01-03T00:00:00Z'));
  const third = withConditions(second, [ready('True', 'c')], 2, Date.parse('2026-01-04T00:00:00Z'));
  assert.deepEqual([first, second, third], [
    [{ ...ready('False', 'a'), observedGeneration: 1, lastTransitionTime: '2026-01-02T00:00:00Z' }, theirs],
    [{ ...ready('False', 'b'), observedGeneration: 2, lastTransitionTime: '2026-01-02T00:00:00Z' }, theirs],
    [{ ...ready('True', 'c'), observedGeneration: 2, lastTransitionTime: '2026-01-04T00:00:00Z' }, theirs],
  ]);
  const again = withConditions(third, [ready('True', 'c')], 2, Date.parse('2026-01-05T00:00:00Z'));
  assert.deepEqual([sameConditions(third, again), sameConditions(second, third), sameConditions(undefined, third)], [true, false, false]);
});
