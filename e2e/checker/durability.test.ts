/** Aim: nothing that was acknowledged is missing at the end, nothing deleted is there, and replicas that differ are named. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFinalState, checkReplicasEqual } from './durability.ts';
import type { Seen } from './history.ts';
import { lost, operationsFrom, point, remove, setPayload, upsert, wrote, type Part } from './operations.fixture.ts';

const created = wrote(0, 1, upsert(1), 'created', 5);

const cases: readonly (readonly [name: string, parts: readonly Part[], end: Seen | undefined, wrong: boolean])[] = [
  ['what was written is there', [created], point(1, 5), false],
  ['what was written is gone', [created], undefined, true],
  ['it has another content', [created], point(2, 5), true],
  ['it has another version', [created], point(1, 6), true],
  ['nobody wrote it', [], point(1, 5), true],
  ['the later write is there', [created, wrote(2, 3, upsert(2), 'updated', 6)], point(2, 6), false],
  ['the earlier write is there', [created, wrote(2, 3, upsert(2), 'updated', 6)], point(1, 5), true],
  ['of concurrent writes the later in the log is there', [wrote(0, 9, upsert(1), 'updated', 6), wrote(0, 9, upsert(2), 'created', 5)], point(2, 5), true],
  ['a payload change is lost', [created, wrote(2, 3, setPayload(2), 'updated', 6)], point(1, 5), true],
  ['a lost write is there after all', [created, lost(2, upsert(2))], point(2, 9), false],
  ['a lost write is not there', [created, lost(2, upsert(2))], point(1, 5), false],
  ['a deleted point is gone', [created, wrote(2, 3, remove(), 'deleted', 0, 6)], undefined, false],
  ['a deleted point came back', [created, wrote(2, 3, remove(), 'deleted', 0, 6)], point(1, 5), true],
  ['a condition that failed changed nothing', [created, wrote(2, 3, upsert(2, { kind: 'absent' }), 'condition-failed', 5)], point(2, 6), true],
  ['a lost deletion happened', [created, lost(2, remove())], undefined, false],
  ['a lost deletion may come after all', [lost(0, remove()), wrote(2, 3, upsert(1), 'created', 5)], undefined, false],
];

for (const [name, parts, end, wrong] of cases) {
  test(name, () => {
    const violations = checkFinalState(new Map([['p', operationsFrom(parts)]]), new Map(end === undefined ? [] : [['p', end]]));
    assert.equal(violations.length, wrong ? 1 : 0, violations[0]?.what);
  });
}

test('a point of an id that no history knows', () => {
  assert.deepEqual(checkFinalState(new Map(), new Map([['x', point(1, 5)]])), [{ promise: 'durable', what: 'x: at the end the point shows vector 1 payload 1 version 5, which no write that was sent before can have left' }]);
});

test('replicas', () => {
  const replicas = new Map([
    ['a', new Map([['p', point(1, 5)], ['q', point(2, 6)]])],
    ['b', new Map([['q', point(2, 6)], ['p', point(1, 5)]])],
    ['c', new Map([['p', point(1, 4)], ['r', point(3, 7)]])],
  ]);
  assert.deepEqual(checkReplicasEqual(replicas).map(({ what }) => what), [
    'p: a holds it as vector 1 payload 1 version 5, c as vector 1 payload 1 version 4',
    'q: a holds it as vector 2 payload 2 version 6, c as absent',
    'r: a holds it as absent, c as vector 3 payload 3 version 7',
  ]);
  assert.deepEqual(checkReplicasEqual(new Map()), []);
});
