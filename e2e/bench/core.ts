/**
 * The index cores side by side in one process, without a server: processor time of an insertion and of a query at equal
 * recall, and what an import and searches cost each other. hnswlib-node runs as the program runs it, in its worker.
 *
 *     node e2e/bench/core.ts <file.fvecs|synthetic:512> [points] [native,int8,hnswlib]
 */

import { tmpdir } from 'node:os';
import { readVectors, type VectorRows } from './vector-file.ts';
import { hnswlibIndexFactory } from '../../pods/index/hnswlib-index.ts';
import { nativeIndexFactory } from '../../pods/index/native-index.ts';
import { loadNativeCore } from '../../pods/native/native-core.ts';
import { FlatIndex } from '../../pods/index/flat-index.ts';
import { LabelBits } from '../../pods/domain/label-set.ts';
import { seededRandom } from '../../pods/kernel/random.ts';
import type { IndexParameters, VectorIndex, VectorIndexFactory } from '../../pods/index/vector-index.ts';

const queryCount = 500;
const batchCount = 256;
const k = 10;

const [path = '', limit = '100000', which = 'native,hnswlib'] = process.argv.slice(2);
const header = path.startsWith('synthetic:') ? clustered(Number(path.slice(10)), Number(limit) + queryCount) : readVectors(path, Number(process.env['DIMENSION'] ?? 100), Number(limit) + queryCount);
const { dimension } = header;
const pointCount = header.count - queryCount;
let parameters: IndexParameters = { dimension, metric: 'cosine', m: 16, efConstruction: 128 };

/** Points around centers that lie in a space of fewer dimensions, as embeddings do. */
function clustered(dimension: number, count: number): VectorRows {
  const random = seededRandom(5);
  const inner = 24;
  const gauss = (): number => random.fraction() + random.fraction() + random.fraction() + random.fraction() - 2;
  const basis = Float32Array.from({ length: inner * dimension }, gauss);
  const centers = Float32Array.from({ length: 300 * inner }, gauss);
  const values = new Float32Array(count * dimension);
  for (let row = 0; row < count; row++) {
    const center = Math.floor(random.fraction() * 300) * inner;
    for (let i = 0; i < inner; i++) {
      const weight = centers[center + i]! + 0.8 * gauss();
      for (let at = 0; at < dimension; at++) values[row * dimension + at]! += weight * basis[i * dimension + at]!;
    }
    for (let at = 0; at < dimension; at++) values[row * dimension + at]! += 0.3 * gauss();
  }
  return { dimension, count, values };
}

/** The rows in an order of their own: files are sorted by frequency. */
function shuffled(): Float32Array {
  const random = seededRandom(7);
  const order = Array.from({ length: header.count }, (_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.fraction() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const rows = new Float32Array(header.count * dimension);
  order.forEach((row, i) => rows.set(header.values.subarray(row * dimension, (row + 1) * dimension), i * dimension));
  return rows;
}

const rows = shuffled();
const query = (i: number): Float32Array => rows.slice((pointCount + i) * dimension, (pointCount + i + 1) * dimension);
const cpuUs = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

async function add(index: VectorIndex, from: number, to: number, firstLabel = from): Promise<void> {
  for (let start = from; start < to; start += batchCount) {
    const end = Math.min(to, start + batchCount);
    const labels = Uint32Array.from({ length: end - start }, (_, i) => firstLabel + start - from + i);
    await index.add(labels, rows.slice(start * dimension, end * dimension));
  }
}

async function exactNearest(filter?: LabelBits): Promise<number[][]> {
  const flat = new FlatIndex(parameters);
  await flat.add(Uint32Array.from({ length: pointCount }, (_, i) => i), rows.slice(0, pointCount * dimension));
  const nearest: number[][] = [];
  for (let i = 0; i < 100; i++) nearest.push([...flat.searchNow(query(i), k, filter).labels]);
  return nearest;
}

async function measureSearches(index: VectorIndex, ef: number, truth: number[][], filter?: LabelBits): Promise<string> {
  let found = 0;
  let visited = 0;
  let plan = '';
  const startUs = cpuUs();
  for (let i = 0; i < queryCount; i++) {
    const result = await index.search({ queries: query(i), k, ef, ...(filter && { filter }) });
    visited += result.visitedCount ?? 0;
    plan = result.plan;
    if (i < truth.length) found += [...result.hits[0]!.labels].filter((label) => truth[i]!.includes(label)).length;
  }
  const perQuery = (cpuUs() - startUs) / queryCount;
  return `ef ${ef}: ${perQuery.toFixed(0)} CPU us/query, recall@10 ${(found / truth.length / k).toFixed(4)}, visited ${(visited / queryCount).toFixed(0)}, ${plan}`;
}

/** `clients` searches at a time for `forMs`; their latencies. */
async function searchFor(index: VectorIndex, clients: number, forMs: number): Promise<{ p50: number; p99: number; perSecond: number }> {
  const latencies: number[] = [];
  const endMs = performance.now() + forMs;
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let i = client; performance.now() < endMs; i += clients) {
        const startMs = performance.now();
        await index.search({ queries: query(i % queryCount), k, ef: 256 });
        latencies.push(performance.now() - startMs);
      }
    }),
  );
  latencies.sort((a, b) => a - b);
  const at = (part: number): number => latencies[Math.floor(latencies.length * part)]!;
  return { p50: at(0.5), p99: at(0.99), perSecond: (latencies.length / forMs) * 1_000 };
}

async function run(name: string, factory: VectorIndexFactory): Promise<void> {
  const index = await factory.create(parameters);
  const say = (line: string): void => void process.stdout.write(`${name.padEnd(8)} ${line}\n`);
  const startUs = cpuUs();
  const startMs = performance.now();
  await add(index, 0, pointCount);
  const importMs = performance.now() - startMs;
  say(`${((cpuUs() - startUs) / pointCount).toFixed(0)} CPU us/insert, ${((pointCount / importMs) * 1_000).toFixed(0)} points/s, ${(index.memoryBytes() / pointCount).toFixed(0)} bytes/point`);
  const truth = await exactNearest();
  for (const ef of [64, 128, 256, 256]) say(await measureSearches(index, ef, truth));
  const random = seededRandom(3);
  for (const share of [0.5, 0.1, 0.01]) {
    const filter = LabelBits.from(Array.from({ length: pointCount }, (_, i) => i).filter(() => random.fraction() < share));
    say(`filter ${share}: ${await measureSearches(index, 256, await exactNearest(filter), filter)}`);
  }
  const alone = await searchFor(index, 16, 3_000);
  const addFrom = pointCount;
  let isImporting = true;
  let imported = 0;
  const importing = (async () => {
    const beganMs = performance.now();
    while (isImporting) {
      const start = (imported * 1) % (pointCount - batchCount);
      await add(index, start, start + batchCount, addFrom + imported);
      imported += batchCount;
    }
    return (imported / (performance.now() - beganMs)) * 1_000;
  })();
  const beside = await searchFor(index, 16, 4_000);
  isImporting = false;
  const rate = await importing;
  const show = ({ p50, p99, perSecond }: typeof alone): string => `${perSecond.toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  say(`16 clients: ${show(alone)}; beside an import of ${rate.toFixed(0)} points/s: ${show(beside)}`);
  await index.close();
}

const core = loadNativeCore();
if (core instanceof Error) throw core;
const native = nativeIndexFactory(core, tmpdir());
for (const name of which.split(',')) {
  parameters = { ...parameters, quantization: name === 'int8' ? 'int8' : 'none' };
  await run(name, name === 'hnswlib' ? hnswlibIndexFactory : native);
}
