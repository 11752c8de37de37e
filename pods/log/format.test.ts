/** Pins the bytes: a change here is a new format version, and needs a migration. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '@node-rs/crc32';
import {
  adoptedTermOf,
  applyMask,
  baseMarker,
  decodeFrameHeader,
  decodeRecord,
  decodeSegmentHeader,
  encodeSegmentHeader,
  frameHeaderBytes,
  marker,
  maskOf,
  segmentName,
  segmentOfName,
} from './format.ts';
import { FrameBuilder } from './frame-builder.ts';

const large = 2 ** 40 + 5;

test('a segment header is read back, and no byte of it may differ', () => {
  const bytes = encodeSegmentHeader({ segment: large, firstFrame: 7 });
  assert.deepEqual(decodeSegmentHeader(bytes), { formatVersion: 1, segment: large, firstFrame: 7 });
  assert.equal(bytes.subarray(0, 28).toString('hex'), '53484f414c4c4f4701000000050000000001000007000000' + '00000000');
  assert.equal(decodeSegmentHeader(bytes.subarray(0, 511)), undefined);
});

test('a frame is read back, record by record, each naming the one before of its replica', async () => {
  const payload = Buffer.from('payload');
  const { bytes, records } = await new FrameBuilder().build({
    kind: 'group',
    segment: 3,
    frame: large,
    records: [
      { kind: 'entry', localReplica: 9, term: 2, seq: large, payload },
      marker('truncate', 9, 4, 1),
      marker('reset', 8, 6, 5),
      marker('adopt', 8, 0, 6),
    ],
    chainCrc: (localReplica) => localReplica * 100,
  });
  const header = decodeFrameHeader(bytes);
  assert.ok(header);
  const { kind, frameBytes, recordBytes, frame, segment, recordCount, mask } = header;
  assert.deepEqual({ kind, frameBytes, recordBytes, frame, segment, recordCount, mask }, {
    kind: 'group', frameBytes: 512, recordBytes: 4 * 36 + 7, frame: large, segment: 3, recordCount: 4, mask: maskOf(large),
  });
  assert.equal(crc32c(bytes), 2023814779, 'the pinned checksum of the whole frame');
  applyMask(bytes, frameHeaderBytes, bytes.length, mask);
  const end = frameHeaderBytes + recordBytes;
  const decoded = records.map(({ offset }) => decodeRecord(bytes, offset, end));
  assert.deepEqual(decoded, records.map((record) => ({ ...record, payload: Buffer.from(record.payload) })));
  assert.deepEqual(records.map(({ previousCrc }) => previousCrc), [900, records[0]!.crc, 800, records[2]!.crc]);
  assert.equal(decodeRecord(bytes, end - 10, end), 'a record is cut short');
});

test('a base record names the adopted term, in its payload only when that is not its own', () => {
  const payloads = [5, 9, large].map((adoptedTerm) => baseMarker(1, 100, 5, adoptedTerm));
  assert.deepEqual(payloads.map(({ payload }) => Buffer.from(payload).toString('hex')), ['', '0900000000000000', '0500000000010000']);
  assert.deepEqual(payloads.map(adoptedTermOf), [5, 9, large]);
  assert.equal(adoptedTermOf({ ...payloads[0]!, payload: Buffer.alloc(7) }), undefined);
});

test('a mask has no zero byte and differs from frame to frame', () => {
  const seen = new Set<number>();
  for (let frame = 0; frame < 10_000; frame++) {
    const mask = maskOf(frame);
    seen.add(mask);
    for (const shift of [0, 8, 16, 24]) assert.notEqual((mask >>> shift) & 255, 0);
  }
  assert.ok(seen.size > 9_900, `${seen.size}`);
});

test('segment names sort as their numbers do', () => {
  assert.equal(segmentName(12), '0000000000000012.log');
  assert.deepEqual(['0000000000000012.log', '12.log', '0000000000000012.log.old', 'CURRENT'].map(segmentOfName), [12, undefined, undefined, undefined]);
});
