/**
 * Aim: of everything that can be wrong with the files, only what a power loss can leave is repaired, and only where
 * nothing was acknowledged; all the rest is reported with file and offset. Small logs are damaged in every place.
 */

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { crc32c } from '@node-rs/crc32';
import { ShoalError } from '../kernel/errors.ts';
import { baseMarker, encodeSegmentHeader, marker, sectorBytes, segmentName, type RecordContent } from './format.ts';
import { FrameBuilder } from './frame-builder.ts';
import { contents, diskWith, entriesOf, filesOf, memoryDisk, openLog, type Files } from './log.fixture.ts';
import { LogState } from './state.ts';
import { SegmentStore } from './segment-store.ts';

const older = segmentName(1);
const newest = segmentName(2);
/** A payload whose sectors are zeros, and one with a single bit set: flipping that makes it zeros too. */
const zeros = new Uint8Array(2 * sectorBytes);
const almostZeros = Uint8Array.from(zeros, (_, index) => (index === sectorBytes ? 8 : 0));

/** Frame boundaries of the log made below; the last frame of the newest segment begins at `lastFrame`. */
const baseEnd = 2 * sectorBytes;
const lastFrame = 3 * sectorBytes;

async function smallLog(): Promise<Files> {
  const disk = memoryDisk();
  const narrow = await openLog(disk, { bounds: { segmentBytes: 4 * sectorBytes } });
  await narrow.replica(1).append(entriesOf(1, 1, 'a', 'b'));
  await narrow.replica(1).replaceSuffix(2, entriesOf(2, 2, 'B'));
  await narrow.replica(2).append(entriesOf(1, 1, 'x'));
  await narrow.close();
  const wide = await openLog(disk);
  await wide.replica(1).append(entriesOf(2, 3, zeros, almostZeros));
  await wide.close();
  const files = await filesOf(disk);
  assert.deepEqual([...files].map(([name, { length }]) => [name, length / sectorBytes]), [[older, 4], [newest, 8]]);
  return files;
}

/** The sizes that the payloads of replica 1, and replica 2, show after opening; or where corruption was reported. */
async function outcome(files: Files): Promise<string> {
  const disk = await diskWith(files);
  try {
    const log = await openLog(disk);
    const seqs = [1, 2].map((id) => log.replica(id).lastSeq);
    for (const id of [1, 2]) await contents(log.replica(id));
    await log.verify();
    await log.close();
    return `opened ${seqs.join(' ')}`;
  } catch (error) {
    assert.ok(error instanceof ShoalError && error.code === 'CORRUPTION', String(error));
    const { file, offset } = error.details;
    assert.ok(error.message.includes(String(file)) && error.message.includes(`offset ${offset}`), error.message);
    return `corrupt ${String(file).split('/').at(-1) === older ? 1 : 2}`;
  }
}

const edited = (files: Files, name: string, edit: (bytes: Uint8Array) => Uint8Array): Files =>
  new Map([...files].map(([each, bytes]) => [each, each === name ? edit(Uint8Array.from(bytes)) : bytes]));

function zeroed(bytes: Uint8Array, from: number, end: number): Uint8Array {
  return bytes.fill(0, from, end);
}

