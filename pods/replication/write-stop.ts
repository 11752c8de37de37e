/**
 * Rule S1 on the side of the primary: writes are stopped, and what was assigned is waited for. The stop ends by itself, so
 * that a switchover that comes to nothing costs a pause and no more. Nothing is at stake in when it ends: who was promoted
 * meanwhile has made every member refuse what is assigned here afterwards (rules W2, W3); a client would not know what
 * became of its write, that is all. So the record is read first, but a store that does not answer holds nobody up (rule F3).
 */

import type { Clock, Timer } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Authority } from './authority.ts';
import { isLeading } from './primary-role.ts';
import type { CoreInput, CoreState } from './state.ts';

export interface WriteStopOptions {
  readonly clock: Clock;
  readonly state: () => CoreState;
  readonly step: (input: CoreInput) => void;
  /** One linearizable GET of the record. */
  readonly read: () => Promise<Authority | undefined>;
}

export class WriteStop {
  readonly #options: WriteStopOptions;
  #timer: Timer | undefined;
  /** Counts stops: a later one is not ended by an earlier one's end. */
  #count = 0;
  #waiters: (() => void)[] = [];

  constructor(options: WriteStopOptions) {
    this.#options = options;
  }

  /** Resolves when everything assigned is committed; writes stay stopped for `limits.handoverMsMax`. */
  async stop(signal: AbortSignal): Promise<{ readonly term: number; readonly lastSeq: number }> {
    const { clock, state, step } = this.#options;
    if (!isLeading(state())) throw new ShoalError('NOT_PRIMARY', 'it does not lead');
    const { term } = state();
    step({ kind: 'stop-writes' });
    const number = ++this.#count;
    this.#timer?.cancel();
    this.#timer = clock.after(limits.handoverMsMax, () => void this.#expire(term, number));
    while (state().commitSeq < state().lastSeq) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
      if (!isLeading(state()) || state().term !== term) throw new ShoalError('NOT_PRIMARY', 'it does not lead any more');
    }
    return { term, lastSeq: state().lastSeq };
  }

  /** Something was committed, or the term has ended. */
  wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  close(): void {
    this.#timer?.cancel();
    this.#count++;
  }

  async #expire(term: number, number: number): Promise<void> {
    const { step, read } = this.#options;
    const isStopped = (): boolean => {
      const state = this.#options.state();
      return isLeading(state) && state.term === term && state.role.writesStopped && number === this.#count;
    };
    if (!isStopped()) return;
    const authority = await read().catch(() => undefined);
    // As a watch would: only a read that the core asked for proves what has become of a compare-and-swap.
    if (authority !== undefined && isStopped()) step({ kind: 'authority', authority, source: 'watch' });
    if (isStopped()) step({ kind: 'resume-writes' });
  }
}
