/** Aim: replicas move to pods that join, few at a time and no more than is worth it; a pod that is about to be replaced leads nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../kernel/limits.ts';
import type { VectorShard } from '../metadata/objects.ts';
import { TestCluster } from './controller.fixture.ts';

const shardCount = 5;

async function started(podNames: readonly string[], rebalances: boolean): Promise<TestCluster> {
  const cluster = await TestCluster.open(podNames);
  cluster.controller = cluster.newController({ rebalances });
  await cluster.create('docs', { shards: shardCount });
  await cluster.controller.start();
  await cluster.until(() => cluster.controller.unsettled().size === 0);
  return cluster;
}

async function shardsOf(cluster: TestCluster): Promise<readonly VectorShard[]> {
  return cluster.metadata.shards.list();
}

function loads(shards: readonly VectorShard[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { spec } of shards) for (const pod of spec.replicas) counts[pod] = (counts[pod] ?? 0) + 1;
  return counts;
}

test('pods that join take replicas over, two at a time, and every shard stays redundant', async (t) => {
  const cluster = await started(['a', 'b', 'c'], true);
  t.after(() => cluster.controller.close());
  assert.deepEqual(loads(await shardsOf(cluster)), { a: 6, b: 6, c: 6 });
  let movingMax = 0;
  const unwatch = cluster.metadata.shards.watch(() => {
    void shardsOf(cluster).then((shards) => {
      movingMax = Math.max(movingMax, shards.filter(({ spec }) => spec.replicas.length > 3).length);
      for (const { status } of shards) assert(status.authority!.inSync.length >= 3);
    });
  });
  t.after(unwatch);
  cluster.join('d', 'e');
  const isEven = (shards: readonly VectorShard[]): boolean => {
    const counts = Object.values(loads(shards));
    return counts.length === 5 && Math.max(...counts) - Math.min(...counts) < 2 && shards.every(({ spec, status }) => spec.replicas.length === 3 && status.authority!.inSync.length === 3);
  };
  await cluster.until(async () => isEven(await shardsOf(cluster)), 120_000, 50);
  assert(movingMax <= limits.rebalanceMovesMax, `${movingMax} replicas moved at a time`);
  const before = JSON.stringify(loads(await shardsOf(cluster)));
  const versions = (await shardsOf(cluster)).map(({ metadata }) => metadata.resourceVersion).join();
  await cluster.pass(4 * limits.rebalanceIntervalMs);
  assert.equal(JSON.stringify(loads(await shardsOf(cluster))), before);
  assert.equal((await shardsOf(cluster)).map(({ metadata }) => metadata.resourceVersion).join(), versions);
});

test('nothing moves where nobody asked for balance', async (t) => {
  const cluster = await started(['a', 'b', 'c'], false);
  t.after(() => cluster.controller.close());
  cluster.join('d');
  await cluster.pass(4 * limits.rebalanceIntervalMs);
  assert.deepEqual(loads(await shardsOf(cluster)), { a: 6, b: 6, c: 6 });
});

test('S1: a pod that is about to be replaced hands over what it leads, and leads nothing until it is another one', async (t) => {
  const cluster = await started(['a', 'b', 'c'], true);
  t.after(() => cluster.controller.close());
  const ledBy = async (pod: string): Promise<number> => (await shardsOf(cluster)).filter(({ status }) => status.authority!.primary.pod === pod).length;
  const leads = await ledBy('a');
  assert(leads > 0);
  cluster.mark('a', { isBeingReplaced: true });
  await cluster.until(async () => (await ledBy('a')) === 0);
  assert.equal(cluster.pod('a').stoppedCount, leads);
  assert.deepEqual(loads(await shardsOf(cluster)), { a: 6, b: 6, c: 6 });
  cluster.pod('b').state = 'down';
  await cluster.until(async () => (await ledBy('b')) === 0);
  assert.equal(await ledBy('a'), 0);
});
