import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeKey, keySpace, keySpaces, keyWithBytes, keyWithLabel, labelOfKey, prefixSpan, replicaSpan, spaceOfKey } from './keys.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const inside = (key: Uint8Array, span: { start: Uint8Array; end: Uint8Array }): boolean =>
  Buffer.compare(span.start, key) <= 0 && Buffer.compare(key, span.end) < 0;

test('the layout on disk is the one that older directories have', () => {
  assert.deepEqual(
    keySpaces.map((space) => [space, hex(keyWithLabel(0x01020304, space, 0x0a0b0c0d))]),
    [
      ['meta', '01020304010a0b0c0d'],
      ['id', '01020304020a0b0c0d'],
      ['vector', '01020304030a0b0c0d'],
      ['payload', '01020304040a0b0c0d'],
      ['payload-index', '01020304050a0b0c0d'],
      ['graph', '01020304060a0b0c0d'],
      ['session', '01020304070a0b0c0d'],
      ['record', '01020304080a0b0c0d'],
    ],
  );
  assert.equal(hex(keyWithBytes(1, 'id', Buffer.from('doc'))), '0000000102646f63');
});

test('a key decodes to what it was made of', () => {
  for (const replica of [0, 1, 255, 256, 0xffff_fffe]) {
    for (const space of keySpaces) {
      for (const suffix of [[], [0], [0xff], [0, 0xff, 0]]) {
        const bytes = Uint8Array.from(suffix);
        const decoded = decodeKey(keyWithBytes(replica, space, bytes));
        assert.equal(spaceOfKey(keyWithBytes(replica, space, bytes)), space);
        assert.deepEqual({ ...decoded, suffix: [...decoded.suffix] }, { replica, space, suffix });
      }
      for (const label of [0, 1, 0xffff_ffff]) assert.equal(labelOfKey(keyWithLabel(replica, space, label)), label);
    }
  }
});

test('labels order as numbers, replicas as numbers, and no span reaches into another', () => {
  const labels = [0, 1, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff];
  const keys = [0, 1, 255, 256].flatMap((replica) =>
    keySpaces.flatMap((space) => labels.map((label) => keyWithLabel(replica, space, label))),
  );
  assert.deepEqual(keys.map(hex), keys.toSorted(Buffer.compare).map(hex));
  for (const key of keys) {
    const { replica, space } = decodeKey(key);
    for (const otherReplica of [0, 1, 255, 256]) {
      assert.equal(inside(key, replicaSpan(otherReplica)), replica === otherReplica);
      for (const otherSpace of keySpaces) {
        assert.equal(inside(key, keySpace(otherReplica, otherSpace).span), replica === otherReplica && space === otherSpace);
      }
    }
  }
});

test('the span of a prefix ends behind the longest key that begins with it', () => {
  assert.equal(hex(prefixSpan(Uint8Array.of(1, 0xff, 0xff)).end), '02');
  assert.equal(hex(prefixSpan(Uint8Array.of(1, 2)).end), '0103');
  assert.throws(() => prefixSpan(Uint8Array.of(0xff, 0xff)), /no upper bound/);
});

test('what is no key is refused', () => {
  assert.throws(() => decodeKey(Uint8Array.of(0, 0, 0, 1)), /at least 5 bytes/);
  assert.throws(() => decodeKey(Uint8Array.of(0, 0, 0, 1, 0xee)), /no key space has the tag 238/);
  assert.throws(() => spaceOfKey(Uint8Array.of(0, 0, 0, 1, 0xee)), /no key space has the tag 238/);
  assert.throws(() => spaceOfKey(Uint8Array.of(0, 0, 0, 1)), /no key space has the tag undefined/);
  assert.throws(() => labelOfKey(keyWithBytes(1, 'id', Buffer.from('doc'))), /has 9 bytes, not 8/);
  assert.throws(() => keyWithLabel(1, 'id', -1), /label is a u32/);
  assert.throws(() => keySpace(2 ** 32, 'id'), /replica is a u32/);
});