describe('damage to the files of a log', () => {
  let files: Files;
  before(async () => {
    files = await smallLog();
  });

  test('without any, everything is there', async () => {
    assert.equal(await outcome(files), 'opened 4 1');
  });

  test('a flipped bit in any byte is reported, and in its file', async () => {
    for (const [name, bytes] of files) {
      for (let offset = 0; offset < bytes.length; offset++) {
        const bit = offset % 8;
        const flipped = edited(files, name, (copy) => {
          copy[offset]! ^= 1 << bit;
          return copy;
        });
        assert.equal(await outcome(flipped), `corrupt ${name === older ? 1 : 2}`, `${name} byte ${offset} bit ${bit}`);
      }
    }
  });

  test('a newest segment cut short anywhere loses the frames cut, and nothing else', async () => {
    for (let length = 0; length < files.get(newest)!.length; length += 37) {
      const cut = edited(files, newest, (bytes) => bytes.subarray(0, length));
      const expected = length < lastFrame ? 'opened 2 0' : 'opened 2 1';
      assert.equal(await outcome(cut), expected, `cut at ${length}`);
    }
  });

  test('an older segment cut short anywhere is corrupt', async () => {
    for (let length = 0; length < files.get(older)!.length; length += 37) {
      const found = await outcome(edited(files, older, (bytes) => bytes.subarray(0, length)));
      assert.match(found, /^corrupt/, `cut at ${length}`);
    }
  });

  test('a sector of zeros in the last frame is a torn write; anywhere else it is corrupt', async () => {
    for (const [name, bytes] of files) {
      for (let start = 0; start < bytes.length; start += sectorBytes) {
        const found = await outcome(edited(files, name, (copy) => zeroed(copy, start, start + sectorBytes)));
        const isTorn = name === newest && start >= lastFrame;
        assert.equal(found, isTorn ? 'opened 2 1' : `corrupt ${name === older ? 1 : 2}`, `${name} sector at ${start}`);
      }
    }
  });

  const cases: { what: string; damage: (files: Files) => Files; found: string }[] = [
    { what: 'the last frame all zeros', damage: (log) => edited(log, newest, (bytes) => zeroed(bytes, lastFrame, bytes.length)), found: 'opened 2 1' },
    { what: 'the newest segment all zeros', damage: (log) => edited(log, newest, (bytes) => zeroed(bytes, 0, bytes.length)), found: 'opened 2 0' },
    {
      what: 'a newest segment whose base frame alone arrived',
      damage: (log) => edited(log, newest, (bytes) => zeroed(bytes.subarray(0, baseEnd), 0, sectorBytes)),
      found: 'opened 2 0',
    },
    { what: 'a part of a sector zeroed', damage: (log) => edited(log, newest, (bytes) => zeroed(bytes, lastFrame + 100, lastFrame + 600)), found: 'corrupt 2' },
    { what: 'bytes after the last frame', damage: (log) => edited(log, newest, (bytes) => Buffer.concat([bytes, Buffer.alloc(sectorBytes, 7)])), found: 'corrupt 2' },
    { what: 'zeros after the last frame', damage: (log) => edited(log, newest, (bytes) => Buffer.concat([bytes, Buffer.alloc(700)])), found: 'opened 4 1' },
    {
      what: 'a frame taken out of the middle',
      damage: (log) => edited(log, newest, (bytes) => Buffer.concat([bytes.subarray(0, baseEnd), bytes.subarray(lastFrame)])),
      found: 'corrupt 2',
    },
    {
      what: 'a frame twice',
      damage: (log) => edited(log, newest, (bytes) => Buffer.concat([bytes, bytes.subarray(lastFrame)])),
      found: 'corrupt 2',
    },
    { what: 'the last frame of an older segment missing', damage: (log) => edited(log, older, (bytes) => bytes.subarray(0, lastFrame)), found: 'corrupt 2' },
    { what: 'segments under each other’s names', damage: (log) => new Map([[older, log.get(newest)!], [newest, log.get(older)!]]), found: 'corrupt 1' },
    { what: 'an empty segment as the only one, not the first', damage: () => new Map([[newest, new Uint8Array(0)]]), found: 'corrupt 2' },
    { what: 'an empty first segment', damage: () => new Map([[older, new Uint8Array(0)]]), found: 'opened 0 0' },
  ];
  for (const { what, damage, found } of cases) {
    test(`${what}: ${found}`, async () => {
      assert.equal(await outcome(damage(files)), found);
    });
  }

  test('what was cut stays cut, and the log goes on', async () => {
    const disk = await diskWith(edited(files, newest, (bytes) => bytes.subarray(0, bytes.length - 1)));
    const repairs: string[] = [];
    const log = await openLog(disk, { onRepair: ({ file, offset }) => repairs.push(`${file.split('/').at(-1)} ${offset}`) });
    assert.deepEqual(repairs, [`${newest} ${lastFrame}`]);
    disk.crash();
    assert.equal((await disk.readFile(`/data/log/${newest}`))!.length, lastFrame);
    const again = await openLog(disk, { onRepair: () => assert.fail('nothing is left to repair') });
    await again.replica(1).append(entriesOf(3, 3, 'c'));
    await again.close();
    assert.deepEqual(await contents((await openLog(disk)).replica(1)), ['1.1 a', '2.2 B', '3.3 c']);
    void log;
  });

  test('a newer format is refused as such', async () => {
    const newer = edited(files, older, (bytes) => {
      const header = Buffer.from(bytes.buffer, 0, sectorBytes);
      header.writeUInt32LE(2, 8);
      header.writeUInt32LE(crc32c(header.subarray(0, sectorBytes - 4)), sectorBytes - 4);
      return bytes;
    });
    const disk = await diskWith(newer);
    await assert.rejects(openLog(disk), { code: 'FORMAT_TOO_NEW' });
  });

  test('a bit that flips while the log is open is found by read and verify', async () => {
    const disk = await diskWith(files);
    const log = await openLog(disk);
    assert.deepEqual(await log.verify(), { segments: 2, records: 8, bytes: 12 * sectorBytes });
    disk.flip(`/data/log/${newest}`, lastFrame + 700, 1);
    await assert.rejects(contents(log.replica(1)), { code: 'CORRUPTION', details: { file: `/data/log/${newest}`, offset: lastFrame } });
    await assert.rejects(log.verify(), { code: 'CORRUPTION', details: { file: `/data/log/${newest}`, offset: lastFrame } });
    assert.deepEqual(await contents(log.replica(2)), ['1.1 x']);
  });
});

