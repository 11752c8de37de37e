/** `glove`, `text` and `clustered`: the whole course, from an empty directory to the figures. */

import type { BenchmarkOptions, DatasetName } from './arguments.ts';
import { measureBeside, type BesideFigures } from './beside.ts';
import { loadDataset, type Dataset } from './dataset.ts';
import { measureEventLoop, type LoopFigures } from './event-loop.ts';
import { groundTruth, type GroundTruth } from './ground-truth.ts';
import { batchesInFlight, batchPointCount, collectionName, importPoints, tailDrained, waitForGraph, type DrainFigures, type ImportFigures } from './import-points.ts';
import { BenchClient } from './bench-client.ts';
import { loadNow, machineFacts, pinClient, versionsOfPackages } from './machine.ts';
import { measurePayloadCost } from './payload-cost.ts';
import { cpuOfAll, diskUse, memoryUse, type MemoryUse } from './process-usage.ts';
import { profiled } from './profiling.ts';
import { formatBytes, formatNumber, printTable, resultsPath, say, writeResults } from './report.ts';
import { measureRestart, type RestartFigures } from './restart.ts';
import { measureSearches, measureVisited, topK, type SearchFigures, type SearchSettings, type VisitedFigures } from './search-load.ts';
import { selectivities } from './selectivity.ts';
import { makeDataDirectory, removeDataDirectory, startServer, type ServerProcess } from './server-process.ts';

const clientCounts = [1, 16];
const filteredQueryCount = 500;

interface Bench {
  readonly options: BenchmarkOptions;
  readonly dataset: Dataset;
  readonly truth: GroundTruth;
  readonly pinned: boolean;
  readonly resultsPath: string;
}

export async function runVectorBenchmark(name: DatasetName, options: BenchmarkOptions): Promise<void> {
  const loadBefore = loadNow();
  const dataset = await loadDataset(name, options.limit, options.queryCount);
  const truth = await groundTruth(dataset, topK);
  const pinned = pinClient();
  const machine = machineFacts(pinned, loadBefore);
  const bench: Bench = { options, dataset, truth, pinned, resultsPath: resultsPath(name, options.output) };
  const results: Record<string, unknown> = {
    benchmark: name,
    date: new Date().toISOString(),
    machine,
    versions: versionsOfPackages(['hnswlib-node', 'rocksdb-native', '@grpc/grpc-js']),
    parameters: {
      source: dataset.source,
      points: dataset.pointCount,
      queries: dataset.queryCount,
      dimension: dataset.dimension,
      topK,
      batchPointCount,
      batchesInFlight,
      ...options,
      parts: [...options.parts],
    },
  };
  process.stdout.write(
    `${name}: ${formatNumber(dataset.pointCount)} points, ${dataset.dimension} dimensions, cosine, quantization ${options.quantization}, ${formatNumber(dataset.queryCount)} queries (${dataset.source})\n` +
      `${machine.processor}, ${machine.cores} cores, Node ${machine.node}; server on core 0, client on core 1: ${pinned ? 'yes' : 'no'}; load before: ${loadBefore.toFixed(1)}\n`,
  );
  // Written after each part: what was measured is not lost with what fails later.
  const record = async (part: string, figures: unknown): Promise<void> => {
    results[part] = figures;
    results['loadAfter'] = loadNow();
    await writeResults(bench.resultsPath, results);
  };
  if (options.parts.has('crash')) await record('crashRestart', await crash(bench));
  await mainCourse(bench, record);
}

type Recorder = (part: string, figures: unknown) => Promise<void>;

/** An import of its own, killed at its last acknowledgement. */
async function crash(bench: Bench): Promise<RestartFigures & { killedAfterMs: number }> {
  const directory = await makeDataDirectory();
  try {
    const victim = await startServer({ dataDirectory: directory, pinned: bench.pinned });
    say('importing, to be killed at the last acknowledgement');
    await importPoints(victim, bench.dataset, { quantization: bench.options.quantization });
    const acknowledgedMs = performance.now();
    await victim.kill();
    const killedAfterMs = performance.now() - acknowledgedMs;
    const server = await startServer({ dataDirectory: directory, pinned: bench.pinned });
    const restart = await measureRestart(server, bench.dataset, bench.truth);
    printRestarts([[`after kill -9, ${formatNumber(killedAfterMs)} ms after the last acknowledgement`, restart]]);
    await server.stop();
    return { ...restart, killedAfterMs };
  } finally {
    await discard(bench, directory);
  }
}

