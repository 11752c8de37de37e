/**
 * The edge of one process. Whatever it awaits from outside (disk, store, network, clock, metadata, a turn of the event
 * loop) comes to it through its gate: a paused process gets it when it goes on, a dead one never. Promises cannot be
 * stopped, but a promise that nothing resolves any more has stopped all the same, and is collected.
 *
 *                 enter, pass                      pause ──► what comes is kept, in order ──► resume
 *     outside ────────────────► gate ──► process
 *                                                  close ──► what comes is dropped, for good
 *
 * What a process does after its last resource has answered (computing, calling out) ends at its next await; calls out are
 * dropped by the parts that offer them, which ask `isDead`.
 */

import { AsyncLocalStorage } from 'node:async_hooks';

const current = new AsyncLocalStorage<Gate>();

export class Gate {
  readonly name: string;
  readonly #later: (callback: () => void) => void;
  #state: 'open' | 'paused' | 'dead' = 'open';
  #kept: (() => void)[] = [];

  /** `later` runs its argument as an event of its own, in the order of the calls. */
  constructor(name: string, later: (callback: () => void) => void) {
    this.name = name;
    this.#later = later;
  }

  /** The process whose code is running, as far as it came in through a gate. */
  static current(): Gate | undefined {
    return current.getStore();
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  get isPaused(): boolean {
    return this.#state === 'paused';
  }

  /** Something comes to the process: a message, a timer. */
  enter(callback: () => void): void {
    this.#through(() => current.run(this, callback));
  }

  /** Starts work of the process; it does not start in a process that is dead. */
  start<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.enter(() => void work().then(resolve, reject));
    });
  }

  /** The outcome of something outside, as the process learns it. */
  pass<T>(outside: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outside.then(
        (value) => this.#through(() => resolve(value)),
        (error: unknown) => this.#through(() => reject(error as Error)),
      );
    });
  }

  pause(): void {
    if (this.#state === 'open') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'open';
    const kept = this.#kept;
    this.#kept = [];
    for (const callback of kept) this.#later(() => this.#through(callback));
  }

  /** The process ends, and with it all that it has begun. */
  close(): void {
    this.#state = 'dead';
    this.#kept = [];
  }

  #through(callback: () => void): void {
    if (this.#state === 'open') callback();
    else if (this.#state === 'paused') this.#kept.push(callback);
  }
}
