/**
 * The transfers of replicas' state that this pod sends to others (rules A1, T1).
 *
 *     begun ── parts, answer by answer ──▶ all sent ── the receiver replays the log ──▶ finish(), or idle for too long
 *       └───────── dropped: idle, begun anew, the log grew too much, a read failed, the pod closes ─────────┘
 *
 * From the beginning until it ends either way a transfer holds the log back above its seq: without those entries the
 * receiver could not go on from the snapshot. Its view of the store and its files are closed as soon as all is sent. The
 * last answer is kept, so that it can be asked for again when it was lost; older ones are gone.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { sleep, type Clock, type Timer } from '../kernel/clock.ts';
import { withSignal } from '../kernel/deadline.ts';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { SnapshotAnswer, SnapshotPart, SnapshotRequest } from '../domain/pod-service.ts';
import type { PodLog } from '../log/log.ts';
import { contentBytes, ReplicaSnapshot, type SnapshotContent, type SnapshotOrigin } from './snapshot-reader.ts';

export interface SnapshotSourceOptions {
  readonly log: PodLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Smaller than in `limits`, by an option of the pod or for tests. */
  readonly bytesPerSecondMax?: number;
  readonly pinnedLogBytesMax?: number;
}

/** Why lately dropped transfers were dropped, for the receivers that still ask. */
const reasonCountMax = 64;

export class SnapshotSource {
  readonly #options: SnapshotSourceOptions;
  readonly #transfers = new Map<string, Transfer>();
  readonly #reasons = new Map<string, string>();
  #sentBytesTotal = 0;
  /** Before this time nothing more is sent. */
  #freeAtMs = 0;
  #closed = false;

  constructor(options: SnapshotSourceOptions) {
    this.#options = options;
  }

