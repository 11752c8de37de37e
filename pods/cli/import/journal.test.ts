/** The progress file: what is read back after any crash, and what does not belong to it. */

import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../kernel/clock.ts';
import { openJournal, readJournal, type Acknowledged, type ImportSource, type JournalState } from './journal.ts';

const source: ImportSource = { file: 'a.jsonl', sizeBytes: 100, modifiedMs: 5.5, collectionUid: 'u', options: '{}' };
const begin: JournalState = { clientId: 'c', floor: { batch: 0, after: { row: 0, offset: 0, line: 1 }, points: 0, badRows: 0 }, above: new Map() };
const entry = (batch: number): Acknowledged => ({ batch, after: { row: batch * 10, offset: batch * 100, line: batch * 10 + 1 }, points: 9, badRows: 1 });
const floor = (batch: number): Acknowledged => ({ ...entry(batch), points: 9 * batch, badRows: batch });

let directory: string;
before(() => void (directory = mkdtempSync(join(tmpdir(), 'shoal-journal-'))));
after(() => rmSync(directory, { recursive: true }));
let count = 0;
const newPath = (): string => join(directory, `${++count}.json`);

test('acknowledgements in any order lift the floor when they close its gap', () => {
  const path = newPath();
  const journal = openJournal(path, source, begin, systemClock);
  for (const batch of [1, 3, 4]) journal.acknowledge(entry(batch));
  const gap: JournalState = { clientId: 'c', floor: floor(1), above: new Map([[3, entry(3)], [4, entry(4)]]) };
  assert.deepEqual(journal.state, gap);
  assert.deepEqual(readJournal(path, source), gap);
  journal.acknowledge(entry(2));
  assert.deepEqual(readJournal(path, source), { clientId: 'c', floor: floor(4), above: new Map() });
  journal.close();
});

test('it goes on in a file that was read, and under another client id', () => {
  const path = newPath();
  const first = openJournal(path, source, begin, systemClock);
  for (const batch of [1, 2, 4]) first.acknowledge(entry(batch));
  first.close();
  const second = openJournal(path, source, readJournal(path, source) as JournalState, systemClock);
  second.renewClient('d');
  second.acknowledge(entry(5));
  assert.deepEqual(readJournal(path, source), { clientId: 'd', floor: floor(2), above: new Map([[4, entry(4)], [5, entry(5)]]) });
  second.remove();
  assert.equal(readJournal(path, source), 'absent');
});

test('lines are folded into the floor from time to time', () => {
  const path = newPath();
  const journal = openJournal(path, source, begin, systemClock);
  for (let batch = 1; batch <= 5_000; batch++) journal.acknowledge(entry(batch));
  journal.close();
  assert.ok(readFileSync(path, 'utf8').split('\n').length < 1_000);
  assert.deepEqual(readJournal(path, source), { clientId: 'c', floor: floor(5_000), above: new Map() });
});

test('cut off at any byte it tells a part of what was acknowledged, never more', () => {
  const path = newPath();
  const journal = openJournal(path, source, begin, systemClock);
  for (const batch of [1, 2, 3]) journal.acknowledge(entry(batch));
  journal.close();
  const whole = readFileSync(path);
  const header = whole.indexOf('\n') + 1;
  const seen = new Set<number>();
  for (let size = whole.length; size >= header; size--) {
    truncateSync(path, size);
    const state = readJournal(path, source) as JournalState;
    assert.deepEqual(state, { clientId: 'c', floor: state.floor.batch === 0 ? begin.floor : floor(state.floor.batch), above: new Map() });
    seen.add(state.floor.batch);
    // What was lost is written again.
    writeFileSync(path, whole);
  }
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3]);
  for (let size = header - 1; size >= 0; size -= 7) {
    truncateSync(path, size);
    assert.equal(readJournal(path, source), 'other');
  }
});

test('a file of another import, or of something else', () => {
  const path = newPath();
  openJournal(path, source, begin, systemClock).close();
  for (const other of [{ file: 'b' }, { sizeBytes: 101 }, { modifiedMs: 6 }, { collectionUid: 'v' }, { options: '{"batchSize":1}' }]) {
    assert.equal(readJournal(path, { ...source, ...other }), 'other', JSON.stringify(other));
  }
  appendFileSync(path, 'x');
  writeFileSync(path, 'hello\n');
  assert.equal(readJournal(path, source), 'other');
});
