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

/** A deadline that has passed already gives a signal that is aborted already. */
export function startDeadline(clock: Clock, timeoutMs: number): Deadline {
  const controller = new AbortController();
  let open = true;
  let timer: Timer | undefined;
  const end = (code: 'DEADLINE_EXCEEDED' | 'CANCELLED' | 'SHUTTING_DOWN', message: string): void => {
    if (!open) return;
    open = false;
    timer?.cancel();
    controller.abort(new ShoalError(code, message));
  };
  const expire = (): void => end('DEADLINE_EXCEEDED', `the deadline of ${Math.max(0, Math.round(timeoutMs))} ms passed`);
  if (timeoutMs > 0) timer = clock.after(timeoutMs, expire);
  else expire();
  return {
    signal: controller.signal,
    atMs: clock.monotonicMs() + timeoutMs,
    expire,
    cancel: () => end('CANCELLED', 'the client went away'),
    shutDown: () => end('SHUTTING_DOWN', 'the server is shutting down'),
    settle() {
      open = false;
      timer?.cancel();
    },
  };
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
