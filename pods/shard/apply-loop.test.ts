/** Aim: what is committed is applied in order, in batches that stay below each of their bounds. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { systemClock } from '../kernel/clock.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import { openPodLog } from '../log/pod-log.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { ApplyLoop, type ApplyLoopOptions } from './apply-loop.ts';
import { encodeEntry } from './entry-codec.ts';
import { checkpointsUnder, TestReplica } from './snapshot.fixture.ts';

const half = limits.applyBatchOperationCountMax / 2;
const cases: readonly { readonly name: string; readonly counts: readonly number[]; readonly payloadBytes?: number; readonly appliedAfterEach: readonly number[] }[] = [
  { name: 'as many points as the bound allows', counts: [half, half, 1], appliedAfterEach: [2, 3] },
  { name: 'an entry that does not fit begins the next batch', counts: [half + 1, half, half], appliedAfterEach: [1, 3] },
  { name: 'an entry above the bound goes alone', counts: [1, 2 * half + 1, 1], appliedAfterEach: [1, 2, 3] },
  { name: 'entries without points are bounded by their number', counts: new Array<number>(limits.applyBatchEntryCountMax + 1).fill(0), appliedAfterEach: [limits.applyBatchEntryCountMax, limits.applyBatchEntryCountMax + 1] },
  { name: 'and by their bytes', counts: [1, 1, 1], payloadBytes: limits.applyBatchBytesMax / 2 - 10_000, appliedAfterEach: [2, 3] },
];

for (const { name, counts, payloadBytes = 0, appliedAfterEach } of cases) {
  test(name, async () => {
    const random = seededRandom(3);
    const fileSystem = faultyFileSystem({ random });
    const log = await openPodLog({ directory: '/data/log', fileSystem, clock: systemClock });
    const replica = await TestReplica.open({ store: openMemoryStore(), log, fileSystem, checkpoints: checkpointsUnder('/data'), graphFactory: simulatedGraphFactory(fileSystem, random) }, 1);
    const filler = 'x'.repeat(payloadBytes);
    const entries = counts.map((count, at) => ({
      term: 1,
      seq: at + 1,
      payload: encodeEntry({
        idempotency: undefined,
        results: [],
        operations: Array.from({ length: count }, (_, i) => ({ kind: 'put-record' as const, version: at + 1, key: `${at}-${i}`, value: Buffer.from(filler) })),
      }),
    }));
    const seen: number[] = [];
    const loop = new ApplyLoop({
      shardUID: 'shard',
      state: replica.recovered.state,
      applied: replica.applied,
      driver: {
        state: { commitSeq: entries.length, mutations: new Set() },
        applied: () => undefined,
        async *committed(fromSeq: number, throughSeq: number) {
          yield* entries.filter(({ seq }) => seq >= fromSeq && seq <= throughSeq);
        },
      } as unknown as ApplyLoopOptions['driver'],
      writes: { proposed: () => undefined, applied: () => undefined } as unknown as ApplyLoopOptions['writes'],
      checkpointer: { changed: () => undefined, writeWhenDue: () => undefined } as unknown as ApplyLoopOptions['checkpointer'],
      isPatient: () => false,
      onApplied: () => void seen.push(replica.applied.value),
      onFailure: (error) => assert.fail(error),
    });
    await loop.runThrough();
    assert.deepEqual(seen, appliedAfterEach);
  });
}

test('what is committed in the instant in which it ends is applied all the same', async () => {
  const seen: number[] = [];
  const state = { commitSeq: 0 };
  const applied = { value: 0 };
  const loop: ApplyLoop = new ApplyLoop({
    applied,
    driver: {
      state,
      async *committed() {
        seen.push(state.commitSeq);
        applied.value = state.commitSeq;
      },
    },
  } as unknown as ApplyLoopOptions);
  loop.wake();
  queueMicrotask(() => {
    state.commitSeq = 1;
    loop.wake();
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, [1]);
});
