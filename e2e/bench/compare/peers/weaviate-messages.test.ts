import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { decodeBatchErrors, decodeSearch, encodeSearch, rowOfUuid, uuidOfRow } from './weaviate-messages.ts';

test('a row is in its UUID', () => {
  for (const row of [0, 1, 341_478, 2 ** 40]) {
    const bytes = Buffer.from(uuidOfRow(row).replaceAll('-', ''), 'hex');
    assert.equal(bytes.length, 16);
    assert.equal(rowOfUuid(bytes), row);
  }
});

test('rows of a reply, whatever else stands in it', () => {
  const writer = new BinaryWriter().uint32(13).float(0.5);
  for (const row of [7, 300_000]) {
    writer.uint32(18).fork().uint32(10).fork().uint32(26).string('Class').join();
    writer.uint32(18).fork().uint32(61).float(0.1).uint32((20 << 3) | 2).bytes(Buffer.from(uuidOfRow(row).replaceAll('-', ''), 'hex')).join();
    writer.join();
  }
  assert.deepEqual(decodeSearch(writer.finish()), [7, 300_000]);
});

test('errors of a batch', () => {
  const reply = new BinaryWriter().uint32(18).fork().uint32(8).int32(3).uint32(18).string('too long').join().finish();
  assert.deepEqual(decodeBatchErrors(reply), ['too long']);
  assert.deepEqual(decodeBatchErrors(new Uint8Array()), []);
});

test('the bytes of a search', () => {
  const [collection, metadata, limit, nearVector, uses127] = ['0a0143', 'aa01020801', 'f0010a', 'da020a4a081a040000803f2001', 'b00601'];
  assert.equal(encodeSearch('C', Float32Array.of(1), 10).toString('hex'), collection + metadata + limit + nearVector + uses127);
});
