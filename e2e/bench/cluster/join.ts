/**
 * `join`: a shard of the glove points gets a second replica while writes and searches go on. Then the replica leaves, and
 * joins once more from a source that sends less in a second. Printed: how long, how much, and what clients felt of it.
 * With few points (`--quick`) there is no snapshot, because the log still holds all of them.
 */

import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from '../../framework/cleanup.ts';
import { isWhole, startCluster, type Cluster, type PodProcess } from '../../framework/cluster/cluster.ts';
import { eventually } from '../../framework/timeouts.ts';
import { hasCode } from '../../../pods/kernel/errors.ts';
import { limits } from '../../../pods/kernel/limits.ts';
import { collectionObjectName } from '../../../pods/metadata/object-name.ts';
import type { BenchmarkOptions } from '../arguments.ts';
import { BenchClient } from '../bench-client.ts';
import { loadDataset, type Dataset } from '../dataset.ts';
import { batchesInFlight, batchPointCount, collectionName, upsertRows } from '../import-points.ts';
import { loadNow, machineFacts, versionsOfPackages } from '../machine.ts';
import type { LoopReport } from '../probe-messages.ts';
import { cpuOfAll, memoryUse } from '../process-usage.ts';
import { askProbe, profiled } from '../profiling.ts';
import { formatBytes, formatNumber, printTable, progressLine, resultsPath, say, writeResults } from '../report.ts';
import { probeFlag } from '../server-process.ts';
import { metricOf, withOwner } from './bench-cluster.ts';
import { loadParameters, PhasedLoad, type PhaseFigures } from './phased-load.ts';

const joinTimeoutMs = 600_000;

interface Bench {
  readonly cluster: Cluster;
  readonly dataset: Dataset;
  readonly quietSeconds: number;
  /** Where profiles of the pods go; undefined for none. */
  readonly profiles: string | undefined;
  /** Of the flag that pods are started with from now on. */
  rate: number;
}

interface JoinFigures {
  readonly bytesPerSecondMax: number;
  /** From the change of the collection to its replicas being in sync. */
  readonly inSyncSeconds: number;
  /** From the change to the first byte, from the first to the last byte of the snapshot, and from then on. */
  readonly startSeconds: number;
  readonly transferSeconds: number;
  readonly catchUpSeconds: number;
  readonly transferBytes: number;
  readonly pointsWrittenMeanwhile: number;
  /** Of the new replica, once in sync. */
  readonly graphPoints: number;
  readonly tailPoints: number;
  /** The same, when the phase after is over. */
  readonly tailPointsLater: number;
  readonly way: 'all from the log' | 'snapshot with its graph' | 'snapshot, graph rebuilt from the points';
  readonly joinerMemory: { readonly beforeBytes: number; readonly afterBytes: number; readonly peakBytes: number };
  readonly cpuSeconds: { readonly source: number; readonly joiner: number };
  readonly phases: readonly PhaseFigures[];
  readonly loops: Readonly<Record<string, LoopReport>>;
}

export async function runJoinBenchmark(options: BenchmarkOptions): Promise<void> {
  const machine = machineFacts(false, loadNow());
  const dataset = await loadDataset('glove', options.limit ?? (options.quick ? 20_000 : undefined), 200);
  const rates = [limits.transferBytesPerSecondMax, ...(options.quick ? [] : [8 << 20])];
  const quietSeconds = options.quick ? 5 : 15;
  const path = resultsPath('join', options.output);
  const results: Record<string, unknown> = {
    benchmark: 'join',
    date: new Date().toISOString(),
    machine,
    versions: versionsOfPackages(['hnswlib-node', 'rocksdb-native', '@grpc/grpc-js']),
    parameters: { source: dataset.source, points: dataset.pointCount, dimension: dataset.dimension, ...loadParameters, quietSeconds, rates },
  };
  process.stdout.write(
    `join: ${formatNumber(dataset.pointCount)} points of ${dataset.dimension} dimensions, 1 shard; 3 pods, 1 gateway; ` +
      `${loadParameters.writers} clients write single points and ${loadParameters.searchers} search, each with ${loadParameters.pauseMs} ms of rest after an answer\n` +
      `${machine.processor}, ${machine.cores} cores for everything, Node ${machine.node}; load before: ${machine.loadBefore.toFixed(1)}\n`,
  );
  await withOwner(async (owner) => {
    const bench = { dataset, quietSeconds, rate: rates[0]!, profiles: options.profile ? path.replace(/\.json$/, '') : undefined } as { -readonly [Key in keyof Bench]: Bench[Key] };
    const extra = (name: string): object =>
      name.startsWith('pod') ? { nodeFlags: [probeFlag], withChannel: true, extraFlags: () => ['--transfer-bytes-per-second', String(bench.rate)] } : {};
    const cluster = (bench.cluster = await startCluster(owner, { pods: 3, gateways: 1, controllers: 1, extra }));
    results['import'] = await importAll(bench);
    const load = new PhasedLoad(dataset, cluster.gateways[0]!.grpcAddress, cluster.key);
    atEnd(owner, () => load.close());
    const joins: JoinFigures[] = [];
    for (const rate of rates) {
      if (rate !== bench.rate) await restartSource(bench, rate);
      joins.push(await join(bench, load));
      results['joins'] = joins;
      await writeResults(path, results);
      results[`leave${joins.length}`] = await leave(bench, load);
    }
    results['loadAfter'] = loadNow();
    await writeResults(path, results);
  });
}

