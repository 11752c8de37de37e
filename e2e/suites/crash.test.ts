/**
 * Aim: `kill -9` at random moments under concurrent writes loses nothing that was acknowledged and brings back nothing
 * that was deleted; a request without an answer has happened or not, whole per shard; and every way of reading agrees.
 *
 * SHOAL_CRASH_ROUNDS sets the number of rounds for each implementation of graphs, SHOAL_TEST_INDEX leaves one of these.
 */

import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { IndexImplementation } from '../../pods/index/graph-factory.ts';
import { limits } from '../../pods/kernel/limits.ts';
import { test, type TestContext } from 'node:test';
import { below, seededRandom, type Random } from '../../pods/kernel/random.ts';
import { atEnd } from '../framework/cleanup.ts';
import { indexFlags, indexImplementations } from '../framework/index-implementations.ts';
import { countFrom, seedOf } from '../framework/seed.ts';
import { spawnUntilKilled, startServer, type ServerProcess } from '../framework/server-process.ts';
import { ShoalClient } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { eventually, pause } from '../framework/timeouts.ts';
import { checkCollection, type CheckedCollection, type Recall } from './crash/check.ts';
import { Writer } from './crash/writer.ts';

/** hnswlib-node keeps graphs only: what else a kill may break is the same in both. */
const roundCounts = { native: countFrom('SHOAL_CRASH_ROUNDS', 50), hnswlib: countFrom('SHOAL_CRASH_ROUNDS', 20) };

const payloadIndexes = [
  { field: 'group', type: 'keyword' },
  { field: 'rank', type: 'integer' },
];

/** `graph` outgrows the size up to which a shard is searched flat: 2 × 570 × 1,024 floats. */
const plans = [
  { name: 'small', metric: 'cosine', dimension: 8, shards: 1, writers: 3, idCount: 60, batchMax: 12 },
  { name: 'sharded', metric: 'euclidean', dimension: 16, shards: 3, writers: 3, idCount: 120, batchMax: 40 },
  { name: 'graph', metric: 'cosine', dimension: 1_024, shards: 1, writers: 2, idCount: 570, batchMax: 8 },
] as const;

/** The changes after which a shard writes a checkpoint, in sweeps of one writer of `graph`. */
const sweepsToCheckpoint = Math.ceil(limits.checkpointPointCountMin / 560);

for (const implementation of indexImplementations) test(`${roundCounts[implementation]} rounds of writes and kill -9, ${implementation}`, (t) => writeAndKill(t, implementation));

async function writeAndKill(t: TestContext, implementation: IndexImplementation): Promise<void> {
  const roundCount = roundCounts[implementation];
  const flags = indexFlags(implementation);
  const { seed, random } = seedOf(t);
  const dataDirectory = join(await temporaryDirectory(t), 'data');
  await mkdir(dataDirectory);
  const collections: CheckedCollection[] = plans.map(({ name, metric, dimension, shards, writers, idCount, batchMax }) => ({
    name,
    metric,
    dimension,
    writers: Array.from({ length: writers }, (_, i) => new Writer({ collection: name, dimension, shards, idCount, batchMax, owner: `${name}-${i}`, clientId: `writer ${name} ${i}` })),
  }));
  const writers = collections.flatMap((collection) => collection.writers);
  const lifecycle = new Lifecycle();
  const recall: Recall = { found: 0, wanted: 0 };
  let killedStarts = 0;
  let checkpointRounds = 0;
  let startMsTotal = 0;
  let roundsWithGraph = 0;

  for (let round = 0; round < roundCount; round++) {
    if (round > 0 && below(random, 7) === 0) {
      // Killed on its way up, with the log half replayed or the store half open.
      const starting = spawnUntilKilled(t, { dataDirectory, flags });
      await pause(below(random, 900));
      await starting.kill();
      killedStarts++;
    }
    const server = await startServer(t, { dataDirectory, flags: ['--log-level', 'warn', ...flags] });
    startMsTotal += server.startMs;
    const client = new ShoalClient(server);
    try {
      if (round === 0) await prepare(client, collections, random);
      else await check(client, collections, lifecycle, random, recall);
      if ((await client.collection('graph')).shards[0]!.statistics!.indexKind !== 'flat') roundsWithGraph++;
      const manner = round % 17 === 3 ? 'sweeping' : round % 10 === 7 ? 'orderly' : 'killed';
      await writeUntilEnded(server, client, writers, lifecycle, random, manner);
      checkpointRounds += (await checkpointCount(dataDirectory)) > 0 ? 1 : 0;
    } catch (error) {
      t.diagnostic(`failed in round ${round} of seed ${seed}`);
      process.stderr.write(server.stderr);
      throw error;
    } finally {
      client.close();
    }
  }
  const server = await startServer(t, { dataDirectory, flags });
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  await check(client, collections, lifecycle, random, recall);
  const report = await client.verify();
  assert.deepEqual(report.faults, [], 'faults found by verify');
  await graphSettled(client);
  assert.ok(recall.found / recall.wanted >= 0.9, `recall of default searches over all rounds: ${recall.found} of ${recall.wanted}`);
  await server.end('SIGTERM');

  const sum = (name: keyof Writer['counts']): number => writers.reduce((total, writer) => total + writer.counts[name], 0);
  t.diagnostic(
    `${roundCount} rounds, ${killedStarts} starts killed, ${checkpointRounds} left checkpoints, ${roundsWithGraph} began with a graph; acknowledged ${sum('acknowledgedRequests')} requests of ${sum('acknowledgedItems')} items; ` +
      `unknown outcomes: ${sum('unknownApplied')} applied, ${sum('unknownLost')} lost, ${sum('unknownSplit')} applied on some shards; ${lifecycle.acknowledged} collections made or deleted; ` +
      `points at the end: ${collections.map(({ name, writers: own }) => `${name} ${own.reduce((n, { known }) => n + known.size, 0)}`).join(', ')}; ` +
      `default recall ${(recall.found / recall.wanted).toFixed(4)}; mean start ${Math.round(startMsTotal / roundCount)} ms; checkpoints on disk: ${await checkpointCount(dataDirectory)}`,
  );
  const splitOrNot = sum('unknownApplied') + sum('unknownLost') + sum('unknownSplit');
  assert.ok(roundCount < 20 || checkpointRounds > 0, 'no round left a checkpoint');
  assert.ok(roundCount < 20 || splitOrNot > roundCount / 2, `only ${splitOrNot} requests were under way when the server was killed: the test does not test`);
}

