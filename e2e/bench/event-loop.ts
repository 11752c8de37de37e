/** While 16 clients search and one imports: how long a callback keeps the server's event loop, and what searches feel. */

import { BenchClient } from './bench-client.ts';
import type { Dataset } from './dataset.ts';
import { batchPointCount, collectionName, upsertRows } from './import-points.ts';
import type { LoopReport } from './probe-messages.ts';
import { askProbe, profiled } from './profiling.ts';
import { quantile } from './report.ts';
import { searchQuery } from './search-load.ts';
import type { ServerProcess } from './server-process.ts';

const searchClients = 16;
const importLanes = 4;

export interface LoopFigures {
  readonly seconds: number;
  readonly loop: LoopReport;
  readonly queriesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly importedPerSecond: number;
}

/** The server was started with the probe. Then once more under a profiler, which slows it, to name the culprits. */
export async function measureEventLoop(server: ServerProcess, dataset: Dataset, seconds: number, profilePath: string | undefined): Promise<LoopFigures> {
  const load = new MixedLoad(server, dataset);
  await load.run(2);
  await askProbe(server, 'reset');
  const figures = await load.run(seconds);
  const { report } = await askProbe(server, 'report');
  if (profilePath !== undefined) await profiled(server, '16 clients search, one imports', profilePath, () => load.run(Math.min(seconds, 10)));
  load.close();
  return { seconds, loop: report!, ...figures };
}

class MixedLoad {
  readonly #server: ServerProcess;
  readonly #dataset: Dataset;
  readonly #searchers: readonly BenchClient[];
  readonly #importer: BenchClient;
  #batches = 0;

  constructor(server: ServerProcess, dataset: Dataset) {
    this.#server = server;
    this.#dataset = dataset;
    this.#searchers = Array.from({ length: searchClients }, () => new BenchClient(this.#server.address));
    this.#importer = new BenchClient(server.address);
  }

  async run(seconds: number): Promise<Omit<LoopFigures, 'loop' | 'seconds'>> {
    const startedMs = performance.now();
    const endMs = startedMs + seconds * 1_000;
    const latencies: number[] = [];
    let imported = 0;
    const searches = this.#searchers.map(async (client, lane) => {
      for (let at = lane; performance.now() < endMs; at += searchClients) {
        const sentMs = performance.now();
        await client.search(collectionName, searchQuery(this.#dataset, at % this.#dataset.queryCount, {}));
        latencies.push(performance.now() - sentMs);
      }
    });
    const imports = Array.from({ length: importLanes }, async () => {
      while (performance.now() < endMs) imported += await this.#importBatch();
    });
    await Promise.all([...searches, ...imports]);
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
