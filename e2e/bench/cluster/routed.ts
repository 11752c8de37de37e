/**
 * `routed`: what a search costs more where gateway and data pod are processes of their own. The same points are in a
 * standalone server and in a cluster of one gateway and one data pod; one client asks both in turns, forth and back, first
 * with plaintext between gateway and pod, then with TLS.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Owner } from '../../framework/cleanup.ts';
import { startCluster, type Cluster } from '../../framework/cluster/cluster.ts';
import { serverFlags } from '../../framework/server-runtime.ts';
import type { BenchmarkOptions } from '../arguments.ts';
import { loadDataset, type Dataset } from '../dataset.ts';
import { groundTruth, type GroundTruth } from '../ground-truth.ts';
import { importPoints, tailDrained } from '../import-points.ts';
import { loadNow, machineFacts, pinClient, pinServer, unpinClient, versionsOfPackages } from '../machine.ts';
import { cpuOfAll } from '../process-usage.ts';
import { profiled, type Probed } from '../profiling.ts';
import { formatNumber, median, printTable, resultsPath, say, writeResults } from '../report.ts';
import { measureSearches, topK, type SearchFigures } from '../search-load.ts';
import { makeDataDirectory, probeFlag, removeDataDirectory, startServer, type AskedServer, type ServerProcess } from '../server-process.ts';
import { withOwner } from './bench-cluster.ts';

const ef = 256;
const inFlightCounts = [16, 1];
const forms = ['standalone', 'routed'] as const;
type Form = (typeof forms)[number];

interface Bench {
  readonly dataset: Dataset;
  readonly truth: GroundTruth;
  readonly pinned: boolean;
  readonly rounds: number;
  readonly idleSeconds: number;
  /** Where profiles go, without its ending; undefined for none. */
  readonly profiles: string | undefined;
}

interface FormFigures {
  readonly form: Form;
  readonly inFlight: number;
  readonly recall: number;
  readonly cpuMicrosMedian: number;
  readonly cpuMicrosLeast: number;
  /** Medians, by kind of thread. */
  readonly threadCpuMicros: Readonly<Record<string, number>>;
  readonly queriesPerSecondMedian: number;
  readonly p50MsMedian: number;
  readonly p99MsMedian: number;
  readonly rounds: readonly SearchFigures[];
}

interface Comparison {
  readonly between: 'plaintext' | 'TLS';
  /** What the processes of each form take of a core while nobody asks. */
  readonly idleCores: Readonly<Record<Form, number>>;
  readonly figures: readonly FormFigures[];
  readonly extra: readonly Extra[];
  readonly loadAfter: number;
}

interface Extra {
  readonly inFlight: number;
  /** Of the differences within the rounds. */
  readonly cpuMicrosMedian: number;
  /** Between the least of the one and the least of the other. */
  readonly cpuMicrosOfLeast: number;
}

export async function runRoutedBenchmark(options: BenchmarkOptions): Promise<void> {
  const loadBefore = loadNow();
  const dataset = await loadDataset('glove', options.limit ?? (options.quick ? 20_000 : 100_000), options.queryCount);
  const truth = await groundTruth(dataset, topK);
  const pinned = pinClient();
  const machine = machineFacts(pinned, loadBefore);
  const path = resultsPath('routed', options.output);
  const bench: Bench = { dataset, truth, pinned, rounds: options.quick ? 3 : 9, idleSeconds: options.quick ? 2 : 5, profiles: options.profile ? path.replace(/\.json$/, '') : undefined };
  const comparisons: Comparison[] = [];
  const results = {
    benchmark: 'routed',
    date: new Date().toISOString(),
    machine,
    versions: versionsOfPackages(['rocksdb-native', '@grpc/grpc-js']),
    parameters: { source: dataset.source, points: dataset.pointCount, dimension: dataset.dimension, queries: dataset.queryCount, topK, ef, rounds: bench.rounds },
    comparisons,
  };
  process.stdout.write(
    `routed: ${formatNumber(dataset.pointCount)} points of ${dataset.dimension} dimensions; ${bench.rounds} rounds of ${dataset.queryCount} queries, k ${topK}, ef ${ef}\n` +
      `${machine.processor}, ${machine.cores} cores, Node ${machine.node}; ${pinned ? 'all servers on one core, the client on another' : 'nothing is pinned'}; load before: ${loadBefore.toFixed(1)}\n`,
  );
  const dataDirectory = await makeDataDirectory();
  try {
    const standalone = await startServer({ dataDirectory, pinned, withProbe: options.profile });
    await importPoints(standalone, dataset);
    await tailDrained(standalone);
    for (const between of options.quick ? (['plaintext'] as const) : (['plaintext', 'TLS'] as const)) {
      comparisons.push(await withOwner((owner) => compare(owner, bench, standalone, between)));
      await writeResults(path, results);
    }
    await standalone.stop();
  } finally {
    await removeDataDirectory(dataDirectory);
  }
}

