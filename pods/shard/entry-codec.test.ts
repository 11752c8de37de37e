/** Aim: what is logged is read back as it was; anything cut, lengthened or garbled is CORRUPTION or another whole entry, never a crash. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { ItemOutcome } from '../domain/write.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import { checkEntrySize, decodeEntry, decodeResults, encodeEntry, encodeResults, entrySizeBytes } from './entry-codec.ts';
import { noOp, type Entry, type Operation } from './operation.ts';

const outcomes: readonly ItemOutcome[] = ['created', 'updated', 'deleted', 'not-found', 'condition-failed'];
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((value) => value.isWellFormed());
const version = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const bytes = fc.uint8Array({ maxLength: 24 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    kind: fc.constant('upsert' as const),
    id: text,
    version,
    vector: fc.float32Array({ maxLength: 5, noNaN: true }).map(bytesOfVector),
    payload: bytes,
    text: fc.option(text, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('set-payload' as const), id: text, version, payload: bytes }),
  fc.record({ kind: fc.constant('delete' as const), id: text }),
  fc.record({ kind: fc.constant('put-record' as const), key: text, version, value: bytes }),
  fc.record({ kind: fc.constant('delete-record' as const), key: text }),
);
const entry: fc.Arbitrary<Entry> = fc.record({
  idempotency: fc.option(fc.record({ clientId: text, requestNumber: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) }), { nil: undefined }),
  operations: fc.array(operation, { maxLength: 4 }),
  results: fc.array(fc.record({ outcome: fc.constantFrom(...outcomes), version }), { maxLength: 5 }),
});

/** Byte arrays compare by content, whatever class holds them. */
function plain(value: Entry): unknown {
  return JSON.parse(JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? Array.from(part) : part)));
}

/** Buffers turn into objects in JSON before a replacer sees them. */
function withoutBuffers(value: Entry): Entry {
  return { ...value, operations: value.operations.map((part) => Object.fromEntries(Object.entries(part).map(([key, item]) => [key, Buffer.isBuffer(item) ? new Uint8Array(item) : item])) as unknown as Operation) };
}

test('an entry is read back as it was, and has the size that was foretold', () => {
  fc.assert(
    fc.property(entry, (value) => {
      const encoded = encodeEntry(value);
      assert.equal(encoded.length, entrySizeBytes(value));
      assert.deepEqual(plain(withoutBuffers(decodeEntry(encoded))), plain(value));
    }),
  );
});

test('the no-op of a term has a fixed form', () => {
  assert.deepEqual([...encodeEntry(noOp)], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test('an entry that is cut or lengthened is CORRUPTION', () => {
  fc.assert(
    fc.property(entry, fc.nat(), (value, at) => {
      const encoded = encodeEntry(value);
      assert.throws(() => decodeEntry(encoded.subarray(0, at % encoded.length)), (error) => hasCode(error, 'CORRUPTION'));
      assert.throws(() => decodeEntry(Buffer.concat([encoded, Uint8Array.of(0)])), (error) => hasCode(error, 'CORRUPTION'));
    }),
  );
});

test('a garbled entry is CORRUPTION or decodes to something, and asks for no memory that is not there', () => {
  fc.assert(
    fc.property(entry, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, flip) => {
      const encoded = Buffer.from(encodeEntry(value));
      encoded[at % encoded.length]! ^= flip;
      try {
        decodeEntry(encoded);
      } catch (error) {
        assert(hasCode(error, 'CORRUPTION'), String(error));
      }
    }),
  );
});

test('results alone', () => {
  const results = outcomes.map((outcome, i) => ({ outcome, version: i * 1e15 }));
  assert.deepEqual(decodeResults(encodeResults(results)), results);
  assert.throws(() => decodeResults(Uint8Array.of(1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0)), (error) => hasCode(error, 'CORRUPTION'));
});

test('an entry that the log would not take is refused before it gets a seq', () => {
  const put = (sizeBytes: number): Entry => ({ ...noOp, operations: [{ kind: 'put-record', key: 'k', version: 1, value: new Uint8Array(sizeBytes) }] });
  checkEntrySize(put(limits.logRecordBytesMax - 200));
  assert.throws(() => checkEntrySize(put(limits.logRecordBytesMax)), (error) => hasCode(error, 'BATCH_TOO_LARGE'));
});
