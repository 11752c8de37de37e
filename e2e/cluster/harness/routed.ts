/** Waiting until the ingress controller knows a way, wherever it is asked. */

import { clusterTimeoutsMs, waitUntil } from './wait.ts';

/** More than the proxies of a test cluster. */
const connectionsInARow = 8;

/**
 * There may be a proxy on each node, and each takes up a new route in its own time; connections go to them in turns. `ask`
 * opens one of its own, and gives a sentence about what is missing, if anything is.
 */
export function routed(what: string, ask: () => Promise<string | undefined>): Promise<void> {
  let inARow = 0;
  return waitUntil(what, clusterTimeoutsMs.rollout, async () => {
    const missing = await ask().catch((error: Error) => error.message);
    inARow = missing === undefined ? inARow + 1 : 0;
    return inARow === connectionsInARow ? { value: undefined } : (missing ?? `${inARow} connections in a row found it`);
  });
}
