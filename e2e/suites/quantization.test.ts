/**
 * Aim: a collection with `index.quantization: int8` finds what one in floats finds, over every door and under every metric,
 * and what it answers are distances of the vectors themselves: in the tail, in the graph, by a scan, after a restart and
 * from a backup. With hnswlib-node, which cannot quantise, it is served all the same, and the log says so once.
 */

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { test, type TestContext } from 'node:test';
import { quantizations, type Quantization } from '../../pods/domain/collection.ts';
import { metrics, type Metric } from '../../pods/domain/metric.ts';
import { seededRandom, type Random } from '../../pods/kernel/random.ts';
import { atEnd } from '../framework/cleanup.ts';
import { runShoal } from '../framework/command-line.ts';
import { openEmbeddedShoal, type EmbeddedShoal } from '../framework/embedded-shoal.ts';
import { HttpConnection } from '../framework/http-client.ts';
import { startServer } from '../framework/server-process.ts';
import { packVector, ShoalClient } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { eventually } from '../framework/timeouts.ts';

const dimension = 32;
const pointCount = 2_000;
const queryCount = 60;
const topK = 10;
/** Narrow, so that it shows where codes mislead; but broader than the 50 points around a center, which a walk might not leave. */
const ef = 100;
const nameOf = (metric: Metric, quantization: Quantization): string => `${metric}-${quantization}`;

/** Around centers, as embeddings are; of different lengths, which the dot product feels. */
function vectorsOf(random: Random, count: number): Float32Array[] {
  const gauss = (): number => random.fraction() + random.fraction() + random.fraction() - 1.5;
  const centers = Array.from({ length: 40 }, () => Array.from({ length: dimension }, gauss));
  return Array.from({ length: count }, (_, i) => {
    const center = centers[i % centers.length]!;
    const length = 0.5 + random.fraction();
    return Float32Array.from(center, (at) => length * (at + 0.6 * gauss()));
  });
}

/** As the API scores: higher is better. */
function score(metric: Metric, a: Float32Array, b: Float32Array): number {
  let dot = 0, aa = 0, bb = 0, squares = 0;
  a.forEach((x, i) => {
    const y = b[i]!;
    dot += x * y;
    aa += x * x;
    bb += y * y;
    squares += (x - y) ** 2;
  });
  return metric === 'dot' ? dot : metric === 'cosine' ? dot / Math.sqrt(aa * bb) : 1 / (1 + Math.sqrt(squares));
}

const random = seededRandom(23);
const all = vectorsOf(random, pointCount + queryCount);
const points = all.slice(0, pointCount);
const queries = all.slice(pointCount);

interface Hit {
  readonly id: string;
  readonly score: number;
}
type Search = (name: string, query: Float32Array, options: { readonly exact?: boolean; readonly filter?: Record<string, unknown> }) => Promise<readonly Hit[]>;

interface Doors {
  readonly client: ShoalClient;
  readonly searches: Readonly<Record<'gRPC' | 'HTTP', Search>>;
}

async function doorsOf(t: TestContext, shoal: EmbeddedShoal): Promise<Doors> {
  const { httpAddress, grpcAddress } = await shoal.serve();
  const client = new ShoalClient({ grpcAddress: `${grpcAddress.host}:${grpcAddress.port}`, key: undefined });
  atEnd(t, () => client.close());
  const http = new HttpConnection(`http://${httpAddress.host}:${httpAddress.port}`, undefined);
  return {
    client,
    searches: {
      gRPC: async (name, query, options) => (await client.search(name, { packedVector: packVector(query), topK, ef, ...options })).hits,
      HTTP: async (name, query, options) => {
        const { status, text, json } = await http.send(`/shoal/v1/collections/${name}/search`, { body: { vector: [...query], topK, ef, ...options } });
        assert.equal(status, 200, text);
        return (json as { hits: Hit[] }).hits;
      },
    },
  };
}

const known = new Map<string, Float64Array>();
function scoresOf(metric: Metric, query: Float32Array): Float64Array {
  const key = `${metric} ${queries.indexOf(query)}`;
  const scores = known.get(key) ?? Float64Array.from(points, (vector) => score(metric, query, vector));
  known.set(key, scores);
  return scores;
}

