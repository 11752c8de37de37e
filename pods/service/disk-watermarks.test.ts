import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { hasCode } from '../kernel/errors.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { limits } from '../kernel/limits.ts';
import { silentLogger } from '../kernel/logger.ts';
import { seededRandom } from '../kernel/random.ts';
import { DiskWatermarks } from './disk-watermarks.ts';

test('read-only at one mark, writable again below another, and a disk that cannot be asked changes nothing', async () => {
  const clock = new SimulatedClock();
  let answer: number | Error = 0.5;
  const fileSystem = faultyFileSystem({ random: seededRandom(1) });
  fileSystem.usage = () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ usedFraction: answer, freeBytes: 1 }));
  const disk = await DiskWatermarks.start({ fileSystem, directory: '/data', readOnlyAtFraction: 0.9, clock, logger: silentLogger });
  const steps: [number | Error, boolean][] = [
    [0.89, true],
    [0.9, false],
    [0.86, false],
    [new Error('EIO'), false],
    [0.85, false],
    [0.84, true],
    [0.89, true],
    [1, false],
  ];
  for (const [next, writable] of steps) {
    answer = next;
    clock.advance(limits.diskCheckIntervalMs);
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    assert.equal(disk.writable, writable, String(next));
    if (writable) disk.checkWritable(0);
    else assert.throws(() => disk.checkWritable(0), (error) => hasCode(error, 'STORAGE_READ_ONLY'));
  }
  disk.close();
  answer = 0.1;
  clock.advance(10 * limits.diskCheckIntervalMs);
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  assert.equal(disk.writable, false, 'a closed one looks no more');
});

test('a lower mark for read-only takes the other with it', async () => {
  const fileSystem = faultyFileSystem({ random: seededRandom(1) });
  let usedFraction = 0.5;
  fileSystem.usage = () => Promise.resolve({ usedFraction, freeBytes: 1 });
  const clock = new SimulatedClock();
  const disk = await DiskWatermarks.start({ fileSystem, directory: '/data', readOnlyAtFraction: 0.5, clock, logger: silentLogger });
  assert.equal(disk.writable, false, 'known from the start');
  usedFraction = 0.46;
  clock.advance(limits.diskCheckIntervalMs);
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  assert.equal(disk.writable, false);
  usedFraction = 0.44;
  clock.advance(limits.diskCheckIntervalMs);
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  assert.equal(disk.writable, true);
  disk.close();
});

test('no more is let in between two looks than fits', async () => {
  const fileSystem = faultyFileSystem({ random: seededRandom(1) });
  fileSystem.usage = () => Promise.resolve({ usedFraction: 0.5, freeBytes: 100 * limits.diskWriteAmplification });
  const clock = new SimulatedClock();
  const disk = await DiskWatermarks.start({ fileSystem, directory: '/data', readOnlyAtFraction: 0.9, clock, logger: silentLogger });
  disk.checkWritable(60);
  assert.throws(() => disk.checkWritable(41), (error) => hasCode(error, 'STORAGE_READ_ONLY'));
  disk.checkWritable(40);
  assert.throws(() => disk.checkWritable(1), (error) => hasCode(error, 'STORAGE_READ_ONLY'));
  clock.advance(limits.diskCheckIntervalMs);
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  disk.checkWritable(100);
  disk.close();
});
