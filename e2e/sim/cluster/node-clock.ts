/**
 * The clock of one process over the one simulated time: it may run fast or slow, its wall time may be wrong and jump. It
 * goes on while the process is paused; timers that were due meanwhile fire when the process goes on.
 */

import assert from 'node:assert/strict';
import type { Clock, Timer } from '../../../pods/kernel/clock.ts';
import type { Gate } from './gate.ts';
import type { Scheduler } from './scheduler.ts';

interface Pending {
  readonly atLocalMs: number;
  readonly callback: () => void;
  isCancelled: boolean;
  event: Timer;
}

export class NodeClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #gate: Gate;
  readonly #pending = new Set<Pending>();
  #rate: number;
  #wallOffsetMs: number;
  /** Local and simulated time at the last change of the rate. */
  #localMs = 0;
  #sinceMs: number;

  constructor(scheduler: Scheduler, gate: Gate, options: { readonly rate: number; readonly wallOffsetMs: number }) {
    this.#scheduler = scheduler;
    this.#gate = gate;
    this.#rate = options.rate;
    this.#sinceMs = scheduler.nowMs;
    this.#wallOffsetMs = scheduler.nowMs + options.wallOffsetMs;
  }

  nowMs(): number {
    return Math.floor(this.#wallOffsetMs + this.#local());
  }

  monotonicMs(): number {
    return this.#local();
  }

  after(delayMs: number, callback: () => void): Timer {
    const pending: Pending = { atLocalMs: this.#local() + Math.max(0, delayMs), callback, isCancelled: false, event: noTimer };
    this.#pending.add(pending);
    this.#schedule(pending);
    return {
      cancel: () => {
        pending.isCancelled = true;
        pending.event.cancel();
        this.#pending.delete(pending);
      },
    };
  }

  get rate(): number {
    return this.#rate;
  }

  setRate(rate: number): void {
    assert(rate >= 0.5 && rate <= 2, `a clock rate of ${rate} is not simulated`);
    this.#localMs = this.#local();
    this.#sinceMs = this.#scheduler.nowMs;
    this.#rate = rate;
    for (const pending of this.#pending) {
      pending.event.cancel();
      this.#schedule(pending);
    }
  }

  /** Somebody sets the wall clock. */
  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  #local(): number {
    return this.#localMs + (this.#scheduler.nowMs - this.#sinceMs) * this.#rate;
  }

  #schedule(pending: Pending): void {
    pending.event = this.#scheduler.after((pending.atLocalMs - this.#local()) / this.#rate, () => {
      this.#pending.delete(pending);
      this.#gate.enter(() => {
        if (!pending.isCancelled) pending.callback();
      });
    });
  }
}

const noTimer: Timer = { cancel: () => undefined };
