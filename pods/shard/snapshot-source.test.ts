/** Aim: what a sender holds for a transfer (a view, files, the log) is bounded in number, time and bytes, and let go of. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { systemClock } from '../kernel/clock.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import type { SnapshotAnswer } from '../domain/pod-service.ts';
import { openPodLog } from '../log/pod-log.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { checkpointsUnder, originOf, testLogger, TestReplica } from './snapshot.fixture.ts';
import { contentBytes } from './snapshot-reader.ts';
import { SnapshotSource, type SnapshotSourceOptions } from './snapshot-source.ts';

const never = new AbortController().signal;
const localReplica = 1;

interface Sender {
  readonly replica: TestReplica;
  readonly source: SnapshotSource;
  readonly clock: SimulatedClock;
  readonly warnings: string[];
  /** Views of the store and files that are open. */
  readonly held: { views: number; files: number };
  ask(incarnation: string, transfer?: string, offset?: number): Promise<SnapshotAnswer>;
}

/** `whileReading` runs in the middle of an answer's making. */
async function sender(options: Partial<SnapshotSourceOptions> = {}, whileReading: (clock: SimulatedClock) => void = () => undefined): Promise<Sender> {
  const random = seededRandom(5);
  const held = { views: 0, files: 0 };
  const fileSystem = faultyFileSystem({ random });
  const store = openMemoryStore();
  const snapshot = store.snapshot.bind(store);
  store.snapshot = () => {
    const view = snapshot();
    held.views++;
    return { ...view, close: async () => void held.views-- };
  };
  const log = await openPodLog({ directory: '/data/log', fileSystem, clock: systemClock });
  const pod = { store, log, fileSystem, checkpoints: checkpointsUnder('/data'), graphFactory: simulatedGraphFactory(fileSystem, random) };
  const replica = await TestReplica.open(pod, localReplica);
  for (let start = 0; start < 3_000; start += 250) await replica.upsert(1, start, 500);
  await replica.checkpoint();
  const clock = new SimulatedClock();
  const warnings: string[] = [];
  const source = new SnapshotSource({ log, clock, random, logger: testLogger(warnings), ...options });
  const origin = originOf(replica);
  const counted = {
    ...origin,
    fileSystem: {
      ...fileSystem.mount(),
      open: async (...args: Parameters<typeof fileSystem.open>) => {
        const handle = await fileSystem.open(...args);
        held.files++;
        whileReading(clock);
        return { ...handle, close: async () => (held.files--, await handle.close()) };
      },
    },
  };
  const ask = (incarnation: string, transfer = '', offset = 0): Promise<SnapshotAnswer> =>
    source.answer({ shardUID: 'shard', incarnation, transfer, offset }, counted, never);
  return { replica, source, clock, warnings, held, ask };
}

