/**
 * Aim: real processes under load while pods are killed, stopped, cut off, their disks wiped, gateways and the controller
 * killed and stopped, and the API server is away for a minute: whatever clients were told holds at the end, on every replica, and every shard is whole again soon.
 *
 * The seed gives the faults, their order, lengths and victims (by role), and every client's choices; time does the rest.
 */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { seededRandom } from '../../../pods/kernel/random.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import type { Points } from '../../checker/durability.ts';
import type { Seen } from '../../checker/history.ts';
import { judge } from '../../checker/judge.ts';
import { porcupineLines } from '../../checker/porcupine-file.ts';
import { goIsThere, judgeWithPorcupine } from '../../checker/porcupine.ts';
import { atEnd } from '../../framework/cleanup.ts';
import { AuthorityTimeline } from '../../framework/cluster/authority-timeline.ts';
import { startCluster, type Cluster } from '../../framework/cluster/cluster.ts';
import { JudgedLoad, seenOnWire } from '../../framework/cluster/judged-load.ts';
import { startNetwork } from '../../framework/cluster/network.ts';
import { countFrom, seedOf } from '../../framework/seed.ts';
import { ShoalClient } from '../../framework/shoal-client.ts';
import { eventually, pause } from '../../framework/timeouts.ts';
import { dimension } from '../../sim/cluster/contents.ts';
import { inflict, type Place } from './chaos/faults.ts';
import { deckOf, type Step } from './chaos/plan.ts';

const minutes = countFrom('SHOAL_CHAOS_MINUTES', 2);
const collection = 'docs';
const shardCount = 2;
/** No time-out of the cluster's is longer; whatever takes longer hangs. */
const healMs = 60_000;

test('faults on real processes', async (t) => {
  const { seed } = seedOf(t);
  const names = ['pod-0', 'pod-1', 'pod-2', 'gateway-0', 'gateway-1', 'controller-0'];
  const network = await startNetwork(t, names);
  const cluster = await startCluster(t, { pods: 3, gateways: 2, controllers: 1, tls: true, network });
  const client = new ShoalClient({ grpcAddress: cluster.gateways[0]!.grpcAddress, key: cluster.key });
  atEnd(t, () => client.close());
  await client.createCollection({ name: collection, dimension, metric: 'euclidean', shards: shardCount, replication: { replicas: 3, minInSync: 2 } });
  const shards = await cluster.whole(collection);
  const timeline = new AuthorityTimeline(cluster.metadata);
  atEnd(t, timeline.close);

  const load = new JudgedLoad(cluster.gateways, cluster.key, { collection, shardCount, clientCount: 12, idCount: 48, meanPauseMs: 40, seed });
  atEnd(t, () => load.stop());
  load.start();

  const primaryOf = (index: number): string | undefined => timeline.last(shards[index]!.metadata.uid)?.primary.pod;
  const outages = await trouble({ cluster, network, primaryOf, busy: new Set(), answerCount: (gateway) => load.answerCounts.get(gateway) ?? 0 }, load, shards, seed);
  await healed(cluster);
  await load.stop();

  report(t, load, outages);
  await verdict(t, cluster, client, load);
  for (const process of [...cluster.pods, ...cluster.gateways, ...cluster.controllers]) assert.deepEqual(process.unexpectedExits, [], process.name);
  assert.deepEqual(load.defects.slice(0, 10), []);
});

/** The longest write outage of a shard for each kind of fault, in milliseconds of each time. */
type Outages = Map<string, number[]>;

async function trouble(place: Place, load: JudgedLoad, shards: readonly VectorShard[], seed: number): Promise<Outages> {
  const random = seededRandom(seed);
  const outages: Outages = new Map();
  const beganMs = performance.now();
  // At once, so that a run that hangs has said where.
  const tell = (what: string): void => void process.stderr.write(`${((performance.now() - beganMs) / 1_000).toFixed(1).padStart(6)} s  ${what}\n`);
  /** `work`, then until everything is in sync again. */
  const measured = async (label: string, work: () => Promise<void>): Promise<void> => {
    const fromMs = performance.now();
    await work();
    const toMs = performance.now();
    const lengthMs = Math.max(...shards.map(({ metadata }) => load.longestOutageMs(metadata.uid, fromMs, toMs)));
    outages.set(label, [...(outages.get(label) ?? []), lengthMs]);
    tell(`     longest write outage ${(lengthMs / 1_000).toFixed(2)} s`);
  };
  const inflictAll = async ({ faults }: Step): Promise<void> => {
    await Promise.all(faults.map((fault) => inflict(place, fault, tell)));
  };

  do {
    for (const step of deckOf(random, shards.length, place.cluster.gateways.length)) {
      const label = step.faults.map(({ kind }) => kind).sort().join(' + ');
      if (step.apiOutageMs > 0) {
        await healed(place.cluster);
        await pause(step.pauseMs);
        tell(`API server away for ${step.apiOutageMs / 1_000} s`);
        await place.cluster.kubernetes.stopApiServer('SIGKILL');
        const backMs = performance.now() + step.apiOutageMs;
        await measured('API server away', () => pause(step.apiOutageMs / 2));
        await measured(`API server away + ${label}`, async () => {
          await inflictAll(step);
          await pause(backMs - performance.now());
          await place.cluster.kubernetes.startApiServer();
          tell('API server is back');
          await healed(place.cluster);
        });
        continue;
      }
      // Promised is the loss of one disk of three.
      if (label === 'disk wiped') await healed(place.cluster);
      await measured(label, async () => {
        await inflictAll(step);
        if (step.isWaitedFor || label === 'disk wiped') await healed(place.cluster);
      });
      await pause(step.pauseMs);
    }
  } while (performance.now() - beganMs < (minutes - 1) * 60_000);
  return outages;
}

