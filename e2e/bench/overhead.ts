/**
 * `overhead`: what telemetry costs a query. One server for each way of observing, all on the same core with copies of the
 * same data, the same graph included; they take turns, forth and back, so that whatever else the machine does meets all of
 * them alike. Searches are narrow: what is looked for is the cost of a request, not of a graph.
 */

import { createServer } from 'node:http';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { BenchmarkOptions } from './arguments.ts';
import { loadDataset } from './dataset.ts';
import { groundTruth } from './ground-truth.ts';
import { importPoints, tailDrained } from './import-points.ts';
import { loadNow, machineFacts, pinClient } from './machine.ts';
import { median, printTable, resultsPath, writeResults } from './report.ts';
import { measureSearches, topK, type SearchFigures } from './search-load.ts';
import { makeDataDirectory, removeDataDirectory, startServer, type ServerProcess } from './server-process.ts';

const rounds = 15;
const pointCountDefault = 20_000;
const settings = { clients: 16, ef: 10 };

interface Contender {
  readonly name: string;
  readonly directory: string;
  readonly server: ServerProcess;
  readonly rounds: SearchFigures[];
}

export async function runOverheadBenchmark(options: BenchmarkOptions): Promise<void> {
  const loadBefore = loadNow();
  const dataset = await loadDataset('glove', options.limit ?? pointCountDefault, options.queryCount);
  const truth = await groundTruth(dataset, topK);
  const pinned = pinClient();
  const collector = await startTraceSink();
  const otlp = ['--otlp-endpoint', collector.url];
  const variants: readonly (readonly [string, readonly string[]])[] = [
    ['no metrics, no traces', ['--no-metrics']],
    ['metrics', []],
    ['metrics, 1 % of requests traced', [...otlp, '--trace-sample-ratio', '0.01']],
    ['metrics, every request traced', otlp],
  ];
  const contenders: Contender[] = [];
  const original = await makeDataDirectory();
  try {
    const importer = await startServer({ dataDirectory: original, pinned });
    await importPoints(importer, dataset);
    await tailDrained(importer);
    await importer.stop();
    for (const [name, flags] of variants) {
      const directory = await makeDataDirectory();
      await cp(original, directory, { recursive: true });
      const server = await startServer({ dataDirectory: directory, pinned, flags });
      contenders.push({ name, directory, server, rounds: [] });
      await tailDrained(server);
      await measureSearches(server, dataset, truth, settings);
    }
    for (let round = 0; round < rounds; round++) {
      for (const { server, rounds: figures } of round % 2 === 0 ? contenders : contenders.toReversed()) {
        figures.push(await measureSearches(server, dataset, truth, settings));
      }
    }
    for (const { server } of contenders) await server.stop();
  } finally {
    collector.close();
    for (const directory of [original, ...contenders.map((contender) => contender.directory)]) await removeDataDirectory(directory);
  }
  const summary = contenders.map(({ name, rounds: figures }) => ({
    name,
    serverCpuMicrosPerQuery: median(figures.map((round) => round.serverCpuMicrosPerQuery)),
    leastCpuMicrosPerQuery: Math.min(...figures.map((round) => round.serverCpuMicrosPerQuery)),
    queriesPerSecond: median(figures.map((round) => round.queriesPerSecond)),
    rounds: figures,
  }));
  const base = summary[0]!.serverCpuMicrosPerQuery;
  printTable(
    `Telemetry: median of ${rounds} rounds of ${dataset.queryCount} queries, ${settings.clients} clients, ef ${settings.ef}, ${dataset.pointCount} points, recall ${contenders[0]!.rounds[0]!.recall.toFixed(4)}`,
    ['', 'server CPU µs/query', 'more than the first', 'least of all rounds', 'queries/s'],
    summary.map(({ name, serverCpuMicrosPerQuery, leastCpuMicrosPerQuery, queriesPerSecond }) => [name, serverCpuMicrosPerQuery, `${(serverCpuMicrosPerQuery - base).toFixed(0)} µs`, leastCpuMicrosPerQuery, queriesPerSecond]),
  );
  process.stdout.write(`batches of spans that the collector took: ${collector.received()}\n`);
  await writeResults(resultsPath('overhead', options.output), { benchmark: 'overhead', date: new Date().toISOString(), machine: machineFacts(pinned, loadBefore), parameters: { points: dataset.pointCount, queries: dataset.queryCount, ...settings, rounds }, summary });
}

/** Takes traces and forgets them. */
async function startTraceSink(): Promise<{ url: string; received(): number; close(): void }> {
  let received = 0;
  const server = createServer((request, response) => {
    received++;
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received: () => received, close: () => void server.close() };
}
