/** Searches by one or several clients, each with a connection of its own and one call in flight. */

import { BenchClient, packedRow } from './bench-client.ts';
import type { Dataset } from './dataset.ts';
import type { GroundTruth } from './ground-truth.ts';
import { collectionName } from './import-points.ts';
import { cpuByThreads, cpuOfAll } from './process-usage.ts';
import { quantile } from './report.ts';
import { selectivities, unfiltered } from './selectivity.ts';
import type { AskedServer } from './server-process.ts';

export interface SearchSettings {
  readonly clients: number;
  /** Absent: one, by `Search`; otherwise so many by `SearchBatch`. */
  readonly searchesPerCall?: number;
  readonly ef?: number;
  /** Place in `selectivities`; absent: no filter. */
  readonly selectivity?: number;
  readonly includePayload?: boolean;
  /** The first so many queries; absent: all. */
  readonly queryCount?: number;
}

export interface SearchFigures extends SearchSettings {
  readonly queryCount: number;
  readonly recall: number;
  readonly queriesPerSecond: number;
  /** CPU time of the server, all threads, per query. */
  readonly serverCpuMicrosPerQuery: number;
  /** The same by kind of thread. */
  readonly threadCpuMicrosPerQuery: Readonly<Record<string, number>>;
  /** Of calls. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export const topK = 10;

export async function measureSearches(server: AskedServer, dataset: Dataset, truth: GroundTruth, settings: SearchSettings): Promise<SearchFigures> {
  const queryCount = Math.min(settings.queryCount ?? Infinity, dataset.queryCount);
  const { selectivity, clients: clientCount, searchesPerCall } = settings;
  const clients = Array.from({ length: clientCount }, () => new BenchClient(server.address, server.apiKey));
  try {
    const answers = new Array<number[]>(queryCount);
    const search = async (client: BenchClient, first: number, count: number): Promise<void> => {
      const queries = Array.from({ length: count }, (_, at) => searchQuery(dataset, first + at, settings));
      const found = searchesPerCall === undefined ? [await client.search(collectionName, queries[0]!)] : await client.searchBatch(collectionName, queries);
      for (const [at, { hits }] of found.entries()) answers[first + at] = hits.map(({ id }) => Number(id));
    };
    // Connections are opened, and code is compiled, before anything counts.
    await Promise.all(clients.map((client, at) => search(client, at % queryCount, 1)));
    const latencies: number[] = [];
    let next = 0;
    const lane = async (client: BenchClient): Promise<void> => {
      while (next < queryCount) {
        const first = next;
        next = Math.min(queryCount, first + (searchesPerCall ?? 1));
        const sentMs = performance.now();
        await search(client, first, next - first);
        latencies.push(performance.now() - sentMs);
      }
    };
    const cpuBefore = cpuOfAll(server.processes);
    const threadsBefore = cpuByThreads(server.processes);
    const startedMs = performance.now();
    await Promise.all(clients.map(lane));
    const seconds = (performance.now() - startedMs) / 1_000;
    const cpu = cpuOfAll(server.processes) - cpuBefore;
    const threads = [...cpuByThreads(server.processes)].map(([kind, micros]) => [kind, (micros - (threadsBefore.get(kind) ?? 0)) / queryCount] as const);
    latencies.sort((a, b) => a - b);
    return {
      ...settings,
      queryCount,
      recall: mean(answers.map((rows, query) => truth.recall(query, selectivity ?? unfiltered, rows))),
      queriesPerSecond: queryCount / seconds,
      serverCpuMicrosPerQuery: cpu / queryCount,
      threadCpuMicrosPerQuery: Object.fromEntries(threads),
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
    };
  } finally {
    for (const client of clients) client.close();
  }
}

export interface VisitedFigures {
  readonly ef: number | undefined;
  readonly visitedMedian: number;
  readonly plans: Record<string, number>;
}

/** How much of the index a search looks at. Apart from the timed runs, because counting slows some indexes. */
export async function measureVisited(server: AskedServer, dataset: Dataset, settings: Pick<SearchSettings, 'ef' | 'selectivity'>): Promise<VisitedFigures> {
  const client = new BenchClient(server.address, server.apiKey);
  try {
    const visited: number[] = [];
    const plans: Record<string, number> = {};
    for (let query = 0; query < Math.min(200, dataset.queryCount); query++) {
      const { shards } = await client.search(collectionName, { ...searchQuery(dataset, query, settings), countVisited: true });
      visited.push(shards.reduce((sum, { visitedCount }) => sum + Number(visitedCount ?? NaN), 0));
      for (const { plan } of shards) plans[plan ?? 'unknown'] = (plans[plan ?? 'unknown'] ?? 0) + 1;
    }
    return { ef: settings.ef, visitedMedian: quantile(visited.sort((a, b) => a - b), 0.5), plans };
  } finally {
    client.close();
  }
}

export function searchQuery(dataset: Dataset, query: number, { ef, selectivity, includePayload = false }: Omit<SearchSettings, 'clients'>): Parameters<BenchClient['search']>[1] {
  return {
    packedVector: packedRow(dataset.queries, query, dataset.dimension),
    topK,
    includePayload,
    ...(ef === undefined ? {} : { ef }),
    ...(selectivity === undefined ? {} : { filter: { field: 'bucket', lt: selectivities[selectivity]!.bucketLimit } }),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
