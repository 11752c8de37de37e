/**
 * Aim: one flipped byte in what is stored is reported, never served. A server is killed, one byte of one of its files is
 * changed, and then either it does not start, naming the damage, or every read gives the right data or CORRUPTION, and
 * `verify` reports it. Derived and informational files may be damaged without harm; they are never believed.
 *
 * SHOAL_BIT_ROT_FLIPS sets the number of flips in log segments and in SST files, each.
 */

import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hasCode } from '../../pods/kernel/errors.ts';
import { below, type Random } from '../../pods/kernel/random.ts';
import { atEnd } from '../framework/cleanup.ts';
import { runShoal } from '../framework/command-line.ts';
import { openEmbeddedShoal, requestContext } from '../framework/embedded-shoal.ts';
import { GrpcFailure } from '../framework/grpc-client.ts';
import { countFrom, seedOf } from '../framework/seed.ts';
import { ServerRefusedError, startServer } from '../framework/server-process.ts';
import { packVector, ShoalClient, unpackVector } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';

const flipCount = countFrom('SHOAL_BIT_ROT_FLIPS', 24);
const processFlipCount = 2;

interface KnownPoint {
  readonly vector: Float32Array;
  readonly payload: Readonly<Record<string, unknown>>;
}

interface Known {
  readonly dataDirectory: string;
  readonly collections: ReadonlyMap<string, ReadonlyMap<string, KnownPoint>>;
}

interface Flip {
  readonly file: string;
  readonly position: number;
  readonly change: number;
}

/** How the damage showed: at the start, in a read, in a verification, or not at all. */
type Outcome = 'refused' | 'read failed' | 'verify reports' | 'unnoticed';