async function healed(cluster: Cluster): Promise<void> {
  await Promise.all([...cluster.pods, ...cluster.gateways, ...cluster.controllers].map((process) => process.ready(healMs)));
  await cluster.whole(collection, healMs);
}

/** Every promise about what clients saw; at the end each member of each shard leads once, so that each is looked at. */
async function verdict(t: TestContext, cluster: Cluster, client: ShoalClient, load: JudgedLoad): Promise<void> {
  const { history } = load;
  const points = await pointsOf(client, history.ids);
  t.diagnostic(`every replica showed it ${await untilReplicasShow(client, points)} ms later`);
  const replicas = new Map<string, Points>([['first', points]]);
  for (const pod of cluster.pods) {
    await cluster.whole(collection, healMs);
    await eventually(healMs, `${pod.name} to lead`, async () => {
      const ledByOthers = (await cluster.shards(collection)).filter(({ status }) => status.authority!.primary.pod !== pod.name);
      // A request is void when another term is granted, and on a busy machine one may be that nobody asked for.
      for (const shard of ledByOthers) if (shard.status.handover?.term !== shard.status.authority!.term) await cluster.requestSwitchover(shard, pod.name);
      return ledByOthers.length === 0 ? true : undefined;
    });
    replicas.set(pod.name, await pointsOf(client, history.ids));
  }
  const { violations, undecided, counts } = judge(history, { points, replicasOfShards: [replicas] });
  t.diagnostic(`judged: ${Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', ')}`);
  const file = join(tmpdir(), `shoal-chaos-${process.pid}.jsonl`);
  if (violations.length > 0) {
    await writeFile(file, porcupineLines(history.operations));
    t.diagnostic(`the history is kept in ${file}`);
  }
  assert.deepEqual(violations.slice(0, 5).map(({ promise, what }) => `${promise}: ${what}`), [], `${violations.length} violations`);
  assert.deepEqual(undecided, []);
  if (await goIsThere()) {
    const { illegal, undecided, ok } = await judgeWithPorcupine(history.operations);
    t.diagnostic(`porcupine: ${ok} ids linearizable`);
    assert.deepEqual({ illegal, undecided }, { illegal: [], undecided: [] });
  } else assert.equal(process.env['CI'], undefined, 'porcupine needs Go');
}

/** Read linearizably by id, and looked for by a scroll, which would show ids that nobody wrote. */
async function pointsOf(client: ShoalClient, ids: readonly string[]): Promise<Points> {
  const points = new Map<string, Seen>();
  for (let i = 0; i < ids.length; i += 100) {
    for (const point of await client.get(collection, ids.slice(i, i + 100), { level: 'linearizable' })) points.set(point.id, seenOnWire(point));
  }
  const scrolled = new Set((await client.scrollAll(collection, 100, undefined, { level: 'linearizable' })).map(({ id }) => id));
  assert.deepEqual([...scrolled].sort(), [...points.keys()].sort(), 'a scroll shows the points that are there');
  return points;
}

/** Reads that may go to any replica: so many in a row that none is likely to be left out. In milliseconds. */
async function untilReplicasShow(client: ShoalClient, points: Points): Promise<number> {
  const beganMs = performance.now();
  const wanted = [...points.keys()].sort().join();
  const inARow = 20;
  let count = 0;
  await eventually(healMs, 'the state that was read linearizably at every replica', async () => {
    const found = (await client.scrollAll(collection, 100)).map(({ id }) => id).sort().join();
    count = found === wanted ? count + 1 : 0;
    return count === inARow ? true : undefined;
  });
  return Math.round(performance.now() - beganMs);
}

function report(t: TestContext, load: JudgedLoad, outages: Outages): void {
  t.diagnostic(`${load.history.operations.length} operations and ${load.history.searches.length} searches were answered or given up, during ${[...outages.values()].flat().length} times of faults`);
  const failedTries = [...load.failedTries].sort(([, a], [, b]) => b - a);
  t.diagnostic(`tries that failed: ${failedTries.map(([code, count]) => `${code} ${count}`).join(', ')}`);
  const seconds = (ms: number): string => (ms / 1_000).toFixed(2).padStart(6);
  for (const [label, lengths] of [...outages].sort(([a], [b]) => (a < b ? -1 : 1))) {
    t.diagnostic(`${label.padEnd(50)} ${String(lengths.length).padStart(3)} times, longest write outage ${seconds(Math.max(...lengths))} s`);
  }
}
