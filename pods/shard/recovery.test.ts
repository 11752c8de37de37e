/**
 * Aim: whatever a replica finds beside its points (a checkpoint that is missing, damaged in any file, older than the
 * points or newer), it opens with the same answers; and points that cannot be trusted are refused.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { SimulatedGraph, simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { LabelBits } from '../domain/label-set.ts';
import type { VectorIndex } from '../index/vector-index.ts';
import { hasCode, ShoalError } from '../kernel/errors.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { seededRandom } from '../kernel/random.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { SortedMap } from '../storage/sorted-map.ts';
import { checkpointsOf, OpenReplica, type ReplicaDisk, lead } from './replica.fixture.ts';

interface TestDisk extends ReplicaDisk {
  readonly fileSystem: FaultyFileSystem;
  /** What the store holds; exchange it to go back in time. */
  map: SortedMap;
}

function newDisk(): TestDisk {
  const random = seededRandom(11);
  const fileSystem = faultyFileSystem({ random });
  const disk: TestDisk = {
    directory: '/data',
    fileSystem,
    clock: new SimulatedClock(),
    map: new SortedMap(),
    openStore: () => Promise.resolve(openMemoryStore(disk.map)),
    graphFactory: () => simulatedGraphFactory(fileSystem, random),
    flatFloatsMax: 40,
    spec: { payloadIndexes: [{ field: 'parity', type: 'keyword' }] },
  };
  return disk;
}

/** A disk with a checkpoint and changes after it; the process was killed. */
async function usedDisk(): Promise<{ disk: TestDisk; contents: unknown }> {
  const disk = newDisk();
  const open = await OpenReplica.open(disk);
  await open.upsert(0, 60);
  await open.delete([3, 4]);
  await open.replica.state.index.settled();
  await open.replica.checkpoint();
  await open.upsert(10, 5, 1);
  await open.upsert(100, 10);
  await open.delete([20, 21, 101]);
  return { disk, contents: await open.contents() };
}

async function filesOf(disk: TestDisk): Promise<string[]> {
  const [number] = await disk.fileSystem.list(checkpointsOf(disk));
  const directory = `${checkpointsOf(disk)}/${number}`;
  const files = (await disk.fileSystem.list(directory)).filter((name) => name !== 'graph').map((name) => `${directory}/${name}`);
  return [...files, ...(await disk.fileSystem.list(`${directory}/graph`)).map((name) => `${directory}/graph/${name}`)];
}

async function truncate(disk: TestDisk, path: string): Promise<void> {
  const file = await disk.fileSystem.open(path, 'update');
  await file.truncate(Math.floor((await file.sizeBytes()) / 2));
}

test('an intact checkpoint is used, and what changed since is made up for', async () => {
  const { disk, contents } = await usedDisk();
  const open = await OpenReplica.open(disk);
  assert.deepEqual([await open.contents(), open.warnings], [contents, []]);
  assert(open.replica.statistics().graphPointCount > 0 && open.replica.state.index.kind === 'hnswlib');
  await open.close();
});

describe('each file of a checkpoint, damaged in each way, is rebuilt', () => {
  const damages: Record<string, (disk: TestDisk, path: string) => Promise<void>> = {
    'a flipped bit': async (disk, path) => disk.fileSystem.flip(path, Math.floor((await disk.fileSystem.readFile(path))!.length / 2), 3),
    truncation: truncate,
    removal: (disk, path) => disk.fileSystem.remove(path),
  };
  for (const [name, damage] of Object.entries(damages)) {
    test(name, async () => {
      const { disk: sample } = await usedDisk();
      const names = await filesOf(sample);
      assert.deepEqual(names.map((path) => path.split('/').at(-1)), ['ids.bin', 'labels.bin', 'manifest.json', 'payload.bin', 'graph.bin']);
      for (const path of names) {
        const { disk, contents } = await usedDisk();
        await damage(disk, path);
        const open = await OpenReplica.open(disk);
        assert.deepEqual(await open.contents(), contents, path);
        if (!path.endsWith('manifest.json')) assert.match(open.warnings.join(), /rebuilding from the points/, path);
        await open.replica.state.index.settled();
        assert.deepEqual(await open.contents(), contents, path);
        await open.close();
      }
    });
  }
});

test('a checkpoint that is newer than the store is not used', async () => {
  const disk = newDisk();
  const first = await OpenReplica.open(disk);
  await first.upsert(0, 30);
  const older = disk.map.copy();
  await first.upsert(30, 30);
  await first.replica.state.index.settled();
  await first.replica.checkpoint();
  const contents = await first.contents();
  disk.map = older;
  const second = await OpenReplica.open(disk);
  assert.deepEqual(await second.contents(), contents);
  assert.deepEqual(await disk.fileSystem.list(checkpointsOf(disk)), []);
});

