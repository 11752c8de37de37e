/** Waiting for what a cluster does in its own time: with a bound, and with the last reason in the failure. */

import { pause } from '../../framework/timeouts.ts';

/** How long things may take on a busy machine; no test asserts that they are faster. */
export const clusterTimeoutsMs = {
  podReady: 120_000,
  rollout: 240_000,
  nodeReady: 120_000,
  nodeLost: 60_000,
  deletion: 120_000,
  apiServer: 60_000,
} as const;

const pauseMs = 250;

/** `probe` gives what was waited for, or a sentence about what is missing; an error counts as such a sentence. */
export async function waitUntil<T>(what: string, timeoutMs: number, probe: () => Promise<{ readonly value: T } | string>): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    let missing: string;
    try {
      const answer = await probe();
      if (typeof answer !== 'string') return answer.value;
      missing = answer;
    } catch (error) {
      missing = (error as Error).message;
    }
    if (performance.now() > endMs) throw new Error(`${what} did not come about within ${timeoutMs} ms: ${missing}`);
    await pause(pauseMs);
  }
}
