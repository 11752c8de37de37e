/**
 * Aim: a replica's state arrives on another pod as it was at one moment, with its graph, while the first goes on writing;
 * whatever is lost on the way, the copy is that one state or nothing.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { limits } from '../kernel/limits.ts';
import { nodeFileSystem } from '../kernel/node-file-system.ts';
import { seededRandom, systemRandom } from '../kernel/random.ts';
import { quantizations, type Quantization } from '../domain/collection.ts';
import type { PodService, SnapshotAnswer, SnapshotRequest } from '../domain/pod-service.ts';
import { graphFactoryOf, type IndexImplementation } from '../index/graph-factory.ts';
import { silentLogger } from '../kernel/logger.ts';
import { openPodLog } from '../log/pod-log.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { openRocksdbStore } from '../storage/rocksdb-store.ts';
import { keyWithBytes } from '../storage/keys.ts';
import { decodeReplicaState, replicaStateKey } from './replica-state.ts';
import { installSnapshot, type InstalledSnapshot } from './snapshot-install.ts';
import { checkpointsUnder, countingFactory, originOf, podWith, testLogger, TestReplica, type TestPod } from './snapshot.fixture.ts';
import { SnapshotSource, type SnapshotSourceOptions } from './snapshot-source.ts';

const never = new AbortController().signal;
const identity = { shardUID: 'shard', incarnation: 'new' };
const from = 1;
const to = 7;

async function realPod(context: TestContext, indexImplementation: IndexImplementation = 'native', quantization: Quantization = 'none'): Promise<TestPod & { readonly reopen: () => Promise<TestPod>; readonly counts: { inserted: number; loaded: number } }> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-transfer-'));
  const open: TestPod[] = [];
  const graphFactory = countingFactory(graphFactoryOf({ indexImplementation, indexThreads: 0, dataDirectory: tmpdir() }, silentLogger));
  const close = async (): Promise<void> => {
    for (const { log, store } of open.splice(0)) {
      await log.close();
      await store.close();
    }
  };
  const reopen = async (): Promise<TestPod> => {
    await close();
    const pod: TestPod = {
      store: await openRocksdbStore({ directory: join(directory, 'store') }),
      log: await openPodLog({ directory: join(directory, 'log'), fileSystem: nodeFileSystem, clock: systemClock }),
      fileSystem: nodeFileSystem,
      checkpoints: checkpointsUnder(directory),
      graphFactory,
      quantization,
    };
    open.push(pod);
    return pod;
  };
  context.after(async () => {
    await close();
    await rm(directory, { recursive: true, force: true });
  });
  return { ...(await reopen()), reopen, counts: graphFactory.counts };
}

interface MemoryPod extends TestPod {
  readonly fileSystem: FaultyFileSystem;
}

async function memoryPod(seed = 1): Promise<MemoryPod> {
  const random = seededRandom(seed);
  const fileSystem = faultyFileSystem({ random });
  const log = await openPodLog({ directory: '/data/log', fileSystem, clock: systemClock });
  return { store: openMemoryStore(), log, fileSystem, checkpoints: checkpointsUnder('/data'), graphFactory: simulatedGraphFactory(fileSystem, random) };
}

function sourceOf(pod: TestPod, options: Partial<SnapshotSourceOptions> = {}): SnapshotSource {
  return new SnapshotSource({ log: pod.log, clock: systemClock, random: systemRandom, logger: testLogger(), ...options });
}

interface InstallOptions {
  readonly clock?: Clock;
  readonly warnings?: string[];
  readonly adoptedTerm?: number;
  readonly onProgress?: (progress: number) => void;
}

function install(source: Pick<PodService, 'snapshot'>, pod: TestPod, options: InstallOptions = {}, signal = never): Promise<InstalledSnapshot> {
  const { clock = systemClock, warnings, adoptedTerm = 0, onProgress } = options;
  return installSnapshot(
    {
      ...identity,
      source,
      localReplica: to,
      adoptedTerm,
      store: pod.store,
      log: pod.log.replica(to),
      fileSystem: pod.fileSystem,
      checkpointDirectory: pod.checkpoints(to),
      clock,
      logger: testLogger(warnings),
      ...(onProgress === undefined ? {} : { onProgress }),
    },
    signal,
  );
}

/** A clock whose waits are over at once. */
const hurriedClock: Clock = { ...systemClock, after: (delayMs, callback) => systemClock.after(delayMs > 5_000 ? delayMs : 0, callback) };

