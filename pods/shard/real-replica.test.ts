/** Aim: a replica with a real graph and a real store opens from its checkpoint with identical answers; damage is rebuilt. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { graphFactoryOf } from '../index/graph-factory.ts';
import { systemClock } from '../kernel/clock.ts';
import { silentLogger } from '../kernel/logger.ts';
import { nodeFileSystem } from '../kernel/node-file-system.ts';
import { openRocksdbStore } from '../storage/rocksdb-store.ts';
import { checkpointsOf, OpenReplica, vectorOf, type ReplicaDisk } from './replica.fixture.ts';

const pointCount = 500;

async function temporaryDisk(context: TestContext, indexImplementation: 'native' | 'hnswlib'): Promise<ReplicaDisk> {
  const graphFactory = graphFactoryOf({ indexImplementation, indexThreads: 0, dataDirectory: tmpdir() }, silentLogger);
  const directory = await mkdtemp(join(tmpdir(), 'shoal-replica-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return {
    directory,
    fileSystem: nodeFileSystem,
    clock: systemClock,
    openStore: () => openRocksdbStore({ directory: join(directory, 'store') }),
    graphFactory: () => graphFactory,
    flatFloatsMax: 400,
    spec: { payloadIndexes: [{ field: 'parity', type: 'keyword' }] },
  };
}

/** What the graph answers, by way of its links: equal only for the very same graph. */
async function graphAnswers(open: OpenReplica): Promise<string[][]> {
  const answers: string[][] = [];
  for (let query = 0; query < 20; query++) {
    const hits = await open.search({ topK: 10, vector: vectorOf(5_000_000 + query, 0) });
    answers.push(hits.map(({ id, score }) => `${id} ${score.toFixed(5)}`));
  }
  return answers;
}

for (const implementation of ['native', 'hnswlib'] as const) test(`${implementation}: opens from its checkpoint with identical answers; each damaged file is rebuilt from the points`, async (context) => {
  const disk = await temporaryDisk(context, implementation);
  const first = await OpenReplica.open(disk);
  await first.upsert(0, pointCount);
  await first.delete([5, 6, 7]);
  await first.upsert(100, 50, 1);
  await first.replica.state.index.settled();
  const contents = await first.contents();
  const answers = await graphAnswers(first);
  await first.close();

  const second = await OpenReplica.open(disk);
  assert.deepEqual([await second.contents(), second.warnings], [contents, []]);
  assert.deepEqual(await graphAnswers(second), answers);
  assert.equal(second.replica.statistics().graphPointCount, pointCount - 3, 'the graph came from the checkpoint');
  await second.close();

  const names = async (): Promise<string[]> => {
    const entries = await readdir(checkpointsOf(disk), { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name).sort();
  };
  for (const name of await names()) {
    // recovery.test.ts has every damage of every file; here one each shows that the real graph is rebuilt alike.
    for (const damage of name === 'manifest.json' ? (['remove'] as const) : (['flip'] as const)) {
      const entries = await readdir(checkpointsOf(disk), { recursive: true, withFileTypes: true });
      const entry = entries.find((found) => found.name === name)!;
      const path = join(entry.parentPath, name);
      const bytes = await readFile(path);
      if (damage === 'flip') await writeFile(path, bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 4 : byte)));
      else await rm(path);
      const open = await OpenReplica.open(disk);
      assert.deepEqual(await open.contents(), contents, `${name}, ${damage}`);
      await open.replica.state.index.settled();
      assert.deepEqual(await open.contents(), contents, `${name}, ${damage}, after the rebuild`);
      // A change, so that the orderly end writes the next checkpoint.
      await open.upsert(pointCount, 1);
      await open.delete([pointCount]);
      await open.close();
    }
  }
});
