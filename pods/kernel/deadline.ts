/**
 * One AbortSignal per request, for its three ways to end early: the deadline, the client that leaves, the process that
 * shuts down. One controller and one timer: `AbortSignal.any` and `AbortSignal.timeout` cost several times that.
 */

import type { Clock, Timer } from './clock.ts';
import { ShoalError } from './errors.ts';

export interface Deadline {
  /** Its reason, once it aborts, is a ShoalError: DEADLINE_EXCEEDED, CANCELLED or SHUTTING_DOWN. */
  readonly signal: AbortSignal;
  /** In the clock's monotonic milliseconds. */
  readonly atMs: number;
  /** The deadline passed, as somebody else's timer saw first. */
  expire(): void;
  /** The client went away. */
  cancel(): void;
  /** The process ends and the grace is over. */
  shutDown(): void;
  /** Ends the wait for the deadline; the signal will not abort any more. To be called when the request has its answer. */
  settle(): void;
}

/**
 * When a signal made here will abort, for whoever passes a request on to another process. The signal has it: in a weak map
 * of as many keys as requests it costs three times as much to put there, and the garbage collector's time after that.
 */
const atMsOf = Symbol('when it will abort');
type TimedSignal = AbortSignal & { [atMsOf]?: number };

/** In the clock's monotonic milliseconds; undefined when it is not known. */
export function deadlineOf(signal: AbortSignal): number | undefined {
  return (signal as TimedSignal)[atMsOf];
}

/** A signal that aborts when `parent` does aborts no later than that. */
export function inheritDeadline(signal: AbortSignal, parent: AbortSignal): void {
  const atMs = deadlineOf(parent);
  if (atMs !== undefined) (signal as TimedSignal)[atMsOf] = atMs;
}

/** A deadline that has passed already gives a signal that is aborted already. */
export function startDeadline(clock: Clock, timeoutMs: number): Deadline {
  return new RunningDeadline(clock, timeoutMs);
}

/** Each request has one: a class, whose methods are not made anew each time. */
class RunningDeadline implements Deadline {
  readonly atMs: number;
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  readonly #timer: Timer | undefined;
  #isOpen = true;

  constructor(clock: Clock, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.atMs = clock.monotonicMs() + timeoutMs;
    (this.#controller.signal as TimedSignal)[atMsOf] = this.atMs;
    if (timeoutMs > 0) this.#timer = clock.after(timeoutMs, () => this.expire());
    else this.expire();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  expire(): void {
    this.#end('DEADLINE_EXCEEDED', `the deadline of ${Math.max(0, Math.round(this.#timeoutMs))} ms passed`);
  }

  cancel(): void {
    this.#end('CANCELLED', 'the client went away');
  }

  shutDown(): void {
    this.#end('SHUTTING_DOWN', 'the server is shutting down');
  }

  settle(): void {
    this.#isOpen = false;
    this.#timer?.cancel();
  }

  #end(code: 'DEADLINE_EXCEEDED' | 'CANCELLED' | 'SHUTTING_DOWN', message: string): void {
    if (!this.#isOpen) return;
    this.settle();
    this.#controller.abort(new ShoalError(code, message));
  }
}

/** `promise`, or the signal's reason as soon as it aborts; what the promise does afterwards is nobody's business. */
export function withSignal<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  if (signal.aborted) {
    promise.catch(() => undefined);
    return Promise.reject(signal.reason as Error);
  }
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort);
        reject(error as Error);
      },
    );
  });
}

/** Runs `operation` with a signal that aborts after `timeoutMs`, or with `signal`, and waits no longer than that. */
export async function withTimeout<Value>(clock: Clock, timeoutMs: number, signal: AbortSignal, operation: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  (controller.signal as TimedSignal)[atMsOf] = Math.min(clock.monotonicMs() + timeoutMs, deadlineOf(signal) ?? Infinity);
  const timer = clock.after(timeoutMs, () => controller.abort(new ShoalError('DEADLINE_EXCEEDED', `the deadline of ${timeoutMs} ms passed`)));
  try {
    return await withSignal(operation(controller.signal), controller.signal);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}