/** Share of the nearest that the search finds; what it finds has the score of the vectors themselves. */
async function recallOf(search: Search, metric: Metric, quantization: Quantization, filter?: { readonly filter: Record<string, unknown>; readonly allows: (id: number) => boolean }): Promise<number> {
  let foundCount = 0;
  for (const query of queries) {
    const hits = await search(nameOf(metric, quantization), query, filter === undefined ? {} : { filter: filter.filter });
    for (const hit of hits) assert.ok(Math.abs(hit.score - score(metric, query, points[Number(hit.id)]!)) < 1e-4, `${metric} ${quantization}: the score ${hit.score} of ${hit.id} is not that of the vector`);
    const scores = scoresOf(metric, query).filter((_, id) => filter?.allows(id) ?? true);
    const tenth = scores.sort((a, b) => b - a)[topK - 1]!;
    foundCount += hits.filter((hit) => hit.score >= tenth - 1e-5).length;
  }
  return foundCount / (queryCount * topK);
}

async function assertFinds(t: TestContext, { searches }: Doors, when: string): Promise<void> {
  for (const metric of metrics) {
    for (const [door, search] of Object.entries(searches)) {
      const floats = await recallOf(search, metric, 'none');
      const codes = await recallOf(search, metric, 'int8');
      t.diagnostic(`${when}, ${metric}, ${door}: recall ${floats.toFixed(4)} in floats, ${codes.toFixed(4)} in codes`);
      // The graphs differ, and so do 600 hits by chance; docs/benchmarks.md has what real data gives.
      assert.ok(floats > 0.93 && codes > floats - 0.02, `${when}, ${metric}, ${door}: ${codes} in codes, ${floats} in floats`);
    }
    const exact = (name: string, query: Float32Array): Promise<readonly Hit[]> => searches.gRPC(name, query, { exact: true });
    for (const query of queries.slice(0, 30)) {
      const [floats, codes] = await Promise.all(quantizations.map((quantization) => exact(nameOf(metric, quantization), query)));
      assert.deepEqual(codes!.map(({ id }) => id), floats!.map(({ id }) => id), `${when}, ${metric}: an exact search`);
    }
    const few = { filter: { field: 'n', lt: 40 }, allows: (id: number) => id < 40 };
    assert.equal(await recallOf(searches.gRPC, metric, 'int8', few), 1, `${when}, ${metric}: a filter that leaves a scan`);
    const half = { filter: { field: 'n', lt: pointCount / 2 }, allows: (id: number) => id < pointCount / 2 };
    assert.ok((await recallOf(searches.gRPC, metric, 'int8', half)) > 0.92, `${when}, ${metric}: a filter that leaves half`);
  }
}

async function makeCollections({ client }: Doors): Promise<void> {
  for (const metric of metrics) {
    for (const quantization of quantizations) {
      const made = await client.createCollection({ name: nameOf(metric, quantization), dimension, metric, payloadIndexes: [{ field: 'n', type: 'integer' }], index: { quantization } });
      assert.equal(made.spec!.index!.quantization, quantization);
      for (let first = 0; first < pointCount; first += 500) {
        await client.upsert({ collection: nameOf(metric, quantization), points: points.slice(first, first + 500).map((vector, i) => ({ id: String(first + i), packedVector: packVector(vector), payload: { n: first + i } })) });
      }
    }
  }
}

/** What the newest checkpoints say of their graphs. */
async function storedGraphs(dataDirectory: string): Promise<string[]> {
  const found = new Map<string, string>();
  const paths = (await readdir(join(dataDirectory, 'checkpoints'), { recursive: true })).filter((path) => path.endsWith('header.json'));
  for (const path of paths.sort()) {
    const { parameters } = JSON.parse(await readFile(join(dataDirectory, 'checkpoints', path), 'utf8')) as { parameters: { metric: Metric; quantization: Quantization } };
    found.set(path.split(sep)[0]!, `${parameters.metric} ${parameters.quantization}`);
  }
  return [...found.values()];
}

async function graphCounts({ client }: Doors): Promise<number[]> {
  const collections = await Promise.all(metrics.flatMap((metric) => quantizations.map((quantization) => client.collection(nameOf(metric, quantization)))));
  return collections.map(({ shards }) => Number(shards[0]!.statistics!.graphPointCount));
}

