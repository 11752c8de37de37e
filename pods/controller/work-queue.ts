/**
 * Keys to be looked at: each once however often it was added, never twice at a time, urgent ones first, so many at once.
 * A key that is added while it is being looked at is looked at again.
 */

import type { Clock, Timer } from '../kernel/clock.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly inFlightMax: number;
  /** Must not reject. */
  readonly run: (key: string) => Promise<void>;
  /** Nothing is queued and nothing runs any more. */
  readonly onIdle?: () => void;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #urgent = new Set<string>();
  readonly #normal = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #timers = new Map<string, { readonly atMs: number; readonly timer: Timer }>();
  /** Keys that failed, which nothing brings back before their time. */
  readonly #held = new Map<string, Timer>();
  #isClosed = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Whether nothing is queued and nothing runs; keys that wait for their time do not count. */
  get isIdle(): boolean {
    return this.#urgent.size === 0 && this.#normal.size === 0 && this.#running.size === 0;
  }

  add(key: string, priority: 'urgent' | 'normal' = 'normal'): void {
    if (this.#isClosed || this.#held.has(key)) return;
    this.#timers.get(key)?.timer.cancel();
    this.#timers.delete(key);
    if (priority === 'urgent') {
      this.#normal.delete(key);
      this.#urgent.add(key);
    } else if (!this.#urgent.has(key)) this.#normal.add(key);
    this.#start();
  }

  /** Unless it is added before. */
  addAfter(key: string, delayMs: number): void {
    if (this.#isClosed || this.#held.has(key) || this.#urgent.has(key) || this.#normal.has(key)) return;
    const { clock } = this.#options;
    const atMs = clock.monotonicMs() + delayMs;
    const present = this.#timers.get(key);
    if (present !== undefined && present.atMs <= atMs) return;
    present?.timer.cancel();
    this.#timers.set(key, { atMs, timer: clock.after(delayMs, () => this.add(key)) });
  }

  /** The key failed: it is looked at again after the delay, and not before, whatever asks for it. */
  hold(key: string, delayMs: number): void {
    if (this.#isClosed || this.#held.has(key)) return;
    this.#urgent.delete(key);
    this.#normal.delete(key);
    this.#timers.get(key)?.timer.cancel();
    this.#timers.delete(key);
    const release = (): void => {
      this.#held.delete(key);
      this.add(key);
    };
    this.#held.set(key, this.#options.clock.after(delayMs, release));
  }

  /** Resolves when what runs has ended; nothing is started any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { timer } of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    for (const timer of this.#held.values()) timer.cancel();
    this.#urgent.clear();
    this.#normal.clear();
    await Promise.all(this.#running.values());
  }

  #start(): void {
    while (this.#running.size < this.#options.inFlightMax) {
      const key = this.#take(this.#urgent) ?? this.#take(this.#normal);
      if (key === undefined) return;
      const running = this.#options.run(key).finally(() => {
        this.#running.delete(key);
        this.#start();
        if (this.isIdle) this.#options.onIdle?.();
      });
      this.#running.set(key, running);
    }
  }

  #take(keys: Set<string>): string | undefined {
    for (const key of keys) {
      if (this.#running.has(key)) continue;
      keys.delete(key);
      return key;
    }
    return undefined;
  }
}
