/** Aim (rules A1, A2, F1): whatever happens meanwhile, a replica that was replaced or removed is not opened again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { collectionSpec } from '../domain/collection.ts';
import { systemClock } from '../kernel/clock.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { seededRandom } from '../kernel/random.ts';
import { openPodLog } from '../log/pod-log.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { openLocalMetadata } from '../metadata/local-metadata.ts';
import type { VectorCollection, VectorShard } from '../metadata/objects.ts';
import type { Message, MessageBody } from '../replication/messages.ts';
import { originOf, podWith, testLogger, TestReplica } from '../shard/snapshot.fixture.ts';
import { SnapshotSource } from '../shard/snapshot-source.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { Assignments } from './assignments.ts';
import { DataPod } from './data-pod.ts';
import { dataDirectoryLayout } from './data-directory.ts';

const random = seededRandom(5);

test('while a snapshot takes the place of a replica, a look at the object waits', { timeout: 30_000 }, async () => {
  const source = await sourceOfSnapshots();
  const { pod, assignments, shard } = await new Machine().start(source);
  await assignments.start();
  const before = pod.find(shard.metadata.uid)!.registered;

  const swapped = new Promise<void>((resolve) => {
    const unhost = pod.unhost.bind(pod);
    pod.unhost = async (shardUID) => {
      await unhost(shardUID);
      assignments.look(shard.metadata.name);
      for (let turns = 0; turns < 50; turns++) await new Promise((next) => setImmediate(next));
      resolve();
    };
  });
  pod.onSnapshotNeeded(shard.metadata.uid, { pod: 'a', incarnation: 'a1', session: 's' });
  await swapped;
  await until(() => pod.registry.find(shard.metadata.uid)!.localReplica !== before.localReplica && pod.find(shard.metadata.uid) !== undefined);
  await assignments.idle();
  assert.deepEqual(pod.find(shard.metadata.uid)!.registered, pod.registry.find(shard.metadata.uid));
  await assignments.close();
  await pod.close();
});

test('a replica whose deletion was begun is gone, and the shard may have another', { timeout: 30_000 }, async () => {
  const machine = new Machine();
  const first = await machine.start();
  await first.assignments.start();
  const { uid } = first.shard.metadata;
  const before = first.pod.registry.find(uid)!;
  machine.failsToDelete = true;
  await assert.rejects(first.pod.remove(uid), /the power is gone/);
  await first.assignments.close();
  await first.pod.close();

  machine.failsToDelete = false;
  const second = await machine.start();
  await second.assignments.start();
  const { localReplica } = second.pod.find(uid)!.registered;
  assert.deepEqual([localReplica, second.pod.registry.garbage(), second.pod.options.log.replicas()], [before.localReplica + 1, [], []]);
  await second.assignments.close();
  await second.pod.close();
});

test('F1: a backup that cannot apply what is committed leaves, is kept while it is listed, and makes way for an empty one then', { timeout: 30_000 }, async () => {
  const machine = new Machine();
  const { pod, assignments, shard, metadata } = await machine.start(undefined, ['a', 'b']);
  await assignments.start();
  const { uid, name } = shard.metadata;
  const before = pod.registry.find(uid)!;
  const a = { pod: 'a', incarnation: 'a1', session: 's-a' };
  const b = { pod: 'b', incarnation: before.incarnation };
  const inSync = [{ pod: 'a', incarnation: 'a1' }, b];
  await metadata.shards.replaceStatus({ ...shard, status: { phase: 'Ready', authority: { term: 1, configVersion: 1, primary: { ...a, podUID: 'uid-a' }, inSync } } });
  assignments.look(name);
  await assignments.idle();
  const say = (body: MessageBody): void => pod.receive({ collectionUID: before.collectionUID, shardUID: uid, term: 1, from: a, to: { ...b, session: pod.session }, body });
  say({ kind: 'fence', number: 1, configVersion: 1 });
  await until(() => machine.sent.some(({ body }) => body.kind === 'report'));
  say({ kind: 'append', prevSeq: 0, prevTerm: 0, entries: [{ seq: 1, term: 1, payload: Uint8Array.of(99) }], commitSeq: 1 });
  await until(() => machine.sent.some(({ body }) => body.kind === 'goodbye'));
  await until(() => pod.quarantineOf(uid) !== undefined);
  await assignments.idle();
  assert.deepEqual([pod.find(uid), pod.registry.find(uid), pod.reports().map(({ incarnation, quarantined }) => [incarnation, quarantined])], [undefined, before, [[before.incarnation, true]]]);

  const present = (await metadata.shards.get(name))!;
  await metadata.shards.replaceStatus({ ...present, status: { ...present.status, authority: { ...present.status.authority!, inSync: [inSync[0]!], configVersion: 2 } } });
  await until(() => pod.find(uid) !== undefined);
  const after = pod.find(uid)!.registered;
  assert.deepEqual([after.localReplica, after.incarnation === before.incarnation, pod.quarantineOf(uid)], [before.localReplica + 1, false, undefined]);
  await assignments.close();
  await pod.close();
});

test('what does not concern the replica makes nobody read; a change of the spec and of the shard does', { timeout: 30_000 }, async () => {
  const { pod, assignments, shard, metadata } = await new Machine().start();
  await assignments.start();
  const readsDuring = readCounter(metadata, assignments);
  const collection = async (): Promise<VectorCollection> => (await metadata.collections.list())[0]!;

  const present = await collection();
  assert.equal(await readsDuring(() => metadata.collections.replaceStatus({ ...present, status: { ...present.status, readyShards: 1 } })), 0);
  const counted = await collection();
  assert.equal(await readsDuring(() => metadata.collections.replace({ ...counted, spec: { ...counted.spec, index: { ...counted.spec.index, efSearch: 99 } } })), 1);
  assert.equal(pod.find(shard.metadata.uid)!.collectionGeneration, (await collection()).metadata.generation);

  await assignments.close();
  await pod.close();
});

test('what a look has read already, a watch that tells of it later makes nobody read again', { timeout: 30_000 }, async () => {
  const { pod, assignments: first, shard, metadata } = await new Machine().start();
  await first.close();
  const { name } = shard.metadata;
  let tell = (_name: string): void => assert.fail('not watched');
  metadata.shards.watch = (onChange) => {
    tell = onChange;
    return () => undefined;
  };
  const assignments = new Assignments({ pod, metadata, clock: systemClock, logger: testLogger(), onDamaged: (_shardUID, error) => assert.fail(error as Error) });
  await assignments.start();
  const readsDuring = readCounter(metadata, assignments);

  const change = async (): Promise<void> => {
    const present = (await metadata.shards.list())[0]!;
    await metadata.shards.replaceStatus({ ...present, status: { ...present.status, conditions: [...(present.status.conditions ?? [])] } });
  };
  await change();
  assert.equal(await readsDuring(() => assignments.look(name)), 1);
  assert.equal(await readsDuring(() => tell(name)), 0);
  await change();
  assert.equal(await readsDuring(() => tell(name)), 1);
  await assignments.close();
  await pod.close();
});

interface Started {
  readonly pod: DataPod;
  readonly assignments: Assignments;
  readonly shard: VectorShard;
  readonly metadata: ClusterMetadata;
}

/** The disk of pod `b`, which shall hold a replica of a shard, the only one unless told otherwise. */
class Machine {
  readonly #fileSystem = faultyFileSystem({ random });
  readonly #rocksdb = openMemoryStore();
  readonly sent: Message[] = [];
  failsToDelete = false;

