/**
 * `quantization`: the same points in floats and in int8 codes, a server for each, both at once on the same core. They are asked
 * in turns, forth and back, with one search a call and with several (`SearchBatch`), over a sweep of breadths; costs are
 * compared at equal recall. What is the same for both, gRPC and the event loop, is a call's: several searches share it.
 */

import { quantizations, type Quantization } from '../../pods/domain/collection.ts';
import type { BenchmarkOptions } from './arguments.ts';
import { figureAtRecall } from './compare/equal-recall.ts';
import { loadDataset, type Dataset } from './dataset.ts';
import { groundTruth, type GroundTruth } from './ground-truth.ts';
import { importPoints, tailDrained } from './import-points.ts';
import { loadNow, machineFacts, pinClient } from './machine.ts';
import { cpuOfAll, memoryUse, type MemoryUse } from './process-usage.ts';
import { formatBytes, formatNumber, median, printTable, resultsPath, say, writeResults } from './report.ts';
import { measureSearches, topK, type SearchFigures, type SearchSettings } from './search-load.ts';
import { makeDataDirectory, removeDataDirectory, startServer, type ServerProcess } from './server-process.ts';

const rounds = 7;
const quickRounds = 3;
const recalls = [0.98, 0.99, 0.995, 0.999];
const efs = [16, 24, 32, 48, 64, 96, 128];

type Shape = Pick<SearchSettings, 'clients' | 'searchesPerCall'>;
const shapes: readonly Shape[] = [{ clients: 1 }, { clients: 16 }, { clients: 1, searchesPerCall: 16 }, { clients: 4, searchesPerCall: 16 }];

interface Contender {
  readonly quantization: Quantization;
  readonly directory: string;
  readonly server: ServerProcess;
  readonly cpuMicrosPerPoint: number;
  readonly imported: MemoryUse;
  searched?: MemoryUse;
  readonly searches: SearchFigures[];
}

export async function runQuantizationBenchmark(options: BenchmarkOptions): Promise<void> {
  const loadBefore = loadNow();
  const dataset = await loadDataset('text', options.limit, options.queryCount);
  const truth = await groundTruth(dataset, topK);
  const pinned = pinClient();
  const roundCount = options.quick ? quickRounds : rounds;
  const contenders: Contender[] = [];
  try {
    for (const quantization of quantizations) contenders.push(await imported(dataset, quantization, pinned));
    for (const shape of shapes) await sweep(contenders, dataset, truth, shape, roundCount);
    for (const contender of contenders) contender.searched = memoryUse(contender.server.pid);
    for (const { server } of contenders) await server.stop();
  } finally {
    for (const { directory } of contenders) await removeDataDirectory(directory);
  }
  printSearches(contenders, roundCount, dataset);
  printSizes(contenders);
  await writeResults(resultsPath('quantization', options.output), {
    benchmark: 'quantization',
    date: new Date().toISOString(),
    machine: machineFacts(pinned, loadBefore),
    parameters: { source: dataset.source, points: dataset.pointCount, queries: dataset.queryCount, dimension: dataset.dimension, topK, efs, shapes, rounds: roundCount },
    contenders: contenders.map(({ directory: _directory, server: _server, ...figures }) => figures),
  });
}

async function imported(dataset: Dataset, quantization: Quantization, pinned: boolean): Promise<Contender> {
  const directory = await makeDataDirectory();
  const server = await startServer({ dataDirectory: directory, pinned });
  const cpuBefore = cpuOfAll(server.processes);
  await importPoints(server, dataset, { quantization });
  await tailDrained(server);
  const cpuMicrosPerPoint = (cpuOfAll(server.processes) - cpuBefore) / dataset.pointCount;
  return { quantization, directory, server, cpuMicrosPerPoint, imported: memoryUse(server.pid), searches: [] };
}

async function sweep(contenders: readonly Contender[], dataset: Dataset, truth: GroundTruth, shape: Shape, roundCount: number): Promise<void> {
  // Code is compiled before anything counts.
  for (const { server } of contenders) for (let i = 0; i < 4; i++) await measureSearches(server, dataset, truth, { ...shape, ef: efs[0]! });
  for (let round = 0; round < roundCount; round++) {
    say(`${nameOf(shape)}: round ${round + 1} of ${roundCount}`);
    for (const ef of efs) {
      for (const { server, searches } of round % 2 === 0 ? contenders : contenders.toReversed()) searches.push(await measureSearches(server, dataset, truth, { ...shape, ef }));
    }
  }
}

function nameOf({ clients, searchesPerCall = 1 }: Shape): string {
  return `${clients} in flight, ${searchesPerCall} a call`;
}

/** CPU µs a query at this recall, from the medians of the rounds at each breadth. */
function microsAt({ searches }: Contender, shape: Shape, recall: number): number {
  const points = efs.map((ef) => {
    const series = searches.filter((one) => one.ef === ef && one.clients === shape.clients && one.searchesPerCall === shape.searchesPerCall);
    return { recall: median(series.map((one) => one.recall)), figure: median(series.map(({ serverCpuMicrosPerQuery }) => serverCpuMicrosPerQuery)) };
  });
  const found = figureAtRecall(points, recall);
  return found.is === 'between' ? found.figure : NaN;
}

function printSearches(contenders: readonly Contender[], roundCount: number, { pointCount, dimension }: Dataset): void {
  const [floats, codes] = contenders as [Contender, Contender];
  const rows = shapes.flatMap((shape) =>
    recalls.map((recall) => {
      const micros = [microsAt(floats, shape, recall), microsAt(codes, shape, recall)] as const;
      return [nameOf(shape), recall, ...micros, (micros[0] / micros[1]).toFixed(2)];
    }),
  );
  printTable(`${formatNumber(pointCount)} points of ${dimension} dimensions, k ${topK}, medians of ${roundCount} rounds in turns: server CPU µs/query`, ['', 'recall@10', 'floats', 'codes', 'times the queries per CPU second'], rows);
}

function printSizes([floats, codes]: readonly Contender[]): void {
  const held = (memory: MemoryUse): number => memory.anonymousBytes + memory.lockedBytes;
  const row = (name: string, of: (contender: Contender) => number): readonly [string, string, string, string] => [name, formatBytes(of(floats!)), formatBytes(of(codes!)), (of(codes!) / of(floats!)).toFixed(2)];
  printTable('Anonymous memory and locked mappings', ['', 'floats', 'codes', 'times'], [row('imported', ({ imported: memory }) => held(memory)), row('after all searches', ({ searched }) => held(searched!))]);
  process.stdout.write(`server CPU µs a point: ${formatNumber(floats!.cpuMicrosPerPoint)} in floats, ${formatNumber(codes!.cpuMicrosPerPoint)} in codes\n`);
}
