/**
 * Aim: a backup taken while writers write is one consistent copy: restored by the command line, it holds everything that
 * was acknowledged before it began, every batch whole, and works like any other directory. A damaged one is refused.
 */

import assert from 'node:assert/strict';
import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { below, type Random } from '../../pods/kernel/random.ts';
import { atEnd } from '../framework/cleanup.ts';
import { runShoal } from '../framework/command-line.ts';
import { seedOf } from '../framework/seed.ts';
import { startServer } from '../framework/server-process.ts';
import { packVector, ShoalClient, unpackVector } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { eventually, timeoutsMs } from '../framework/timeouts.ts';

const shards = 2;
const batchCount = 20;

test('a backup while writing, restored into a new directory', async (t) => {
  const { random } = seedOf(t);
  const directory = await temporaryDirectory(t);
  const backup = join(directory, 'backup');
  const server = await startServer(t, { dataDirectory: join(directory, 'data') });
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  await client.createCollection({ name: 'docs', dimension: 6, shards, payloadIndexes: [{ field: 'round', type: 'integer' }] });
  await client.createCollection({ name: 'gone', dimension: 2 });
  await client.upsert({ collection: 'gone', points: [{ id: 'a', vector: [1, 2] }] });
  await client.deleteCollection('gone');

  const writers = Array.from({ length: 4 }, (_, i) => new BatchWriter(client, `w${i}`));
  let stopped = false;
  const writing = writers.map((writer) => writer.run(random, () => stopped));
  await eventually(timeoutsMs.request, 'three rounds of each writer', () => Promise.resolve(writers.every(({ acknowledgedRound }) => acknowledgedRound >= 3) ? true : undefined));
  const before = writers.map((writer) => ({ writer, acknowledged: writer.acknowledgedRound, deleted: [...writer.deleted] }));
  const taken = await runShoal(['backup', '--to', backup, '--output', 'json'], server);
  const rounds = before.map(({ acknowledged }) => acknowledged);
  await eventually(timeoutsMs.request, 'a round after it', () => Promise.resolve(writers.some(({ acknowledgedRound }, i) => acknowledgedRound > rounds[i]!) ? true : undefined));
  stopped = true;
  await Promise.all(writing);
  assert.equal(taken.code, 0, taken.stderr);
  await server.end('SIGKILL');

  const restored = join(directory, 'restored');
  const restore = await runShoal(['restore', '--from', backup, '--data-dir', restored, '--output', 'json']);
  assert.equal(restore.code, 0, restore.stderr);
  const verified = await runShoal(['verify', '--data-dir', restored, '--output', 'json']);
  assert.deepEqual([verified.code, (JSON.parse(verified.stdout) as { ok: boolean }).ok], [0, true], verified.stdout + verified.stderr);

  const copy = await startServer(t, { dataDirectory: restored });
  const reader = new ShoalClient(copy);
  atEnd(t, () => reader.close());
  assert.deepEqual(await reader.collectionNames(), ['docs']);
  const points = await reader.scrollAll('docs', 5_000);
  const stored = new Map(points.map((point) => [point.id, point]));
  for (const { writer, acknowledged, deleted } of before) {
    // A batch of a writer carries its round; what the copy shows of a shard is one round, at least the acknowledged one.
    const found = points.filter(({ id }) => id.startsWith(`${writer.name}/live`)).map(({ payload }) => Number(payload!['round']));
    assert.equal(found.length, batchCount, `points of ${writer.name}`);
    assert.ok(new Set(found).size <= shards && found.every((round) => round >= acknowledged), `${writer.name} had round ${acknowledged} acknowledged; the copy has ${[...new Set(found)]}`);
    for (const id of deleted) assert.ok(!stored.has(id), `"${id}" was deleted before the backup`);
  }
  for (const point of points) assert.deepEqual(unpackVector(point), vectorOf(point.id, Number(point.payload!['round'])), point.id);
  assert.equal(await reader.count('docs'), points.length);
  assert.equal(await reader.count('docs', { field: 'round', gte: 0 }), points.length, 'through the payload index');
  const { hits } = await reader.search('docs', { packedVector: packVector(vectorOf('x', 1)), topK: 10_000, exact: true });
  assert.equal(hits.length, points.length, 'search finds what scroll shows');

  // The copy lives on: it takes writes, survives kill -9 and keeps them.
  await reader.upsert({ collection: 'docs', points: [{ id: 'new', packedVector: packVector(vectorOf('new', 0)), payload: { round: 0 } }] });
  await copy.end('SIGKILL');
  const again = await startServer(t, { dataDirectory: restored });
  const last = new ShoalClient(again);
  atEnd(t, () => last.close());
  assert.equal(await last.count('docs'), points.length + 1);
  t.diagnostic(`rounds acknowledged before the backup: ${rounds}; after it: ${writers.map((w) => w.acknowledgedRound)}; ${points.length} points restored; ${restore.stdout.trim()}`);
});

