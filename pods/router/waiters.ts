/** Requests that wait for a change of something by name, each until it comes, its time is over, or its signal aborts. */

import type { Clock } from '../kernel/clock.ts';

export class Waiters {
  readonly #clock: Clock;
  readonly #byName = new Map<string, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when `check` holds, which is looked at now and at each `wake`, or after `withinMs`. */
  until(name: string, check: () => boolean, withinMs: number, signal: AbortSignal): Promise<void> {
    if (check()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const settle = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        waiting.delete(look);
        if (waiting.size === 0 && this.#byName.get(name) === waiting) this.#byName.delete(name);
      };
      const look = (): void => {
        if (!check()) return;
        settle();
        resolve();
      };
      const onAbort = (): void => {
        settle();
        reject(signal.reason as Error);
      };
      const waiting = this.#byName.get(name) ?? new Set();
      this.#byName.set(name, waiting.add(look));
      signal.addEventListener('abort', onAbort, { once: true });
      const timer = this.#clock.after(withinMs, () => {
        settle();
        resolve();
      });
    });
  }

  wake(name: string): void {
    for (const look of [...(this.#byName.get(name) ?? [])]) look();
  }
}
