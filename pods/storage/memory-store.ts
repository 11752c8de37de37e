/** A KeyValueStore in memory, for tests and the simulator. Nothing is durable: a new store is empty. */

import type { KeyValueStore } from './key-value-store.ts';
import { applyBatch, sortedMapReader, sortedMapSnapshot, verifyMap, type ReadGuard } from './sorted-map-reader.ts';
import { SortedMap } from './sorted-map.ts';
import { closedError } from './storage-errors.ts';
import { assertBatch } from './write-batch.ts';

/** `map` holds what the store begins with, and outlives the store: a second store over it stands for a reopened one. */
export function openMemoryStore(map: SortedMap = new SortedMap()): KeyValueStore {
  let closed = false;
  const guard: ReadGuard = {
    assertOpen() {
      if (closed) throw closedError('the store');
    },
    assertReadable() {},
  };
  return {
    ...sortedMapReader(() => map, guard),
    async write(batch) {
      guard.assertOpen();
      assertBatch(batch);
      applyBatch(map, batch);
    },
    async flush() {
      guard.assertOpen();
    },
    snapshot() {
      guard.assertOpen();
      return sortedMapSnapshot(map.copy(), guard);
    },
    async verify(signal) {
      guard.assertOpen();
      signal?.throwIfAborted();
      return verifyMap(map, guard);
    },
    async compact() {
      guard.assertOpen();
    },
    async statistics() {
      guard.assertOpen();
      return { sizeBytes: map.bytes, memoryBytes: map.bytes };
    },
    async close() {
      closed = true;
    },
  };
}
