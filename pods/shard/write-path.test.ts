/** Aim: every write that holds memory counts against the shard's bounds, whatever it waits for. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { context, OpenReplica } from './replica.fixture.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('writes that wait for another of the same key are counted, and let go of once they are answered', { timeout: 60_000 }, async () => {
  let held: Promise<void> | undefined;
  const store = openMemoryStore();
  const open = await OpenReplica.open({
    directory: '/data',
    fileSystem: faultyFileSystem({ random: seededRandom(1) }),
    clock: new SimulatedClock(),
    openStore: () => Promise.resolve({ ...store, get: async (key) => (await held, store.get(key)) }),
    graphFactory: undefined,
    flatFloatsMax: 1_000_000,
  });
  const value = new Uint8Array(limits.shardPendingWriteBytesMax / 16);
  const write = (key: string): Promise<string> =>
    open.service.write(context, { kind: 'put-record', key, value, expectedVersion: undefined }).then(
      ({ results }) => results[0]!.outcome,
      (error: unknown) => (error as { code: string }).code,
    );
  let release = (): void => undefined;
  held = new Promise((resolve) => (release = resolve));
  const first = Array.from({ length: 16 }, () => write('hot'));
  await turn();
  assert.deepEqual([await write('hot'), await write('cold'), open.replica.pendingWriteCount], ['OVERLOADED', 'OVERLOADED', 16]);
  held = undefined;
  release();
  assert.deepEqual(new Set((await Promise.all(first)).slice(1)), new Set(['updated']));
  assert.deepEqual([await write('cold'), open.replica.pendingWriteCount], ['created', 0]);
  await open.close();
});
