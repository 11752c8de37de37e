/** Clients that do the same thing again and again, each one thing at a time, for so long. */

import { setTimeout as sleep } from 'node:timers/promises';
import { isRefusal } from '../bench-client.ts';
import { quantile } from '../report.ts';

/** Latencies of one kind of request, over all rounds. */
export class Latencies {
  readonly #values: number[] = [];
  seconds = 0;

  add(latencyMs: number): void {
    this.#values.push(latencyMs);
  }

  get count(): number {
    return this.#values.length;
  }

  get perSecond(): number {
    return this.#values.length / this.seconds;
  }

  figures(): LatencyFigures {
    const sorted = Float64Array.from(this.#values).sort();
    return { count: this.count, perSecond: this.perSecond, p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99), maxMs: sorted.at(-1) ?? NaN };
  }
}

export interface LatencyFigures {
  readonly count: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** `work` gets the number of its client and a count that grows. */
export async function drive(into: Latencies, clients: number, seconds: number, work: (client: number, round: number) => Promise<unknown>): Promise<void> {
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1_000;
  const lane = async (client: number): Promise<void> => {
    for (let round = 0; performance.now() < endMs; round++) {
      const sentMs = performance.now();
      await insistently(() => work(client, round));
      into.add(performance.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => lane(client)));
  into.seconds += (performance.now() - startedMs) / 1_000;
}

/** Sent again while the server asks to come again; the waits count. */
export async function insistently<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let refusals = 0; ; refusals++) {
    try {
      return await work();
    } catch (error) {
      if (!isRefusal(error) || refusals === 100) throw error;
      await sleep(50);
    }
  }
}
