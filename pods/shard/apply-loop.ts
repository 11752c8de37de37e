/** Applies what is committed, in order and in bounded batches: new entries, replay after a crash, and backups alike. */

import assert from 'node:assert/strict';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { ReplicationDriver } from '../replication/driver.ts';
import { applyEntries, type AppliedState, type CommittedEntry } from './applier.ts';
import type { AppliedSeq } from './applied-seq.ts';
import type { Checkpointer } from './checkpointer.ts';
import { decodeEntry } from './entry-codec.ts';
import type { Entry } from './operation.ts';
import type { WritePath } from './write-path.ts';

export interface ApplyLoopOptions {
  readonly shardUID: string;
  readonly state: AppliedState;
  readonly applied: AppliedSeq;
  readonly driver: ReplicationDriver;
  readonly writes: WritePath;
  readonly checkpointer: Checkpointer;
  /** Nobody waits for it to be applied here: it may take the time that the index needs. */
  readonly isPatient: () => boolean;
  /** After each batch. */
  readonly onApplied: () => void;
  readonly onFailure: (error: ShoalError) => void;
}

export class ApplyLoop {
  readonly #options: ApplyLoopOptions;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** Ends the wait for room in the index. */
  #hurry: (() => void) | undefined;

  constructor(options: ApplyLoopOptions) {
    this.#options = options;
  }

  /** Something was committed. */
  wake(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#running = this.runThrough().then(
      () => {
        this.#running = undefined;
        // What was committed after its last look, and before this, has woken nobody.
        if (this.#options.applied.value < this.#options.driver.state.commitSeq) this.wake();
      },
      (error: unknown) => {
        this.#running = undefined;
        this.#options.onFailure(asShoalError(error));
      },
    );
  }

  /** It may be patient no more. */
  hurry(): void {
    this.#hurry?.();
  }

  /** Resolves when what is under way is applied; nothing begins afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.hurry();
    await this.#running;
  }

  /** Applies everything through the commit seq, also what is committed meanwhile. */
  async runThrough(): Promise<void> {
    const { applied, driver, shardUID } = this.#options;
    while (applied.value < driver.state.commitSeq && !this.#stopped) {
      const before = applied.value;
      await this.#applyBatches(before + 1, driver.state.commitSeq);
      if (applied.value === before && !this.#stopped) throw new ShoalError('CORRUPTION', `the log of shard ${shardUID} lacks seq ${before + 1}, which was committed`);
    }
  }

  async #applyBatches(fromSeq: number, throughSeq: number): Promise<void> {
    const { driver, writes } = this.#options;
    let run: CommittedEntry[] = [];
    let [sizeBytes, operationCount] = [0, 0];
    for await (const { term, seq, payload } of driver.committed(fromSeq, throughSeq)) {
      const entry = writes.proposed(term, seq) ?? this.#decoded(payload);
      const { length } = entry.operations;
      const isFull =
        run.length >= limits.applyBatchEntryCountMax ||
        sizeBytes + payload.length > limits.applyBatchBytesMax ||
        operationCount + length > limits.applyBatchOperationCountMax;
      if (run.length > 0 && isFull) {
        await this.#apply(run);
        if (this.#stopped) return;
        run = [];
        [sizeBytes, operationCount] = [0, 0];
      }
      run.push({ term, seq, entry });
      sizeBytes += payload.length;
      operationCount += length;
    }
    if (run.length > 0) await this.#apply(run);
  }

  async #roomChanged(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#hurry = resolve;
      void this.#options.state.index.roomChanged().then(resolve);
    });
    this.#hurry = undefined;
  }

  #decoded(payload: Uint8Array): Entry {
    const entry = decodeEntry(payload);
    return this.#options.driver.state.mutations.has('idempotency-not-replicated') ? { ...entry, idempotency: undefined } : entry;
  }

  async #apply(run: readonly CommittedEntry[]): Promise<void> {
    const { state, applied, driver, writes, checkpointer } = this.#options;
    assert(run[0]!.seq === applied.value + 1, 'entries are applied in order');
    while (!this.#stopped && this.#options.isPatient() && state.index.isFarBehind) await this.#roomChanged();
    const repeats = await applyEntries(state, run, driver.state.commitSeq);
    for (const { term, seq, entry } of run) {
      applied.advance(seq);
      checkpointer.changed(entry.operations.length);
      writes.applied(term, seq, repeats.get(seq));
    }
    driver.applied(applied.value);
    applied.wake();
    checkpointer.writeWhenDue();
    this.#options.onApplied();
  }
}