test('an older checkpoint than the last is removed, and so is one that was not finished', async () => {
  const { disk } = await usedDisk();
  const open = await OpenReplica.open(disk);
  disk.fileSystem.failNext({ operation: 'write', code: 'ENOSPC', path: 'labels.bin' });
  await assert.rejects(open.replica.checkpoint());
  assert.deepEqual(await disk.fileSystem.list(checkpointsOf(disk)), ['0000000001']);
  await open.replica.checkpoint();
  assert.deepEqual(await disk.fileSystem.list(checkpointsOf(disk)), ['0000000003']);
  await disk.fileSystem.makeDirectory(`${checkpointsOf(disk)}/0000000004/graph`);
  const contents = await open.contents();
  const again = await OpenReplica.open(disk);
  assert.deepEqual(await disk.fileSystem.list(checkpointsOf(disk)), ['0000000003']);
  assert.deepEqual([await again.contents(), again.replica.statistics().checkpointSeq], [contents, open.replica.statistics().appliedSeq]);
});

test('a label that passes from one point to another while the graph is written is found as neither under the vector of the other, after a power loss', async () => {
  const disk = newDisk();
  let kept = disk.map.copy();
  let whileGraphIsWritten = (): Promise<void> => Promise.resolve();
  const slow = (graph: VectorIndex): VectorIndex =>
    Object.assign(graph, { checkpoint: async (directory: string) => (await whileGraphIsWritten(), SimulatedGraph.prototype.checkpoint.call(graph as SimulatedGraph, directory)) });
  const power: ReplicaDisk = {
    ...disk,
    openStore: () => Promise.resolve({ ...openMemoryStore(disk.map), flush: () => Promise.resolve(void (kept = disk.map.copy())) }),
    graphFactory: () => {
      const factory = disk.graphFactory!();
      return { ...factory, create: async (parameters) => slow(await factory.create(parameters)) };
    },
  };
  const open = await OpenReplica.open(power);
  const { index, points } = open.replica.state;
  await open.upsert(0, 60);
  await index.settled();
  const labelOf = async (id: string): Promise<number | undefined> => (await points.states([id]))[0]?.label;
  const label = await labelOf('p7');
  whileGraphIsWritten = async () => {
    await open.delete([7]);
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    await open.upsert(100, 1);
    await index.settled();
  };
  await open.replica.checkpoint();
  assert.equal(await labelOf('p100'), label, 'the label has another owner');

  disk.map = kept;
  const { state } = (await OpenReplica.open(power, { lead: false })).replica;
  const labels = [...LabelBits.copyOf(state.labels.live).toArray()];
  const nearest: number[] = [];
  for (const vector of await state.points.vectors(labels)) nearest.push((await state.index.search({ query: vector!, k: 1, ef: 64, exact: true, countVisited: false })).labels[0]!);
  assert.deepEqual(nearest, labels);
});

test('entries above the stored commit seq are applied only when a term begins', async () => {
  const disk = newDisk();
  const first = await OpenReplica.open(disk);
  await first.upsert(0, 3);
  disk.map = disk.map.copy();
  const kept = disk.map.copy();
  await first.upsert(3, 3);
  disk.map = kept;
  const second = await OpenReplica.open(disk, { lead: false });
  assert.deepEqual([second.replica.pointCount, second.replica.notServing], [3, 'it waits to be granted a term']);
  await assert.rejects(second.upsert(6, 1), (error) => hasCode(error, 'NOT_PRIMARY'));
  await lead(second.replica, { pod: 'test-0', incarnation: 'first', session: 'session' });
  assert.equal(second.replica.pointCount, 6);
});

test('a log that ends below what was applied, or begins above it, is CORRUPTION', async () => {
  const { disk } = await usedDisk();
  const isCorruption = (error: unknown): boolean => hasCode(error, 'CORRUPTION');
  const files = await disk.fileSystem.list('/data/log');
  for (const name of files) await disk.fileSystem.remove(`/data/log/${name}`);
  await assert.rejects(OpenReplica.open(disk), isCorruption);
  const { disk: other } = await usedDisk();
  const open = await OpenReplica.open(other);
  await open.close();
  other.map = new SortedMap();
  const log = await (await import('../log/pod-log.ts')).openPodLog({ directory: '/data/log', fileSystem: other.fileSystem, clock: other.clock });
  await log.replica(1).reset(500, 500);
  await log.close();
  await assert.rejects(OpenReplica.open(other), isCorruption);
});

test('a point whose vector is gone is CORRUPTION when it is needed, not a point without a vector', async () => {
  const disk = newDisk();
  const open = await OpenReplica.open(disk);
  await open.upsert(0, 3);
  for (const [key] of [...disk.map.all()]) if (key[4] === 0x03) disk.map.apply({ kind: 'delete', key });
  await assert.rejects(OpenReplica.open(disk), (error) => error instanceof ShoalError && error.code === 'CORRUPTION');
});
