/**
 * `replication`: what one, two and three replicas cost and bring, side by side on the same three pods: three collections,
 * whose turns alternate. Writes first; then every pod is limited to a part of a core, so that three pods on one machine
 * have three pods' power, and reads show what a replica adds.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from '../../framework/cleanup.ts';
import { startCluster, type Cluster, type PodProcess } from '../../framework/cluster/cluster.ts';
import type { ConsistencyToken } from '../../../proto/gen/shoal/v1/consistency.ts';
import type { BenchmarkOptions } from '../arguments.ts';
import { BenchClient, packedRow } from '../bench-client.ts';
import { loadNow, machineFacts, versionsOfPackages } from '../machine.ts';
import { formatNumber, printTable, resultsPath, say, writeResults } from '../report.ts';
import { probeFlag } from '../server-process.ts';
import { cpuOfAll } from '../process-usage.ts';
import { profiled } from '../profiling.ts';
import { metricOf, withOwner } from './bench-cluster.ts';
import { CpuLimits, type Throttling } from './cpu-limits.ts';
import { drive, insistently, Latencies, type LatencyFigures } from './drive.ts';

const dimension = 100;
/** Few enough that no graph is built: what a graph costs is the same for every replica, and would disturb the next turn. */
const pointCount = 10_000;
const replicaCounts = [1, 2, 3];
const podCores = 0.2;
const topK = 10;
const readerCount = 16;
/** Ids of one read: enough that the pods have more to do than the gateway, which is not limited. */
const readPointCount = 20;

const writeKinds = [
  { writers: 1, batch: 1 },
  { writers: 16, batch: 1 },
  { writers: 1, batch: 100 },
  { writers: 16, batch: 100 },
] as const;
const readKinds = ['eventual read', 'session read', 'linearizable read', 'eventual search', 'linearizable search'] as const;
type ReadKind = (typeof readKinds)[number];

interface Target {
  readonly name: string;
  readonly replicas: number;
  /** Of the last write. */
  tokens: readonly ConsistencyToken[];
}

interface Bench {
  readonly cluster: Cluster;
  readonly clients: readonly BenchClient[];
  readonly targets: readonly Target[];
  readonly vectors: Float32Array;
  readonly rounds: number;
  readonly seconds: number;
}

export async function runReplicationBenchmark(options: BenchmarkOptions): Promise<void> {
  const machine = machineFacts(false, loadNow());
  const [rounds, seconds] = options.quick ? [1, 1] : [3, 1.5];
  const results: Record<string, unknown> = {
    benchmark: 'replication',
    date: new Date().toISOString(),
    machine,
    versions: versionsOfPackages(['rocksdb-native', '@grpc/grpc-js']),
    parameters: { dimension, pointCount, rounds, seconds, podCores, topK, readerCount },
  };
  process.stdout.write(
    `replication: 3 pods, 1 gateway, 1 shard, ${formatNumber(pointCount)} points of ${dimension} dimensions written over and over; ${rounds} rounds of ${seconds} s\n` +
      `${machine.processor}, ${machine.cores} cores for everything, Node ${machine.node}; load before: ${machine.loadBefore.toFixed(1)}\n`,
  );
  await withOwner(async (owner) => {
    const limits = CpuLimits.open(owner);
    const cluster = await startCluster(owner, { pods: 3, gateways: 1, controllers: 1, extra: () => (options.profile ? { nodeFlags: [probeFlag], withChannel: true } : {}) });
    const address = cluster.gateways[0]!.grpcAddress;
    const clients = Array.from({ length: 16 }, () => new BenchClient(address, cluster.key));
    atEnd(owner, () => clients.forEach((client) => client.close()));
    const targets: Target[] = replicaCounts.map((replicas) => ({ name: `replicas-${replicas}`, replicas, tokens: [] }));
    const vectors = Float32Array.from({ length: pointCount * dimension }, () => Math.random() - 0.5);
    const bench: Bench = { cluster, clients, targets, vectors, rounds, seconds };
    for (const target of targets) await fill(bench, target);
    results['idle'] = await measureIdle(bench);
    results['writes'] = await measureWrites(bench);
    if (options.profile) await profileWrites(bench, targets.at(-1)!, resultsPath('replication', options.output));
    if (typeof limits === 'string') {
      process.stdout.write(`\nTHE PODS ARE NOT LIMITED: ${limits}. What follows says nothing of what a replica adds: all pods share ${machine.cores} cores.\n`);
    } else {
      for (const { pid } of cluster.pods) limits.set(pid, podCores);
      say(`each pod has ${podCores} core from now on (${limits.how})`);
    }
    results['reads'] = await measureReads(bench, typeof limits === 'string' ? undefined : limits);
    results['loadAfter'] = loadNow();
    await writeResults(resultsPath('replication', options.output), results);
  });
}

async function fill({ cluster, clients, vectors }: Bench, target: Target): Promise<void> {
  const { name, replicas } = target;
  await clients[0]!.createCollection(name, dimension, { replication: { replicas, minInSync: Math.min(2, replicas) } });
  await cluster.whole(name);
  for (let row = 0; row < pointCount; row += 500) target.tokens = await upsert(clients[0]!, vectors, target, row, 500);
}