async function mainCourse(bench: Bench, record: Recorder): Promise<void> {
  const { options, dataset, pinned } = bench;
  const directory = await makeDataDirectory();
  try {
    let server = await startServer({ dataDirectory: directory, pinned, withProbe: options.profile });
    await record('import', await maybeProfiled(bench, server, 'import', () => importAndDrain(server, bench)));
    await record('collection', await collectionFacts(server));
    if (options.parts.has('search')) await record('search', await maybeProfiled(bench, server, 'search', () => searches(bench, server)));
    if (options.parts.has('search')) await record('payloads', await measurePayloadCost(server, dataset, bench.truth, clientCounts));
    if (options.parts.has('filter')) await record('filter', await filteredSearches(bench, server));
    await record('memoryAndDisk', await sizes(server, directory, dataset));
    const exitCode = await server.stop();
    if (exitCode !== 0) throw new Error(`the server ended with exit code ${exitCode}`);
    if (options.parts.has('restart')) {
      server = await startServer({ dataDirectory: directory, pinned });
      const restart = await measureRestart(server, dataset, bench.truth);
      printRestarts([['after SIGTERM', restart]]);
      await record('cleanRestart', { ...restart, memory: memoryUse(server.pid) });
      await server.stop();
    }
    if (options.parts.has('beside')) {
      server = await startServer({ dataDirectory: directory, pinned });
      await tailDrained(server);
      const figures = await measureBeside(server, dataset);
      printBeside(figures);
      await record('beside', figures);
      await server.stop();
    }
    if (options.parts.has('loop')) {
      server = await startServer({ dataDirectory: directory, pinned, withProbe: true });
      await tailDrained(server);
      const figures = await measureEventLoop(server, dataset, options.loopSeconds, options.profile ? profilePath(bench, 'loop') : undefined);
      printLoop(figures);
      await record('eventLoop', figures);
      await server.stop();
    }
  } finally {
    await discard(bench, directory);
  }
}

async function discard({ options }: Bench, directory: string): Promise<void> {
  if (options.keep) say(`data left in ${directory}`);
  else await removeDataDirectory(directory);
}

function maybeProfiled<Result>(bench: Bench, server: ServerProcess, part: string, work: () => Promise<Result>): Promise<Result> {
  return bench.options.profile ? profiled(server, part, profilePath(bench, part), work) : work();
}

function profilePath({ resultsPath: path }: Bench, part: string): string {
  return `${path.replace(/\.json$/, '')}-${part}.cpuprofile`;
}

async function importAndDrain(server: ServerProcess, { dataset, options: { quantization } }: Bench): Promise<ImportFigures & DrainFigures> {
  const imported = await importPoints(server, dataset, { quantization });
  const drained = await waitForGraph(server, imported, cpuOfAll(server.processes));
  printTable('Import', ['until', 'seconds', 'points/s', 'server CPU µs/point'], [
    ['acknowledged', imported.acknowledgedSeconds, imported.pointsPerSecondAcknowledged, imported.serverCpuMicrosPerPointAcknowledged],
    ['in the graph', drained.drainedSeconds, drained.pointsPerSecondDrained, drained.serverCpuMicrosPerPointDrained],
  ]);
  return { ...imported, ...drained };
}

async function collectionFacts(server: ServerProcess): Promise<unknown> {
  const client = new BenchClient(server.address);
  try {
    const { spec, shards } = await client.getCollection(collectionName);
    const statistics = shards.map((shard) => Object.fromEntries(Object.entries(shard.statistics ?? {}).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value])));
    return { spec, shards: statistics };
  } finally {
    client.close();
  }
}

async function searches(bench: Bench, server: ServerProcess): Promise<{ series: SearchFigures[]; visited: VisitedFigures[] }> {
  const { dataset, truth, options } = bench;
  const series: SearchFigures[] = [];
  const visited: VisitedFigures[] = [];
  // The server compiles its hot functions, and the graph comes into memory, before anything counts.
  await measureSearches(server, dataset, truth, { clients: 4, queryCount: 500 });
  const settings: readonly { name: string; setting: Pick<SearchSettings, 'ef' | 'includePayload'> }[] = [
    ...options.efs.map((ef) => ({ name: `ef ${ef}`, setting: { ef } })),
    { name: 'defaults', setting: {} },
    { name: 'defaults, with payloads', setting: { includePayload: true } },
  ];
  const rows: (string | number)[][] = [];
  for (const { name, setting } of settings) {
    const seen = await measureVisited(server, dataset, setting);
    visited.push(seen);
    for (const clients of clientCounts) {
      const figures = await measureSearches(server, dataset, truth, { ...setting, clients });
      series.push(figures);
      const share = `${formatNumber(seen.visitedMedian)} (${((100 * seen.visitedMedian) / dataset.pointCount).toFixed(2)} %)`;
      rows.push([name, clients, figures.recall.toFixed(4), figures.queriesPerSecond, figures.serverCpuMicrosPerQuery, figures.p50Ms, figures.p99Ms, share]);
    }
  }
  printTable(`Search, k ${topK}`, ['', 'clients', 'recall@10', 'queries/s', 'server CPU µs/query', 'p50 ms', 'p99 ms', 'visited (median)'], rows);
  return { series, visited };
}