async function importAll({ cluster, dataset }: Bench): Promise<{ seconds: number; drainedSeconds: number }> {
  const client = new BenchClient(cluster.gateways[0]!.grpcAddress, cluster.key);
  try {
    await client.createCollection(collectionName, dataset.dimension, { replication: { replicas: 1, minInSync: 1 } });
    await cluster.whole(collectionName);
    const startedMs = performance.now();
    const elapsed = (): number => (performance.now() - startedMs) / 1_000;
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < dataset.pointCount) {
        const first = next;
        const last = (next = Math.min(dataset.pointCount, first + batchPointCount));
        await upsertRows(client, dataset, first, last);
        progressLine(`imported ${last} of ${dataset.pointCount} points, ${Math.round(last / elapsed())}/s`, last === dataset.pointCount);
      }
    };
    await Promise.all(Array.from({ length: batchesInFlight }, lane));
    const seconds = elapsed();
    const { primary } = await holders(cluster);
    const inGraph = async (): Promise<true | undefined> => ((await metricOf(primary, 'shoal_tail_points', { collection: collectionName })) === 0 ? true : undefined);
    if (dataset.pointCount * dataset.dimension > limits.flatFloatsMax) await eventually(joinTimeoutMs, 'all points to be in the graph', inGraph);
    const drainedSeconds = elapsed();
    process.stdout.write(`imported in ${formatNumber(seconds)} s (${formatNumber(dataset.pointCount / seconds)} points/s), in the graph after ${formatNumber(drainedSeconds)} s\n`);
    return { seconds, drainedSeconds };
  } finally {
    client.close();
  }
}

async function join(bench: Bench, load: PhasedLoad): Promise<JoinFigures> {
  const { cluster, quietSeconds, rate } = bench;
  const { primary: source } = await holders(cluster);
  const memoryBefore = new Map(cluster.pods.map((pod) => [pod.name, memoryUse(pod.pid).residentBytes]));
  const sentBefore = await metricOf(source, 'shoal_transfer_bytes_total');
  load.start();
  await sleep(1_000);
  load.phase('warming up');
  await resetProbes(cluster.pods);
  await sleep(quietSeconds * 1_000);
  const phases = [load.phase('before')];
  const loops: Record<string, LoopReport> = { 'source, before': await loopOf(source) };
  await resetProbes(cluster.pods);
  const cpuBefore = new Map(cluster.pods.map((pod) => [pod.name, cpuOfAll([pod])]));
  const writtenBefore = load.writtenCount;

  const startedMs = performance.now();
  say(`asking for a second replica; ${source.name} sends at most ${formatBytes(rate)}/s`);
  const transfer = watchTransfer(source, sentBefore);
  const inSyncMs = await profiledIfAsked(bench, async () => {
    await changeReplicas(cluster, 2);
    await eventually(joinTimeoutMs, 'the new replica to be in sync', async () => {
      const shard = (await cluster.shards(collectionName))[0]!;
      return shard.spec.replicas.length === 2 && isWhole(shard) ? true : undefined;
    });
    return performance.now();
  });
  const { firstMs, lastMs, bytes } = await transfer.end();
  const pointsWrittenMeanwhile = load.writtenCount - writtenBefore;
  phases.push(load.phase('joining'));
  const { backup: joiner } = await holders(cluster);
  if (joiner === undefined) throw new Error('there is no second replica');
  const cpu = (pod: PodProcess): number => (cpuOfAll([pod]) - cpuBefore.get(pod.name)!) / 1e6;
  const cpuSeconds = { source: cpu(source), joiner: cpu(joiner) };
  loops['source, joining'] = await loopOf(source);
  loops['joiner, joining'] = await loopOf(joiner);
  const pointsIn = (part: 'graph' | 'tail'): Promise<number> => metricOf(joiner, `shoal_${part}_points`, { collection: collectionName });
  const [graphPoints, tailPoints] = [await pointsIn('graph'), await pointsIn('tail')];
  await resetProbes(cluster.pods);
  await sleep(quietSeconds * 1_000);
  phases.push(load.phase('after, two replicas'));
  const tailPointsLater = await pointsIn('tail');
  await load.stop();
  const { residentBytes, residentPeakBytes } = memoryUse(joiner.pid);
  const figures: JoinFigures = {
    bytesPerSecondMax: rate,
    inSyncSeconds: (inSyncMs - startedMs) / 1_000,
    startSeconds: (firstMs - startedMs) / 1_000,
    transferSeconds: (lastMs - firstMs) / 1_000,
    catchUpSeconds: (inSyncMs - lastMs) / 1_000,
    transferBytes: bytes,
    pointsWrittenMeanwhile,
    graphPoints,
    tailPoints,
    tailPointsLater,
    way: bytes === 0 ? 'all from the log' : hasLogged(joiner, 'rebuilding from the points') || graphPoints === 0 ? 'snapshot, graph rebuilt from the points' : 'snapshot with its graph',
    joinerMemory: { beforeBytes: memoryBefore.get(joiner.name)!, afterBytes: residentBytes, peakBytes: residentPeakBytes },
    cpuSeconds,
    phases,
    loops,
  };
  print(figures);
  return figures;
}

