import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { searched, startDriver } from './driven-peer.ts';

/** Finds the row with the number of the query, and prints what it was asked. */
const driver = `
const { createInterface } = require('node:readline');
const { writeFileSync } = require('node:fs');
createInterface(process.stdin).on('line', (line) => {
  const [verb, file, count, k, , , answers, latencies] = line.split('\\t');
  console.log('a library speaks');
  if (verb === 'open') return console.log('error\\tnothing is there');
  if (verb !== 'search') return console.log('ok\\t0');
  writeFileSync(answers, new Int32Array(count * k).map((_, at) => (at % k === 0 ? at / k : -1)));
  writeFileSync(latencies, new Float64Array(+count).fill(0.5));
  console.log('ok\\t2.5');
});`;

test('answers and latencies come from files, though they were read into the middle of a larger buffer', () => {
  const pool = Buffer.alloc(1_000);
  const answerBytes = pool.subarray(4, 4 + 2 * 10 * 4);
  answerBytes.set(new Uint8Array(new Int32Array(20).map((_, at) => (at % 10 < 2 ? at : -1)).buffer));
  const latencyBytes = pool.subarray(200, 216);
  latencyBytes.set(new Uint8Array(Float64Array.of(1.5, 2.5).buffer));
  assert.deepEqual(searched(2, answerBytes, latencyBytes), { answers: [[0, 1], [10, 11]], latenciesMs: Float64Array.of(1.5, 2.5) });
  assert.throws(() => searched(3, answerBytes, latencyBytes), /answered 20 rows and 2 latencies to 3 queries/);
});

test('a driver is asked line by line, its own prints are passed over, and its errors are ours', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'shoal-driver-'));
  try {
    const program = join(parent, 'driver.cjs');
    await writeFile(program, driver);
    const directory = join(parent, 'data');
    const peer = startDriver({ command: process.execPath, args: [program] }, { directory, core: undefined });
    await assert.rejects(peer.open(3), /nothing is there/);
    const { answers, seconds, cpuMicros } = await peer.search({ dimension: 1, count: 3, values: Float32Array.of(1, 2, 3) }, 16, 1);
    assert.deepEqual({ answers, seconds }, { answers: [[0], [1], [2]], seconds: 2.5 });
    assert.ok(cpuMicros! >= 0);
    await peer.stop();
    const failing = startDriver({ command: process.execPath, args: ['-e', 'console.error("no library"); process.exit(3)'] }, { directory, core: undefined });
    await assert.rejects(failing.create(1, 1), /exit code 3\nno library/);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
});
