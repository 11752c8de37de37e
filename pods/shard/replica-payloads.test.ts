/**
 * Aim: payloads of hits come from memory once they were read, and beside writes a search still shows each batch whole or
 * not at all, nothing that was acknowledged is missing, and a version goes with its payload.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { seededRandom } from '../kernel/random.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { spaceOfKey } from '../storage/keys.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { context, OpenReplica, type ReplicaDisk } from './replica.fixture.ts';

const pointCount = 12;

/** A store that takes its time, before it looks and after, and counts the payloads that it is asked for. */
class SlowStore {
  payloadReadCount = 0;
  readonly random = seededRandom(11);

  async open(): Promise<KeyValueStore> {
    const store = openMemoryStore();
    return {
      ...store,
      getMany: async (keys) => {
        this.payloadReadCount += keys.filter((key) => spaceOfKey(key) === 'payload').length;
        await this.#someTurns();
        const found = await store.getMany(keys);
        await this.#someTurns();
        return found;
      },
      write: async (batch) => {
        await this.#someTurns();
        await store.write(batch);
        await this.#someTurns();
      },
    };
  }

  async #someTurns(): Promise<void> {
    for (let turns = this.random.uint32() % 4; turns > 0; turns--) await new Promise(setImmediate);
  }
}

async function openWithPoints(slow: SlowStore): Promise<OpenReplica> {
  const disk: ReplicaDisk = {
    directory: '/data',
    fileSystem: faultyFileSystem({ random: seededRandom(3) }),
    clock: new SimulatedClock(),
    openStore: () => slow.open(),
    graphFactory: undefined,
    flatFloatsMax: 1_000_000,
  };
  const open = await OpenReplica.open(disk);
  await open.upsert(0, pointCount);
  return open;
}

const numbers = Array.from({ length: pointCount }, (_, i) => i);

async function setRound(open: OpenReplica, round: number): Promise<void> {
  await open.service.write(context, { kind: 'change-payload', changes: numbers.map((number) => ({ id: `p${number}`, set: { round } })) });
}

test('payloads that were read come from memory until they change', async () => {
  const slow = new SlowStore();
  const open = await openWithPoints(slow);
  const readAtSearch = async (): Promise<number> => {
    const before = slow.payloadReadCount;
    await open.search({ topK: pointCount });
    return slow.payloadReadCount - before;
  };
  assert.equal(await readAtSearch(), pointCount);
  assert.equal(await readAtSearch(), 0);
  await open.upsert(3, 2, 1);
  assert.equal(await readAtSearch(), 2);
  await open.delete([3, 7]);
  assert.equal(await readAtSearch(), 0);
  await open.upsert(3, 1, 2);
  assert.equal(await readAtSearch(), 1);
  await setRound(open, 1);
  assert.equal(await readAtSearch(), pointCount - 1);
  await open.close();
});

test('beside writes, a search shows a batch whole or not at all, and what was acknowledged', async () => {
  const slow = new SlowStore();
  const open = await openWithPoints(slow);
  await setRound(open, 0);
  let acknowledged = 0;
  let readCount = 0;
  let writing = true;
  const read = async (): Promise<void> => {
    while (writing) {
      const least = acknowledged;
      const hits = await open.search({ topK: 1 + (slow.random.uint32() % pointCount) });
      readCount += hits.length;
      const rounds = new Set(hits.map(({ payload, version }) => `${String(payload!['round'])} ${version}`));
      assert.equal(rounds.size, 1, [...rounds].join());
      assert((hits[0]!.payload!['round'] as number) >= least);
    }
  };
  const write = async (): Promise<void> => {
    for (let round = 1; round <= 150; round++) {
      await setRound(open, round);
      acknowledged = round;
      for (let turns = slow.random.uint32() % 30; turns > 0; turns--) await new Promise(setImmediate);
    }
    writing = false;
  };
  const before = slow.payloadReadCount;
  await Promise.all([write(), read(), read(), read(), read()]);
  assert(slow.payloadReadCount - before < 0.8 * readCount, `${slow.payloadReadCount - before} of ${readCount} payloads were read from the store`);
  await open.close();
});