/** All pods at once: who joins is not known before. */
async function profiledIfAsked<Result>({ cluster, profiles }: Bench, work: () => Promise<Result>): Promise<Result> {
  if (profiles === undefined) return work();
  return cluster.pods.reduce((inner, pod) => () => profiled(pod, pod.name, `${profiles}-${pod.name}.cpuprofile`, inner), work)();
}

/** The replica that joined goes again. */
async function leave(bench: Bench, load: PhasedLoad): Promise<{ seconds: number; phase: PhaseFigures; loops: Record<string, LoopReport> }> {
  const { cluster } = bench;
  const before = await holders(cluster);
  load.start();
  await resetProbes(cluster.pods);
  const startedMs = performance.now();
  await changeReplicas(cluster, 1);
  await eventually(joinTimeoutMs, 'a replica to leave', async () => {
    const shard = (await cluster.shards(collectionName))[0]!;
    return shard.spec.replicas.length === 1 && isWhole(shard) ? true : undefined;
  });
  const stayed = (await holders(cluster)).primary;
  const left = [before.primary, before.backup!].find(({ name }) => name !== stayed.name)!;
  await eventually(joinTimeoutMs, 'its data to be removed', async () => ((await metricOf(left, 'shoal_points', { collection: collectionName })) === 0 ? true : undefined));
  const seconds = (performance.now() - startedMs) / 1_000;
  const phase = load.phase('leaving');
  const loops = { 'leaving pod': await loopOf(left), 'staying pod': await loopOf(stayed) };
  await load.stop();
  printTable(`The replica on ${left.name}${left.name === before.primary.name ? ', the primary,' : ''} left`, ['', ''], [
    ['out of the shard, and closed, after', `${formatNumber(seconds)} s`],
    ['writes meanwhile, p50 / p99 / max ms', latency(phase.writes)],
    ['searches meanwhile, p50 / p99 / max ms', latency(phase.searches)],
    ...Object.entries(loops).map(([pod, loop]) => [`longest turn / callback of the loop, ${pod}, CPU ms`, `${formatNumber(loop.turns.cpuMaxMs)} / ${formatNumber(loop.callbacks.cpuMaxMs)}`]),
  ]);
  return { seconds, phase, loops };
}

async function restartSource(bench: Bench, rate: number): Promise<void> {
  const { cluster } = bench;
  const { primary } = await holders(cluster);
  bench.rate = rate;
  await primary.end('SIGTERM');
  await primary.start();
  await eventually(joinTimeoutMs, 'the source to lead again', async () => {
    const serves = (await metricOf(primary, 'shoal_replica_is_primary', { collection: collectionName })) === 1;
    return serves && (await metricOf(primary, 'shoal_points', { collection: collectionName })) > 0 ? true : undefined;
  });
}