/** A replica with a graph, deletions, replaced points, and changes after its checkpoint. */
async function usedReplica(pod: TestPod, pointCount: number): Promise<TestReplica> {
  const replica = await TestReplica.open(pod, from);
  for (let start = 0; start < pointCount; start += 200) await replica.upsert(1, start, Math.min(200, pointCount - start));
  await replica.delete(2, [3, 4, 5]);
  await replica.checkpoint();
  await replica.upsert(3, 10, 20, 1);
  return replica;
}

for (const [implementation, quantization] of [...quantizations.map((quantization) => ['native', quantization] as const), ['hnswlib', 'none'] as const]) {
  test(`from one RocksDB to another: the state of one moment, its graph included, while the first goes on; ${implementation}, quantization ${quantization}`, async (context) => {
    const here = await realPod(context, implementation, quantization);
    const replica = await usedReplica(here, 3_000);
    const expected = { stored: await replica.stored(), contents: await replica.contents() };
    const { value: appliedSeq } = replica.applied;
    const there = await realPod(context, implementation, quantization);
    const source = sourceOf(here);
    let answerCount = 0;
    const progress: number[] = [];
    const busy: Pick<PodService, 'snapshot'> = {
      async snapshot(request, signal) {
        const answer = await source.answer(request, originOf(replica), signal);
        // New points, replaced and deleted ones, and a newer checkpoint, which removes the one that is being sent.
        await replica.upsert(4, 100 + answerCount * 10, 20, 2);
        await replica.delete(4, [answerCount + 50]);
        if (answerCount++ === 0) await replica.checkpoint();
        return answer;
      },
    };
    const installed = await install(busy, there, { adoptedTerm: 9, onProgress: (at) => progress.push(at) });
    assert.deepEqual(installed, { appliedSeq, appliedTerm: 3, hasCheckpoint: true });
    assert.ok(answerCount >= 2, `${answerCount} answers`);
    assert.deepEqual(progress, progress.toSorted((a, b) => a - b));
    assert.equal(progress.at(-1), 1);
    assert.equal(source.pinnedSeq(from), appliedSeq, 'the log is held back until the receiver has caught up');

    const pod = await there.reopen();
    const { adoptedTerm, lastSeq, lastTerm, firstSeq } = pod.log.replica(to);
    assert.deepEqual({ adoptedTerm, lastSeq, lastTerm, firstSeq }, { adoptedTerm: 9, lastSeq: appliedSeq, lastTerm: 3, firstSeq: appliedSeq + 1 });
    assert.deepEqual(decodeReplicaState((await pod.store.get(replicaStateKey(to)))!), { appliedSeq, commitSeq: appliedSeq, term: 3 });
    const copy = await TestReplica.open(pod, to);
    await copy.recovered.state.index.settled();
    // 20 points were replaced after the checkpoint: they alone are inserted; everything else came with the graph.
    assert.deepEqual([there.counts.inserted, there.counts.loaded], [20, 2_997]);
    assert.deepEqual([await copy.stored(), await copy.contents(), copy.warnings], [expected.stored, expected.contents, []]);

    // And it goes on from there with the entries that followed.
    for await (const entry of here.log.replica(from).read(appliedSeq + 1, replica.applied.value)) await copy.replay(entry);
    assert.deepEqual(await copy.contents(), await replica.contents());
    source.finish(identity.shardUID, identity.incarnation);
    assert.equal(source.pinnedSeq(from), Infinity);
    await source.close();
    await copy.close();
    await replica.close();
  });
}

test('the next parts are asked for while the last ones are being written', { timeout: 30_000 }, async () => {
  const replica = await usedReplica(await memoryPod(1), 4_000);
  const there = await memoryPod(2);
  const source = sourceOf(replica.pod);
  const offsets = new Set<number>();
  let sayAsked = (): void => undefined;
  const secondAsked = new Promise<void>((resolve) => (sayAsked = resolve));
  const watched: Pick<PodService, 'snapshot'> = {
    snapshot(request, signal) {
      offsets.add(request.offset);
      if (offsets.size === 2) sayAsked();
      return source.answer(request, originOf(replica), signal);
    },
  };
  const write = there.store.write.bind(there.store);
  // Without the second question the first writing never ends.
  there.store.write = (batch) => secondAsked.then(() => write(batch));
  await install(watched, there);
  const copy = await TestReplica.open(there, to);
  assert.deepEqual(await copy.stored(), await replica.stored());
  await source.close();
});

