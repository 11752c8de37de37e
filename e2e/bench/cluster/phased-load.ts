/**
 * Writers and searchers that go on, with a pause after each request so that the machine is not all theirs, and whose
 * latencies are read phase by phase.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BenchClient, packedRow } from '../bench-client.ts';
import type { Dataset } from '../dataset.ts';
import { collectionName } from '../import-points.ts';
import { bucketOf } from '../selectivity.ts';
import { insistently, Latencies, type LatencyFigures } from './drive.ts';

export const loadParameters = { writers: 4, searchers: 4, pauseMs: 20, topK: 10 };

export interface PhaseFigures {
  readonly phase: string;
  readonly seconds: number;
  readonly writes: LatencyFigures;
  readonly searches: LatencyFigures;
}

export class PhasedLoad {
  readonly #dataset: Dataset;
  readonly #clients: readonly BenchClient[];
  #running: Promise<unknown> = Promise.resolve();
  #isStopped = true;
  #since = 0;
  #writes = new Latencies();
  #searches = new Latencies();
  #written = 0;

  constructor(dataset: Dataset, address: string, key: string) {
    this.#dataset = dataset;
    this.#clients = Array.from({ length: loadParameters.writers + loadParameters.searchers }, () => new BenchClient(address, key));
  }

  /** Points that it has added to the collection. */
  get writtenCount(): number {
    return this.#written;
  }

  start(): void {
    this.#isStopped = false;
    this.#begin();
    this.#running = Promise.all(this.#clients.map((client, at) => this.#run(client, at)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** What there was since the start, or the phase before. A request belongs to the phase in which it was answered. */
  phase(name: string): PhaseFigures {
    const seconds = (performance.now() - this.#since) / 1_000;
    this.#writes.seconds = this.#searches.seconds = seconds;
    const figures = { phase: name, seconds, writes: this.#writes.figures(), searches: this.#searches.figures() };
    this.#begin();
    return figures;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  #begin(): void {
    this.#since = performance.now();
    this.#writes = new Latencies();
    this.#searches = new Latencies();
  }

  async #run(client: BenchClient, at: number): Promise<void> {
    const isWriter = at < loadParameters.writers;
    for (let round = at * 997; !this.#isStopped; round++) {
      const sentMs = performance.now();
      await insistently(() => (isWriter ? this.#write(client) : this.#search(client, round)));
      (isWriter ? this.#writes : this.#searches).add(performance.now() - sentMs);
      await sleep(loadParameters.pauseMs);
    }
  }

  /** A new point, with the vector of one that is there. */
  #write(client: BenchClient): Promise<unknown> {
    const { points, pointCount, dimension } = this.#dataset;
    const row = this.#written++ % pointCount;
    return client.upsert(collectionName, [{ id: `new-${this.#written}`, packedVector: packedRow(points, row, dimension), payload: { bucket: bucketOf(row) } }]);
  }

  #search(client: BenchClient, round: number): Promise<unknown> {
    const { queries, queryCount, dimension } = this.#dataset;
    return client.search(collectionName, { packedVector: packedRow(queries, round % queryCount, dimension), topK: loadParameters.topK, includePayload: false });
  }
}
