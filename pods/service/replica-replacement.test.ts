/**
 * Aim (rules A1, F1): a pod that takes a replica's state from another one holds, after a crash at any step, either the
 * replica it had or the whole new one, and nothing else; and a second attempt succeeds.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { systemClock } from '../kernel/clock.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import type { FileHandle, FileSystem } from '../kernel/file-system.ts';
import { seededRandom, systemRandom } from '../kernel/random.ts';
import type { PodService } from '../domain/pod-service.ts';
import { openPodLog } from '../log/pod-log.ts';
import { originOf, podWith, testLogger, TestReplica, type TestPod } from '../shard/snapshot.fixture.ts';
import { SnapshotSource } from '../shard/snapshot-source.ts';
import { openFaultyStore, type FaultyStore } from '../storage/faulty-store.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { decodeKey } from '../storage/keys.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { dataDirectoryLayout } from './data-directory.ts';
import { abandon, fetchReplica, removeGarbage, takeOver, type ReplacementParts } from './replica-replacement.ts';
import { ReplicaRegistry } from './replica-registry.ts';

const never = new AbortController().signal;
const shardUID = 'shard';
const collectionUID = 'collection';
const directory = dataDirectoryLayout('/data');

/** A replica with a checkpoint on a pod that never fails. */
async function sender(): Promise<{ replica: TestReplica; pod: Pick<PodService, 'snapshot'> }> {
  const random = seededRandom(3);
  const fileSystem = faultyFileSystem({ random });
  const log = await openPodLog({ directory: '/data/log', fileSystem, clock: systemClock });
  const pod: TestPod = { store: openMemoryStore(), log, fileSystem, checkpoints: directory.checkpoints, graphFactory: simulatedGraphFactory(fileSystem, random) };
  const replica = await TestReplica.open(pod, 1);
  await replica.upsert(3, 0, 150);
  await replica.checkpoint();
  await replica.delete(4, [1, 2]);
  const source = new SnapshotSource({ log, clock: systemClock, random: systemRandom, logger: testLogger() });
  return { replica, pod: podWith(() => source, () => originOf(replica)) };
}

/** Counts what changes the disk or the store, and takes the power away before the one that is chosen. */
class Fuse {
  count = 0;
  readonly #burnsAt: number;
  readonly #burn: () => void;

  constructor(burnsAt: number, burn: () => void) {
    this.#burnsAt = burnsAt;
    this.#burn = burn;
  }

  step(): void {
    if (++this.count === this.#burnsAt) this.#burn();
  }

  fileSystem(inner: FileSystem): FileSystem {
    const counted = <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) => (...args: Args): Promise<Result> => {
      this.step();
      return call(...args);
    };
    const handle = (file: FileHandle): FileHandle => ({
      write: counted((...args) => file.write(...args)),
      read: (...args) => file.read(...args),
      sizeBytes: () => file.sizeBytes(),
      truncate: counted((...args) => file.truncate(...args)),
      sync: counted(() => file.sync()),
      close: () => file.close(),
    });
    return {
      ...inner,
      open: counted(async (...args) => handle(await inner.open(...args))),
      makeDirectory: counted((...args) => inner.makeDirectory(...args)),
      rename: counted((...args) => inner.rename(...args)),
      remove: counted((...args) => inner.remove(...args)),
      syncDirectory: counted((...args) => inner.syncDirectory(...args)),
    };
  }

  store(inner: KeyValueStore): KeyValueStore {
    return {
      ...inner,
      write: async (batch) => {
        this.step();
        await inner.write(batch);
      },
      flush: async () => {
        this.step();
        await inner.flush();
      },
    };
  }
}

interface Receiver {
  readonly disk: FaultyFileSystem;
  store: FaultyStore;
  pod: TestPod;
  parts: ReplacementParts;
}

async function openReceiver(disk: FaultyFileSystem, faultyStore: FaultyStore, seed: number, fuse?: Fuse): Promise<Receiver> {
  const random = seededRandom(seed + 1_000);
  const fileSystem = fuse?.fileSystem(disk.mount()) ?? disk.mount();
  const store = fuse?.store(faultyStore) ?? faultyStore;
  const log = await openPodLog({ directory: directory.log, fileSystem, clock: systemClock });
  const registry = await ReplicaRegistry.open(store, systemRandom);
  const parts: ReplacementParts = { registry, log, store, fileSystem, directory, clock: systemClock, logger: testLogger() };
  const pod: TestPod = { store, log, fileSystem, checkpoints: directory.checkpoints, graphFactory: simulatedGraphFactory(fileSystem, random) };
  return { disk, store: faultyStore, pod, parts };
}