async function compare(owner: Owner, bench: Bench, standalone: ServerProcess, between: Comparison['between']): Promise<Comparison> {
  const { dataset, pinned, profiles } = bench;
  const extra = { nodeFlags: [...serverFlags, ...(profiles === undefined ? [] : [probeFlag])], withChannel: profiles !== undefined };
  if (pinned) unpinClient();
  const cluster = await startCluster(owner, { pods: 1, gateways: 1, controllers: 1, tls: between === 'TLS', extra: () => extra });
  const routed = asServer(cluster);
  if (pinned) {
    for (const { pid } of routed.processes) pinServer(pid);
    pinClient();
  }
  await importPoints(routed, dataset, { replication: { replicas: 1, minInSync: 1 } });
  await tailDrained(routed);
  const servers = { standalone, routed };
  const idleCores = await measureIdle(servers, bench.idleSeconds);
  const figures: FormFigures[] = [];
  for (const inFlight of inFlightCounts) figures.push(...(await takeTurns(bench, servers, inFlight)));
  const comparison = { between, idleCores, figures, extra: inFlightCounts.map((inFlight) => extraOf(figures, inFlight)), loadAfter: loadNow() };
  report(bench, comparison);
  if (profiles !== undefined) await profileAll(bench, servers, cluster, `${profiles}-${between}`);
  return comparison;
}

function asServer({ gateways, pods, key }: Cluster): AskedServer {
  const [gateway, pod] = [gateways[0]!, pods[0]!];
  const processes = [{ role: 'gateway', pid: gateway.pid }, { role: 'pod', pid: pod.pid }];
  return { address: gateway.grpcAddress, apiKey: key, processes };
}

/** Part of it is in every figure: the more, the fewer queries a second there are. */
async function measureIdle(servers: Readonly<Record<Form, AskedServer>>, seconds: number): Promise<Record<Form, number>> {
  await sleep(1_000);
  const before = forms.map((form) => cpuOfAll(servers[form].processes));
  const startedMs = performance.now();
  await sleep(1_000 * seconds);
  const elapsedMicros = 1_000 * (performance.now() - startedMs);
  const [standalone, routed] = forms.map((form, at) => (cpuOfAll(servers[form].processes) - before[at]!) / elapsedMicros);
  return { standalone: standalone!, routed: routed! };
}

async function takeTurns({ dataset, truth, rounds }: Bench, servers: Readonly<Record<Form, AskedServer>>, inFlight: number): Promise<FormFigures[]> {
  const settings = { clients: inFlight, ef };
  const measured: Record<Form, SearchFigures[]> = { standalone: [], routed: [] };
  // The first round lets code be compiled and is not counted.
  for (let round = -1; round < rounds; round++) {
    for (const form of round % 2 === 0 ? forms : forms.toReversed()) {
      const figures = await measureSearches(servers[form], dataset, truth, settings);
      if (round >= 0) measured[form].push(figures);
    }
    say(`round ${round + 1} of ${rounds} with ${inFlight} in flight`);
  }
  return forms.map((form) => summary(form, inFlight, measured[form]));
}

