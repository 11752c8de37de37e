import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WriteLedger } from './write-ledger.ts';

const cases: readonly { readonly name: string; readonly found: Readonly<Record<string, number>>; readonly lost: readonly string[] }[] = [
  { name: 'all as acknowledged, one open write done', found: { a: 3, b: 2, c: 9 }, lost: [] },
  { name: 'an open write not done', found: { a: 3, b: 2, c: 4 }, lost: [] },
  { name: 'a point is gone', found: { b: 2, c: 4 }, lost: ['a: 3 was acknowledged, nothing is there'] },
  { name: 'an overwrite is gone', found: { a: 1, b: 2, c: 4 }, lost: ['a: 3 was acknowledged, 1 is there'] },
  { name: 'something that nobody wrote', found: { a: 3, b: 7, c: 4 }, lost: ['b: 2 was acknowledged, 7 is there'] },
  { name: 'what an open write replaces is older than acknowledged', found: { a: 3, b: 2, c: 2 }, lost: ['c: 4 was acknowledged, 2 is there'] },
  { name: 'a point that was never acknowledged', found: { a: 3, b: 2, c: 4, d: 5 }, lost: [] },
];

for (const { name, found, lost } of cases) {
  test(name, () => {
    const ledger = new WriteLedger();
    for (const [id, number] of [['a', 1], ['b', 2], ['a', 3], ['c', 4]] as const) {
      ledger.begin(id);
      ledger.acknowledge(id, number);
    }
    for (const id of ['c', 'd']) ledger.begin(id);
    assert.deepEqual(ledger.ids, ['a', 'b', 'c']);
    assert.deepEqual(ledger.lost(new Map(Object.entries(found))), lost);
  });
}
