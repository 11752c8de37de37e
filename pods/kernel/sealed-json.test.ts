import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSealedJson, sealJson } from './sealed-json.ts';

test('what was sealed opens; with any bit flipped it does not', () => {
  const value = { name: 'größe', list: [1, null, true] };
  const sealed = sealJson(value);
  assert.deepEqual(openSealedJson(sealed), value);
  // The last byte is the newline behind the checksum: it carries nothing.
  for (let i = 0; i < sealed.length - 1; i++) {
    const damaged = sealed.slice();
    damaged[i]! ^= 1;
    assert.equal(openSealedJson(damaged), undefined, `byte ${i}`);
  }
  assert.equal(openSealedJson(sealed.subarray(0, 5)), undefined);
  assert.equal(openSealedJson(new Uint8Array(0)), undefined);
});
