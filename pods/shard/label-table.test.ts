import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../kernel/limits.ts';
import { LabelTable, type LabelVersionsSnapshot } from './label-table.ts';

test('a label is handed out again only after it was released', () => {
  const table = new LabelTable();
  const [a, b] = [table.allocate(), table.allocate()];
  table.set(a, 'a', 5, 4);
  table.set(b, 'b', 6, 6);
  assert.deepEqual([table.id(a), table.version(a), table.vectorVersion(a), table.pointCount], ['a', 5, 4, 2]);
  table.setVersion(a, 9);
  assert.deepEqual([table.version(a), table.vectorVersion(a)], [9, 4]);
  table.remove(a);
  assert.deepEqual([table.isLive(a), table.pointCount, table.allocate()], [false, 1, 2]);
  table.release(a);
  assert.deepEqual([table.allocate(), table.allocate()], [a, 3]);
});

test('what misuse there can be is an assertion', () => {
  const table = new LabelTable();
  table.set(0, 'a', 1, 1);
  assert.throws(() => table.set(0, 'b', 2, 2));
  assert.throws(() => table.id(1));
  assert.throws(() => table.remove(1));
  assert.throws(() => table.setVersion(1, 2));
});

test('after a start the gaps are free, and nothing else', () => {
  const table = new LabelTable();
  for (const label of [1, 4]) table.set(label, `p${label}`, label, label);
  table.reserve(7);
  table.releaseGaps();
  assert.deepEqual(Array.from({ length: 7 }, () => table.allocate()).sort(), [0, 2, 3, 5, 6, 7, 8]);
});

test('a snapshot of the versions stays what it was, with zeros where nothing is', () => {
  const table = new LabelTable();
  table.set(0, 'a', 3, 2);
  table.set(2, 'c', 5, 5);
  table.remove(2);
  const earlier = table.versionsSnapshot();
  table.setVersion(0, 9);
  table.set(2, 'd', 10, 10);
  const later = table.versionsSnapshot();
  table.setVersion(2, 11);
  assert.deepEqual([earlier, later].map(numbersOf), [
    [3, 0, 0, 2, 0, 0],
    [9, 0, 10, 2, 0, 10],
  ]);
});

test('snapshots of tables of many chunks', () => {
  const label = fc.nat({ max: 9_000 });
  fc.assert(
    fc.property(label, fc.array(label, { maxLength: 50 }), (labelCount, changed) => {
      const table = new LabelTable();
      for (let next = 0; next < labelCount; next++) table.set(next, 'x', next + 1, next + 2);
      const expected = [1, 2].flatMap((offset) => Array.from({ length: labelCount }, (_, next) => next + offset));
      const snapshot = table.versionsSnapshot();
      for (const next of changed) {
        if (table.isLive(next)) table.remove(next);
        else table.set(next, 'y', 1e6, 1e6);
      }
      assert.deepEqual(numbersOf(snapshot), expected);
      for (const next of changed) assert.ok(!table.isLive(next) || table.version(next) > 0);
    }),
    { numRuns: 30 },
  );
});

function numbersOf(snapshot: LabelVersionsSnapshot): number[] {
  return [...snapshot.bytes()].flatMap((bytes) => [...new Float64Array(bytes.slice().buffer)]);
}

test('ids of every length share chunks and take over each other’s places without damage', () => {
  const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((value) => value.isWellFormed());
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 30 }), id), { maxLength: 200 }), (steps) => {
      const table = new LabelTable();
      const model = new Map<number, string>();
      for (const [label, name] of steps) {
        if (model.delete(label)) table.remove(label);
        else {
          model.set(label, name);
          table.set(label, name, label + 1, label + 1);
        }
      }
      assert.deepEqual([...model].map(([label]) => table.id(label)), [...model.values()]);
      assert.equal(table.pointCount, model.size);
    }),
  );
});

test('more ids of the greatest length than one chunk holds', () => {
  const table = new LabelTable();
  const id = (label: number): string => String(label).padEnd(limits.pointIdBytesMax, 'x');
  const count = 5_000;
  for (let label = 0; label < count; label++) table.set(label, id(label), 1, 1);
  for (let label = 0; label < count; label += 7) assert.equal(table.id(label), id(label));
  const before = table.memoryBytes();
  for (let label = 0; label < count; label++) table.remove(label);
  for (let label = 0; label < count; label++) table.set(label, id(count - label), 2, 2);
  assert.equal(table.memoryBytes(), before, 'freed places are used again');
  assert.equal(table.id(17), id(count - 17));
});
