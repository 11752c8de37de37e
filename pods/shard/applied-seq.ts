/** How far a replica has applied, and who waits until it has come further. */

interface Waiter {
  readonly seq: number;
  readonly wake: () => void;
  readonly giveUp: (reason: Error) => void;
}

export class AppliedSeq {
  #value: number;
  #waiters: Waiter[] = [];

  constructor(value: number) {
    this.#value = value;
  }

  get value(): number {
    return this.#value;
  }

  /** Takes the new value over without waking; `wake` follows when the whole run is applied. */
  advance(seq: number): void {
    this.#value = seq;
  }

  wake(): void {
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => waiter.seq <= this.#value);
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > this.#value);
    for (const waiter of ready) waiter.wake();
  }

  /** Resolves when everything through `seq` is applied; rejects when the signal aborts, or with the reason of `giveUp`. */
  reaches(seq: number, signal: AbortSignal): Promise<void> {
    if (this.#value >= seq) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        seq,
        wake: () => (signal.removeEventListener('abort', onAbort), resolve()),
        giveUp: (reason) => (signal.removeEventListener('abort', onAbort), reject(reason)),
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  /** Nothing will be applied any more. */
  giveUp(reason: Error): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.giveUp(reason);
  }
}
