/** Sends a request again while the error table says that this can help. */

import { sleep } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Terminal } from './terminal.ts';

const firstDelayMs = 100;
const delayMsMax = 5_000;

/** Waits between attempts double up to 5 s, spread by half; after `forMs` without success the last error stands. */
export async function withRetries<Result>(terminal: Terminal, forMs: number, attempt: () => Promise<Result>, onRetry: (error: ShoalError) => void = () => undefined): Promise<Result> {
  const { clock, random, signal } = terminal;
  const endMs = clock.monotonicMs() + forMs;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, delayMsMax)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ShoalError) || error.class.retry !== 'after-backoff') throw error;
      const asked = error.details['retryAfterMs'];
      const waitMs = Math.max(delayMs * (0.75 + random.fraction() / 2), typeof asked === 'number' ? asked : 0);
      if (clock.monotonicMs() + waitMs > endMs) throw error;
      onRetry(error);
      await sleep(clock, waitMs, signal);
    }
  }
}