test('a flipped byte is reported, never served', async (t) => {
  const { random } = seedOf(t);
  const known = await killedServer(t, random);
  const files = await filesUnder(known.dataDirectory);
  const log = files.filter((file) => /^log\//.test(file));
  const tables = files.filter((file) => file.endsWith('.sst'));
  const others = files.filter((file) => !log.includes(file) && !tables.includes(file) && !/LOCK$/.test(file));
  assert.ok(log.length > 0 && tables.length > 0 && others.some((file) => file.startsWith('checkpoints/')), `files: ${files.join(' ')}`);

  await t.test(`${flipCount} log segments and ${flipCount} SST files, each in a fresh copy`, async (st) => {
    const outcomes: Record<string, number> = {};
    for (const kind of [log, tables]) {
      for (let i = 0; i < flipCount; i++) {
        const flip = await randomFlip(known, kind[i % kind.length]!, random);
        const outcome = await openDamaged(st, known, flip);
        assert.notEqual(outcome, 'unnoticed', `${flip.file} at ${flip.position}, changed by ${flip.change}`);
        const name = `${kind === log ? 'log' : 'SST'}: ${outcome}`;
        outcomes[name] = (outcomes[name] ?? 0) + 1;
      }
    }
    st.diagnostic(JSON.stringify(outcomes));
  });

  await t.test('every other file: never a wrong answer', async (st) => {
    const outcomes: Record<string, string> = {};
    for (const file of others) {
      const flip = await randomFlip(known, file, random);
      outcomes[file.replace(/[0-9a-f]{8}-[0-9a-f-]+/, '…')] = await openDamaged(st, known, flip);
    }
    st.diagnostic(JSON.stringify(outcomes));
    for (const [file, outcome] of Object.entries(outcomes)) {
      // Stored once, and not to be derived from anything.
      if (file.startsWith('metadata/')) assert.notEqual(outcome, 'unnoticed', file);
    }
  });

  await t.test('the server and the command line say so', async (st) => {
    for (const file of [...pick(log, processFlipCount), ...pick(tables, processFlipCount)]) {
      const flip = await randomFlip(known, file, random);
      await st.test(`${file} at ${flip.position}`, (sst) => serveDamaged(sst, known, flip));
    }
  });
});

/** A directory as kill -9 leaves it: some of it in SST files and a checkpoint, some only in the log. */
async function killedServer(t: TestContext, random: Random): Promise<Known> {
  const dataDirectory = join(await temporaryDirectory(t), 'data');
  const collections = new Map<string, Map<string, KnownPoint>>();
  for (const part of ['first', 'second']) {
    const server = await startServer(t, { dataDirectory });
    const client = new ShoalClient(server);
    for (const [name, shards] of [['one', 1], ['two', 2]] as const) {
      const points = collections.get(name) ?? new Map<string, KnownPoint>();
      if (!collections.has(name)) await client.createCollection({ name, dimension: 8, shards, metric: 'euclidean', payloadIndexes: [{ field: 'n', type: 'integer' }] });
      collections.set(name, points);
      for (let batch = 0; batch < 6; batch++) {
        const added = Array.from({ length: 25 }, (_, i) => ({
          id: `${part}/${batch}/${i}`,
          vector: Float32Array.from({ length: 8 }, () => random.fraction()),
          payload: { n: below(random, 100), name: `payload ${below(random, 1_000_000)}`, nested: { list: [1, 'two', null] } },
        }));
        await client.upsert({ collection: name, points: added.map(({ id, vector, payload }) => ({ id, payload, packedVector: packVector(vector), text: `text of ${id}` })) });
        for (const { id, vector, payload } of added) points.set(id, { vector, payload });
      }
      const gone = `${part}/0/0`;
      await client.delete({ collection: name, points: [{ id: gone }] });
      points.delete(gone);
    }
    client.close();
    await server.end(part === 'first' ? 'SIGTERM' : 'SIGKILL');
  }
  return { dataDirectory, collections };
}

async function openDamaged(t: TestContext, known: Known, flip: Flip): Promise<Outcome> {
  const dataDirectory = await damagedCopy(t, known, flip);
  try {
    const shoal = await openEmbeddedShoal({ dataDirectory });
    try {
      let failed = false;
      for (const [name, points] of known.collections) {
        const reads = [
          () => readByScroll(shoal.api, name),
          () => readById(shoal.api, name, [...points.keys()]),
          () => readBySearch(shoal.api, name),
        ];
        for (const read of reads) {
          try {
            assertRight(await read(), points, `${flip.file} at ${flip.position}`);
          } catch (error) {
            // A point or a whole collection that is gone without a word is not an error of ours.
            if (!hasCode(error, 'CORRUPTION') && !hasCode(error, 'UNAVAILABLE')) throw error;
            failed = true;
          }
        }
      }
      const { ok } = await shoal.api.cluster.verify(requestContext());
      return failed ? 'read failed' : ok ? 'unnoticed' : 'verify reports';
    } finally {
      await shoal.close().catch(() => undefined);
    }
  } catch (error) {
    // A damaged FORMAT may name a format that does not exist yet.
    if (!hasCode(error, 'CORRUPTION') && !(flip.file === 'FORMAT' && hasCode(error, 'FORMAT_TOO_NEW'))) throw error;
    return 'refused';
  } finally {
    // Where one shard was refused, others may still have been on their way up.
    await rm(dataDirectory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

async function readByScroll(api: Api, name: string): Promise<Map<string, KnownPoint>> {
  const { points } = await api.points.scroll(requestContext(), name, { limit: 10_000, includeVector: true, includePayload: true, consistency: { level: 'eventual' } });
  return new Map(points.map(({ id, vector, payload }) => [id, { vector: vector!, payload: payload! }]));
}

async function readById(api: Api, name: string, ids: readonly string[]): Promise<Map<string, KnownPoint>> {
  const points = await api.points.get(requestContext(), name, { ids, includeVector: true, includePayload: true, consistency: { level: 'linearizable' } });
  return new Map(points.flatMap((point) => (point === undefined ? [] : [[point.id, { vector: point.vector!, payload: point.payload! }]])));
}

async function readBySearch(api: Api, name: string): Promise<Map<string, KnownPoint>> {
  const { hits } = await api.search.search(requestContext(), name, { vector: new Float32Array(8), topK: 10_000, includeVector: true, includePayload: true, consistency: { level: 'eventual' } });
  return new Map(hits.map(({ id, vector, payload }) => [id, { vector: vector!, payload: payload! }]));
}

type Api = Awaited<ReturnType<typeof openEmbeddedShoal>>['api'];

function assertRight(found: ReadonlyMap<string, KnownPoint>, points: ReadonlyMap<string, KnownPoint>, where: string): void {
  assert.deepEqual([...found.keys()].sort(), [...points.keys()].sort(), `ids after damage to ${where}`);
  for (const [id, { vector, payload }] of found) assert.deepEqual({ vector, payload: { ...payload } }, points.get(id), `point "${id}" after damage to ${where}`);
}

/** The same from outside: the real process, over gRPC, and `shoal verify --data-dir`. */
async function serveDamaged(t: TestContext, known: Known, flip: Flip): Promise<void> {
  const dataDirectory = await damagedCopy(t, known, flip);
  const offline = await runShoal(['verify', '--data-dir', dataDirectory, '--output', 'json']);
  assert.notEqual(offline.code, 0, `verify --data-dir found nothing: ${offline.stdout}`);
  assert.match(offline.stdout + offline.stderr, /CORRUPTION/);
  let server;
  try {
    server = await startServer(t, { dataDirectory });
  } catch (error) {
    if (!(error instanceof ServerRefusedError)) throw error;
    assert.equal(error.exit.code, 1);
    assert.match(error.stderr, /CORRUPTION: .*(\.log|\.sst|segment|checksum|store|log)/);
    return;
  }
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  for (const [name, points] of known.collections) {
    try {
      const found = await client.scrollAll(name, 10_000);
      assertRight(new Map(found.map((point) => [point.id, { vector: unpackVector(point), payload: point.payload! }])), points, flip.file);
    } catch (error) {
      if (!(error instanceof GrpcFailure)) throw error;
      assert.ok(error.code === 'CORRUPTION' || error.code === 'UNAVAILABLE', error.message);
    }
  }
  const report = await client.verify();
  assert.equal(report.ok, false, 'verify while serving');
  assert.ok(report.faults.length > 0);
}

async function randomFlip({ dataDirectory }: Known, file: string, random: Random): Promise<Flip> {
  const { length } = await readFile(join(dataDirectory, file));
  return { file, position: below(random, Math.max(1, length)), change: 1 + below(random, 255) };
}

async function damagedCopy(t: TestContext, { dataDirectory }: Known, { file, position, change }: Flip): Promise<string> {
  const copy = join(await temporaryDirectory(t), 'damaged');
  await cp(dataDirectory, copy, { recursive: true });
  const bytes = await readFile(join(copy, file));
  if (bytes.length > 0) bytes[position]! ^= change;
  await writeFile(join(copy, file), bytes);
  return copy;
}

/** Relative paths of all files that have bytes. */
async function filesUnder(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const files: string[] = [];
  for (const entry of names) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && (await readFile(path)).length > 0) files.push(path.slice(directory.length + 1));
  }
  return files.sort();
}

function pick<T>(items: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, i) => items[i % items.length]!);
}
