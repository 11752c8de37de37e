import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shortLivedFloats, shortLivedInts } from './short-lived-arrays.ts';

test('arrays of any length are zero and have their bytes to themselves', () => {
  const arrays = Array.from({ length: 1_000 }, (_, i) => {
    const length = (i * 37) % 3_000;
    const array = i % 2 === 0 ? shortLivedFloats(length) : shortLivedInts(length);
    assert.equal(array.length, length);
    assert.ok(array.every((value) => value === 0));
    return array.fill(i);
  });
  for (const [i, array] of arrays.entries()) assert.ok(array.every((value) => value === i), `array ${i} was written to`);
});

test('small arrays share a buffer, large ones have their own', () => {
  const buffers = new Set(Array.from({ length: 100 }, () => shortLivedFloats(100).buffer));
  assert.ok(buffers.size <= 2);
  assert.equal(shortLivedInts(100_000).buffer.byteLength, 400_000);
});
