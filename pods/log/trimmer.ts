/**
 * Deletes the oldest segments that no replica needs (rule T1), one after another and each durably before the next, so
 * that a crash never leaves a gap in the numbers.
 */

import type { LocalReplica, OldestNeeded } from './log.ts';
import type { SegmentStore } from './segment-store.ts';
import type { LogState } from './state.ts';

export class Trimmer {
  readonly #store: SegmentStore;
  readonly #state: LogState;
  readonly #released = new Map<LocalReplica, number>();
  #running: Promise<void> = Promise.resolve();
  #holds = 0;
  /** A file is gone, but its name may come back after a power loss. */
  #removalInDoubt = false;

  constructor(store: SegmentStore, state: LogState) {
    this.#store = store;
    this.#state = state;
  }

  release(localReplica: LocalReplica, seq: number): void {
    this.#released.set(localReplica, Math.max(seq, this.#released.get(localReplica) ?? 0));
  }

  /** Releases above `seq` count no more: what is there will be something else, or nothing. */
  unreleaseAfter(localReplica: LocalReplica, seq: number): void {
    const released = this.#released.get(localReplica);
    if (released === undefined) return;
    if (seq > 0) this.#released.set(localReplica, Math.min(released, seq));
    else this.#released.delete(localReplica);
  }

  oldestNeeded(): OldestNeeded | undefined {
    const { segments } = this.#store;
    const oldest = segments[0];
    if (oldest === undefined || segments.length === 1) return undefined;
    for (const [localReplica, replica] of this.#state.replicas) {
      const lastSeq = this.#state.lastKeptThrough(replica, oldest.segment);
      const released = this.#released.get(localReplica) ?? 0;
      if (lastSeq === undefined || lastSeq <= released) continue;
      const firstSeq = Math.max(replica.history.firstSeq, released + 1);
      return { segment: oldest.segment, localReplica, firstSeq, lastSeq };
    }
    return undefined;
  }

  /** Deletes what may be deleted. Calls run one after another; a failure is tried again by the next call. */
  trim(): Promise<void> {
    const run = this.#running.then(() => this.#trimNow());
    this.#running = run.catch(() => undefined);
    return run;
  }

  /** Deletes nothing while `work` runs, since it reads all segments. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    this.#holds++;
    try {
      await this.#running;
      return await work();
    } finally {
      this.#holds--;
      if (this.#holds === 0) void this.trim().catch(() => undefined);
    }
  }

  /** Resolves when nothing is being deleted. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #trimNow(): Promise<void> {
    const { segments } = this.#store;
    await this.#finishRemoval();
    while (this.#holds === 0 && segments.length > 1 && this.oldestNeeded() === undefined) {
      const { segment } = segments[0]!;
      await this.#store.fileSystem.remove(this.#store.path(segment));
      this.#state.dropThrough(segment);
      segments.shift();
      this.#removalInDoubt = true;
      await this.#finishRemoval();
    }
  }

  async #finishRemoval(): Promise<void> {
    if (!this.#removalInDoubt) return;
    await this.#store.syncDirectory();
    this.#removalInDoubt = false;
  }
}
