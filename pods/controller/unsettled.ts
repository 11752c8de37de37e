/** What the controller is busy with or waits for, by object, so that a start can wait until all that can be helped has been. */

import type { Clock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';

/** What has been waited for so long is not waited for by `settled`. */
const settleMsMax = 15_000;

export class Unsettled {
  readonly #clock: Clock;
  readonly #open = new Map<string, { readonly because: string; readonly sinceMs: number }>();
  readonly #waiters = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What each is waited for. */
  get reasons(): ReadonlyMap<string, string> {
    return new Map([...this.#open].map(([key, { because }]) => [key, because]));
  }

  /** It is waited for from now on, unless it is already; `because` replaces an earlier reason. */
  await(key: string, because: string): void {
    this.#open.set(key, { because, sinceMs: this.#open.get(key)?.sinceMs ?? this.#clock.monotonicMs() });
  }

  /** Like `await`, but an earlier reason stands. */
  look(key: string): void {
    this.await(key, this.#open.get(key)?.because ?? 'it is looked at');
  }

  settle(key: string): void {
    this.#open.delete(key);
    if (this.#open.size === 0) this.wake();
  }

  /** Something that `settled` waits for may have ended. */
  wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  /** Resolves when nothing is left that may yet come soon, and `isIdle` says so too. */
  async settled(isIdle: () => boolean, signal: AbortSignal): Promise<void> {
    const clock = this.#clock;
    const isOpen = ({ sinceMs }: { sinceMs: number }): boolean => clock.monotonicMs() - sinceMs < settleMsMax;
    while (!isIdle() || [...this.#open.values()].some(isOpen)) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          timer.cancel();
          this.#waiters.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const timer = clock.after(limits.probeIntervalMs, wake);
        this.#waiters.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }
}
