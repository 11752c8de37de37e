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
  const expected = '0a0143' + 'aa010208' + '01' + 'f001' + '0a' + 'da020c' + '4a0a' + '1a06'.slice(0, 0);
  const bytes = encodeSearch('C', Float32Array.of(1), 10).toString('hex');
  assert.equal(bytes, `${expected.slice(0, -10)}da020a4a081a040000803f2001b00601`);
});
