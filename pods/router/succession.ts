/**
 * One attempt at a shard's primary, given up once another leads. A process that stands still, or that packets do not reach,
 * answers nobody while its connections stay open; the cluster has another primary before they are given up. What became of
 * the attempt is not known then, so it is for requests that may be sent again all the same. The map is looked at twice: a
 * primary that leaves in order answers what it has, and refuses the rest, at once.
 */

import type { Clock } from '../kernel/clock.ts';
import { inheritDeadline, withSignal } from '../kernel/deadline.ts';
import type { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';

export interface PrimaryAttempt<Answer> {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Why nothing is to be waited for, where another leads. */
  readonly succeeded: () => ShoalError | undefined;
  readonly ask: (signal: AbortSignal) => Promise<Answer>;
}

export async function askWhileItLeads<Answer>({ clock, signal, succeeded, ask }: PrimaryAttempt<Answer>): Promise<Answer> {
  const attempt = new AbortController();
  const onAbort = (): void => attempt.abort(signal.reason);
  let wasSucceeded = false;
  const look = (): void => {
    const because = succeeded();
    if (because !== undefined && wasSucceeded) return attempt.abort(because);
    wasSucceeded = because !== undefined;
    timer = clock.after(limits.successionLookMs, look);
  };
  inheritDeadline(attempt.signal, signal);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  let timer = clock.after(limits.successionLookMs, look);
  try {
    return await withSignal(ask(attempt.signal), attempt.signal);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}
