/** How long a shard is left alone after a switchover that failed: each attempt stops its writes for a while (rule S1). The time doubles. */

import type { Clock } from '../kernel/clock.ts';

const pauseMsMin = 1_000;
const pauseMsMax = 60_000;

export class SwitchPauses {
  readonly #clock: Clock;
  readonly #pauses = new Map<string, { readonly lengthMs: number; readonly untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long the shard is left alone yet, in milliseconds; 0 when it may be tried. */
  remainingMs(name: string): number {
    return Math.max(0, (this.#pauses.get(name)?.untilMs ?? 0) - this.#clock.monotonicMs());
  }

  /** One failed; returns how long the shard is left alone now. */
  failed(name: string): number {
    const before = this.#pauses.get(name);
    const lengthMs = Math.min(pauseMsMax, before === undefined ? pauseMsMin : 2 * before.lengthMs);
    this.#pauses.set(name, { lengthMs, untilMs: this.#clock.monotonicMs() + lengthMs });
    return lengthMs;
  }

  forget(name: string): void {
    this.#pauses.delete(name);
  }
}