async function filteredSearches({ dataset, truth }: Bench, server: ServerProcess): Promise<{ series: SearchFigures[]; visited: VisitedFigures[] }> {
  const series: SearchFigures[] = [];
  const visited: VisitedFigures[] = [];
  const rows: (string | number)[][] = [];
  for (const [selectivity, { name }] of selectivities.entries()) {
    const seen = await measureVisited(server, dataset, { selectivity });
    visited.push(seen);
    for (const clients of clientCounts) {
      const figures = await measureSearches(server, dataset, truth, { selectivity, clients, queryCount: filteredQueryCount });
      series.push(figures);
      rows.push([name, clients, figures.recall.toFixed(4), figures.queriesPerSecond, figures.serverCpuMicrosPerQuery, figures.p50Ms, figures.p99Ms, seen.visitedMedian, Object.keys(seen.plans).join(', ')]);
    }
  }
  printTable(`Filtered search, k ${topK}, by share of the points that the filter allows`, ['allowed', 'clients', 'recall@10', 'queries/s', 'server CPU µs/query', 'p50 ms', 'p99 ms', 'visited', 'plan'], rows);
  return { series, visited };
}

async function sizes(server: ServerProcess, directory: string, dataset: Dataset): Promise<{ memory: MemoryUse; disk: Awaited<ReturnType<typeof diskUse>> }> {
  const memory = memoryUse(server.pid);
  const disk = await diskUse(directory);
  const vectorBytes = dataset.pointCount * dataset.dimension * 4;
  const perPoint = (bytes: number): number => bytes / dataset.pointCount;
  printTable('Memory and disk', ['', 'size', 'bytes/point', 'times the vectors'], [
    ['resident', formatBytes(memory.residentBytes), perPoint(memory.residentBytes), memory.residentBytes / vectorBytes],
    ['locked mappings', formatBytes(memory.lockedBytes), perPoint(memory.lockedBytes), memory.lockedBytes / vectorBytes],
    ['anonymous', formatBytes(memory.anonymousBytes), perPoint(memory.anonymousBytes), memory.anonymousBytes / vectorBytes],
    ['resident at most', formatBytes(memory.residentPeakBytes), perPoint(memory.residentPeakBytes), memory.residentPeakBytes / vectorBytes],
    ...[['disk', disk.totalBytes] as const, ...Object.entries(disk.byEntry).filter(([, bytes]) => bytes > 1024 ** 2).map(([name, bytes]) => [`  ${name}`, bytes] as const)].map(
      ([name, bytes]) => [name, formatBytes(bytes), perPoint(bytes), bytes / vectorBytes],
    ),
  ]);
  return { memory, disk };
}

function printRestarts(restarts: readonly (readonly [string, RestartFigures])[]): void {
  printTable(
    'Restart, ms from the start of the process',
    ['', 'serving', 'first answer', 'right answers from', 'checked by', 'recall', 'checks'],
    restarts.map(([name, figures]) => [name, figures.servingMs, figures.firstAnswerMs, figures.rightAnswersFromMs, figures.rightAnswersMs, figures.recall.toFixed(4), figures.checks]),
  );
}

function printBeside({ rounds }: BesideFigures): void {
  printTable(
    '16 clients that search and one that imports, alone and beside one another',
    ['round', 'queries/s alone', 'p99 ms', 'points/s alone', 'beside: queries/s', 'p99 ms', 'times', 'points/s', 'of alone'],
    rounds.map(({ searches: alone, imports, together }, round) => [
      round + 1,
      ...[alone.queriesPerSecond, alone.p99Ms, imports.importedPerSecond, together.queriesPerSecond, together.p99Ms],
      (together.p99Ms / alone.p99Ms).toFixed(2),
      together.importedPerSecond,
      (together.importedPerSecond / imports.importedPerSecond).toFixed(2),
    ]),
  );
}

function printLoop({ loop, queriesPerSecond, p50Ms, p99Ms, importedPerSecond, seconds }: LoopFigures): void {
  const { turns, callbacks } = loop;
  printTable(`Event loop of the server while 16 clients search and one imports, ${seconds} s`, ['', 'max', 'p99.9', 'p99', 'p50', 'count'], [
    ['CPU ms of one callback', callbacks.cpuMaxMs, callbacks.cpuP999Ms, callbacks.cpuP99Ms, callbacks.cpuP50Ms, callbacks.count],
    ['CPU ms of one turn of the loop', turns.cpuMaxMs, turns.cpuP999Ms, turns.cpuP99Ms, turns.cpuP50Ms, turns.count],
    ['wall-clock delay of timers, ms', loop.delayMaxMs, '', loop.delayP99Ms, '', ''],
  ]);
  printTable('Longest callbacks', ['callback', 'CPU ms', 'wall-clock ms'], callbacks.slowest.map(({ name, cpuMs, startMicros, endMicros }) => [name, cpuMs, (endMicros - startMicros) / 1_000]));
  printTable('Meanwhile', ['queries/s', 'p50 ms', 'p99 ms', 'points/s imported'], [[queriesPerSecond, p50Ms, p99Ms, importedPerSecond]]);
}
