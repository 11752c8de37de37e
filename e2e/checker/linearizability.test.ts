/** Aim: the checker's verdict on small histories that a reader can decide alone, and on random ones whose verdict is known. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../pods/kernel/random.ts';
import { checkRegister } from './linearizability.ts';
import { eventual, got, lost, operationsFrom, point, refused, remove, setPayload, upsert, wrote, type Part } from './operations.fixture.ts';
import { faults, randomHistory } from './random-history.fixture.ts';

const version = (number: number) => ({ kind: 'version', version: number }) as const;
const absent = { kind: 'absent' } as const;
const present = { kind: 'present' } as const;

const cases: readonly (readonly [name: string, verdict: 'ok' | 'violation', parts: readonly Part[]])[] = [
  ['nothing', 'ok', []],
  ['a read of a point that never was', 'ok', [got(0, 1, undefined)]],
  ['a read of what nobody wrote', 'violation', [got(0, 1, point(1, 5))]],
  ['a read after a write', 'ok', [wrote(0, 1, upsert(1), 'created', 5), got(2, 3, point(1, 5))]],
  ['a read that misses a write acknowledged before', 'violation', [wrote(0, 1, upsert(1), 'created', 5), got(2, 3, undefined)]],
  ['a read at the instant of the acknowledgement is concurrent', 'ok', [wrote(0, 1, upsert(1), 'created', 5), got(1, 2, undefined)]],
  ['a read beside a write sees either', 'ok', [wrote(0, 9, upsert(1), 'created', 5), got(1, 2, undefined), got(3, 4, point(1, 5))]],
  ['and never goes back', 'violation', [wrote(0, 9, upsert(1), 'created', 5), got(1, 2, point(1, 5)), got(3, 4, undefined)]],
  ['an overwritten value', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, upsert(2), 'updated', 6), got(4, 5, point(1, 5))]],
  ['an eventual read promises nothing here', 'ok', [wrote(0, 1, upsert(1), 'created', 5), got(2, 3, undefined, eventual)]],
  ['created, though it was there', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, upsert(2), 'created', 6)]],
  ['updated, though it was not', 'violation', [wrote(0, 1, upsert(1), 'updated', 5)]],
  ['deleted, then absent', 'ok', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, remove(), 'deleted'), got(4, 5, undefined)]],
  ['a deleted point that comes back', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, remove(), 'deleted'), got(4, 5, point(1, 5))]],
  ['deleted twice', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, remove(), 'deleted'), wrote(4, 5, remove(), 'deleted')]],
  ['another payload', 'violation', [wrote(0, 1, upsert(1), 'created', 5), got(2, 3, point(1, 5, 2))]],
  ['nothing to delete', 'ok', [wrote(0, 1, remove(), 'not-found'), wrote(2, 3, setPayload(1), 'not-found')]],
  ['not found, though it was there', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, remove(), 'not-found')]],
  ['a payload change keeps the vector', 'ok', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, setPayload(2), 'updated', 6), got(4, 5, point(1, 6, 2))]],
  ['a payload change that loses the vector', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, setPayload(2), 'updated', 6), got(4, 5, point(0, 6, 2))]],

  ['a lost write happens later', 'ok', [lost(0, upsert(1)), got(2, 3, undefined), got(4, 5, point(1, 5))]],
  ['a lost write happens never', 'ok', [lost(0, upsert(1)), got(2, 3, undefined)]],
  ['a lost write happens once', 'violation', [lost(0, upsert(1)), got(2, 3, point(1, 5)), wrote(4, 5, remove(), 'deleted'), got(6, 7, point(1, 9))]],
  ['a lost write cannot precede its invocation', 'violation', [got(0, 1, point(1, 5)), lost(2, upsert(1))]],
  ['a lost deletion explains an absence', 'ok', [wrote(0, 1, upsert(1), 'created', 5), lost(2, remove()), got(3, 4, undefined)]],
  ['a lost condition that did not hold has no effect', 'violation', [wrote(0, 1, upsert(1), 'created', 5), lost(2, upsert(2, absent)), got(3, 4, point(2, 6))]],
  ['a lost condition that held later', 'ok', [wrote(0, 1, upsert(1), 'created', 5), lost(2, upsert(2, absent)), wrote(3, 4, remove(), 'deleted'), got(5, 6, point(2, 7))]],
  ['what was refused did not happen', 'violation', [refused(0, 1, upsert(1)), got(2, 3, point(1, 5))]],

  ['if absent, twice', 'ok', [wrote(0, 9, upsert(1, absent), 'created', 5), wrote(1, 8, upsert(2, absent), 'condition-failed', 5)]],
  ['if absent, both created', 'violation', [wrote(0, 9, upsert(1, absent), 'created', 5), wrote(1, 8, upsert(2, absent), 'created', 6)]],
  ['the loser names a version that is not the winner\'s', 'violation', [wrote(0, 9, upsert(1, absent), 'created', 5), wrote(1, 8, upsert(2, absent), 'condition-failed', 4)]],
  ['if present fails on nothing', 'ok', [wrote(0, 1, upsert(1, present), 'condition-failed', 0)]],
  ['if version, one of two', 'ok', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 9, upsert(2, version(5)), 'updated', 6), wrote(2, 9, upsert(3, version(5)), 'condition-failed', 6)]],
  ['if version, both', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 9, upsert(2, version(5)), 'updated', 6), wrote(2, 9, upsert(3, version(5)), 'updated', 7)]],
  ['if version fails, though it holds', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, upsert(2, version(5)), 'condition-failed', 5)]],
  ['if version 0 means absent', 'ok', [wrote(0, 1, upsert(1, version(0)), 'created', 5)]],

  ['versions in the order of the writes', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, upsert(2), 'updated', 4)]],
  ['versions decide the order of concurrent writes', 'violation', [wrote(0, 9, upsert(1), 'updated', 6), wrote(0, 9, upsert(2), 'created', 5), got(10, 11, point(2, 5))]],
  ['a version is not given again after a deletion', 'violation', [wrote(0, 1, upsert(1), 'created', 5), wrote(2, 3, remove(), 'deleted'), wrote(4, 5, upsert(2), 'created', 5)]],
  ['a lost write has one version', 'violation', [lost(0, upsert(1)), got(1, 2, point(1, 5)), got(3, 4, point(1, 6))]],
  ['whose place is between those before and after', 'violation', [wrote(0, 1, upsert(1), 'created', 5), lost(2, upsert(2)), got(3, 4, point(2, 4))]],
  ['and below those after', 'violation', [lost(0, upsert(1)), got(1, 2, point(1, 9)), wrote(3, 4, upsert(2), 'updated', 8)]],
  ['a condition on the version of a lost write', 'ok', [lost(0, upsert(1)), got(1, 2, point(1, 5)), wrote(3, 4, upsert(2, version(5)), 'updated', 6)]],
];

for (const [name, verdict, parts] of cases) {
  test(`${verdict}: ${name}`, () => {
    assert.equal(checkRegister(operationsFrom(parts)).kind, verdict);
  });
}

test('a point that was there before the history', () => {
  const initial = { point: { vector: 1, payload: 1, version: undefined }, floor: 4 };
  const kinds = [point(1, 5), point(1, 4), point(2, 5), undefined].map((seen) => checkRegister(operationsFrom([got(0, 1, seen)]), { initial }).kind);
  assert.deepEqual(kinds, ['ok', 'violation', 'violation', 'violation']);
});

test('the explanation is the shortest beginning, with an order of the others', () => {
  const verdict = checkRegister(
    operationsFrom([
      wrote(0, 10, upsert(1), 'created', 5),
      lost(3, upsert(2, absent)),
      wrote(20, 30, setPayload(3), 'updated', 8),
      got(25, 35, point(1, 8, 3)),
      got(31, 40, point(1, 5)),
      wrote(36, 90, remove(), 'deleted'),
      got(50, 60, undefined),
    ]),
  );
  assert.equal(
    verdict.kind === 'violation' && verdict.explanation,
    [
      'p: no order of the operations explains the answer of operation 5 (get → vector 1 payload 1 version 5)',
      '  operation  client  ms        what                                            place in an order of the others',
      '  1          c1      0 to 10   upsert vector 1 payload 1 → created, version 5  1',
      '  3          c3      20 to 30  set payload 3 → updated, version 8              2',
      '  4          c4      25 to 35  get → vector 1 payload 3 version 8              3',
      '  5          c5      31 to 40  get → vector 1 payload 1 version 5              none',
      '  that order leaves the point with vector 1 payload 3 version 8',
    ].join('\n'),
  );
});

test('a long history is cut to its end', () => {
  const parts = Array.from({ length: 300 }, (_, i) => wrote(10 * i, 10 * i + 5, upsert(i), i === 0 ? 'created' : 'updated', i + 1));
  const verdict = checkRegister(operationsFrom([...parts, got(4000, 4001, undefined)]));
  assert.equal(verdict.kind, 'violation');
  const lines = verdict.kind === 'violation' ? verdict.explanation.split('\n') : [];
  assert.equal(lines[1], '  (277 earlier operations left out)');
  assert.equal(lines.length, 28);
});

test('too much work is undecided, neither right nor wrong', () => {
  const parts = Array.from({ length: 30 }, (_, i) => lost(i, upsert(i, i % 2 === 0 ? undefined : present)));
  const verdict = checkRegister(operationsFrom([...parts, got(100, 101, point(99, 5))]), { stateCountMax: 1_000 });
  assert.deepEqual(verdict, { kind: 'undecided', because: '31 operations have more than 1000 states', stateCount: 1_000 });
});

test('the same set of operations with the same state is looked at once', () => {
  // 14! orders, but only 2^14 sets.
  const parts = Array.from({ length: 14 }, (_, i) => lost(0, upsert(i)));
  const { kind, stateCount } = checkRegister(operationsFrom([...parts, got(100, 101, point(99, 5))]));
  assert.deepEqual({ kind, stateCount }, { kind: 'violation', stateCount: 14 * 2 ** 13 });
});

test('200 clients at once are no work while versions order the writes', () => {
  const writes = Array.from({ length: 200 }, (_, i) => wrote(0, 1_000, upsert(i), i === 0 ? 'created' : 'updated', i + 1));
  const reads = Array.from({ length: 200 }, (_, i) => got(0, 1_000, point(i, i + 1)));
  const verdict = checkRegister(operationsFrom([...reads, ...writes.reverse()]));
  assert.equal(verdict.kind, 'ok');
});

test('random histories are linearizable, and with a fault most are not', (t) => {
  const seedCount = 200;
  for (const fault of [undefined, ...faults]) {
    const histories = Array.from({ length: seedCount }, (_, seed) => ({ seed, ...randomHistory(seededRandom(seed), `seed ${seed}`, fault) }));
    const caught = histories.filter(({ operations }) => checkRegister(operations).kind === 'violation');
    const wrongly = caught.filter(({ faulty }) => !faulty).map(({ seed }) => seed);
    assert.deepEqual(wrongly, [], `histories without a fault, by seed, of those with "${fault}"`);
    if (fault === undefined) continue;
    const faultyCount = histories.filter(({ faulty }) => faulty).length;
    t.diagnostic(`${fault}: ${caught.length} of ${faultyCount} caught`);
    assert(faultyCount > seedCount / 2, `"${fault}" came to pass in ${faultyCount} of ${seedCount}`);
    assert(caught.length > faultyCount / 2, `"${fault}" was caught in ${caught.length} of ${faultyCount}`);
  }
});