describe('what is lost on the way', () => {
  test('every answer once', async () => {
    const replica = await usedReplica(await memoryPod(1), 4_000);
    const there = await memoryPod(2);
    const source = sourceOf(replica.pod);
    const lost = new Set<string>();
    let lostCount = 0;
    const lossy: Pick<PodService, 'snapshot'> = {
      async snapshot(request, signal) {
        const answer = await source.answer(request, originOf(replica), signal);
        const name = request.transfer === '' ? '' : String(request.offset);
        if (lost.has(name)) return answer;
        lost.add(name);
        lostCount++;
        throw new ShoalError(lostCount % 2 === 0 ? 'UNAVAILABLE' : 'OUTCOME_UNKNOWN', 'the answer was lost');
      },
    };
    const warnings: string[] = [];
    const installed = await install(lossy, there, { clock: hurriedClock, warnings });
    assert.ok(lostCount >= 3, `${lostCount} lost`);
    assert.deepEqual(warnings, [], 'it never started over');
    assert.equal(installed.hasCheckpoint, true);
    const copy = await TestReplica.open(there, to);
    assert.deepEqual([await copy.stored(), await copy.contents()], [await replica.stored(), await replica.contents()]);
    await source.close();
  });

  test('the sender’s memory, at any answer: the copy is the state of the second beginning, and nothing of the first', async () => {
    for (const restartAfter of [1, 2, 3, 4]) {
      const replica = await usedReplica(await memoryPod(1), 4_000);
      const there = await memoryPod(2);
      let source = sourceOf(replica.pod);
      let answerCount = 0;
      const warnings: string[] = [];
      const restarting: Pick<PodService, 'snapshot'> = {
        async snapshot(request, signal) {
          const answer = await source.answer(request, originOf(replica), signal);
          if (++answerCount !== restartAfter) return answer;
          await source.close();
          source = sourceOf(replica.pod);
          await replica.delete(5, [0, 1, 2, 900, 901]);
          return answer;
        },
      };
      await install(restarting, there, { clock: hurriedClock, warnings });
      const isWhole = answerCount <= restartAfter;
      assert.deepEqual(warnings, isWhole ? [] : ['the transfer of a snapshot starts over'], `after ${restartAfter} of ${answerCount}`);
      if (isWhole) continue;
      const copy = await TestReplica.open(there, to);
      assert.deepEqual([await copy.stored(), await copy.contents()], [await replica.stored(), await replica.contents()]);
      assert.equal(copy.recovered.checkpointSeq > 0, true);
    }
  });

  test('a sender that forgets every transfer is given up', async () => {
    const replica = await usedReplica(await memoryPod(1), 100);
    const there = await memoryPod(2);
    let beginCount = 0;
    const forgetful: Pick<PodService, 'snapshot'> = {
      async snapshot(request: SnapshotRequest, signal: AbortSignal): Promise<SnapshotAnswer> {
        if (request.transfer !== '') throw new ShoalError('TRANSFER_NOT_FOUND', 'forgotten');
        beginCount++;
        const answer = await sourceOf(replica.pod).answer(request, originOf(replica), signal);
        return { ...answer, parts: answer.parts.slice(0, 1) };
      },
    };
    await assert.rejects(install(forgetful, there, { clock: hurriedClock }), { code: 'UNAVAILABLE' });
    assert.equal(beginCount, limits.transferRestartCountMax + 1);
  });

  test('a sender that cannot be reached is asked a bounded number of times; one that refuses for good, once', async () => {
    for (const [code, count] of [['UNAVAILABLE', limits.transferRetryCountMax + 1], ['CORRUPTION', 1]] as const) {
      let askedCount = 0;
      const silent: Pick<PodService, 'snapshot'> = {
        snapshot() {
          askedCount++;
          return Promise.reject(new ShoalError(code, 'no'));
        },
      };
      await assert.rejects(install(silent, await memoryPod(2), { clock: hurriedClock }), { code });
      assert.equal(askedCount, count);
    }
  });

  test('the receiver’s will: an abort ends it, also while nobody answers', async () => {
    const controller = new AbortController();
    const silent: Pick<PodService, 'snapshot'> = { snapshot: () => new Promise(() => undefined) };
    const installing = install(silent, await memoryPod(2), {}, controller.signal);
    controller.abort(new ShoalError('CANCELLED', 'not wanted any more'));
    await assert.rejects(installing, { code: 'CANCELLED' });
  });
});

