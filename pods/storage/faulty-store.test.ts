import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { hasCode } from '../kernel/errors.ts';
import { seededRandom } from '../kernel/random.ts';
import { openFaultyStore, type FaultyStore } from './faulty-store.ts';
import { keyValueStoreConformance } from './key-value-store.conformance.ts';
import type { KeyValueReader } from './key-value-store.ts';

keyValueStoreConformance('faulty, without faults', async () => {
  let store = openFaultyStore(seededRandom(1));
  const reopen = async (): Promise<FaultyStore> => (store = store.reopen());
  return { store, reopen };
});

const key = (index: number): Uint8Array => Buffer.from(`key ${String(index).padStart(3, '0')}`);
const value = Buffer.from('value');
const everything = { start: Buffer.from('\x00'), end: Buffer.from('\xff') };

/** One batch of two entries: keys 2n and 2n + 1. */
const writePair = (store: FaultyStore, pair: number): Promise<void> =>
  store.write([{ kind: 'put', key: key(2 * pair), value }, { kind: 'put', key: key(2 * pair + 1), value }]);

async function countEntries(store: KeyValueReader): Promise<number> {
  let count = 0;
  for await (const slice of store.scan(everything)) count += slice.length;
  return count;
}

/** Ten batches, of which four are flushed; a crash; how many entries are left. */
async function entriesAfterCrash(seed: number, tearBatches: boolean): Promise<number> {
  const store = openFaultyStore(seededRandom(seed), { tearBatches });
  for (let pair = 0; pair < 4; pair += 1) await writePair(store, pair);
  await store.flush();
  for (let pair = 4; pair < 10; pair += 1) await writePair(store, pair);
  assert.equal(store.unflushedBatchCount(), 6);
  store.crash();
  return countEntries(store.reopen());
}

describe('faulty store', () => {
  test('a crash keeps what was flushed and a prefix of whole batches, the same for the same seed', async () => {
    const counts = await Promise.all(Array.from({ length: 200 }, (_, seed) => entriesAfterCrash(seed, false)));
    assert.deepEqual([...new Set(counts)].sort((a, b) => a - b), [8, 10, 12, 14, 16, 18, 20]);
    assert.deepEqual(await Promise.all(Array.from({ length: 200 }, (_, seed) => entriesAfterCrash(seed, false))), counts);
  });

  test('only a disk that tears batches leaves half of one', async () => {
    const counts = await Promise.all(Array.from({ length: 200 }, (_, seed) => entriesAfterCrash(seed, true)));
    assert.deepEqual([...new Set(counts)].sort((a, b) => a - b), [9, 11, 13, 15, 17, 19, 20]);
  });

  test('what a second crash may lose is what the first one left unflushed', async () => {
    for (let seed = 0; seed < 50; seed += 1) {
      let store = openFaultyStore(seededRandom(seed));
      let atLeast = 0;
      for (let round = 0; round < 5; round += 1) {
        await writePair(store, round);
        if (round === 2) {
          await store.flush();
          atLeast = await countEntries(store);
        }
        const before = await countEntries(store);
        store.crash();
        store = store.reopen();
        const after = await countEntries(store);
        assert(after >= atLeast && after <= before && after % 2 === 0, `seed ${seed}: ${atLeast} ≤ ${after} ≤ ${before}`);
      }
    }
  });

  test('after a crash every old handle rejects', async () => {
    const store = openFaultyStore(seededRandom(1));
    await writePair(store, 0);
    const snapshot = store.snapshot();
    const scan = store.scan(everything);
    store.crash();
    const unavailable = (error: unknown): boolean => hasCode(error, 'UNAVAILABLE');
    await assert.rejects(store.get(key(0)), unavailable);
    await assert.rejects(writePair(store, 1), unavailable);
    await assert.rejects(store.flush(), unavailable);
    await assert.rejects(snapshot.get(key(0)), unavailable);
    await assert.rejects(async () => {
      for await (const slice of scan) assert.fail(`a slice of ${slice.length}`);
    }, unavailable);
    assert.throws(() => store.crash(), /cannot crash/);
  });

  test('flipped bits are reported wherever the key is read, also after a crash, until it is written again', async () => {
    let store = openFaultyStore(seededRandom(1));
    for (let pair = 0; pair < 3; pair += 1) await writePair(store, pair);
    await store.flush();
    const snapshot = store.snapshot();
    store.corrupt(key(2));
    const corruption = (error: unknown): boolean => hasCode(error, 'CORRUPTION');
    assert.equal(Buffer.compare((await store.get(key(1))) as Uint8Array, value), 0);
    await assert.rejects(store.get(key(2)), corruption);
    await assert.rejects(store.getMany([key(1), key(2)]), corruption);
    await assert.rejects(snapshot.get(key(2)), corruption);
    await assert.rejects(countEntries(store), corruption);
    await assert.rejects(store.verify(), corruption);
    store.crash();
    store = store.reopen();
    await assert.rejects(store.get(key(2)), corruption);
    await writePair(store, 1);
    assert.deepEqual(await store.verify(), { entries: 6, bytes: 6 * 12 });
    store.corrupt(key(4));
    await store.write([{ kind: 'delete-range', start: key(4), end: key(5) }]);
    assert.equal(await store.get(key(4)), undefined);
  });

  test('a full disk refuses puts and takes deletes', async () => {
    const store = openFaultyStore(seededRandom(1), { diskBytesMax: 100 });
    for (let pair = 0; pair < 4; pair += 1) await writePair(store, pair);
    await assert.rejects(writePair(store, 4), (error) => hasCode(error, 'STORAGE_READ_ONLY'));
    assert.equal(await countEntries(store), 8);
    await store.write([{ kind: 'delete', key: key(0) }, { kind: 'delete', key: key(1) }]);
    await writePair(store, 4);
    store.setFaults({ diskBytesMax: Infinity });
    await writePair(store, 5);
    assert.equal(await countEntries(store), 10);
  });

  test('planned and random I/O errors change nothing', async () => {
    const store = openFaultyStore(seededRandom(7));
    const failed = (error: unknown): boolean => hasCode(error, 'UNAVAILABLE');
    await writePair(store, 0);
    store.failNext('write');
    await assert.rejects(writePair(store, 1), failed);
    store.failNext('flush');
    await assert.rejects(store.flush(), failed);
    store.failNext('read');
    await assert.rejects(store.get(key(0)), failed);
    assert.deepEqual([await countEntries(store), store.unflushedBatchCount()], [2, 1]);
    store.setFaults({ writeErrors: 0.3 });
    let written = 0;
    for (let pair = 1; pair <= 100; pair += 1) await writePair(store, pair).then(() => (written += 1), failed);
    assert(written > 50 && written < 90, `${written} of 100 writes went well`);
    assert.equal(await countEntries(store), 2 + 2 * written);
  });
});
