// Beyond what every index does: deltas, images that are damaged under right checksums, and a graph that stays good and small
// while its points come and go.

import { crc32c } from '@node-rs/crc32';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ShoalError } from '../kernel/errors.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import { loadNativeCore } from '../native/native-core.ts';
import { FlatIndex } from './flat-index.ts';
import { nativeIndexFactory } from './native-index.ts';
import type { CheckpointPart, IndexParameters, VectorIndex, VectorIndexFactory } from './vector-index.ts';
import { vectorIndexConformance } from './vector-index.conformance.ts';

const core = loadNativeCore();
if (core instanceof Error) throw new Error('the native core is not built', { cause: core });
const factory = nativeIndexFactory(core);

vectorIndexConformance('native', factory);

vectorIndexConformance('flat, its rows compared by the core', {
  quantizations: ['none'],
  create: (parameters) => Promise.resolve(new FlatIndex(parameters, factory.rowDistances!(parameters.metric))),
  load: (parameters, directory, parts) => FlatIndex.load(parameters, directory, parts, factory.rowDistances!(parameters.metric)),
});

const seed = Number(process.env['SHOAL_SEED'] ?? 77);
/** The same index over codes: what is found is compared again with the vectors themselves. */
const quantised: VectorIndexFactory = (() => {
  const made = nativeIndexFactory(core, tmpdir());
  const int8 = (parameters: IndexParameters): IndexParameters => ({ ...parameters, quantization: 'int8' });
  return {
    quantizations: made.quantizations,
    create: (parameters) => made.create(int8(parameters)),
    load: (parameters, directory, parts) => made.load(int8(parameters), directory, parts),
  };
})();

vectorIndexConformance('native, int8', quantised);

const dimension = 24;
const parameters: IndexParameters = { dimension, metric: 'cosine', m: 16, efConstruction: 100 };

class Points {
  readonly random: Random = seededRandom(seed);
  readonly #centers = Array.from({ length: 200 }, () => this.#noise());

  #noise(): number[] {
    return Array.from({ length: dimension }, () => this.random.fraction() + this.random.fraction() + this.random.fraction() - 1.5);
  }

  vectors(count: number): Float32Array {
    const packed = new Float32Array(count * dimension);
    for (let i = 0; i < count; i++) {
      const center = this.#centers[below(this.random, this.#centers.length)]!;
      packed.set(this.#noise().map((x, at) => center[at]! + 0.7 * x), i * dimension);
    }
    return packed;
  }

  async add(index: VectorIndex, first: number, count: number): Promise<void> {
    for (let start = 0; start < count; start += 500) {
      const some = Math.min(500, count - start);
      await index.add(range(first + start, some), this.vectors(some));
    }
  }
}

const range = (first: number, count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => first + i);

async function opened(context: TestContext): Promise<VectorIndex> {
  const index = await factory.create(parameters);
  context.after(() => index.close());
  return index;
}

