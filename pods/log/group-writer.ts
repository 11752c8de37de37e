/**
 * The one writer of the log. What is queued while a sync runs goes out as the next group: one frame, one write, one sync.
 *
 * A failed write or sync leaves unknown what is on the disk, so the log is poisoned: nothing is acknowledged any more.
 * The one exception is a disk that is full: nothing of the group can have been acknowledged, so it is cut off again, and
 * everything queued is refused.
 */

import assert from 'node:assert';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { isDiskFull, unavailable } from './faults.ts';
import { frameBytesFor, type LogRecord, type RecordContent } from './format.ts';
import { recordBytesOf, type FrameBuilder } from './frame-builder.ts';
import type { SegmentStore } from './segment-store.ts';
import type { LogState } from './state.ts';

export interface GroupBounds {
  readonly segmentBytes: number;
  readonly groupBytesMax: number;
  readonly groupRecordCountMax: number;
  readonly queueBytesMax: number;
  readonly queueRecordCountMax: number;
}

interface Request {
  readonly records: readonly RecordContent[];
  readonly bytes: number;
  resolve(): void;
  reject(error: Error): void;
}

export interface GroupWriterParts {
  readonly store: SegmentStore;
  readonly state: LogState;
  readonly builder: FrameBuilder;
  readonly clock: Clock;
  readonly bounds: GroupBounds;
  /** Everything queued is about to be refused: whoever counts on it goes back to what is durable. */
  readonly onRefused: () => void;
}

export class GroupWriter {
  failure: ShoalError | undefined;
  groupCount = 0;
  recordCount = 0;
  writtenBytesTotal = 0;
  syncMsTotal = 0;
  queuedBytes = 0;
  queuedRecordCount = 0;
  readonly #parts: GroupWriterParts;
  #queue: Request[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(parts: GroupWriterParts) {
    this.#parts = parts;
  }

  /** See `ReplicaLog`. */
  get isCrowded(): boolean {
    const { queueBytesMax, queueRecordCountMax } = this.#parts.bounds;
    return this.queuedBytes * 2 > queueBytesMax || this.queuedRecordCount * 2 > queueRecordCountMax;
  }

  /** Throws when `records` cannot be queued; nothing has changed then. */
  admit(records: readonly RecordContent[]): void {
    if (this.failure !== undefined) throw new ShoalError('UNAVAILABLE', this.failure.message, { cause: this.failure });
    if (this.#closed) throw new ShoalError('SHUTTING_DOWN', 'the log is closed');
    const { bounds } = this.#parts;
    const bytes = recordBytesOf(records);
    if (frameBytesFor(bytes) > bounds.groupBytesMax || records.length > bounds.groupRecordCountMax) {
      throw new ShoalError(
        'INVALID_ARGUMENT',
        `one append of ${records.length} records and ${bytes} bytes is larger than a group of the log may be`,
        { details: { groupBytesMax: bounds.groupBytesMax, groupRecordCountMax: bounds.groupRecordCountMax } },
      );
    }
    const isFull =
      this.queuedBytes + bytes > bounds.queueBytesMax || this.queuedRecordCount + records.length > bounds.queueRecordCountMax;
    if (isFull) throw new ShoalError('OVERLOADED', 'the queue of the log is full', { details: { queuedBytes: this.queuedBytes } });
  }

  /**
   * Queues `records`, which `admit` let pass, for one frame; resolves when they, and all that was queued before them, are
   * durable. Without records it writes nothing of its own, but waits for the same.
   */
  enqueue(records: readonly RecordContent[]): Promise<void> {
    const bytes = recordBytesOf(records);
    this.queuedBytes += bytes;
    this.queuedRecordCount += records.length;
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, bytes, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Takes nothing more, and resolves when all that is queued has its outcome. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    // Whatever is asked for in the same turn, and by those whose answer just came, shares the group.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        const records = group.flatMap((request) => request.records);
        if (records.length > 0) await this.#write(records);
        for (const request of group) request.resolve();
      } catch (error) {
        await this.#refuse([...group, ...this.#takeAll()], error);
      }
      await nextTurn();
    }
    this.#running = undefined;
  }

  #takeGroup(): Request[] {
    const { groupBytesMax, groupRecordCountMax } = this.#parts.bounds;
    let bytes = 0;
    let recordCount = 0;
    const end = this.#queue.findIndex((request) => {
      bytes += request.bytes;
      recordCount += request.records.length;
      return frameBytesFor(bytes) > groupBytesMax || recordCount > groupRecordCountMax;
    });
    return this.#leaveQueue(this.#queue.splice(0, end === -1 ? this.#queue.length : end));
  }

  #takeAll(): Request[] {
    return this.#leaveQueue(this.#queue.splice(0));
  }

  #leaveQueue(requests: Request[]): Request[] {
    for (const { bytes, records } of requests) {
      this.queuedBytes -= bytes;
      this.queuedRecordCount -= records.length;
    }
    return requests;
  }

  async #write(contents: readonly RecordContent[]): Promise<void> {
    const { store, state, builder, bounds } = this.#parts;
    const frameBytes = frameBytesFor(recordBytesOf(contents));
    if (store.newest.sizeBytes + frameBytes > bounds.segmentBytes) await this.#rotate();
    const { segment, sizeBytes: offset } = store.newest;
    const { bytes, records } = await builder.build({
      kind: 'group',
      segment,
      frame: state.nextFrame,
      records: contents,
      chainCrc: (localReplica) => state.replicas.get(localReplica)?.chainCrc ?? 0,
    });
    try {
      await store.newestHandle.write([bytes], offset);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await store.newestHandle.truncate(offset);
      await store.sync(store.newestHandle);
      throw new DiskFull(error);
    }
    await this.#timedSync();
    this.#take(records, segment, offset);
    store.newest.sizeBytes = offset + bytes.length;
    this.writtenBytesTotal += bytes.length;
  }

  async #rotate(): Promise<void> {
    const { store, state, builder } = this.#parts;
    const segment = store.newest.segment + 1;
    try {
      await store.begin(segment, state, builder);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await store.remove(segment);
      throw new DiskFull(error);
    }
  }

  async #timedSync(): Promise<void> {
    const { store, clock } = this.#parts;
    const startedMs = clock.monotonicMs();
    await store.sync(store.newestHandle);
    this.syncMsTotal += clock.monotonicMs() - startedMs;
  }

  /** The group is durable. */
  #take(records: readonly LogRecord[], segment: number, offset: number): void {
    const { state } = this.#parts;
    for (const record of records) {
      const refusal = state.apply(record, segment, offset);
      assert(refusal === undefined, refusal);
    }
    state.nextFrame++;
    this.groupCount++;
    this.recordCount += records.length;
  }

  async #refuse(requests: readonly Request[], error: unknown): Promise<void> {
    const isFull = error instanceof DiskFull;
    if (!isFull) this.failure = unavailable('the log failed, and what was being written is in doubt', error);
    this.#parts.onRefused();
    const refusal = isFull
      ? new ShoalError('STORAGE_READ_ONLY', 'the disk is full; nothing of it was written', { cause: error.cause })
      : new ShoalError('OUTCOME_UNKNOWN', 'the log failed while writing', { cause: this.failure });
    for (const request of requests) request.reject(refusal);
  }
}

/** The disk was full, and what was written of the group is cut off again. */
class DiskFull extends Error {
  constructor(cause: unknown) {
    super('the disk is full', { cause });
  }
}