const nothing = { views: 0, files: 0 };
const nextOffset = ({ parts }: SnapshotAnswer): number => parts.at(-1)!.offset + 1;
/** Lets what a drop began come to its end. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
};

describe('a transfer', () => {
  test('comes in answers of less than a frame, in order; the last one can be had again, older ones not', async () => {
    const { ask, clock, held } = await sender();
    const first = await ask('a');
    assert.deepEqual(held.views, 1);
    assert.ok(held.files >= 5);
    clock.advance(10_000);
    const second = await ask('a', first.transfer, nextOffset(first));
    clock.advance(10_000);
    assert.deepEqual(await ask('a', first.transfer, nextOffset(first)), second);
    clock.advance(10_000);
    await assert.rejects(ask('a', first.transfer, 0), { code: 'TRANSFER_NOT_FOUND', message: /part 0 is not the next one, nor in the last answer/ });
    await assert.rejects(ask('a', first.transfer, nextOffset(second) + 1), { code: 'TRANSFER_NOT_FOUND' });
    const answers = [first, second];
    while (answers.at(-1)!.parts.at(-1)!.content.kind !== 'end') {
      clock.advance(10_000);
      answers.push(await ask('a', first.transfer, nextOffset(answers.at(-1)!)));
    }
    assert.deepEqual(held, nothing, 'all is sent, so nothing is open');
    const parts = answers.flatMap((answer) => answer.parts);
    assert.deepEqual(parts.map(({ offset }) => offset), parts.map((_, i) => i));
    const kinds = parts.map(({ content }) => content.kind).filter((kind, i, all) => kind !== all[i - 1]);
    assert.deepEqual(kinds, ['begin', 'entries', 'file', 'end']);
    assert.ok(answers.length >= 3);
    for (const answer of answers) {
      const sizeBytes = answer.parts.reduce((total, { content }) => total + contentBytes(content), 0);
      assert.ok(sizeBytes <= limits.transferAnswerBytesMax, `${sizeBytes}`);
    }
    clock.advance(10_000);
    await assert.rejects(ask('a', first.transfer, parts.length), { code: 'TRANSFER_NOT_FOUND' });
  });

  test('two requests for the same part get the same part', async () => {
    const { ask, clock } = await sender();
    const first = await ask('a');
    clock.advance(10_000);
    const both = await Promise.all([ask('a', first.transfer, nextOffset(first)), ask('a', first.transfer, nextOffset(first))]);
    assert.deepEqual(both[0], both[1]);
  });

  test('a request that is given up loses nothing', async () => {
    const { ask, clock, source, replica } = await sender();
    const first = await ask('a');
    clock.advance(10_000);
    const controller = new AbortController();
    const request = { shardUID: 'shard', incarnation: 'a', transfer: first.transfer, offset: nextOffset(first) };
    const givenUp = source.answer(request, originOf(replica), controller.signal);
    await Promise.resolve();
    controller.abort(new Error('gone'));
    await assert.rejects(givenUp, /gone/);
    assert.equal((await ask('a', first.transfer, nextOffset(first))).parts[0]!.offset, nextOffset(first));
  });

  test('is one of a few; the same receiver’s next one takes the place of its last', async () => {
    const { ask, clock, held, warnings } = await sender();
    const wide = 10_000;
    const first = await ask('a');
    clock.advance(wide);
    await ask('b');
    clock.advance(wide);
    await assert.rejects(ask('c'), { code: 'OVERLOADED' });
    const again = await ask('a');
    await turns();
    assert.deepEqual([held.views, warnings], [2, ['a snapshot was not delivered: it was begun anew']]);
    clock.advance(wide);
    await assert.rejects(ask('a', first.transfer, nextOffset(first)), { code: 'TRANSFER_NOT_FOUND', message: /begun anew/ });
    assert.notEqual(again.transfer, first.transfer);
  });

  test('nobody asks about is dropped', async () => {
    const { ask, clock, held, warnings, source } = await sender();
    const { transfer } = await ask('a');
    clock.advance(limits.transferIdleMsMax - 1);
    assert.deepEqual([held.views, source.pinnedSeq(localReplica)], [1, 12]);
    clock.advance(1);
    await turns();
    assert.deepEqual([held, source.pinnedSeq(localReplica), warnings], [nothing, Infinity, [`a snapshot was not delivered: nobody asked about it for ${limits.transferIdleMsMax} ms`]]);
    await assert.rejects(ask('a', transfer, 1), { code: 'TRANSFER_NOT_FOUND', message: /nobody asked about it/ });
  });

  test('that cannot read the store fails, and is dropped', async () => {
    const { ask, clock, held, replica, source } = await sender();
    const { transfer, parts } = await ask('a');
    await replica.pod.store.close();
    clock.advance(10_000);
    await assert.rejects(ask('a', transfer, parts.length), { code: 'UNAVAILABLE' });
    await turns();
    assert.deepEqual([held, source.pinnedSeq(localReplica)], [nothing, Infinity]);
  });

  test('ends when the pod closes, or the replica goes', async () => {
    for (const end of ['close', 'drop'] as const) {
      const { ask, clock, held, source } = await sender();
      const { transfer, parts } = await ask('a');
      await (end === 'close' ? source.close() : source.drop(localReplica, 'the replica moved away'));
      assert.deepEqual([held, source.pinnedSeq(localReplica)], [nothing, Infinity]);
      clock.advance(10_000);
      await assert.rejects(ask('a', transfer, parts.length), end === 'close' ? { code: 'SHUTTING_DOWN' } : { code: 'TRANSFER_NOT_FOUND', message: /moved away/ });
    }
  });
});

describe('T1: the log', () => {
  test('is held back from the beginning until the receiver is done, or for so long', async () => {
    for (const isFinished of [true, false]) {
      const { ask, clock, replica, source, warnings } = await sender();
      const asking = ask('a');
      assert.equal(source.pinnedSeq(localReplica), 0, 'before its seq is known');
      let answer = await asking;
      assert.deepEqual(answer.parts[0]!.content, { kind: 'begin', appliedSeq: 12, appliedTerm: 1 });
      await replica.delete(2, [1]);
      assert.deepEqual([source.pinnedSeq(localReplica), source.pinnedSeq(localReplica + 1)], [12, Infinity]);
      while (answer.parts.at(-1)!.content.kind !== 'end') {
        clock.advance(10_000);
        answer = await ask('a', answer.transfer, nextOffset(answer));
      }
      clock.advance(limits.transferCatchUpMsMax - 1);
      assert.equal(source.pinnedSeq(localReplica), 12);
      if (isFinished) source.finish('shard', 'a');
      else clock.advance(1);
      assert.deepEqual([source.pinnedSeq(localReplica), warnings.length], [Infinity, isFinished ? 0 : 1]);
    }
  });

  test('lets go of a transfer that made it grow too much, visibly', async () => {
    const { ask, clock, replica, source, warnings } = await sender({ pinnedLogBytesMax: 100_000 });
    const { transfer, parts } = await ask('a');
    await replica.upsert(2, 0, 100);
    assert.equal(source.pinnedSeq(localReplica), 12);
    for (let start = 0; start < 1_000; start += 500) await replica.upsert(2, start, 500);
    assert.equal(source.pinnedSeq(localReplica), Infinity);
    assert.deepEqual(warnings, ['a snapshot was not delivered: the log grew by more than 100000 bytes while the transfer held it back']);
    clock.advance(10_000);
    await assert.rejects(ask('a', transfer, parts.length), { code: 'TRANSFER_NOT_FOUND', message: /the log grew/ });
  });
});

test('all transfers together keep to the rate', async () => {
  const { ask, clock, source } = await sender({ bytesPerSecondMax: 100_000 });
  const startMs = clock.monotonicMs();
  const first = await ask('a');
  const sizeBytes = first.parts.reduce((total, { content }) => total + contentBytes(content), 0);
  let isAnswered = false;
  const second = ask('b').then((answer) => ((isAnswered = true), answer));
  const dueMs = (sizeBytes / 100_000) * 1_000;
  clock.advance(dueMs - 1);
  await turns();
  assert.deepEqual([isAnswered, dueMs > 5_000], [false, true]);
  clock.advance(1);
  const sent = [first, await second].flatMap(({ parts }) => parts);
  assert.equal(source.sentBytesTotal, sent.reduce((total, { content }) => total + contentBytes(content), 0));
  assert.ok(clock.monotonicMs() - startMs >= dueMs - 1);
});

test('the time that reading takes counts towards the rate', async () => {
  let readingMs = 0;
  const { ask, clock } = await sender({ bytesPerSecondMax: 100_000 }, (time) => {
    readingMs += 100;
    time.advance(100);
  });
  const { parts } = await ask('a');
  const dueMs = (parts.reduce((total, { content }) => total + contentBytes(content), 0) / 100_000) * 1_000;
  assert.ok(readingMs > 0 && readingMs < dueMs, `${readingMs} ms of ${dueMs}`);
  let isAnswered = false;
  const second = ask('b').then(() => (isAnswered = true));
  clock.advance(dueMs - readingMs - 1);
  await turns();
  assert.equal(isAnswered, false);
  clock.advance(1);
  await second;
});
