/**
 * The one thread of a simulation: events in the order of their times, then of their making. Time moves only from one
 * event to the next. After each event everything that can go on without another one (promises that are resolved) has
 * gone on before the next begins, so that the order of a run depends on the seed alone.
 */

import type { Timer } from '../../../pods/kernel/clock.ts';
import { realSetImmediate, turnsBelongTo } from './event-loop.ts';
import { Trace } from './trace.ts';

/** A day in the past, so that times in a story look like times. */
export const simulationStartMs = 1_700_000_000_000;
/** Events that one pass of the real event loop takes: a pass costs about as much as ten events. */
const eventsPerPass = 64;
/** A turn of the simulated event loop: slices of long work take time too. */
const turnMs = 0.01;

interface Event {
  readonly atMs: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

export type RunEnd = 'done' | 'time' | 'idle';

export class Scheduler {
  readonly trace: Trace;
  readonly #heap: Event[] = [];
  #nowMs = simulationStartMs;
  #eventCount = 0;
  #order = 0;
  #failure: Error | undefined;

  constructor(options: { readonly print?: (line: string) => void } = {}) {
    this.trace = new Trace({ startMs: simulationStartMs, ...options });
    this.trace.nowMs = () => this.#nowMs;
    turnsBelongTo((callback) => void this.after(turnMs, callback));
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Milliseconds since the simulation began. */
  get elapsedMs(): number {
    return this.#nowMs - simulationStartMs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  after(delayMs: number, callback: () => void): Timer {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#push(event);
    return { cancel: () => void (event.callback = undefined) };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  /** Ends the run that is under way. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Lets the world go on until `isDone`, `forMs` of its time have passed, or nothing is left to happen. Rejects after `fail`. */
  run(isDone: () => boolean, forMs = Infinity): Promise<RunEnd> {
    const untilMs = this.#nowMs + forMs;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const turn = (): void => {
        if (isOver) return;
        try {
          const end = this.#failure === undefined ? this.#step(isDone, untilMs) : undefined;
          if (this.#failure !== undefined) throw this.#failure;
          if (end === undefined) return;
          isOver = true;
          resolve(end);
        } catch (error) {
          isOver = true;
          reject(error as Error);
        }
      };
      const pass = (): void => {
        for (let i = 1; i < eventsPerPass; i++) realSetImmediate(turn);
        realSetImmediate(() => {
          turn();
          if (!isOver) pass();
        });
      };
      pass();
    });
  }

  #step(isDone: () => boolean, untilMs: number): RunEnd | undefined {
    if (isDone()) return 'done';
    let next = this.#pop();
    // Cancelled ones stay in the heap until their time comes.
    while (next !== undefined && next.callback === undefined) next = this.#pop();
    if (next === undefined) {
      if (untilMs !== Infinity) this.#nowMs = untilMs;
      return 'idle';
    }
    if (next.atMs > untilMs) {
      this.#push(next);
      this.#nowMs = untilMs;
      return 'time';
    }
    this.#nowMs = next.atMs;
    this.#eventCount++;
    this.trace.count(next.atMs);
    const { callback } = next;
    next.callback = undefined;
    callback!();
    return undefined;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