  /**
   * The answer to a pod that asks for a snapshot of the replica `origin`. OVERLOADED when too many transfers run,
   * TRANSFER_NOT_FOUND when this one is gone, CORRUPTION when the state cannot be read.
   */
  async answer(request: SnapshotRequest, origin: SnapshotOrigin, signal: AbortSignal): Promise<SnapshotAnswer> {
    if (this.#closed) throw new ShoalError('SHUTTING_DOWN', 'the pod sends no snapshots any more');
    this.#dropGreedy();
    const transfer = request.transfer === '' ? this.#begin(request, origin) : this.#find(request.transfer);
    transfer.isAskedFor();
    await this.#untilFree(signal);
    const { clock } = this.#options;
    const beganMs = clock.monotonicMs();
    try {
      const { answer, sizeBytes } = await withSignal(transfer.answer(request.offset), signal);
      this.#sentBytesTotal += sizeBytes;
      // The time that reading took counts: else the rate would never be reached.
      this.#freeAtMs = Math.max(this.#freeAtMs, beganMs) + (sizeBytes / this.#bytesPerSecondMax) * 1_000;
      return answer;
    } catch (error) {
      if (!signal.aborted && transfer.ended === undefined && transfer.failure !== undefined) {
        void this.#drop(transfer, `reading the replica failed: ${asShoalError(error).message}`);
      }
      throw error;
    } finally {
      transfer.isAskedFor();
    }
  }

  /** Since the start, what was sent again included. */
  get sentBytesTotal(): number {
    return this.#sentBytesTotal;
  }

  /**
   * Rule T1: the log of the replica must not be released above this seq; Infinity when no transfer needs it. One that has
   * held back more than its bound is dropped here, with a warning.
   */
  pinnedSeq(localReplica: number): number {
    this.#dropGreedy();
    const pins = [...this.#transfers.values()].filter((transfer) => transfer.origin.localReplica === localReplica);
    return Math.min(Infinity, ...pins.map(({ pinnedSeq }) => pinnedSeq));
  }

  /** The receiver has what it needs of the log, or will never need it: the log is not held back for it any more. */
  finish(shardUID: string, incarnation: string): void {
    for (const transfer of this.#of(shardUID, incarnation)) void this.#drop(transfer, undefined);
  }

  /** Drops the transfers of a replica that is about to go. Resolves when nothing of it is read any more. */
  async drop(localReplica: number, because: string): Promise<void> {
    const all = [...this.#transfers.values()].filter((transfer) => transfer.origin.localReplica === localReplica);
    await Promise.all(all.map((transfer) => this.#drop(transfer, because)));
  }

  /** Drops all of them. Resolves when nothing is read any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#transfers.values()].map((transfer) => this.#drop(transfer, 'the pod is closing')));
  }

  get #bytesPerSecondMax(): number {
    return this.#options.bytesPerSecondMax ?? limits.transferBytesPerSecondMax;
  }

  #begin(request: SnapshotRequest, origin: SnapshotOrigin): Transfer {
    for (const earlier of this.#of(request.shardUID, request.incarnation)) void this.#drop(earlier, 'it was begun anew');
    const running = [...this.#transfers.values()].filter((transfer) => !transfer.isSent);
    if (running.length >= limits.transferCountMax) {
      throw new ShoalError('OVERLOADED', `the pod is sending ${running.length} snapshots already`, { details: { limit: limits.transferCountMax } });
    }
    const { clock, random, log } = this.#options;
    const transfer = new Transfer(random.uuid(), request, origin, log.statistics().writtenBytesTotal, clock, (idleMs) => {
      void this.#drop(transfer, `nobody asked about it for ${idleMs} ms`);
    });
    this.#transfers.set(transfer.id, transfer);
    return transfer;
  }

  #find(id: string): Transfer {
    const transfer = this.#transfers.get(id);
    if (transfer === undefined) throw notFound(id, this.#reasons.get(id) ?? 'this process does not know it');
    return transfer;
  }

  #of(shardUID: string, incarnation: string): Transfer[] {
    return [...this.#transfers.values()].filter((transfer) => transfer.shardUID === shardUID && transfer.incarnation === incarnation);
  }

  #dropGreedy(): void {
    const written = this.#options.log.statistics().writtenBytesTotal;
    const bound = this.#options.pinnedLogBytesMax ?? limits.transferPinnedLogBytesMax;
    for (const transfer of this.#transfers.values()) {
      if (written - transfer.writtenBytesBefore > bound) void this.#drop(transfer, `the log grew by more than ${bound} bytes while the transfer held it back`);
    }
  }

  /** Without a reason it has done its work. */
  async #drop(transfer: Transfer, because: string | undefined): Promise<void> {
    if (!this.#transfers.delete(transfer.id)) return;
    const { id, shardUID, incarnation } = transfer;
    if (because !== undefined) this.#options.logger.warn({ shardUID, incarnation, transfer: id }, `a snapshot was not delivered: ${because}`);
    this.#reasons.set(id, because ?? 'it was finished');
    if (this.#reasons.size > reasonCountMax) this.#reasons.delete(this.#reasons.keys().next().value!);
    await transfer.end(because ?? 'it was finished');
  }

  /** All transfers together keep to the rate: what was sent is paid for before the next is read. */
  async #untilFree(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let waitMs = this.#freeAtMs - clock.monotonicMs(); waitMs > 0; waitMs = this.#freeAtMs - clock.monotonicMs()) {
      await sleep(clock, waitMs, signal);
    }
  }
}

interface SizedContent {
  readonly content: SnapshotContent;
  readonly sizeBytes: number;
}

interface SizedAnswer {
  readonly answer: SnapshotAnswer;
  readonly sizeBytes: number;
}

class Transfer {
  readonly id: string;
  readonly shardUID: string;
  readonly incarnation: string;
  readonly origin: SnapshotOrigin;
  readonly writtenBytesBefore: number;
  /** Set once it has ended, with the reason. */
  ended: string | undefined;
  /** Reading failed: what it had read is not known any more. */
  failure: unknown;
  /** All its parts are in answers. */
  isSent = false;
  readonly #clock: Clock;
  readonly #onIdle: (idleMs: number) => void;
  readonly #abort = new AbortController();
  #snapshot: ReplicaSnapshot | undefined;
  #contents: AsyncGenerator<SnapshotContent, void, undefined> | undefined;
  /** Read, and too large for the answer before. */
  #waiting: SizedContent | undefined;
  #nextOffset = 0;
  #last: { readonly offset: number; readonly sized: SizedAnswer } | undefined;
  #sentBytes = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #idle: Timer | undefined;

  constructor(id: string, request: SnapshotRequest, origin: SnapshotOrigin, writtenBytesBefore: number, clock: Clock, onIdle: (idleMs: number) => void) {
    this.id = id;
    this.shardUID = request.shardUID;
    this.incarnation = request.incarnation;
    this.origin = origin;
    this.writtenBytesBefore = writtenBytesBefore;
    this.#clock = clock;
    this.#onIdle = onIdle;
  }

  /** Until the seq of the view is known, all of the log is held. */
  get pinnedSeq(): number {
    return this.#snapshot?.appliedSeq ?? 0;
  }

  isAskedFor(): void {
    this.#idle?.cancel();
    if (this.ended !== undefined) return;
    const idleMs = this.isSent ? limits.transferCatchUpMsMax : limits.transferIdleMsMax;
    this.#idle = this.#clock.after(idleMs, () => this.#onIdle(idleMs));
  }

  /** One after another: a request that was given up may still be reading what the next one asks for. */
  answer(offset: number): Promise<SizedAnswer> {
    const answered = this.#turn.then(() => this.#answer(offset));
    this.#turn = answered.catch(() => undefined);
    return answered;
  }

  async end(because: string): Promise<void> {
    this.ended = because;
    this.#idle?.cancel();
    this.#abort.abort(notFound(this.id, because));
    await this.#turn;
    // What cannot be closed can still be forgotten.
    await this.#close().catch(() => undefined);
  }

  async #answer(offset: number): Promise<SizedAnswer> {
    if (this.ended !== undefined) throw notFound(this.id, this.ended);
    if (this.failure !== undefined) throw asShoalError(this.failure);
    if (this.#last?.offset === offset) return this.#last.sized;
    if (offset !== this.#nextOffset || this.isSent) throw notFound(this.id, `part ${offset} is not the next one, nor in the last answer`);
    const { parts, sizeBytes } = await this.#nextParts().catch((error: unknown) => {
      this.failure = error;
      throw error;
    });
    this.#sentBytes += sizeBytes;
    this.#nextOffset += parts.length;
    const expectedBytes = this.#snapshot?.expectedBytes ?? 0;
    const progress = this.isSent ? 1 : Math.min(0.99, this.#sentBytes / Math.max(1, expectedBytes));
    const sized = { answer: { transfer: this.id, parts, progress }, sizeBytes };
    this.#last = { offset, sized };
    return sized;
  }

  async #nextParts(): Promise<{ readonly parts: readonly SnapshotPart[]; readonly sizeBytes: number }> {
    const parts: SnapshotPart[] = [];
    let sizeBytes = 0;
    for (;;) {
      const next = this.#waiting ?? (await this.#read());
      this.#waiting = undefined;
      if (parts.length > 0 && sizeBytes + next.sizeBytes > limits.transferAnswerBytesMax) {
        this.#waiting = next;
        return { parts, sizeBytes };
      }
      parts.push({ offset: this.#nextOffset + parts.length, content: next.content });
      sizeBytes += next.sizeBytes;
      if (next.content.kind !== 'end') continue;
      this.isSent = true;
      await this.#close();
      return { parts, sizeBytes };
    }
  }

  async #read(): Promise<SizedContent> {
    if (this.#contents === undefined) {
      this.#snapshot = await ReplicaSnapshot.open(this.origin);
      this.#contents = this.#snapshot.contents(this.#abort.signal);
    }
    const next = await this.#contents.next();
    this.#abort.signal.throwIfAborted();
    if (next.done === true) throw new ShoalError('INTERNAL', 'a snapshot ended without its end');
    // Values of a scan come many at a time: between two parts others have their turn.
    await nextTurn();
    return { content: next.value, sizeBytes: contentBytes(next.value) };
  }

  async #close(): Promise<void> {
    const contents = this.#contents;
    if (contents === undefined) return;
    this.#contents = undefined;
    await contents.return();
    await this.#snapshot?.close();
  }
}

function notFound(transfer: string, because: string): ShoalError {
  return new ShoalError('TRANSFER_NOT_FOUND', `there is no transfer ${transfer} to go on with: ${because}`, { details: { transfer } });
}