/** As `kubectl edit` would do it. */
async function changeReplicas(cluster: Cluster, replicas: number): Promise<void> {
  await eventually(joinTimeoutMs, 'the collection to be changed', async () => {
    const { collections } = cluster.metadata;
    const object = (await collections.get(collectionObjectName(collectionName)))!;
    try {
      return await collections.replace({ ...object, spec: { ...object.spec, replication: { replicas, minInSync: 1 } } });
    } catch (error) {
      if (hasCode(error, 'CONFLICT')) return undefined;
      throw error;
    }
  });
}

async function holders(cluster: Cluster): Promise<{ readonly primary: PodProcess; readonly backup: PodProcess | undefined }> {
  const { spec, status } = (await cluster.shards(collectionName))[0]!;
  const primary = status.authority!.primary.pod;
  const backup = spec.replicas.find((pod) => pod !== primary);
  return { primary: cluster.pod(primary), backup: backup === undefined ? undefined : cluster.pod(backup) };
}

/** Looks at what the source has sent ten times a second. */
function watchTransfer(source: PodProcess, sentBefore: number): { end(): Promise<{ firstMs: number; lastMs: number; bytes: number }> } {
  let [firstMs, lastMs, bytes, isEnded] = [NaN, NaN, 0, false];
  const watching = (async () => {
    for (;;) {
      const sent = (await metricOf(source, 'shoal_transfer_bytes_total')) - sentBefore;
      if (sent > bytes) {
        lastMs = performance.now();
        if (bytes === 0) firstMs = lastMs;
        bytes = sent;
      }
      if (isEnded) return;
      await sleep(100);
    }
  })();
  return {
    async end() {
      isEnded = true;
      await watching;
      return { firstMs, lastMs, bytes };
    },
  };
}

async function resetProbes(pods: readonly PodProcess[]): Promise<void> {
  for (const pod of pods) await askProbe(pod, 'reset');
}

async function loopOf(pod: PodProcess): Promise<LoopReport> {
  return (await askProbe(pod, 'report')).report!;
}

function hasLogged({ logFile }: PodProcess, text: string): boolean {
  return existsSync(logFile) && readFileSync(logFile, 'utf8').includes(text);
}

function latency({ p50Ms, p99Ms, maxMs }: { p50Ms: number; p99Ms: number; maxMs: number }): string {
  return [p50Ms, p99Ms, maxMs].map(formatNumber).join(' / ');
}

function print(figures: JoinFigures): void {
  const { joinerMemory: memory, transferBytes, transferSeconds, phases, loops } = figures;
  printTable(`A second replica joins; the source sends at most ${formatBytes(figures.bytesPerSecondMax)}/s`, ['', ''], [
    ['in sync after', `${formatNumber(figures.inSyncSeconds)} s`],
    ['  of that until the first byte / transfer / opening and catching up', [figures.startSeconds, transferSeconds, figures.catchUpSeconds].map((value) => `${formatNumber(value)} s`).join(' / ')],
    ['snapshot', transferBytes === 0 ? 'none: the log went back far enough' : `${formatBytes(transferBytes)}, ${formatBytes(transferBytes / transferSeconds)}/s`],
    ['points written meanwhile', figures.pointsWrittenMeanwhile],
    ['what came', figures.way],
    ['points in its graph / tail once in sync; in its tail later', [figures.graphPoints, figures.tailPoints, figures.tailPointsLater].map(formatNumber).join(' / ')],
    ['memory of the joiner before / after / most', [memory.beforeBytes, memory.afterBytes, memory.peakBytes].map(formatBytes).join(' / ')],
    ['CPU s of source / joiner meanwhile', `${formatNumber(figures.cpuSeconds.source)} / ${formatNumber(figures.cpuSeconds.joiner)}`],
  ]);
  printTable(
    'What clients felt',
    ['', 'seconds', 'writes/s', 'p50 / p99 / max ms', 'searches/s', 'p50 / p99 / max ms'],
    phases.map(({ phase, seconds, writes, searches }) => [phase, seconds, writes.perSecond, latency(writes), searches.perSecond, latency(searches)]),
  );
  printTable(
    "Event loops, CPU ms of the main thread; timers' delay by the clock",
    ['', 'turn: max', 'p99.9', 'p99', 'callback: max', 'p99.9', 'p99', 'delay: max', 'p99'],
    Object.entries(loops).map(([name, { turns, callbacks, delayMaxMs, delayP99Ms }]) => [
      name, turns.cpuMaxMs, turns.cpuP999Ms, turns.cpuP99Ms, callbacks.cpuMaxMs, callbacks.cpuP999Ms, callbacks.cpuP99Ms, delayMaxMs, delayP99Ms,
    ]),
  );
}