async function directoryOf(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-native-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Recall@10 at ef 24, where a worse graph shows. */
async function recallOf(index: VectorIndex, queries: Float32Array): Promise<number> {
  const search = { queries, k: 10, ef: 24 };
  const right = await index.search({ ...search, exact: true });
  const hits = await index.search(search);
  assert.equal(hits.plan, 'graph');
  let same = 0;
  right.hits.forEach(({ labels }, i) => (same += [...hits.hits[i]!.labels].filter((label) => labels.includes(label)).length));
  return same / (right.hits.length * 10);
}

test('rows that fill no whole number of huge pages take no more memory for that', async () => {
  // A chunk of 4,096 rows of 2,080 bytes: 8.1 MiB, of huge pages it would be 10.
  const [dimension, m, pointCount] = [520, 4, 4_096];
  const index = await factory.create({ dimension, metric: 'euclidean', m, efConstruction: 8 });
  const random = seededRandom(seed);
  await index.add(Uint32Array.from({ length: pointCount }, (_, i) => i), Float32Array.from({ length: pointCount * dimension }, () => random.fraction()));
  const bytes = index.memoryBytes() / pointCount;
  const expected = 4 * dimension + 8 * m + 10 + 8 + (4 * m + 20) / m;
  await index.close();
  assert.ok(bytes < expected * 1.1, `${bytes} bytes a point, by the layout ${expected}`);
});

test(`after replacing every point once, and after removing 9 of 10 and filling up again, recall is a fresh graph's and memory is reused (seed ${seed})`, async (context) => {
  const count = 6_000;
  const points = new Points();
  const index = await opened(context);
  await points.add(index, 0, count);
  const memory: number[] = [];
  // Under other labels, as the shard does it: a label names one vector.
  for (let start = 0; start < count; start += 200) {
    await points.add(index, count + start, 200);
    await index.remove(range(start, 200));
    memory.push(index.memoryBytes());
  }
  const queries = points.vectors(400);
  const fresh = await opened(context);
  await points.add(fresh, 0, count);
  const freshRecall = await recallOf(fresh, queries);
  const replaced = await recallOf(index, queries);
  assert.ok(replaced >= freshRecall - 0.01, `replaced ${replaced}, fresh ${freshRecall}`);
  await index.remove(range(count, (count * 9) / 10));
  await points.add(index, 0, (count * 9) / 10);
  const refilled = await recallOf(index, queries);
  assert.ok(refilled >= freshRecall - 0.01, `refilled ${refilled}, fresh ${freshRecall}`);
  assert.equal(index.size, count);
  const bytes = index.memoryBytes();
  assert.ok(bytes <= Math.max(...memory) * 1.5, `${bytes} bytes, before ${Math.max(...memory)}`);
  context.diagnostic(`recall fresh ${freshRecall}, replaced ${replaced}, refilled ${refilled}`);
});

test(`at one ef a search looks at less where the nearest stand out, and at more where many are nearly as near (seed ${seed})`, async (context) => {
  const points = new Points();
  const index = await opened(context);
  await points.add(index, 0, 6_000);
  // Groups of 12 that lie close together, each around one of the other points.
  const groups = points.vectors(100);
  const members = new Float32Array(12 * groups.length).map((_, i) => {
    const [group, component] = [Math.floor(i / (12 * dimension)), i % dimension];
    return groups[group * dimension + component]! + 0.02 * (points.random.fraction() - 0.5);
  });
  await index.add(range(6_000, members.length / dimension), members);
  const root = await directoryOf(context);
  await mkdir(join(root, '1'));
  const loaded = await factory.load(parameters, join(root, '1'), await index.checkpoint(join(root, '1')));
  context.after(() => loaded.close());
  const [k, ef, crowd] = [10, 200, points.vectors(100)];
  for (const searched of [index, loaded]) {
    const visited = async (queries: Float32Array): Promise<number> => {
      const right = await searched.search({ queries, k, ef, exact: true });
      const found = await searched.search({ queries, k, ef, countVisited: true });
      assert.equal(found.plan, 'graph');
      const same = found.hits.flatMap(({ labels }, i) => [...labels].filter((label) => right.hits[i]!.labels.includes(label))).length;
      assert.ok(same >= right.hits.length * k * 0.97, `${same} of ${right.hits.length * k}`);
      return found.visitedCount! / (queries.length / dimension);
    };
    const [ofGroups, ofCrowd] = [await visited(groups), await visited(crowd)];
    // A walk of a fixed breadth always sees at least so many.
    assert.ok(ofGroups < ef, `${ofGroups} nodes a query whose nearest stand out`);
    assert.ok(ofCrowd > ef && ofCrowd < 3 * ef, `${ofCrowd} nodes a query among many`);
    context.diagnostic(`${Math.round(ofGroups)} and ${Math.round(ofCrowd)} nodes of 7,200`);
  }
});

test(`vectors of very different lengths are found under euclidean, where a few long ones lie between all others (seed ${seed})`, async (context) => {
  const [count, k] = [8_000, 1];
  const points = new Points();
  const index = await factory.create({ ...parameters, metric: 'euclidean' });
  context.after(() => index.close());
  const vectors = points.vectors(count);
  for (let i = 0; i < count; i++) {
    const length = Math.exp(4 * (points.random.fraction() - 0.5));
    for (let at = 0; at < dimension; at++) vectors[i * dimension + at]! *= length;
  }
  for (let start = 0; start < count; start += 500) await index.add(range(start, 500), vectors.subarray(start * dimension, (start + 500) * dimension));
  const { hits } = await index.search({ queries: vectors, k, ef: 64 });
  const missed = hits.filter(({ labels }, i) => labels[0] !== i).length;
  context.diagnostic(`${missed} of ${count} do not find themselves`);
  assert.ok(missed < count / 100, `${missed} of ${count}`);
});

for (const metric of ['cosine', 'euclidean'] as const) {
  test(`among points that differ by less than their codes tell, the nearest are found under ${metric} (seed ${seed})`, async (context) => {
    const [groupCount, memberCount, k] = [130, 30, 10];
    const points = new Points();
    const index = await quantised.create({ ...parameters, metric });
    context.after(() => index.close());
    await points.add(index, 0, 3_000);
    const groups = points.vectors(groupCount);
    // A step of the codes is about a hundredth.
    const near = (i: number): Float32Array => groups.slice(i * dimension, (i + 1) * dimension).map((component) => component + 0.004 * (points.random.fraction() - 0.5));
    const members = new Float32Array(groupCount * memberCount * dimension);
    for (let i = 0; i < groupCount * memberCount; i++) members.set(near(i % groupCount), i * dimension);
    await index.add(range(3_000, groupCount * memberCount), members);
    const queries = new Float32Array(groups.length);
    for (let i = 0; i < groupCount; i++) queries.set(near(i), i * dimension);
    const right = await index.search({ queries, k, ef: 200, exact: true });
    const found = await index.search({ queries, k, ef: 200 });
    assert.equal(found.plan, 'graph');
    const same = found.hits.flatMap(({ labels }, i) => [...labels].filter((label) => right.hits[i]!.labels.includes(label))).length;
    context.diagnostic(`${same} of ${groupCount * k}`);
    assert.ok(same >= groupCount * k * 0.95, `${same} of ${groupCount * k}`);
  });
}

test('a checkpoint after the first is a delta, whole in its own directory; a base comes when the earlier one is gone', async (context) => {
  const points = new Points();
  const index = await opened(context);
  const root = await directoryOf(context);
  const checkpoint = async (name: string): Promise<readonly CheckpointPart[]> => {
    await mkdir(join(root, name));
    return index.checkpoint(join(root, name));
  };
  const names = (parts: readonly CheckpointPart[]): string[] => parts.map((part) => part.name);
  await points.add(index, 0, 4_000);
  const first = await checkpoint('1');
  await points.add(index, 4_000, 100);
  await index.remove(range(50, 30));
  const second = await checkpoint('2');
  assert.deepEqual([names(first), names(second)], [['header.json', 'base.bin'], ['header.json', 'base.bin', 'delta-0001.bin']]);
  assert.ok(second[2]!.sizeBytes < second[1]!.sizeBytes / 4, `${second[2]!.sizeBytes} of ${second[1]!.sizeBytes}`);
  assert.equal((await stat(join(root, '1', 'base.bin'))).ino, (await stat(join(root, '2', 'base.bin'))).ino);
  await rm(join(root, '1'), { recursive: true });
  const loaded = await factory.load(parameters, join(root, '2'), second);
  context.after(() => loaded.close());
  const search = { queries: points.vectors(50), k: 10, ef: 64 };
  assert.deepEqual((await loaded.search(search)).hits, (await index.search(search)).hits);
  assert.deepEqual(loaded.labels().toSorted(), index.labels().toSorted());
  // What was loaded goes on with deltas.
  await points.add(loaded, 9_000, 50);
  await mkdir(join(root, '3'));
  assert.deepEqual(names(await loaded.checkpoint(join(root, '3'))), ['header.json', 'base.bin', 'delta-0001.bin', 'delta-0002.bin']);
  await rm(join(root, '2'), { recursive: true });
  assert.deepEqual(names(await checkpoint('4')), ['header.json', 'base.bin']);
  // Deltas that have outgrown half of the base are folded into a new one.
  await points.add(index, 20_000, 4_000);
  assert.equal((await checkpoint('5')).length, 3);
  assert.deepEqual(names(await checkpoint('6')), ['header.json', 'base.bin']);
});

test(`images with damage under right checksums are CORRUPTION or an index that answers, never a crash (seed ${seed})`, async (context) => {
  const points = new Points();
  const index = await opened(context);
  const root = await directoryOf(context);
  await points.add(index, 0, 300);
  await index.remove(range(10, 20));
  await mkdir(join(root, 'good'));
  await mkdir(join(root, 'both'));
  await index.checkpoint(join(root, 'good'));
  await points.add(index, 300, 40);
  const parts = await index.checkpoint(join(root, 'both'));
  const random = seededRandom(seed);
  let corruptCount = 0;
  for (let round = 0; round < 400; round++) {
    const directory = join(root, `damaged-${round}`);
    await mkdir(directory);
    const victim = parts[1 + (round % 2)]!.name;
    const damaged: CheckpointPart[] = [];
    for (const part of parts) {
      let bytes: Buffer = await readFile(join(root, 'both', part.name));
      if (part.name === victim) bytes = damage(bytes, random);
      await writeFile(join(directory, part.name), bytes);
      damaged.push({ name: part.name, sizeBytes: bytes.length, checksum: crc32c(bytes) });
    }
    try {
      const loaded = await factory.load(parameters, directory, damaged);
      await loaded.search({ queries: points.vectors(3), k: 10, ef: 64 });
      await points.add(loaded, 5_000, 5);
      await loaded.close();
    } catch (error) {
      assert.equal((error as ShoalError).code, 'CORRUPTION', String(error));
      corruptCount++;
    }
    await rm(directory, { recursive: true });
  }
  assert.ok(corruptCount > 50, `${corruptCount} of 400 were found to be damaged`);
});

/** A changed word, a cut, bytes more, or a stretch of zeros; the header's own checksum is made right half of the time. */
function damage(original: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(original);
  const kind = below(random, 5);
  // Half of the places in the header and the labels, where damage does most.
  const at = below(random, 2) === 0 ? below(random, 76) : below(random, bytes.length - 8);
  if (kind <= 1) bytes.writeUInt32LE(kind === 0 ? random.uint32() : below(random, 400), at);
  else if (kind === 2) bytes = bytes.subarray(0, at);
  else if (kind === 3) bytes = Buffer.concat([bytes, bytes.subarray(0, at)]);
  else bytes.fill(0, at, at + below(random, 200));
  if (bytes.length >= 72 && below(random, 2) === 0) {
    bytes.writeUInt32LE(0, headerChecksumAt);
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, 72)), headerChecksumAt);
  }
  return bytes;
}

