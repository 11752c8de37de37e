// The kernels of each instruction set that this processor has, against the scalar ones, over dimensions around the widths of
// registers. A build without the core fails here: everything else would quietly run on hnswlib-node.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { below, seededRandom } from '../kernel/random.ts';
import { metrics } from '../domain/metric.ts';
import { rowDistancesOf } from '../index/distances.ts';
import { loadNativeCore, metricNumbers, type NativeCore } from './native-core.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 31);

function core(): NativeCore {
  const loaded = loadNativeCore();
  if (loaded instanceof Error) throw new Error('the native core is not built: node launcher.mjs test builds it', { cause: loaded });
  return loaded;
}

const dimensions = [...Array.from({ length: 140 }, (_, i) => i + 1), 255, 256, 257, 384, 511, 512, 513, 767, 768, 1_000, 1_536, 4_095];

test('the core is built, with kernels that fit this processor', () => {
  const expected = process.arch === 'arm64' ? ['neon'] : process.arch === 'x64' ? ['avx512', 'avx2', 'scalar'] : ['scalar'];
  assert.ok(expected.includes(core().kernelName()));
  assert.ok(core().compare('scalar', 'dot', Float32Array.of(2), Float32Array.of(3)) === 6);
  assert.equal(core().compare('none', 'dot', Float32Array.of(2), Float32Array.of(3)), undefined);
});

for (const name of ['scalar', 'avx2', 'avx512', 'neon']) {
  const isThere = !(loadNativeCore() instanceof Error) && core().compare(name, 'dot', Float32Array.of(1), Float32Array.of(1)) !== undefined;
  test(`${name} computes what arithmetic says (seed ${seed})`, { skip: isThere ? false : 'not on this processor' }, () => {
    const random = seededRandom(seed);
    for (const n of dimensions) {
      // Views at odd places: rows are not aligned to registers.
      const a = Float32Array.from({ length: n + 1 }, () => random.fraction() * 2 - 1).subarray(1);
      const b = Float32Array.from({ length: n + 1 }, () => random.fraction() * 2 - 1).subarray(1);
      let dot = 0;
      let squared = 0;
      for (let i = 0; i < n; i++) {
        dot += a[i]! * b[i]!;
        squared += (a[i]! - b[i]!) ** 2;
      }
      for (const [operation, expected] of [['dot', dot], ['dotMany', dot], ['squaredL2', squared], ['squaredL2Many', squared]] as const) {
        const found = core().compare(name, operation, a, b)!;
        assert.ok(Math.abs(found - expected) <= 2e-6 * n ** 0.5 + 1e-6 * Math.abs(expected), `${operation} of ${n}: ${found} instead of ${expected}`);
      }
      for (const extreme of [false, true]) {
        const byte = (): number => (extreme ? (below(random, 2) === 0 ? -128 : 127) : below(random, 256) - 128);
        const x = Int8Array.from({ length: n + 3 }, byte).subarray(3);
        const y = Int8Array.from({ length: n + 3 }, byte).subarray(3);
        const expected = x.reduce((sum, value, i) => sum + value * y[i]!, 0);
        assert.equal(core().compare(name, 'dotInt8', x, y), expected, `dotInt8 of ${n}`);
        assert.equal(core().compare(name, 'dotInt8Many', x, y), expected, `dotInt8Many of ${n}`);
      }
    }
  });
}

