/** Batches linearizable reads into rounds (rule R1): a read waits for a round that started after it arrived. */

interface Waiter {
  readonly round: number;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

export class ReadBarriers {
  readonly #startRound: () => void;
  #started = 0;
  #complete = 0;
  #waiters: Waiter[] = [];

  constructor(startRound: () => void) {
    this.#startRound = startRound;
  }

  /** Resolves when a round that began after this call is complete. */
  wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const idle = this.#started === this.#complete;
      // The one under way began earlier: this read belongs to the next.
      this.#waiters.push({ round: this.#started + 1, resolve, reject });
      if (idle) this.#start();
    });
  }

  /** Rounds through `round` are complete. */
  completed(round: number): void {
    this.#complete = round;
    const ready = this.#waiters.filter((waiter) => waiter.round <= round);
    this.#waiters = this.#waiters.filter((waiter) => waiter.round > round);
    for (const waiter of ready) waiter.resolve();
    if (this.#waiters.length > 0 && this.#started === this.#complete) this.#start();
  }

  /** A new term counts its rounds anew; who waits in the old one gets `reason`. */
  reset(reason: Error): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#started = this.#complete = 0;
    for (const waiter of waiters) waiter.reject(reason);
  }

  #start(): void {
    this.#started++;
    this.#startRound();
  }
}
