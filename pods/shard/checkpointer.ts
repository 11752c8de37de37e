/**
 * When a replica writes a checkpoint of its derived data, and what goes into it: after every twentieth of new points (at
 * least `checkpointPointCountMin`), when the interval is over and something changed, and at an orderly end.
 */

import type { Clock, Timer } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { IndexParameters } from '../index/vector-index.ts';
import type { AppliedState } from './applier.ts';
import type { AppliedSeq } from './applied-seq.ts';
import { inChunks, type CheckpointDirectory } from './checkpoint.ts';

export interface CheckpointerOptions {
  readonly state: AppliedState;
  readonly checkpoints: CheckpointDirectory;
  readonly parameters: IndexParameters;
  readonly applied: AppliedSeq;
  /** Seq of the checkpoint that the replica was opened from. */
  readonly checkpointSeq: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #seq: number;
  #pointCount: number;
  #changedCount = 0;
  #writing: Promise<void> | undefined;
  #failed = false;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#seq = options.checkpointSeq;
    this.#pointCount = options.state.labels.pointCount;
  }

  /** Seq that the newest checkpoint covers. */
  get seq(): number {
    return this.#seq;
  }

  /** Begins to watch the interval. */
  start(): void {
    this.#timer = this.#options.clock.after(limits.checkpointIntervalMs, () => {
      const due = this.#changedCount > 0 && !this.#closed;
      void (due ? this.#writeOrWarn() : Promise.resolve()).finally(() => {
        if (!this.#closed) this.start();
      });
    });
  }

  /** So many operations were applied. */
  changed(count: number): void {
    this.#changedCount += count;
  }

  writeWhenDue(): void {
    // After a failure only the timer tries again: a full disk is not to be written to with every entry.
    if (this.#writing !== undefined || this.#failed) return;
    const due = Math.max(limits.checkpointPointCountMin, this.#pointCount * limits.checkpointFractionNew);
    if (this.#changedCount >= due) void this.#writeOrWarn();
  }

  /** Writes one now, or joins the one being written. */
  write(): Promise<void> {
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  stop(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Waits for the one being written; `last`: then covers the rest, so that the next start finds nothing to move. */
  async finish({ last }: { readonly last: boolean }): Promise<void> {
    await this.#writing?.catch(() => undefined);
    if (last && this.#changedCount > 0) await this.#writeOrWarn();
  }

  async #writeOrWarn(): Promise<void> {
    try {
      await this.write();
      this.#failed = false;
    } catch (error) {
      this.#failed = true;
      this.#options.logger.warn({ error }, 'the checkpoint failed; the next start takes longer');
    }
  }

  async #write(): Promise<void> {
    const { state, checkpoints, parameters, applied } = this.#options;
    const { index, labels, payloads, store } = state;
    if (!index.hasGraph && !payloads.active) {
      this.#changedCount = 0;
      return;
    }
    const seq = applied.value;
    const changedCount = this.#changedCount;
    const versions = labels.versionsSnapshot();
    const checkpoint = await checkpoints.write({
      seq,
      writeVersions: inChunks(versions.bytes()),
      writeIds: inChunks(labels.idChunks(versions.labelCount)),
      writePayload: payloads.active ? (write) => payloads.indexes.encode(write) : undefined,
      writeGraph: (directory) => index.checkpoint(directory),
      parameters,
      keepStore: () => store.flush(),
    });
    this.#seq = checkpoint.manifest.seq;
    this.#pointCount = labels.pointCount;
    this.#changedCount -= changedCount;
  }
}
