/**
 * Aim: what many small collections in one pool cost: their creation through a gateway, the operator at rest, one change, and
 * the death of one pod, which leads a third of them. Everything is printed; only that it comes about is asserted.
 *
 *     SHOAL_COLLECTIONS    how many (500)
 *     SHOAL_REST_MINUTES   how long the operator is watched at rest (5)
 */
// Labels: many

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countFrom } from '../../framework/seed.ts';
import { ShoalClient } from '../../framework/shoal-client.ts';
import { eventually, pause } from '../../framework/timeouts.ts';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { dayTwo } from '../harness/day-two.ts';
import { podsOf } from '../harness/objects.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const count = countFrom('SHOAL_COLLECTIONS', 500);
const restMinutes = countFrom('SHOAL_REST_MINUTES', 5);
const creators = 8;
const memory = { resources: { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '6Gi' } } };
const nameOf = (i: number): string => `many-${String(i).padStart(4, '0')}`;
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;

test(`${count} collections in one pool`, async (t) => {
  const cluster = await connectCluster(t);
  const shoal = await dayTwo(t, cluster, { pool: memory });
  const { namespace } = shoal.installation;
  await shoal.settled(3);
  const client = new ShoalClient({ grpcAddress: shoal.target.gateways[0]!.grpcAddress, key: shoal.target.key });
  t.after(() => client.close());
  const leader = async (): Promise<string> => {
    const { spec } = await cluster.kubectlJson<{ spec: { holderIdentity: string } }>(['get', 'lease', 'shoal-operator', '-n', namespace]);
    return spec.holderIdentity.split('_')[0]!;
  };
  const usage = (pod: string): Promise<Usage> => usageOf(cluster, namespace, pod);
  /** Of both operators, since another may lead by now; one that began anew began at nothing. */
  const operatorCpuSeconds = async (): Promise<number> => {
    const pods = await podsOf(cluster, namespace, 'app.kubernetes.io/component=operator');
    return (await Promise.all(pods.map(({ metadata }) => usage(metadata.name)))).reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  };
  const leaderSince = async (before: string): Promise<string> => {
    const now = await leader();
    return now === before ? 'one operator led all the while' : `${before} led first, ${now} in the end`;
  };
  const print = async (when: string): Promise<void> => {
    const pods = [await leader(), ...(await shoal.dataPods()).map(({ metadata }) => metadata.name)];
    const said = await Promise.all(pods.map(async (pod) => `${pod} ${((await usage(pod)).memoryBytes / 2 ** 20).toFixed(0)} MiB`));
    t.diagnostic(`memory ${when}: ${said.join(', ')}`);
  };
  await print('before');

  await t.test('created through a gateway', async (t) => {
    shoal.explain(t);
    const [ledBefore, before, requestsBefore] = [await leader(), await operatorCpuSeconds(), await apiRequests(cluster)];
    const beganMs = performance.now();
    const tookMs: number[] = [];
    let next = 0;
    const create = async (): Promise<void> => {
      for (let i = next++; i < count; i = next++) {
        const startedMs = performance.now();
        // Again after a deadline: it is the same collection.
        for (let tries = 1; ; tries++) {
          try {
            await client.createCollection({ name: nameOf(i), dimension: 4, shards: 1, replication: { replicas: 3, minInSync: 2 } });
            break;
          } catch (error) {
            if (tries === 5) throw error;
            t.diagnostic(`${nameOf(i)}: ${(error as Error).message}`);
          }
        }
        tookMs.push(performance.now() - startedMs);
        if (tookMs.length % 50 === 0) t.diagnostic(`${tookMs.length} after ${seconds(performance.now() - beganMs)}, the last 50 each in ${seconds(Math.min(...tookMs.slice(-50)))} to ${seconds(Math.max(...tookMs.slice(-50)))}`);
      }
    };
    await Promise.all(Array.from({ length: creators }, create));
    const createdMs = performance.now();
    await shoal.settled(3);
    t.diagnostic(`${count} created in ${seconds(createdMs - beganMs)}, all in sync after ${seconds(performance.now() - beganMs)}; operators took ${seconds(((await operatorCpuSeconds()) - before) * 1_000)} of processor time; ${await leaderSince(ledBefore)}`);
    t.diagnostic(`requests to the API server for each: ${perUnit(requestsBefore, await apiRequests(cluster), count, 0.1)}`);
    for (const i of [0, count >> 1, count - 1]) await client.upsert({ collection: nameOf(i), points: [{ id: 'a', vector: [1, 0, 0, 0] }] });
  });
  await print('with all of them');

  await t.test(`${restMinutes} minutes at rest`, async (t) => {
    const operator = await leader();
    const pods = (await shoal.dataPods()).map(({ metadata }) => metadata.name);
    const [before, podsBefore, requestsBefore] = [await usage(operator), await Promise.all(pods.map(usage)), await apiRequests(cluster)];
    const beganMs = performance.now();
    await pause(restMinutes * 60_000);
    const [after, podsAfter, requestsAfter] = [await usage(operator), await Promise.all(pods.map(usage)), await apiRequests(cluster)];
    const restSeconds = (performance.now() - beganMs) / 1_000;
    const share = (from: Usage, to: Usage): string => `${((100 * (to.cpuSeconds - from.cpuSeconds)) / restSeconds).toFixed(1)} %`;
    assert.equal(await leader(), operator);
    t.diagnostic(`operator ${share(before, after)} of a core; data pods ${pods.map((_, i) => share(podsBefore[i]!, podsAfter[i]!)).join(', ')}`);
    t.diagnostic(`requests to the API server a minute, whoever sent them: ${perUnit(requestsBefore, requestsAfter, restSeconds / 60, 0.5)}`);
    await print('after the rest');
  });

  await t.test('one change', async (t) => {
    const figures: string[] = [];
    for (let i = 0; i < 5; i++) {
      const object = (await shoal.metadata.collections.list()).find(({ spec }) => spec.name === nameOf(i))!;
      const beganMs = performance.now();
      const { metadata } = await shoal.metadata.collections.replace({ ...object, spec: { ...object.spec, index: { ...object.spec.index, efSearch: 77 } } });
      await eventually(clusterTimeoutsMs.rollout, 'the change to be seen', async () => ((await shoal.metadata.collections.get(metadata.name))?.status.observedGeneration === metadata.generation ? true : undefined));
      figures.push(seconds(performance.now() - beganMs));
    }
    t.diagnostic(`observed after ${figures.join(', ')}`);
  });

  await t.test('one pod is killed', async (t) => {
    shoal.explain(t);
    await shoal.settled(3);
    const before = await shoal.metadata.shards.list();
    const pods = await shoal.dataPods();
    const leads = (pod: string): number => before.filter(({ status }) => status.authority?.primary.pod === pod).length;
    const victim = pods[0]!.metadata.name;
    const operator = await leader();
    const led = new Set(before.filter(({ status }) => status.authority?.primary.pod === victim).map(({ metadata }) => metadata.name));
    const beganMs = performance.now();
    await cluster.kubectl(['delete', 'pod', victim, '-n', namespace, '--grace-period=0', '--force']);
    const outagesMs = new Map<string, number>();
    await waitUntil('every shard to be led by another', 2 * clusterTimeoutsMs.rollout, async () => {
      const now = new Map((await shoal.metadata.shards.list()).map((shard) => [shard.metadata.name, shard]));
      for (const shard of before) {
        const { name } = shard.metadata;
        if (led.has(name) && !outagesMs.has(name) && now.get(name)!.status.authority!.term > shard.status.authority!.term) outagesMs.set(name, performance.now() - beganMs);
      }
      return outagesMs.size === led.size ? { value: undefined } : `${led.size - outagesMs.size} of ${led.size} are led as before`;
    });
    const sorted = [...outagesMs.values()].sort((a, b) => a - b);
    await shoal.settled(3);
    t.diagnostic(`${victim} led ${leads(victim)} of ${before.length} shards; terms granted after ${seconds(sorted[0] ?? 0)} (first), ${seconds(sorted[sorted.length >> 1] ?? 0)} (median), ${seconds(sorted.at(-1) ?? 0)} (last); all in sync after ${seconds(performance.now() - beganMs)}; ${await leaderSince(operator)}`);
  });
  await print('in the end');
});

