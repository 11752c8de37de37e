/**
 * `setImmediate` under a scheduler: code that gives others a turn takes part in the simulated order, costs simulated time,
 * and stops with its process. Every form of it is replaced: the global, `node:timers` and `node:timers/promises`; the
 * named imports of modules that are loaded already follow.
 */

import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { Gate } from './gate.ts';

export const realSetImmediate = globalThis.setImmediate;

type Schedule = (callback: () => void) => void;

let schedule: Schedule | undefined;

/** From now on turns are events of this scheduler; undefined gives them back to Node. */
export function turnsBelongTo(next: Schedule | undefined): void {
  schedule = next;
}

function simulatedSetImmediate(callback: (...args: unknown[]) => void, ...args: unknown[]): unknown {
  if (schedule === undefined) return realSetImmediate(callback, ...args);
  const gate = Gate.current();
  let isCleared = false;
  const turn = (): void => {
    if (!isCleared) callback(...args);
  };
  schedule(gate === undefined ? turn : () => gate.enter(turn));
  const clear = (): void => void (isCleared = true);
  return { ref: () => undefined, unref: () => undefined, hasRef: () => false, [Symbol.dispose]: clear, clear };
}

function simulatedNextTurn<T>(value?: T): Promise<T | undefined> {
  return new Promise((resolve) => void simulatedSetImmediate(() => resolve(value)));
}

globalThis.setImmediate = simulatedSetImmediate as unknown as typeof setImmediate;
timers.setImmediate = globalThis.setImmediate;
timersPromises.setImmediate = simulatedNextTurn as typeof timersPromises.setImmediate;
syncBuiltinESMExports();