async function upsert(client: BenchClient, vectors: Float32Array, { name }: Target, firstRow: number, count: number): Promise<readonly ConsistencyToken[]> {
  const points = Array.from({ length: count }, (_, at) => {
    const row = (firstRow + at) % pointCount;
    return { id: `point-${row}`, packedVector: packedRow(vectors, row, dimension), payload: { bucket: row % 100 } };
  });
  return (await insistently(() => client.upsert(name, points))).tokens;
}

/** What the pods do while nobody asks for anything, as a part of one core, all together. */
async function measureIdle({ cluster, seconds }: Bench): Promise<number> {
  await sleep(1_000);
  const before = cpuOfAll(cluster.pods);
  const startedMs = performance.now();
  await sleep(2_000 * seconds);
  const cores = (cpuOfAll(cluster.pods) - before) / 1_000 / (performance.now() - startedMs);
  process.stdout.write(`the three pods together take ${percent(cores)} of a core when nothing is asked of them\n`);
  return cores;
}

/** Where the main threads of the primary and of a backup spend their time while 16 clients write single points. */
async function profileWrites({ cluster, clients, vectors, seconds }: Bench, target: Target, path: string): Promise<void> {
  const { spec, status } = (await cluster.shards(target.name))[0]!;
  const primary = status.authority!.primary.pod;
  const backup = spec.replicas.find((pod) => pod !== primary)!;
  for (const [role, pod] of [['primary', primary], ['backup', backup]] as const) {
    for (const batch of [1, 100]) {
      const title = `${role} of 3 replicas, 16 writers, batches of ${batch}`;
      await profiled(cluster.pod(pod), title, `${path.replace(/\.json$/, '')}-${role}-${batch}.cpuprofile`, () =>
        drive(new Latencies(), 16, 2 * seconds, (client, count) => upsert(clients[client]!, vectors, target, client * 311 + count * batch, batch)),
      );
    }
  }
}

interface WriteFigures extends LatencyFigures {
  readonly replicas: number;
  readonly writers: number;
  readonly batch: number;
  readonly pointsPerSecond: number;
  /** All pods together, per point. */
  readonly podCpuMicrosPerPoint: number;
  readonly gatewayCpuMicrosPerPoint: number;
}

async function measureWrites(bench: Bench): Promise<WriteFigures[]> {
  const { cluster, clients, targets, vectors, rounds, seconds } = bench;
  const figures: WriteFigures[] = [];
  for (const { writers, batch } of writeKinds) {
    const cells = targets.map((target) => ({ target, latencies: new Latencies(), podCpu: 0, gatewayCpu: 0 }));
    // The first round warms everything up and is not counted.
    for (let round = -1; round < rounds; round++) {
      for (const cell of cells) {
        const into = round < 0 ? new Latencies() : cell.latencies;
        const before = { pods: cpuOfAll(cluster.pods), gateways: cpuOfAll(cluster.gateways) };
        await drive(into, writers, round < 0 ? 0.3 : seconds, (client, count) => upsert(clients[client]!, vectors, cell.target, client * 311 + count * batch, batch));
        if (round < 0) continue;
        cell.podCpu += cpuOfAll(cluster.pods) - before.pods;
        cell.gatewayCpu += cpuOfAll(cluster.gateways) - before.gateways;
      }
    }
    for (const { target, latencies, podCpu, gatewayCpu } of cells) {
      const pointsWritten = latencies.count * batch;
      figures.push({
        replicas: target.replicas,
        writers,
        batch,
        ...latencies.figures(),
        pointsPerSecond: latencies.perSecond * batch,
        podCpuMicrosPerPoint: podCpu / pointsWritten,
        gatewayCpuMicrosPerPoint: gatewayCpu / pointsWritten,
      });
    }
  }
  printTable(
    'Writes, acknowledged when durable on every replica in sync',
    ['writers × points', 'replicas', 'writes/s', 'of 1 replica', 'points/s', 'p50 ms', 'p99 ms', 'CPU µs/point: pods', 'gateway'],
    figures.map(({ replicas, writers, batch, perSecond, pointsPerSecond, p50Ms, p99Ms, podCpuMicrosPerPoint, gatewayCpuMicrosPerPoint }) => {
      const alone = figures.find((other) => other.writers === writers && other.batch === batch && other.replicas === 1)!;
      return [`${writers} × ${batch}`, replicas, perSecond, (perSecond / alone.perSecond).toFixed(2), pointsPerSecond, p50Ms, p99Ms, podCpuMicrosPerPoint, gatewayCpuMicrosPerPoint];
    }),
  );
  return figures;
}

interface ReadFigures extends LatencyFigures {
  readonly replicas: number;
  readonly kind: ReadKind;
  /** Answers of each pod as a part of all, the primary first. */
  readonly shares: readonly number[];
  /** Periods in which the pods that answered had used up their part of a core. */
  readonly throttledFraction: number;
  /** All pods together, per read. */
  readonly podCpuMicros: number;
  readonly gatewayCpuMicros: number;
}

