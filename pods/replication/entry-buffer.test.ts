import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EntryBuffer } from './entry-buffer.ts';

const entry = (seq: number, term: number): { seq: number; term: number; payload: Uint8Array } => ({ seq, term, payload: new Uint8Array(10) });
const terms = (buffer: EntryBuffer): (number | undefined)[] => [1, 2, 3, 4, 5].map((seq) => buffer.find(seq)?.term);

test('what is replaced is gone, also from below the oldest that is here', () => {
  const buffer = new EntryBuffer(1_000);
  buffer.add([entry(4, 1), entry(5, 1)]);
  buffer.add([entry(2, 2)]);
  assert.deepEqual(terms(buffer), [undefined, 2, undefined, undefined, undefined]);
});

test('the oldest go when there are too many bytes, but none that is nowhere else', () => {
  const buffer = new EntryBuffer(25);
  buffer.add([1, 2, 3, 4, 5].map((seq) => entry(seq, 1)));
  buffer.trim(2);
  assert.deepEqual(terms(buffer), [undefined, undefined, 1, 1, 1]);
  buffer.trim(5);
  assert.deepEqual(terms(buffer), [undefined, undefined, undefined, 1, 1]);
});
