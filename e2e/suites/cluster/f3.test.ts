/**
 * Aim: rule F3 on real processes: without the API server a shard goes on as long as nothing has to change. What has to
 * change waits and is done afterwards; what was restarted meanwhile does not serve.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../../framework/cluster/cluster.ts';
import { atEnd } from '../../framework/cleanup.ts';
import { packVector, ShoalClient } from '../../framework/shoal-client.ts';

const collection = 'docs';
/** Longer than any of the cluster's decisions takes. */
const waitMs = 5_000;

test('F3', async (t) => {
  const cluster = await startCluster(t, { pods: 3, gateways: 2, controllers: 1 });
  const clients = cluster.gateways.map(({ grpcAddress }) => new ShoalClient({ grpcAddress, key: cluster.key }));
  atEnd(t, () => clients.forEach((client) => client.close()));
  const [client] = clients;
  const vector = packVector(Float32Array.of(1, 2));
  let requestNumber = 0n;
  const write = async (through: ShoalClient, id: string, options?: { readonly timeoutMs: number }): Promise<void> => {
    await through.upsert({ collection, points: [{ id, packedVector: vector }], clientId: 'writer', requestNumber: ++requestNumber }, options);
  };
  const seen = async (through: ShoalClient, level: string, ids: readonly string[], options?: { readonly timeoutMs: number }): Promise<string[]> => (await through.get(collection, ids, { level }, options)).map(({ id }) => id);
  await client!.createCollection({ name: collection, dimension: 2, replication: { replicas: 3, minInSync: 2 } });
  const [shard] = await cluster.whole(collection);
  const { primary, inSync, term } = shard!.status.authority!;
  const backup = cluster.pod(inSync.find(({ pod }) => pod !== primary.pod)!.pod);
  await cluster.kubernetes.stopApiServer('SIGKILL');

  await t.test('F3: while all members answer, writes, reads and searches go on through every gateway', async () => {
    for (const [i, through] of clients.entries()) {
      for (let n = 0; n < 10; n++) {
        const id = `before-${i}-${n}`;
        await write(through, id);
        for (const each of clients) assert.deepEqual(await seen(each, 'linearizable', [id]), [id]);
      }
      assert.equal((await through.search(collection, { packedVector: vector, topK: 100, consistency: { level: 'linearizable' } })).hits.length, 10 * (i + 1));
    }
  });

  await t.test('F3: a member that is gone cannot be taken out: writes and linearizable reads wait, others go on', async () => {
    await backup.kill();
    await Promise.all([assert.rejects(write(client!, 'waits', { timeoutMs: waitMs })), assert.rejects(seen(client!, 'linearizable', ['before-0-0'], { timeoutMs: waitMs }))]);
    for (const each of clients) assert.deepEqual(await seen(each, 'eventual', ['before-0-0', 'waits']), ['before-0-0']);
  });

  await t.test('F3: a pod that was restarted meanwhile does not serve, nor does a gateway', async () => {
    backup.spawn();
    await backup.unready();
    const gateway = cluster.gateways[1]!;
    await gateway.kill();
    gateway.spawn();
    await gateway.unready();
    await Promise.all([assert.rejects(seen(clients[1]!, 'eventual', ['before-0-0'], { timeoutMs: waitMs })), assert.rejects(write(client!, 'waits too', { timeoutMs: waitMs }))]);
    assert.deepEqual(await seen(client!, 'eventual', ['before-0-0']), ['before-0-0']);
  });

  await t.test('F3: afterwards what waited is done, and the same primary leads in the same term', async () => {
    await cluster.kubernetes.startApiServer();
    // Each of them hears of the API server again in its own time.
    await Promise.all([backup.ready(), cluster.gateways[1]!.ready()]);
    const [after] = await cluster.whole(collection);
    for (const each of clients) {
      await write(each, 'after');
      assert.deepEqual(await seen(each, 'linearizable', ['waits', 'waits too', 'after']), ['waits', 'waits too', 'after']);
    }
    const [present] = await cluster.shards(collection);
    for (const { status } of [after!, present!]) assert.deepEqual([status.authority!.primary, status.authority!.term], [primary, term]);
    for (const process of [...cluster.pods, ...cluster.gateways, ...cluster.controllers]) assert.deepEqual(process.unexpectedExits, [], process.name);
  });
});