  async start(source?: unknown, replicas: readonly string[] = ['b']): Promise<Started> {
    const fileSystem = this.#fileSystem;
    const metadata = await openLocalMetadata({ directory: '/metadata', fileSystem, clock: systemClock, random });
    const shard = (await metadata.shards.list())[0] ?? (await shardOn(metadata, replicas));
    await fileSystem.makeDirectory('/data/checkpoints');
    const pod = await DataPod.open({
      name: 'b',
      podUID: 'uid-b',
      directory: dataDirectoryLayout('/data'),
      fileSystem,
      log: await openPodLog({ directory: '/data/log', fileSystem, clock: systemClock }),
      store: this.#store(),
      graphFactory: simulatedGraphFactory(fileSystem, random),
      metadata,
      transport: { send: (message) => void this.sent.push(message), queuedBytes: () => 0 },
      pods: { pod: () => source as never },
      clock: systemClock,
      random,
      logger: testLogger(),
      diskReadOnlyAtFraction: 1,
      onFailure: (error) => assert.fail(error),
    });
    const assignments = new Assignments({ pod, metadata, clock: systemClock, logger: testLogger(), onDamaged: (_, error) => assert.fail(error as Error) });
    return { pod, assignments, shard, metadata };
  }

  #store(): KeyValueStore {
    const store = this.#rocksdb;
    return {
      ...store,
      close: () => Promise.resolve(),
      write: (batch) => (this.failsToDelete && batch.some(({ kind }) => kind === 'delete-range') ? Promise.reject(new Error('the power is gone')) : store.write(batch)),
    };
  }
}

/** How often the shard is read while `work` is done, and by all that comes of it. */
function readCounter(metadata: ClusterMetadata, assignments: Assignments): (work: () => unknown) => Promise<number> {
  let readCount = 0;
  const get = metadata.shards.get.bind(metadata.shards);
  metadata.shards.get = (name) => (readCount++, get(name));
  return async (work) => {
    const before = readCount;
    await work();
    for (let turns = 0; turns < 20; turns++) await new Promise((next) => setImmediate(next));
    await assignments.idle();
    return readCount - before;
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((next) => setImmediate(next));
}

async function sourceOfSnapshots(): Promise<ReturnType<typeof podWith>> {
  const fileSystem = faultyFileSystem({ random });
  const log = await openPodLog({ directory: '/data/log', fileSystem, clock: systemClock });
  const { checkpoints } = dataDirectoryLayout('/data');
  const replica = await TestReplica.open({ store: openMemoryStore(), log, fileSystem, checkpoints, graphFactory: simulatedGraphFactory(fileSystem, random) }, 1);
  await replica.upsert(3, 0, 20);
  const source = new SnapshotSource({ log, clock: systemClock, random, logger: testLogger() });
  return podWith(() => source, () => originOf(replica));
}

async function shardOn(metadata: ClusterMetadata, replicas: readonly string[]): Promise<VectorShard> {
  const spec = collectionSpec({ name: 'points', dimension: 8, replication: { replicas: replicas.length, minInSync: 1 } });
  const collection = await metadata.collections.create({ metadata: { name: 'points', labels: {} }, spec });
  return metadata.shards.create({
    metadata: { name: 'points-0-0', labels: {} },
    spec: { collection: { name: 'points', uid: collection.metadata.uid }, generation: 0, index: 0, hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' }, replicas, minInSync: 1 },
  });
}
