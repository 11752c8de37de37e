/**
 * When a read that is late is sent to a second replica too: after the time in which 95 of 100 recent reads of the shard
 * were answered, as long as such reads stay a small part of all, so that a slow cluster is not given twice the work. Half
 * of what may be sent at once is kept for reads that are overdue, several times as late: there the replica hangs.
 *
 * (J. Dean and L. A. Barroso, "The Tail at Scale", 2013.)
 */

import { limits } from '../kernel/limits.ts';

interface Window {
  readonly samples: Float64Array;
  count: number;
  next: number;
  /** Computed anew after every `refreshEvery` samples. */
  p95Ms: number;
}

const windowLength = 128;
const refreshEvery = 16;
const quantile = 0.95;
const overdueFactor = 4;

export class Hedging {
  readonly #windows = new Map<string, Window>();
  #tokens: number = limits.hedgeBurstCountMax;

  /** A read that could be hedged has begun: it earns a part of a second one. */
  earn(): void {
    this.#tokens = Math.min(limits.hedgeBurstCountMax, this.#tokens + limits.hedgedFractionMax);
  }

  /** Whether a second read may be sent now; it is counted as sent then. */
  spend(why: 'late' | 'overdue'): boolean {
    const kept = why === 'late' ? limits.hedgeBurstCountMax / 2 : 0;
    if (this.#tokens < kept + 1) return false;
    this.#tokens -= 1;
    return true;
  }

  delayMs(shardUID: string): number {
    const window = this.#windows.get(shardUID);
    if (window === undefined || window.count < refreshEvery) return limits.hedgeFirstDelayMs;
    return Math.max(limits.hedgeShortestDelayMs, window.p95Ms);
  }

  overdueMs(shardUID: string): number {
    return Math.max(limits.hedgeOverdueMs, overdueFactor * this.delayMs(shardUID));
  }

  measured(shardUID: string, tookMs: number): void {
    let window = this.#windows.get(shardUID);
    if (window === undefined) {
      window = { samples: new Float64Array(windowLength), count: 0, next: 0, p95Ms: 0 };
      this.#windows.set(shardUID, window);
      if (this.#windows.size > limits.measuredReplicaCountMax) this.#windows.delete(this.#windows.keys().next().value!);
    }
    window.samples[window.next] = tookMs;
    window.next = (window.next + 1) % windowLength;
    window.count = Math.min(windowLength, window.count + 1);
    if (window.next % refreshEvery === 0) window.p95Ms = quantileOf(window.samples.subarray(0, window.count));
  }
}

function quantileOf(samples: Float64Array): number {
  return Float64Array.from(samples).sort()[Math.min(samples.length - 1, Math.floor(samples.length * quantile))]!;
}