/** A pod with an older replica of the shard, all of it durable; its process has ended. */
async function usedReceiver(seed: number): Promise<{ disk: FaultyFileSystem; store: FaultyStore; contents: unknown }> {
  const random = seededRandom(seed);
  const disk = faultyFileSystem({ random });
  const store = openFaultyStore(random);
  await disk.makeDirectory('/data/checkpoints');
  const receiver = await openReceiver(disk, store, seed);
  const { localReplica } = await receiver.parts.registry.add(shardUID, collectionUID);
  const replica = await TestReplica.open(receiver.pod, localReplica);
  await replica.upsert(1, 0, 120, 7);
  await replica.checkpoint();
  await receiver.pod.log.replica(localReplica).adoptTerm(6);
  const contents = await replica.contents();
  await replica.close();
  await receiver.parts.log.close();
  await store.flush();
  await store.close();
  return { disk, store: store.reopen(), contents };
}

/** Numbers under which there is anything. */
async function numbersInUse({ pod, disk }: Receiver): Promise<{ store: number[]; log: readonly number[]; checkpoints: number[] }> {
  const store = new Set<number>();
  for await (const slice of pod.store.scan({ start: new Uint8Array(1), end: new Uint8Array([255, 255, 255, 255, 255]) })) {
    for (const { key } of slice) store.add(decodeKey(key).replica);
  }
  store.delete(0);
  return { store: [...store], log: pod.log.replicas(), checkpoints: (await disk.list('/data/checkpoints')).map(Number) };
}

/** The whole way: start, fetch, take over, clean. */
async function replaceWith(receiver: Receiver, source: Pick<PodService, 'snapshot'>): Promise<void> {
  await removeGarbage(receiver.parts);
  const fetched = await fetchReplica(receiver.parts, { shardUID, collectionUID, source }, never);
  await takeOver(receiver.parts, fetched);
  await removeGarbage(receiver.parts);
}

test('the new replica takes the place of the old one, with a new incarnation and the term that was adopted', async () => {
  const source = await sender();
  const { disk, store } = await usedReceiver(1);
  const receiver = await openReceiver(disk, store, 1);
  const before = receiver.parts.registry.find(shardUID)!;
  const fetched = await fetchReplica(receiver.parts, { shardUID, collectionUID, source: source.pod }, never);
  assert.deepEqual(receiver.parts.registry.find(shardUID), before, 'until it takes over, the old one is registered');
  assert.deepEqual(receiver.parts.registry.garbage(), []);
  await receiver.pod.log.replica(1).adoptTerm(8);
  await takeOver(receiver.parts, fetched);
  const now = receiver.parts.registry.find(shardUID)!;
  assert.notEqual(now.incarnation, before.incarnation);
  assert.deepEqual([now.localReplica, receiver.parts.registry.garbage()], [2, [1]]);
  await removeGarbage(receiver.parts);
  assert.deepEqual(await numbersInUse(receiver), { store: [2], log: [2], checkpoints: [2] });
  assert.equal(receiver.pod.log.replica(2).adoptedTerm, 8, 'the term that the old one adopted meanwhile');
  const copy = await TestReplica.open(receiver.pod, 2);
  assert.deepEqual([await copy.contents(), copy.warnings, copy.recovered.checkpointSeq], [await source.replica.contents(), [], 1]);
});

test('what was fetched is durable before it takes over', async () => {
  const source = await sender();
  const { disk, store } = await usedReceiver(1);
  const first = await openReceiver(disk, store, 1);
  await fetchReplica(first.parts, { shardUID, collectionUID, source: source.pod }, never);
  assert.equal(store.unflushedBatchCount(), 0);
  store.crash();
  disk.crash();
  const receiver = await openReceiver(disk, store.reopen(), 1);
  assert.deepEqual(receiver.parts.registry.garbage(), [2], 'nobody owns it, so the next start deletes it');
  const copy = await TestReplica.open(receiver.pod, 2);
  assert.deepEqual([await copy.contents(), copy.recovered.checkpointSeq], [await source.replica.contents(), 1]);
});

test('a store that fails while the new one takes over leaves open which it is', async () => {
  const source = await sender();
  const { disk, store } = await usedReceiver(1);
  const receiver = await openReceiver(disk, store, 1);
  const fetched = await fetchReplica(receiver.parts, { shardUID, collectionUID, source: source.pod }, never);
  store.failNext('flush');
  await assert.rejects(takeOver(receiver.parts, fetched), { code: 'OUTCOME_UNKNOWN' });
});