describe('segments that do not follow each other', () => {
  test('a segment missing in the middle is named', async () => {
    const disk = memoryDisk();
    const log = await openLog(disk, { bounds: { segmentBytes: 3 * sectorBytes } });
    for (let seq = 1; seq <= 3; seq++) await log.replica(1).append(entriesOf(1, seq, 'a'));
    await log.close();
    await disk.remove(`/data/log/${newest}`);
    await assert.rejects(openLog(disk), { code: 'CORRUPTION', message: /0002\.log, offset 0: the segment is missing, but segment 3 exists/ });
  });

  test('a base that disagrees with the segments before it is corrupt', async () => {
    const cases: { base: RecordContent[]; because: RegExp }[] = [
      { base: [], because: /the base names 0 replicas instead of 1/ },
      { base: [marker('base', 2, 1, 1)], because: /the base names replica 2, which no earlier segment has/ },
      { base: [marker('base', 1, 1, 1)], because: /the base has replica 1 at seq 1, term 1; the segments before it end at seq 2, term 1/ },
      { base: [baseMarker(1, 2, 1, 3)], because: /the base has replica 1 in the adopted term 3; the segments before it end in 1/ },
    ];
    for (const { base, because } of cases) {
      const disk = memoryDisk();
      const log = await openLog(disk);
      await log.replica(1).append(entriesOf(1, 1, 'a', 'b'));
      await log.close();
      const { bytes } = await new FrameBuilder().build({ kind: 'base', segment: 2, frame: 3, records: base, chainCrc: () => 0 });
      const handle = await disk.open(`/data/log/${newest}`, 'create');
      await handle.write([encodeSegmentHeader({ segment: 2, firstFrame: 3 }), bytes], 0);
      await assert.rejects(openLog(disk), (error) => error instanceof ShoalError && error.code === 'CORRUPTION' && because.test(error.message));
    }
  });
});

describe('records that do not follow each other', () => {
  const entry = (localReplica: number, term: number, seq: number): RecordContent => ({ kind: 'entry', localReplica, term, seq, payload: Buffer.from('p') });
  const cases: { what: string; records: RecordContent[]; chainCrc?: number; because: RegExp }[] = [
    { what: 'a seq gap', records: [entry(1, 1, 1), entry(1, 1, 3)], because: /seq 3 follows 1/ },
    { what: 'a seq twice', records: [entry(1, 1, 1), entry(1, 1, 1)], because: /seq 1 follows 1/ },
    { what: 'a replica that begins in the middle', records: [entry(1, 1, 7)], because: /seq 7 follows 0/ },
    { what: 'a falling term', records: [entry(1, 5, 1), entry(1, 4, 2)], because: /term 4 follows 5/ },
    { what: 'a broken chain', records: [entry(1, 1, 1)], chainCrc: 99, because: /does not name the crc/ },
    { what: 'a truncation beyond the end', records: [marker('truncate', 1, 5, 1)], because: /truncation from seq 5 lies beyond 0/ },
    { what: 'an entry of a forgotten replica', records: [marker('forget', 1, 0, 0), entry(1, 1, 1)], because: /after it was forgotten/ },
    { what: 'a base record in a group', records: [marker('base', 1, 4, 1)], because: /outside a base frame/ },
  ];
  for (const { what, records, chainCrc = 0, because } of cases) {
    test(`${what} is corrupt`, async () => {
      const disk = memoryDisk();
      await disk.makeDirectory('/data/log');
      const store = new SegmentStore(disk, '/data/log', false);
      const state = new LogState();
      const builder = new FrameBuilder();
      await store.begin(1, state, builder);
      const { bytes } = await builder.build({ kind: 'group', segment: 1, frame: state.nextFrame, records, chainCrc: () => chainCrc });
      await store.newestHandle.write([bytes], store.newest.sizeBytes);
      await assert.rejects(openLog(disk), (error) => error instanceof ShoalError && error.code === 'CORRUPTION' && because.test(error.message));
    });
  }
});