function summary(form: Form, inFlight: number, rounds: readonly SearchFigures[]): FormFigures {
  const medianOf = (figure: (round: SearchFigures) => number): number => median(rounds.map(figure));
  const kinds = new Set(rounds.flatMap(({ threadCpuMicrosPerQuery }) => Object.keys(threadCpuMicrosPerQuery)));
  return {
    form,
    inFlight,
    recall: rounds[0]!.recall,
    cpuMicrosMedian: medianOf((round) => round.serverCpuMicrosPerQuery),
    cpuMicrosLeast: Math.min(...rounds.map((round) => round.serverCpuMicrosPerQuery)),
    threadCpuMicros: Object.fromEntries([...kinds].map((kind) => [kind, medianOf((round) => round.threadCpuMicrosPerQuery[kind] ?? 0)])),
    queriesPerSecondMedian: medianOf((round) => round.queriesPerSecond),
    p50MsMedian: medianOf((round) => round.p50Ms),
    p99MsMedian: medianOf((round) => round.p99Ms),
    rounds,
  };
}

function extraOf(figures: readonly FormFigures[], inFlight: number): Extra {
  const [standalone, routed] = forms.map((form) => figures.find((each) => each.form === form && each.inFlight === inFlight)!) as [FormFigures, FormFigures];
  const differences = routed.rounds.map((round, at) => round.serverCpuMicrosPerQuery - standalone.rounds[at]!.serverCpuMicrosPerQuery);
  return { inFlight, cpuMicrosMedian: median(differences), cpuMicrosOfLeast: routed.cpuMicrosLeast - standalone.cpuMicrosLeast };
}

function report({ rounds }: Bench, { between, idleCores, figures, extra, loadAfter }: Comparison): void {
  printTable(
    `${between} between gateway and pod: server CPU µs/query, median and least of ${rounds} rounds; load after: ${loadAfter.toFixed(1)}`,
    ['in flight', 'form', 'recall', 'median', 'least', 'queries/s', 'p50 ms', 'p99 ms'],
    figures.map((each) => [each.inFlight, each.form, each.recall.toFixed(4), each.cpuMicrosMedian, each.cpuMicrosLeast, each.queriesPerSecondMedian, each.p50MsMedian, each.p99MsMedian]),
  );
  for (const { inFlight, cpuMicrosMedian, cpuMicrosOfLeast } of extra) {
    process.stdout.write(`routed costs more, ${inFlight} in flight: ${formatNumber(cpuMicrosMedian)} µs/query (median of the rounds' differences), ${formatNumber(cpuMicrosOfLeast)} µs (least and least)\n`);
  }
  process.stdout.write(`idle: ${forms.map((form) => `${form} ${(100 * idleCores[form]).toFixed(1)} %`).join(', ')} of a core\n`);
  const kinds = [...new Set(figures.flatMap(({ threadCpuMicros }) => Object.keys(threadCpuMicros)))];
  printTable(
    'The same by threads, medians',
    ['threads', ...inFlightCounts.map((inFlight) => `${inFlight} in flight`)],
    kinds.map((kind) => [kind, ...inFlightCounts.map((inFlight) => figures.find((each) => each.inFlight === inFlight && kind in each.threadCpuMicros)?.threadCpuMicros[kind] ?? NaN)]),
  );
}

async function profileAll({ dataset, truth }: Bench, servers: { readonly standalone: ServerProcess; readonly routed: AskedServer }, cluster: Cluster, path: string): Promise<void> {
  const processes: readonly (readonly [string, Form, Probed])[] = [
    ['standalone', 'standalone', servers.standalone],
    ['gateway', 'routed', cluster.gateways[0]!],
    ['pod', 'routed', cluster.pods[0]!],
  ];
  const inFlight = inFlightCounts[0]!;
  for (const [name, form, process] of processes) {
    await profiled(process, `${name}, ${inFlight} in flight`, `${path}-${name}.cpuprofile`, () => measureSearches(servers[form], dataset, truth, { clients: inFlight, ef }));
  }
}
