/** The reading half of a KeyValueStore over a SortedMap; the memory store and the faulty store differ in the guard. */

import { limits } from '../kernel/limits.ts';
import type { KeyRange, KeyValue, KeyValueReader, KeyValueSnapshot, WriteOperation } from './key-value-store.ts';
import { assertKey } from './write-batch.ts';
import type { SortedMap } from './sorted-map.ts';
import { closedError } from './storage-errors.ts';

export interface ReadGuard {
  /** Throws when the store takes no calls any more. */
  assertOpen(): void;
  /** Throws when this entry cannot be read. */
  assertReadable(key: Uint8Array): void;
}

export function sortedMapReader(view: () => SortedMap, guard: ReadGuard): KeyValueReader {
  const read = (map: SortedMap, key: Uint8Array): Uint8Array | undefined => {
    assertKey(key);
    guard.assertReadable(key);
    const value = map.get(key);
    return value === undefined ? undefined : new Uint8Array(value);
  };
  return {
    async get(key) {
      guard.assertOpen();
      return read(view(), key);
    },
    async getMany(keys) {
      guard.assertOpen();
      return keys.map((key) => read(view(), key));
    },
    scan: (range, signal) => scanSlices(view, guard, range, signal),
  };
}

export function sortedMapSnapshot(map: SortedMap, guard: ReadGuard): KeyValueSnapshot {
  let closed = false;
  const reader = sortedMapReader(() => map, {
    assertOpen() {
      guard.assertOpen();
      if (closed) throw closedError('the snapshot');
    },
    assertReadable: (key) => guard.assertReadable(key),
  });
  return {
    ...reader,
    async close() {
      closed = true;
    },
  };
}

async function* scanSlices(
  view: () => SortedMap,
  guard: ReadGuard,
  range: KeyRange,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly KeyValue[]> {
  guard.assertOpen();
  signal?.throwIfAborted();
  const map = view().copy();
  let left = range.limit ?? Infinity;
  let slice: KeyValue[] = [];
  let sliceBytes = 0;
  if (left <= 0) return;
  for (const [key, value] of map.entries(range.start, range.end, range.reverse)) {
    guard.assertReadable(key);
    slice.push({ key: new Uint8Array(key), value: range.keysOnly ? new Uint8Array(0) : new Uint8Array(value) });
    sliceBytes += key.length + (range.keysOnly ? 0 : value.length);
    left -= 1;
    if (slice.length >= limits.storageSliceEntryCountMax || sliceBytes >= limits.storageSliceBytesMax || left <= 0) {
      yield slice;
      if (left <= 0) return;
      guard.assertOpen();
      signal?.throwIfAborted();
      slice = [];
      sliceBytes = 0;
    }
  }
  if (slice.length > 0) yield slice;
}

/** The entries and bytes of a map, each passed by the guard. */
export function verifyMap(map: SortedMap, guard: ReadGuard): { entries: number; bytes: number } {
  for (const [key] of map.all()) guard.assertReadable(key);
  return { entries: map.size, bytes: map.bytes };
}

export function applyBatch(map: SortedMap, batch: readonly WriteOperation[]): void {
  for (const operation of batch) map.apply(operation);
}