async function measureReads(bench: Bench, limits: CpuLimits | undefined): Promise<ReadFigures[]> {
  const { cluster, clients, targets, vectors, rounds, seconds } = bench;
  const figures: ReadFigures[] = [];
  for (const kind of readKinds) {
    const operation = kind.endsWith('search') ? 'search' : 'get';
    const cells = targets.map((target) => ({ target, latencies: new Latencies(), podCpu: 0, gatewayCpu: 0, answers: new Map<string, number>(), throttling: { periods: 0, throttled: 0 } }));
    for (let round = -1; round < rounds; round++) {
      for (const cell of cells) {
        const { target, latencies, answers, throttling } = cell;
        const before = await answersOf(cluster.pods, operation);
        const throttledBefore = throttlingOf(cluster.pods, limits);
        const cpuBefore = { pods: cpuOfAll(cluster.pods), gateways: cpuOfAll(cluster.gateways) };
        await drive(round < 0 ? new Latencies() : latencies, readerCount, round < 0 ? 0.5 : seconds, (client, count) => read(clients[client]!, vectors, target, kind, client * 311 + count * 7));
        if (round < 0) continue;
        cell.podCpu += cpuOfAll(cluster.pods) - cpuBefore.pods;
        cell.gatewayCpu += cpuOfAll(cluster.gateways) - cpuBefore.gateways;
        const after = await answersOf(cluster.pods, operation);
        const throttledAfter = throttlingOf(cluster.pods, limits);
        for (const { name } of cluster.pods) {
          const count = after.get(name)! - before.get(name)!;
          answers.set(name, (answers.get(name) ?? 0) + count);
          if (count < 10) continue;
          throttling.periods += throttledAfter.get(name)!.periods - throttledBefore.get(name)!.periods;
          throttling.throttled += throttledAfter.get(name)!.throttled - throttledBefore.get(name)!.throttled;
        }
      }
    }
    for (const { target, latencies, answers, throttling, podCpu, gatewayCpu } of cells) {
      const shard = (await cluster.shards(target.name))[0]!;
      const primary = shard.status.authority!.primary.pod;
      const holders = [primary, ...shard.spec.replicas.filter((pod) => pod !== primary)];
      const all = [...answers.values()].reduce((sum, count) => sum + count, 0);
      figures.push({
        replicas: target.replicas,
        kind,
        ...latencies.figures(),
        shares: holders.map((pod) => answers.get(pod)! / all),
        throttledFraction: throttling.throttled / throttling.periods,
        podCpuMicros: podCpu / latencies.count,
        gatewayCpuMicros: gatewayCpu / latencies.count,
      });
    }
  }
  printTable(
    `Reads by ${readerCount} clients, ${limits === undefined ? 'PODS NOT LIMITED' : `each pod limited to ${podCores} core`}`,
    ['', 'replicas', 'reads/s', 'of 1 replica', 'p50 ms', 'p99 ms', 'share of the primary, others', 'pods throttled', 'CPU µs/read: pods', 'gateway'],
    figures.map(({ kind, replicas, perSecond, p50Ms, p99Ms, shares, throttledFraction, podCpuMicros, gatewayCpuMicros }) => {
      const alone = figures.find((other) => other.kind === kind && other.replicas === 1)!;
      return [kind, replicas, perSecond, (perSecond / alone.perSecond).toFixed(2), p50Ms, p99Ms, shares.map(percent).join(', '), percent(throttledFraction), podCpuMicros, gatewayCpuMicros];
    }),
  );
  return figures;
}

function read(client: BenchClient, vectors: Float32Array, { name, tokens }: Target, kind: ReadKind, at: number): Promise<unknown> {
  const row = at % pointCount;
  const [level, what] = kind.split(' ') as [string, string];
  const consistency = { level, tokens: level === 'session' ? [...tokens] : [] };
  return insistently<unknown>(() =>
    what === 'search'
      ? client.search(name, { packedVector: packedRow(vectors, row, dimension), topK, includePayload: false, consistency })
      : client.getPoints(name, Array.from({ length: readPointCount }, (_, each) => `point-${(row + each * 37) % pointCount}`), consistency),
  );
}

async function answersOf(pods: readonly PodProcess[], operation: string): Promise<ReadonlyMap<string, number>> {
  const entries = pods.map(async (pod) => [pod.name, await metricOf(pod, 'shoal_peer_requests_total', { operation, code: 'OK' })] as const);
  return new Map(await Promise.all(entries));
}

function throttlingOf(pods: readonly PodProcess[], limits: CpuLimits | undefined): ReadonlyMap<string, Throttling> {
  return new Map(pods.map(({ name, pid }) => [name, limits?.throttling(pid) ?? { periods: 0, throttled: 0 }]));
}

function percent(part: number): string {
  return Number.isFinite(part) ? `${Math.round(100 * part)} %` : '–';
}