test('backups that are refused', async (t) => {
  const directory = await temporaryDirectory(t);
  const backup = join(directory, 'backup');
  const server = await startServer(t, { dataDirectory: join(directory, 'data') });
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  await client.createCollection({ name: 'docs', dimension: 2, payloadIndexes: [{ field: 'n', type: 'integer' }] });
  await client.upsert({ collection: 'docs', points: Array.from({ length: 50 }, (_, i) => ({ id: `p${i}`, vector: [i, 1], payload: { n: i } })) });
  await client.backup(backup);
  await assert.rejects(client.backup(backup), /INVALID_ARGUMENT: .*exists/, 'into a directory that exists');
  await assert.rejects(client.backup('relative/place'), /INVALID_ARGUMENT/, 'into a relative directory');

  const restore = (from: string, to: string): ReturnType<typeof runShoal> => runShoal(['restore', '--from', from, '--data-dir', join(directory, to)]);
  const files = (await readdir(backup, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(backup.length + 1));
  const damaged = join(directory, 'damaged');
  const victims = [files.find((file) => file.endsWith('.sst'))!, files.find((file) => /^log\/.*\.log$/.test(file))!, files.find((file) => file.startsWith('metadata/'))!];
  for (const [i, file] of victims.entries()) {
    await cp(backup, damaged, { recursive: true });
    const bytes = await readFile(join(damaged, file));
    bytes[Math.floor(bytes.length / 2)]! ^= 0x10;
    await writeFile(join(damaged, file), bytes);
    const outcome = await restore(damaged, `to-${i}`);
    assert.equal(outcome.code, 1, outcome.stdout);
    assert.match(outcome.stderr, new RegExp(`CORRUPTION.*${file.replaceAll('.', '\\.')}`));
    await rm(damaged, { recursive: true });
  }
  await cp(backup, damaged, { recursive: true });
  await rm(join(damaged, victims[0]!));
  assert.match((await restore(damaged, 'to-missing')).stderr, /CORRUPTION/, 'a file is missing');
  await cp(backup, damaged, { recursive: true });
  await rm(join(damaged, 'backup.json'));
  assert.match((await restore(damaged, 'to-unfinished')).stderr, /INVALID_ARGUMENT.*not a finished backup/);
  assert.match((await restore(backup, 'data')).stderr, /INVALID_ARGUMENT.*not empty/, 'into a directory in use');
  assert.equal(await client.count('docs'), 50, 'the server that is in that directory');
});

/** Replaces its points by a batch of the next round again and again, and makes and deletes others. */
class BatchWriter {
  readonly name: string;
  readonly deleted = new Set<string>();
  acknowledgedRound = 0;
  readonly #client: ShoalClient;

  constructor(client: ShoalClient, name: string) {
    this.#client = client;
    this.name = name;
  }

  async run(random: Random, stopped: () => boolean): Promise<void> {
    for (let round = 1; !stopped(); round++) {
      const ids = Array.from({ length: batchCount }, (_, i) => `${this.name}/live/${i}`);
      const passing = `${this.name}/passing/${round}`;
      await this.#client.upsert({
        collection: 'docs',
        points: [...ids, passing].map((id) => ({ id, packedVector: packVector(vectorOf(id, round)), payload: { round } })),
      });
      this.acknowledgedRound = round;
      if (below(random, 2) === 0) {
        await this.#client.delete({ collection: 'docs', points: [{ id: passing }] });
        this.deleted.add(passing);
      }
    }
  }
}

/** A point's vector follows from its id and round. */
function vectorOf(id: string, round: number): Float32Array {
  return Float32Array.from({ length: 6 }, (_, i) => Math.sin(round * 7 + i + id.length) + (id.charCodeAt(id.length - 1 - (i % id.length)) % 13));
}