test('codes find what floats find, by every door and metric; before and after a restart', async (t) => {
  const dataDirectory = join(await temporaryDirectory(t), 'data');
  const open = async (): Promise<{ shoal: EmbeddedShoal; doors: Doors }> => {
    const shoal = await openEmbeddedShoal({ dataDirectory, flatFloatsMax: 1_000 });
    atEnd(t, () => shoal.close());
    return { shoal, doors: await doorsOf(t, shoal) };
  };
  const first = await open();
  await makeCollections(first.doors);
  const all = Array.from({ length: metrics.length * quantizations.length }, () => pointCount);
  const inGraph = (doors: Doors): Promise<true> => eventually(60_000, 'the graphs', async () => ((await graphCounts(doors)).every((count) => count === pointCount) ? true : undefined));
  await inGraph(first.doors);
  await assertFinds(t, first.doors, 'at first');
  const memory = await Promise.all(quantizations.map(async (quantization) => Number((await first.doors.client.collection(nameOf('cosine', quantization))).shards[0]!.statistics!.indexMemoryBytes)));
  t.diagnostic(`index memory of ${pointCount} points: ${memory.join(' in floats, ')} in codes`);
  await first.shoal.close();
  const expected = metrics.flatMap((metric) => quantizations.map((quantization) => `${metric} ${quantization}`));
  assert.deepEqual((await storedGraphs(dataDirectory)).toSorted(), expected.toSorted());

  const second = await open();
  // The graphs came with their checkpoints: nothing had to be inserted for it.
  assert.deepEqual(await graphCounts(second.doors), all);
  assert.equal((await second.doors.client.collection(nameOf('dot', 'int8'))).spec!.index!.quantization, 'int8');
  await assertFinds(t, second.doors, 'after a restart');
  await second.shoal.close();
});

test('asked for by the command line, kept by a backup; hnswlib-node serves it in floats, and says so once', async (t) => {
  const directory = await temporaryDirectory(t);
  const server = await startServer(t, { dataDirectory: join(directory, 'data') });
  const created = await runShoal(['collection', 'create', 'codes', '--dimension', '3', '--shards', '2', '--quantization', 'int8'], server);
  assert.equal(created.code, 0, created.stderr);
  assert.match((await runShoal(['collection', 'get', 'codes'], server)).stdout, /quantization int8\)/);
  const client = new ShoalClient(server);
  await client.upsert({ collection: 'codes', points: [{ id: 'a', vector: [1, 2, 3] }, { id: 'b', vector: [3, 2, 1] }] });
  // The same settings again are no other collection; others are.
  await client.createCollection({ name: 'codes', dimension: 3, shards: 2, index: { quantization: 'int8' } });
  await assert.rejects(client.createCollection({ name: 'codes', dimension: 3, shards: 2 }), /exists with another index/);
  await assert.rejects(client.createCollection({ name: 'more', dimension: 3, index: { quantization: 'binary' } }), /index\.quantization must be one of none, int8/);
  client.close();
  const backup = join(directory, 'backup');
  assert.equal((await runShoal(['backup', '--to', backup], server)).code, 0);
  await server.end('SIGTERM');
  assert.doesNotMatch(server.stderr, /quantis/);
  const restored = join(directory, 'restored');
  assert.equal((await runShoal(['restore', '--from', backup, '--data-dir', restored])).code, 0);

  const other = await startServer(t, { dataDirectory: restored, flags: ['--index-implementation', 'hnswlib'] });
  const reader = new ShoalClient(other);
  atEnd(t, () => reader.close());
  assert.equal((await reader.collection('codes')).spec!.index!.quantization, 'int8');
  assert.equal((await reader.search('codes', { packedVector: packVector(Float32Array.of(1, 2, 3)), topK: 1 })).hits[0]!.id, 'a');
  const warnings = other.stderr.split('\n').filter((line) => line.includes('cannot quantise')).map((line) => JSON.parse(line) as { level: unknown; collection: string; quantization: string });
  assert.deepEqual(warnings.map(({ collection, quantization }) => [collection, quantization]), [['codes', 'int8']]);
});
