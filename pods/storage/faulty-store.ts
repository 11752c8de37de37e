/**
 * A store in memory whose disk goes wrong by seed. It keeps apart what is visible and what is durable:
 *
 *   durable ──flush── unflushed batches, in order ──► visible
 *
 * `crash()` ends this store; `reopen()` gives one that holds the durable state and a prefix of the unflushed batches,
 * whole ones only (rule of the interface) unless `tearBatches` asks for a disk that breaks even that. Faults never act
 * on their own: the same seed and the same calls in the same order give the same outcome.
 */

import assert from 'node:assert/strict';

import { below, type Random } from '../kernel/random.ts';
import type { KeyValueStore, WriteOperation } from './key-value-store.ts';
import { applyBatch, sortedMapReader, sortedMapSnapshot, verifyMap, type ReadGuard } from './sorted-map-reader.ts';
import { SortedMap } from './sorted-map.ts';
import { closedError, corruptionError, diskFailedError, diskFullError } from './storage-errors.ts';
import { assertBatch } from './write-batch.ts';

export interface StoreFaults {
  /** Probabilities in [0, 1] that one write, one flush, one entry read fails. A failed write changed nothing. */
  readonly writeErrors: number;
  readonly flushErrors: number;
  readonly readErrors: number;
  /** Writes that hold a put fail once keys and values exceed this many bytes; deletes go on. */
  readonly diskBytesMax: number;
  /** A crash may leave the first operations of one more batch without its others: no real store does this. */
  readonly tearBatches: boolean;
}

const noFaults: StoreFaults = { writeErrors: 0, flushErrors: 0, readErrors: 0, diskBytesMax: Infinity, tearBatches: false };

export interface FaultyStore extends KeyValueStore {
  /** Changes the named faults from now on. */
  setFaults(faults: Partial<StoreFaults>): void;
  /** The next call of this kind fails, whatever the probabilities. */
  failNext(call: 'read' | 'write' | 'flush'): void;
  /** Flips bits under this key: reading it rejects with CORRUPTION until it is written again. */
  corrupt(key: Uint8Array): void;
  /** Batches that a crash could lose now. */
  unflushedBatchCount(): number;
  /** The process or machine dies: every handle on this store rejects from now on. */
  crash(): void;
  /** The store as it is found after `crash()` or `close()`. */
  reopen(): FaultyStore;
}

/** What is on the disk: what survives the store that wrote it. */
interface Disk {
  readonly durable: SortedMap;
  readonly unflushed: readonly (readonly WriteOperation[])[];
  /** Keys with flipped bits, as hex. */
  readonly corrupt: Set<string>;
}

export function openFaultyStore(random: Random, faults: Partial<StoreFaults> = {}): FaultyStore {
  return openDisk({ durable: new SortedMap(), unflushed: [], corrupt: new Set() }, random, { ...noFaults, ...faults });
}

function openDisk(disk: Disk, random: Random, initialFaults: StoreFaults): FaultyStore {
  let faults = initialFaults;
  let durable = disk.durable;
  let unflushed = [...disk.unflushed];
  const visible = durable.copy();
  for (const batch of unflushed) applyBatch(visible, batch);
  const corrupt = disk.corrupt;
  const failing = new Set<'read' | 'write' | 'flush'>();
  let state: 'open' | 'closed' | 'crashed' = 'open';

  const maybeFail = (call: 'read' | 'write' | 'flush', probability: number): void => {
    const planned = failing.delete(call);
    if (planned || (probability > 0 && random.fraction() < probability)) throw diskFailedError(`injected ${call} error`);
  };
  const guard: ReadGuard = {
    assertOpen() {
      if (state !== 'open') throw closedError('the store');
    },
    assertReadable(key) {
      maybeFail('read', faults.readErrors);
      if (corrupt.size > 0 && corrupt.has(hex(key))) throw corruptionError(`the block of key ${hex(key)} fails its checksum`);
    },
  };
  const healOverwritten = (operation: WriteOperation): void => {
    if (operation.kind !== 'delete-range') corrupt.delete(hex(operation.key));
    else for (const key of corrupt) if (key >= hex(operation.start) && key < hex(operation.end)) corrupt.delete(key);
  };

  return {
    ...sortedMapReader(() => visible, guard),
    async write(batch) {
      guard.assertOpen();
      const bytes = assertBatch(batch);
      maybeFail('write', faults.writeErrors);
      const adds = batch.some((operation) => operation.kind === 'put');
      if (adds && visible.bytes + bytes > faults.diskBytesMax) throw diskFullError();
      // Kept as copies: the caller may use its buffers again.
      const kept = batch.map(copyOf);
      applyBatch(visible, kept);
      unflushed.push(kept);
      if (corrupt.size > 0) kept.forEach(healOverwritten);
    },
    async flush() {
      guard.assertOpen();
      maybeFail('flush', faults.flushErrors);
      durable = visible.copy();
      unflushed = [];
    },
    snapshot() {
      guard.assertOpen();
      return sortedMapSnapshot(visible.copy(), guard);
    },
    async verify(signal) {
      guard.assertOpen();
      signal?.throwIfAborted();
      return verifyMap(visible, guard);
    },
    async compact() {
      guard.assertOpen();
    },
    async statistics() {
      guard.assertOpen();
      return { sizeBytes: visible.bytes, memoryBytes: visible.bytes };
    },
    async close() {
      if (state === 'open') state = 'closed';
    },
    setFaults(changed) {
      faults = { ...faults, ...changed };
    },
    failNext: (call) => void failing.add(call),
    corrupt: (key) => void corrupt.add(hex(key)),
    unflushedBatchCount: () => unflushed.length,
    crash() {
      assert(state === 'open', `a store that is ${state} cannot crash`);
      state = 'crashed';
      unflushed = survivors(unflushed, random, faults.tearBatches);
    },
    reopen() {
      assert(state !== 'open', 'only a store that has crashed or was closed can be reopened');
      return openDisk({ durable: durable.copy(), unflushed, corrupt: new Set(corrupt) }, random, faults);
    },
  };
}

/** A prefix of the batches, of a length drawn by seed; with `tear`, sometimes followed by a part of the next one. */
function survivors(batches: readonly (readonly WriteOperation[])[], random: Random, tear: boolean): (readonly WriteOperation[])[] {
  const count = below(random, batches.length + 1);
  const kept = batches.slice(0, count);
  const next = batches[count];
  if (tear && next !== undefined && next.length > 1) kept.push(next.slice(0, 1 + below(random, next.length - 1)));
  return kept;
}

function copyOf(operation: WriteOperation): WriteOperation {
  switch (operation.kind) {
    case 'put':
      return { kind: 'put', key: new Uint8Array(operation.key), value: new Uint8Array(operation.value) };
    case 'delete':
      return { kind: 'delete', key: new Uint8Array(operation.key) };
    case 'delete-range':
      return { kind: 'delete-range', start: new Uint8Array(operation.start), end: new Uint8Array(operation.end) };
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