interface Usage {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

async function usageOf(cluster: TestCluster, namespace: string, pod: string): Promise<Usage> {
  const text = await cluster.kubectl(['get', '--raw', `/api/v1/namespaces/${namespace}/pods/${pod}:8081/proxy/metrics`]);
  const value = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? assert.fail(`${pod} has no ${pattern.source}`));
  return { cpuSeconds: value(/^shoal_process_cpu_seconds_total(?:\{[^}]*\})? (\S+)/m), memoryBytes: value(/^shoal_process_memory_bytes\{[^}]*kind="rss"[^}]*\} (\S+)/m) };
}

/** Answered so far, by verb and resource. */
async function apiRequests(cluster: TestCluster): Promise<Map<string, number>> {
  const totals = new Map<string, number>();
  for (const line of (await cluster.kubectl(['get', '--raw', '/metrics'])).split('\n')) {
    if (!line.startsWith('apiserver_request_total{')) continue;
    const label = (name: string): string => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1] ?? '';
    const what = `${label('verb')} ${label('resource')}`;
    totals.set(what, (totals.get(what) ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1)));
  }
  return totals;
}

/** What was answered between, divided by `units`, most first; what is less than `least` is left out. */
function perUnit(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>, units: number, least: number): string {
  const rates = [...after].map(([what, total]) => [what, (total - (before.get(what) ?? 0)) / units] as const).filter(([, rate]) => rate >= least);
  return rates.sort((a, b) => b[1] - a[1]).slice(0, 15).map(([what, rate]) => `${what} ${rate.toFixed(1)}`).join(', ');
}