async function prepare(client: ShoalClient, collections: readonly CheckedCollection[], random: Random): Promise<void> {
  for (const { name, metric, dimension, shards } of plans) await client.createCollection({ name, metric, dimension, shards, payloadIndexes });
  for (const { name, writers } of collections) if (name === 'graph') for (const writer of writers) await writer.fill(client, random, 150);
  await graphSettled(client);
}

/** The collection that is meant to have a graph has one, with all points in it. */
async function graphSettled(client: ShoalClient): Promise<void> {
  await eventually(60_000, 'the graph', async () => {
    const { statistics } = (await client.collection('graph')).shards[0]!;
    return statistics!.tailPointCount === 0n && statistics!.graphPointCount > 0n ? true : undefined;
  });
}

async function check(client: ShoalClient, collections: readonly CheckedCollection[], lifecycle: Lifecycle, random: Random, recall: Recall): Promise<void> {
  const retries: (() => Promise<void>)[] = [];
  for (const { writers } of collections) {
    for (const writer of writers) {
      const retry = await writer.observe(client);
      if (retry !== undefined) retries.push(retry);
    }
  }
  // Each with choices of its own, so that a seed gives the same ones whatever answers first.
  await Promise.all(collections.map((collection) => checkCollection(client, collection, seededRandom(random.uint32()), recall)));
  await lifecycle.check(client, collections.map(({ name }) => name));
  for (const retry of retries) await retry();
}

/** `sweeping` kills while a checkpoint is due or being written; `orderly` ends by SIGTERM, under the same load. */
type Manner = 'killed' | 'sweeping' | 'orderly';

async function writeUntilEnded(server: ServerProcess, client: ShoalClient, writers: readonly Writer[], lifecycle: Lifecycle, random: Random, manner: Manner): Promise<void> {
  let ending = false;
  let sweeps = 0;
  const sweepers = manner === 'sweeping' ? writers.filter(({ options }) => options.collection === 'graph') : [];
  const running = writers.map((writer) => {
    const own = seededRandom(random.uint32());
    if (!sweepers.includes(writer)) return writer.run(client, own, () => ending);
    return writer.run(client, own, () => ending, (r) => (sweeps++, writer.sweep(r)));
  });
  running.push(lifecycle.run(client, () => ending));
  const failed = new Promise<never>((_, reject) => {
    for (const work of running) work.catch(reject);
  });
  failed.catch(() => undefined);
  if (manner === 'sweeping') await Promise.race([failed, eventually(60_000, 'the sweeps', () => Promise.resolve(sweeps > sweepsToCheckpoint ? true : undefined))]);
  await Promise.race([failed, pause(20 + below(random, 400))]);
  ending = true;
  const exit = await server.end(manner === 'orderly' ? 'SIGTERM' : 'SIGKILL');
  if (manner === 'orderly') assert.deepEqual(exit, { code: 0, signal: null }, server.stderr);
  await Promise.all(running);
}

/** Makes and deletes collections beside the writers. */
class Lifecycle {
  acknowledged = 0;
  #number = 0;
  #present: string | undefined;
  #pending: { readonly name: string; readonly action: 'create' | 'delete' } | undefined;

  async run(client: ShoalClient, killed: () => boolean): Promise<void> {
    while (!killed()) {
      const action = this.#present === undefined ? 'create' : 'delete';
      const name = this.#present ?? `temporary-${++this.#number}`;
      this.#pending = { name, action };
      try {
        if (action === 'delete') await client.deleteCollection(name);
        else {
          await client.createCollection({ name, dimension: 3, shards: 2 });
          this.#present = name;
          await client.upsert({ collection: name, points: [{ id: 'a', vector: [1, 2, 3] }, { id: 'b', vector: [1, 2, 4] }, { id: 'c', vector: [1, 2, 5] }] });
        }
      } catch (error) {
        if (killed()) return;
        throw error;
      }
      this.#present = action === 'create' ? name : undefined;
      this.#pending = undefined;
      this.acknowledged++;
    }
  }

  async check(client: ShoalClient, others: readonly string[]): Promise<void> {
    const found = (await client.collectionNames()).filter((name) => !others.includes(name));
    const pending = this.#pending?.name;
    const certain = this.#present === undefined || this.#present === pending ? [] : [this.#present];
    assert.deepEqual(
      found.filter((name) => name !== pending),
      certain,
      'collections beside the others',
    );
    // Made but perhaps not filled: an acknowledged creation stays, whatever became of its points.
    if (this.#pending?.action === 'create' && this.#present === pending) assert.ok(found.includes(pending!), `collection "${pending}" is gone, though its creation was acknowledged`);
    this.#present = found[0];
    this.#pending = undefined;
  }
}

async function checkpointCount(dataDirectory: string): Promise<number> {
  const files = await readdir(join(dataDirectory, 'checkpoints'), { recursive: true });
  return files.filter((file) => file.endsWith('manifest.json')).length;
}

