/** Aim: a replica with a real graph and a real store opens from its checkpoint with identical answers; damage is rebuilt. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { graphFactoryOf, type IndexImplementation } from '../index/graph-factory.ts';
import type { VectorIndex, VectorIndexFactory } from '../index/vector-index.ts';
import { systemClock } from '../kernel/clock.ts';
import { hasCode } from '../kernel/errors.ts';
import { silentLogger } from '../kernel/logger.ts';
import { nodeFileSystem } from '../kernel/node-file-system.ts';
import { keyWithBytes } from '../storage/keys.ts';
import { openRocksdbStore } from '../storage/rocksdb-store.ts';
import { checkpointsOf, OpenReplica, vectorOf, type ReplicaDisk } from './replica.fixture.ts';

const pointCount = 500;

async function temporaryDisk(context: TestContext, indexImplementation: IndexImplementation): Promise<ReplicaDisk> {
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

/** Counts the graphs that are in memory. */
function counted(disk: ReplicaDisk): { disk: ReplicaDisk; open: () => number } {
  const graphs = new Set<VectorIndex>();
  const known = (graph: VectorIndex): VectorIndex => {
    const close = graph.close.bind(graph);
    graph.close = async () => {
      await close();
      graphs.delete(graph);
    };
    graphs.add(graph);
    return graph;
  };
  const factory = disk.graphFactory!();
  const counting: VectorIndexFactory = {
    ...factory,
    create: async (parameters) => known(await factory.create(parameters)),
    load: async (...given) => known(await factory.load(...given)),
  };
  return { disk: { ...disk, graphFactory: () => counting }, open: () => graphs.size };
}

for (const implementation of ['native', 'hnswlib'] as const) test(`${implementation}: a replica that does not open leaves no graph in memory`, async (context) => {
  const { disk, open } = counted(await temporaryDisk(context, implementation));
  const first = await OpenReplica.open(disk);
  await first.upsert(0, pointCount);
  await first.replica.state.index.settled();
  await first.close();
  assert.equal(open(), 0);

  await rename(join(disk.directory, 'log'), join(disk.directory, 'kept'));
  await assert.rejects(OpenReplica.open(disk), (error) => hasCode(error, 'CORRUPTION'));
  assert.equal(open(), 0, 'the log is missing');

  await rm(join(disk.directory, 'log'), { recursive: true });
  await rename(join(disk.directory, 'kept'), join(disk.directory, 'log'));
  const store = await disk.openStore();
  await store.write([{ kind: 'put', key: keyWithBytes(1, 'session', Uint8Array.of(1)), value: Uint8Array.of(1, 2, 3) }]);
  await store.close();
  await assert.rejects(OpenReplica.open(disk), (error) => hasCode(error, 'CORRUPTION'));
  assert.equal(open(), 0, 'a remembered request is damaged');
});

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
