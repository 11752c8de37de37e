/** Searches by 16 clients and an import with four batches in flight, by turns or at once, for as long as it is told. */

import { BenchClient } from './bench-client.ts';
import type { Dataset } from './dataset.ts';
import { batchesInFlight, batchPointCount, collectionName, upsertRows } from './import-points.ts';
import { quantile } from './report.ts';
import { searchQuery } from './search-load.ts';
import type { ServerProcess } from './server-process.ts';

const searchClients = 16;

export interface MixedFigures {
  readonly queriesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly importedPerSecond: number;
}

export class MixedLoad {
  readonly #dataset: Dataset;
  readonly #searchers: readonly BenchClient[];
  readonly #importer: BenchClient;
  #batches = 0;

  constructor(server: ServerProcess, dataset: Dataset) {
    this.#dataset = dataset;
    this.#searchers = Array.from({ length: searchClients }, () => new BenchClient(server.address));
    this.#importer = new BenchClient(server.address);
  }

  async run(seconds: number, { searches, imports }: { readonly searches: boolean; readonly imports: boolean }): Promise<MixedFigures> {
    const startedMs = performance.now();
    const endMs = startedMs + seconds * 1_000;
    const latencies: number[] = [];
    let imported = 0;
    const search = async (client: BenchClient, lane: number): Promise<void> => {
      for (let at = lane; performance.now() < endMs; at += searchClients) {
        const sentMs = performance.now();
        await client.search(collectionName, searchQuery(this.#dataset, at % this.#dataset.queryCount, {}));
        latencies.push(performance.now() - sentMs);
      }
    };
    const write = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const pointCount = await this.#importBatch();
        imported += pointCount;
      }
    };
    await Promise.all([...(searches ? this.#searchers.map(search) : []), ...(imports ? Array.from({ length: batchesInFlight }, write) : [])]);
    const elapsed = (performance.now() - startedMs) / 1_000;
    latencies.sort((a, b) => a - b);
    return { queriesPerSecond: latencies.length / elapsed, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99), importedPerSecond: imported / elapsed };
  }

  close(): void {
    for (const client of [...this.#searchers, this.#importer]) client.close();
  }

  /** Points of the data set once more, under ids of their own. */
  async #importBatch(): Promise<number> {
    const batch = this.#batches++;
    const batchesPerRound = Math.max(1, Math.floor(this.#dataset.pointCount / batchPointCount));
    const first = (batch % batchesPerRound) * batchPointCount;
    const last = Math.min(this.#dataset.pointCount, first + batchPointCount);
    await upsertRows(this.#importer, this.#dataset, first, last, `again-${Math.floor(batch / batchesPerRound)}-`);
    return last - first;
  }
}