/** Of core/image-header.h. */
const headerChecksumAt = 52;

test('a disk that takes no more vectors is named, and none of the batch is there; with room again it goes on', async (context) => {
  const exactDirectory = await directoryOf(context);
  const small = { ...parameters, dimension: 4, m: 4, efConstruction: 16, quantization: 'int8' } as const;
  const index = await nativeIndexFactory(core, exactDirectory).create(small);
  context.after(() => index.close());
  const random = seededRandom(seed);
  const add = (first: number, count: number): Promise<void> => index.add(range(first, count), Float32Array.from({ length: 4 * count }, () => random.fraction() - 0.5));
  // The file grows by 16,384 vectors at a time.
  const limited = allowFilesOf(16_384 * 16);
  if (!limited) return context.skip('needs prlimit');
  try {
    await add(0, 16_000);
    await assert.rejects(add(20_000, 1_000), (error: ShoalError) => error.code === 'STORAGE_READ_ONLY' && error.message.includes(`the file of exact vectors under ${exactDirectory}`));
    assert.deepEqual(index.labels().toSorted(), range(0, 16_000));
    await index.remove(range(0, 4_000));
    // The space of what was removed is used again.
    await eventually(() => add(20_000, 1_000));
  } finally {
    allowFilesOf('unlimited');
  }
  await add(30_000, 5_000);
  assert.equal(index.size, 12_000 + 1_000 + 5_000);
  const found = await index.search({ queries: Float32Array.of(1, 1, 1, 1), k: 20_000, ef: 1, exact: true });
  assert.deepEqual(found.hits[0]!.labels.toSorted(), index.labels().toSorted());
  assert.deepEqual(await readdir(exactDirectory), []);
});

/** Of this process, for a while. */
function allowFilesOf(bytes: number | 'unlimited'): boolean {
  return spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`]).status === 0;
}

async function eventually(attempt: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 200) throw error;
      await sleep(20);
    }
  }
}