test('a pod without a replica of the shard gets one', async () => {
  const source = await sender();
  const disk = faultyFileSystem({ random: seededRandom(1) });
  await disk.makeDirectory('/data/checkpoints');
  const receiver = await openReceiver(disk, openFaultyStore(seededRandom(1)), 1);
  await replaceWith(receiver, source.pod);
  assert.deepEqual(await numbersInUse(receiver), { store: [1], log: [1], checkpoints: [1] });
});

test('what fails, or is not wanted any more, leaves the old replica and no garbage', async () => {
  const source = await sender();
  const { disk, store, contents } = await usedReceiver(1);
  const receiver = await openReceiver(disk, store, 1);
  receiver.disk.failNext({ operation: 'sync', code: 'ENOSPC', path: 'log' });
  store.failNext('write');
  await assert.rejects(fetchReplica(receiver.parts, { shardUID, collectionUID, source: source.pod }, never));
  await assert.rejects(fetchReplica(receiver.parts, { shardUID, collectionUID, source: source.pod }, AbortSignal.abort(new Error('not now'))), /not now/);
  const controller = new AbortController();
  const aborted = fetchReplica(receiver.parts, { shardUID, collectionUID, source: source.pod, onProgress: () => controller.abort(new Error('enough')) }, controller.signal);
  await aborted.then((fetched) => abandon(receiver.parts, fetched), () => undefined);
  await removeGarbage(receiver.parts);
  assert.deepEqual(await numbersInUse(receiver), { store: [1], log: [1], checkpoints: [1] });
  assert.deepEqual(await (await TestReplica.open(receiver.pod, 1)).contents(), contents);
});

describe('a crash', () => {
  const only = process.env['SHOAL_SEED'];

  test('at any step leaves the old replica or the new one, and a second attempt succeeds', async () => {
    const source = await sender();
    const expected = await source.replica.contents();
    const outcomes = { old: 0, new: 0 };
    let isDone = false;
    for (let step = only === undefined ? 1 : Number(only); !isDone; step++) {
      try {
        isDone = await crashAt(step, source.pod, expected, outcomes);
      } catch (error) {
        throw new Error(`SHOAL_SEED=${step}`, { cause: error });
      }
      if (only !== undefined) return;
    }
    assert.ok(outcomes.old > 20 && outcomes.new > 5, JSON.stringify(outcomes));
  });

  test('after all is done never brings back what was deleted', async () => {
    const source = await sender();
    for (let seed = 1; seed <= 40; seed++) {
      const { disk, store } = await usedReceiver(seed);
      await replaceWith(await openReceiver(disk, store, seed), source.pod);
      store.crash();
      disk.crash();
      const receiver = await openReceiver(disk, store.reopen(), seed);
      await removeGarbage(receiver.parts);
      assert.deepEqual(await numbersInUse(receiver), { store: [2], log: [2], checkpoints: [2] }, `seed ${seed}`);
    }
  });

  /** Resolves to whether all was done before the power went. */
  async function crashAt(step: number, source: Pick<PodService, 'snapshot'>, expected: unknown, outcomes: { old: number; new: number }): Promise<boolean> {
    const { disk, store, contents } = await usedReceiver(step);
    let hasPower = true;
    const fuse = new Fuse(step, () => {
      hasPower = false;
      store.crash();
      disk.crash();
    });
    const first = await openReceiver(disk, store, step, fuse).catch(() => undefined);
    const finished = first !== undefined && (await replaceWith(first, source).then(() => true, () => false));
    assert.notEqual(finished, !hasPower);
    if (hasPower) {
      store.crash();
      disk.crash();
    }

    const receiver = await openReceiver(disk, store.reopen(), step);
    await removeGarbage(receiver.parts);
    const [registered, ...others] = receiver.parts.registry.all();
    assert.ok(registered !== undefined && others.length === 0);
    const { localReplica } = registered;
    assert.deepEqual(await numbersInUse(receiver), { store: [localReplica], log: [localReplica], checkpoints: [localReplica] });
    assert.deepEqual(receiver.parts.registry.garbage(), []);
    assert.equal(receiver.pod.log.replica(localReplica).adoptedTerm, 6);
    const found = await TestReplica.open(receiver.pod, localReplica);
    assert.deepEqual(await found.contents(), localReplica === 1 ? contents : expected);
    assert.deepEqual([found.recovered.checkpointSeq > 0, found.warnings], [true, []], 'the checkpoint is whole');
    await found.close();
    outcomes[localReplica === 1 ? 'old' : 'new']++;

    await replaceWith(receiver, source);
    const again = receiver.parts.registry.find(shardUID)!;
    assert.ok(again.localReplica > localReplica && again.incarnation !== registered.incarnation);
    const copy = await TestReplica.open(receiver.pod, again.localReplica);
    assert.deepEqual(await copy.contents(), expected);
    return finished;
  }
});
