/** Aim: every process of the cluster is restarted, one after another, and no client that repeats what failed notices; over mutual TLS, so that each comes back through it. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startCluster, type Cluster } from '../../framework/cluster/cluster.ts';
import type { ClusterProcess } from '../../framework/cluster/cluster-process.ts';
import { Load } from '../../framework/cluster/load.ts';
import { atEnd } from '../../framework/cleanup.ts';
import { countFrom } from '../../framework/seed.ts';
import { ShoalClient } from '../../framework/shoal-client.ts';
import { pause } from '../../framework/timeouts.ts';

const rounds = countFrom('SHOAL_ROLLING_RESTARTS', 1);
const collection = 'docs';
const shardCount = 3;

test('rolling restarts under load', async (t) => {
  const cluster = await startCluster(t, { pods: 3, gateways: 2, controllers: 2, tls: true });
  const client = new ShoalClient({ grpcAddress: cluster.gateways[0]!.grpcAddress, key: cluster.key });
  atEnd(t, () => client.close());
  await client.createCollection({ name: collection, dimension: 8, shards: shardCount, replication: { replicas: 3, minInSync: 2 } });
  await cluster.whole(collection);

  for (const [what, processes] of [['data pods', cluster.pods], ['gateways', cluster.gateways], ['controllers', cluster.controllers]] as const) {
    await t.test(what, async (restarting) => {
      const load = loaded(restarting, cluster);
      await pause(500);
      for (let round = 1; round <= rounds; round++) for (const process of processes) await restart(restarting, cluster, process, load);
      await pause(500);
      await load.stop();
      const { writes, reads, repeats, failures } = load.counts;
      restarting.diagnostic(`${writes} writes and ${reads} reads were answered, ${repeats} tries were repeated, ${failures} requests failed`);
      assert.deepEqual(load.failures, []);
      assert.ok(writes > 0 && reads > 0);
      for (const process of [...cluster.pods, ...cluster.gateways, ...cluster.controllers]) assert.deepEqual(process.unexpectedExits, [], process.name);
    });
  }
});

function loaded(t: TestContext, cluster: Cluster): Load {
  cluster.explain(t);
  const load = new Load(cluster, { collection, dimension: 8, shardCount, writerCount: 2 * shardCount, readerCount: 2, pauseMs: 5 });
  atEnd(t, () => load.stop());
  load.start();
  return load;
}

/** Ended as Kubernetes ends it, and the next one only when all replicas are in sync again. */
async function restart(t: TestContext, cluster: Cluster, process: ClusterProcess, load: Load): Promise<void> {
  const beganMs = performance.now();
  const exit = await process.end('SIGTERM');
  const endedMs = performance.now();
  assert.deepEqual(exit, { code: 0, signal: null }, `${process.name} ends as asked`);
  await process.start();
  const startedMs = performance.now();
  const shards = await cluster.whole(collection);
  const wholeMs = performance.now();
  const gapMs = Math.max(...shards.map(({ metadata }) => load.longestGap(metadata.uid, beganMs, wholeMs).lengthMs));
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
  t.diagnostic(`${process.name}: ended in ${seconds(endedMs - beganMs)}, ready in ${seconds(startedMs - endedMs)}, all in sync ${seconds(wholeMs - startedMs)} later; longest write outage of a shard ${seconds(gapMs)}`);
}