describe('the checkpoint', () => {
  const names = ['manifest.json', 'labels.bin', 'ids.bin', 'payload.bin', 'graph/graph.bin'];
  for (const name of names) {
    test(`a flipped bit in ${name} costs the graph, not the points`, async () => {
      const pod = await memoryPod(1);
      const replica = await usedReplica(pod, 500);
      const there = await memoryPod(2);
      const source = sourceOf(pod);
      const flipping: Pick<PodService, 'snapshot'> = {
        async snapshot(request, signal) {
          const answer = await source.answer(request, originOf(replica), signal);
          const parts = answer.parts.map((part) => {
            if (part.content.kind !== 'file' || part.content.name !== name) return part;
            const bytes = Uint8Array.from(part.content.bytes, (byte, i) => (i === part.content.kind.length ? byte ^ 4 : byte));
            return { ...part, content: { ...part.content, bytes } };
          });
          return { ...answer, parts };
        },
      };
      const warnings: string[] = [];
      assert.equal((await install(flipping, there, { warnings })).hasCheckpoint, false);
      assert.deepEqual(warnings, ['the checkpoint of a snapshot cannot be used; rebuilding from the points']);
      assert.deepEqual(await there.fileSystem.list(there.checkpoints(to)), []);
      const copy = await TestReplica.open(there, to);
      assert.deepEqual([await copy.stored(), await copy.contents(), copy.recovered.checkpointSeq], [await replica.stored(), await replica.contents(), 0]);
    });

    test(`${name} missing at the sender costs the graph, not the points`, async () => {
      const pod = await memoryPod(1);
      const replica = await usedReplica(pod, 500);
      await pod.fileSystem.remove(`${pod.checkpoints(from)}/0000000001/${name}`);
      const there = await memoryPod(2);
      const source = sourceOf(pod);
      assert.equal((await install(podWith(() => source, () => originOf(replica)), there)).hasCheckpoint, false);
      const copy = await TestReplica.open(there, to);
      assert.deepEqual([await copy.stored(), await copy.contents()], [await replica.stored(), await replica.contents()]);
    });
  }

  test('a disk here that does not take it costs the graph, not the points', async () => {
    const replica = await usedReplica(await memoryPod(1), 500);
    const there = await memoryPod(2);
    there.fileSystem.failNext({ operation: 'write', code: 'ENOSPC', path: 'graph.bin' });
    const source = sourceOf(replica.pod);
    assert.equal((await install(podWith(() => source, () => originOf(replica)), there)).hasCheckpoint, false);
    const copy = await TestReplica.open(there, to);
    assert.deepEqual(await copy.contents(), await replica.contents());
  });

  test('names outside its directory are refused', async () => {
    const replica = await usedReplica(await memoryPod(1), 500);
    const there = await memoryPod(2);
    const source = sourceOf(replica.pod);
    const evil: Pick<PodService, 'snapshot'> = {
      async snapshot(request, signal) {
        const answer = await source.answer(request, originOf(replica), signal);
        const parts = answer.parts.map((part) => (part.content.kind === 'file' ? { ...part, content: { ...part.content, name: '../../evil' } } : part));
        return { ...answer, parts };
      },
    };
    assert.equal((await install(evil, there)).hasCheckpoint, false);
    assert.deepEqual((await there.fileSystem.list('/data')).includes('evil'), false);
  });
});

test('what belongs to the sender alone stays there, and values longer than a part arrive whole', async () => {
  const pod = await memoryPod(1);
  const replica = await TestReplica.open(pod, from);
  const long = Buffer.alloc(3_000_000, 'long value ');
  await replica.apply(1, [{ kind: 'put-record', key: 'long', version: 1, value: long }, { kind: 'put-record', key: 'longer', version: 1, value: Buffer.concat([long, long]) }, { kind: 'put-record', key: 'short', version: 1, value: Buffer.from('short') }]);
  await pod.store.write([{ kind: 'put', key: keyWithBytes(from, 'meta', Buffer.from('secret')), value: Buffer.from('its own') }]);
  const there = await memoryPod(2);
  const source = sourceOf(pod);
  const sizes: number[] = [];
  const installed = await install(
    {
      async snapshot(request, signal) {
        const answer = await source.answer(request, originOf(replica), signal);
        sizes.push(JSON.stringify(answer, (_, value: unknown) => (value instanceof Uint8Array ? 'x'.repeat(value.length) : value)).length);
        return answer;
      },
    },
    there,
  );
  assert.deepEqual(installed, { appliedSeq: 1, appliedTerm: 1, hasCheckpoint: false });
  assert.ok(Math.max(...sizes) < 1 << 20, `${Math.max(...sizes)}`);
  const copy = await TestReplica.open(there, to);
  assert.deepEqual(await copy.stored(), await replica.stored());
  assert.equal(await there.store.get(keyWithBytes(to, 'meta', Buffer.from('secret'))), undefined);
});

test('an empty replica arrives empty', async () => {
  const pod = await memoryPod(1);
  const replica = await TestReplica.open(pod, from);
  const there = await memoryPod(2);
  const source = sourceOf(pod);
  assert.deepEqual(await install(podWith(() => source, () => originOf(replica)), there), { appliedSeq: 0, appliedTerm: 0, hasCheckpoint: false });
  assert.equal((await TestReplica.open(there, to)).recovered.state.labels.pointCount, 0);
});
