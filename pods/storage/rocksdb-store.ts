/** A KeyValueStore on RocksDB: one directory, one column family. rocksdb-open.ts says which options and why. */

import { limits } from '../kernel/limits.ts';
import type { KeyRange, KeyValue, KeyValueReader, KeyValueSnapshot, KeyValueStore, WriteOperation } from './key-value-store.ts';
import type { Rocksdb, RocksdbSession } from './rocksdb-binding.ts';
import { rocksdbError } from './rocksdb-errors.ts';
import { assertNoBadBlocks, openRocksdb, type RocksdbStoreOptions } from './rocksdb-open.ts';
import { closedError } from './storage-errors.ts';
import { assertBatch, assertKey } from './write-batch.ts';
import { writeQueue } from './write-queue.ts';

const noBytes = new Uint8Array(0);
const firstSliceEntryCount = 32;

/**
 * Rejects with CORRUPTION when the directory's files fail a check, with UNAVAILABLE when another process has it open,
 * with STORAGE_READ_ONLY when the disk is full.
 */
export async function openRocksdbStore(options: RocksdbStoreOptions): Promise<KeyValueStore> {
  const database = await openRocksdb(options);
  const queue = writeQueue((batches) => writeBatches(database, batches));
  let closing: Promise<void> | undefined;
  const assertOpen = (): void => {
    if (closing !== undefined) throw closedError('the store');
  };
  const close = async (): Promise<void> => {
    await queue.drained();
    await attempt('closing', () => database.close());
  };

  return {
    ...reader(database, assertOpen),
    async write(batch) {
      assertOpen();
      const bytes = assertBatch(batch);
      if (batch.length > 0) await queue.write(batch, bytes);
    },
    // RocksDB syncs the new file, then the directory, then the catalogue, before this resolves.
    async flush() {
      assertOpen();
      await queue.drained();
      await attempt('flushing', () => database.flush());
      await assertNoBadBlocks(database);
    },
    snapshot() {
      assertOpen();
      return snapshot(database.snapshot(), assertOpen);
    },
    // Blocks in the cache are not read from the disk again; a store that was just opened has none.
    async verify(signal) {
      assertOpen();
      const total = { entries: 0, bytes: 0 };
      for await (const slice of scanSession(database, { start: noBytes, end: undefined }, assertOpen, signal)) {
        total.entries += slice.length;
        for (const { key, value } of slice) total.bytes += key.length + value.length;
      }
      await assertNoBadBlocks(database);
      return total;
    },
    async compact(start, end) {
      assertOpen();
      if (Buffer.compare(start, end) >= 0) return;
      await queue.drained();
      await attempt('compacting', () => database.compactRange(start, end));
    },
    async statistics() {
      assertOpen();
      const property = async (name: string): Promise<number> => Number((await database.getProperty(`rocksdb.${name}`)) ?? 0);
      const inMemory = ['cur-size-all-mem-tables', 'estimate-table-readers-mem', 'block-cache-usage'];
      const memory = await Promise.all(inMemory.map(property));
      return { sizeBytes: await property('total-sst-files-size'), memoryBytes: memory.reduce((sum, bytes) => sum + bytes, 0) };
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function reader(session: RocksdbSession, assertOpen: () => void): KeyValueReader {
  const getMany = async (keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> => {
    assertOpen();
    for (const key of keys) assertKey(key);
    if (keys.length === 0) return [];
    return attempt('reading', async () => {
      const batch = session.read({ capacity: keys.length, autoDestroy: true });
      const values = keys.map((key) => batch.get(key));
      batch.tryFlush();
      const found: (Uint8Array | null | undefined)[] = await Promise.all(values);
      for (let i = 0; i < found.length; i++) found[i] ??= undefined;
      return found as (Uint8Array | undefined)[];
    });
  };
  return {
    getMany,
    get: async (key) => (await getMany([key]))[0],
    scan: (range, signal) => scanSession(session, range, assertOpen, signal),
  };
}

function snapshot(session: RocksdbSession, assertStoreOpen: () => void): KeyValueSnapshot {
  let closed = false;
  const assertOpen = (): void => {
    assertStoreOpen();
    if (closed) throw closedError('the snapshot');
  };
  return {
    ...reader(session, assertOpen),
    async close() {
      if (closed) return;
      closed = true;
      await session.close();
    },
  };
}

type OpenRange = Omit<KeyRange, 'end'> & { readonly end: Uint8Array | undefined };

/** A snapshot of a snapshot is the same view, so that one way serves both. */
async function* scanSession(
  session: RocksdbSession,
  range: OpenRange,
  assertOpen: () => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly KeyValue[]> {
  assertOpen();
  const view = session.snapshot();
  try {
    yield* scanView(view, range, assertOpen, signal);
  } finally {
    await view.close();
  }
}

/**
 * One iterator per slice, so that an abort waits for one slice at most. The binding takes a count of entries, not of
 * bytes: the count follows the largest entry of the slice before, and at most doubles.
 */
async function* scanView(
  session: RocksdbSession,
  range: OpenRange,
  assertOpen: () => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly KeyValue[]> {
  const { reverse = false, keysOnly = false, limit = Infinity } = range;
  if (range.end !== undefined && Buffer.compare(range.start, range.end) >= 0) return;
  let left = limit;
  let count = firstSliceEntryCount;
  let last: Uint8Array | undefined;
  while (left > 0) {
    signal?.throwIfAborted();
    assertOpen();
    const sliceLimit = Math.min(count, left);
    const slice = await readSlice(session, range, last, sliceLimit, reverse, keysOnly);
    signal?.throwIfAborted();
    if (slice.length > 0) yield slice;
    if (slice.length < sliceLimit) return;
    left -= slice.length;
    last = (slice.at(-1) as KeyValue).key;
    const largest = Math.max(...slice.map(({ key, value }) => key.length + value.length));
    const fitting = Math.max(1, Math.floor(limits.storageSliceBytesMax / largest));
    count = Math.min(2 * count, fitting, limits.storageSliceEntryCountMax);
  }
}

async function readSlice(
  session: RocksdbSession,
  range: OpenRange,
  last: Uint8Array | undefined,
  limit: number,
  reverse: boolean,
  keysOnly: boolean,
): Promise<KeyValue[]> {
  const start = !reverse && last !== undefined ? { gt: last } : { gte: range.start };
  const end = reverse && last !== undefined ? last : range.end;
  const bounds = { ...start, ...(end === undefined ? {} : { lt: end }) };
  return attempt('scanning', async () => {
    const slice: KeyValue[] = [];
    for await (const { key, value } of session.iterator({ ...bounds, reverse, values: !keysOnly, limit, capacity: limit })) {
      slice.push({ key, value: value ?? noBytes });
    }
    return slice;
  });
}

async function writeBatches(database: Rocksdb, batches: readonly (readonly WriteOperation[])[]): Promise<void> {
  const operationCount = batches.reduce((count, { length }) => count + length, 0);
  await attempt('writing', async () => {
    const together = database.write({ capacity: Math.max(1, operationCount), autoDestroy: true });
    for (const batch of batches) {
      for (const operation of batch) {
        if (operation.kind === 'put') together.tryPut(operation.key, operation.value);
        else if (operation.kind === 'delete') together.tryDelete(operation.key);
        // RocksDB refuses a batch with an empty range.
        else if (Buffer.compare(operation.start, operation.end) < 0) together.tryDeleteRange(operation.start, operation.end);
      }
    }
    await together.flush();
  });
}

async function attempt<Result>(doing: string, call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    throw rocksdbError(error, doing);
  }
}