test(`distances to rows of a block are those of JavaScript, whatever their places (seed ${seed})`, () => {
  const random = seededRandom(seed);
  for (const metric of metrics) {
    const expectedOf = rowDistancesOf(metric);
    for (const dimension of [1, 3, 16, 100, 257]) {
      const rowCount = 1 + below(random, 200);
      const floats = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.fraction() * 2 - 1);
      const block = floats(rowCount * dimension);
      const query = floats(dimension * 3);
      const places = Uint32Array.from({ length: 130 }, () => below(random, rowCount));
      for (const count of [0, 1, 63, 64, 65, 130]) {
        const found = new Float64Array(130);
        const expected = new Float64Array(130);
        core().distances(metricNumbers[metric], query, dimension, dimension, block, places, count, found);
        expectedOf(query, dimension, dimension, block, places, count, expected);
        found.forEach((distance, i) => assert.ok(Math.abs(distance - expected[i]!) < 1e-4, `${metric}, ${dimension} dimensions, ${i} of ${count}: ${distance} instead of ${expected[i]}`));
      }
    }
  }
});

test('places outside the block and arrays that are too short are refused', () => {
  const ask = (queryOffset: number, places: Uint32Array, count: number, found: Float64Array) => () =>
    core().distances(metricNumbers.dot, new Float32Array(2), queryOffset, 2, new Float32Array(6), places, count, found);
  ask(0, Uint32Array.of(2), 1, new Float64Array(1))();
  assert.throws(ask(0, Uint32Array.of(3), 1, new Float64Array(1)), /outside the block/);
  assert.throws(ask(1, Uint32Array.of(2), 1, new Float64Array(1)), /too short/);
  assert.throws(ask(0, Uint32Array.of(2), 2, new Float64Array(2)), /too short/);
  assert.throws(ask(0, Uint32Array.of(2), 1, new Float64Array(0)), /too short/);
});

const isGlibc = process.platform === 'linux' && 'glibcVersionRuntime' in (process.report.getReport() as { header: object }).header;

test('freed memory goes back to the system, also from between what lives', { skip: isGlibc ? false : 'another C library, with habits of its own' }, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const anonymousBytes = (): number => Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
  const size = 64 * 1024;
  // Small enough to lie on the heap, where every eighth keeps the others' pages from its end.
  let buffers = Array.from({ length: 2_048 }, () => Buffer.allocUnsafeSlow(size).fill(1));
  const full = anonymousBytes();
  buffers = buffers.filter((_, place) => place % 8 === 0);
  const half = buffers.length * 7 * size * 0.5;
  for (let tries = 0; tries < 30 && anonymousBytes() > full - half; tries++) {
    collect();
    // V8 frees them on a thread of its own.
    await new Promise((resolve) => setImmediate(resolve));
    await core().returnFreedMemory();
  }
  assert.ok(anonymousBytes() <= full - half, `${full} bytes, then ${anonymousBytes()}`);
  assert.ok(buffers.every((buffer) => buffer.length === size && buffer[size - 1] === 1));
});

const searching = `
  import { workerData, parentPort } from 'node:worker_threads';
  const { loadNativeCore } = await import(workerData.module);
  const core = loadNativeCore();
  const index = core.create(2, 1, 0, 4, 16, '');
  await core.add(index, Uint32Array.from({ length: 500 }, (_, i) => i), Float32Array.from({ length: 1000 }, (_, i) => i % 37));
  const search = () => core.search(index, Float32Array.of(3, 4), new Int32Array(4 + 21), 10, 100, 0, 1e6, undefined, 500);
  await search();
  parentPort.postMessage('found');
  const untilEnded = async () => { for (;;) await search(); };
  if (workerData.goesOn) await Promise.all(Array.from({ length: 50 }, untilEnded));
`;

for (const [name, goesOn] of [['has nothing left to do', false], ['is ended while it searches', true]] as const) {
  test(`a thread that ${name} goes, and the core serves the next`, async () => {
    const url = new URL(`data:text/javascript,${encodeURIComponent(searching)}`);
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(url, { workerData: { module: new URL('./native-core.ts', import.meta.url).href, goesOn } });
      const ended = once(worker, 'exit');
      assert.deepEqual(await once(worker, 'message'), ['found']);
      if (goesOn) await worker.terminate();
      assert.deepEqual(await ended, [goesOn ? 1 : 0]);
    }
  });
}
