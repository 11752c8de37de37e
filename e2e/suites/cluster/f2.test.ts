/**
 * Aim: rule F2 on real processes: no second process opens a pod's data, and a pod serves a shard only after it has read its
 * object, and only as the incarnation that the object names.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { startCluster } from '../../framework/cluster/cluster.ts';
import { atEnd } from '../../framework/cleanup.ts';
import { packVector, ShoalClient } from '../../framework/shoal-client.ts';
import { eventually, timeoutsMs } from '../../framework/timeouts.ts';

const levels = ['eventual', 'linearizable'] as const;
/** Longer than any of the cluster's decisions takes. */
const refusalMs = 5_000;

test('F2', async (t) => {
  const cluster = await startCluster(t, { pods: 3, gateways: 1, controllers: 1 });
  const client = new ShoalClient({ grpcAddress: cluster.gateways[0]!.grpcAddress, key: cluster.key });
  atEnd(t, () => client.close());
  const write = (collection: string, id: string, options?: { readonly timeoutMs: number }): Promise<unknown> => client.upsert({ collection, points: [{ id, packedVector: packVector(Float32Array.of(1, 2)) }] }, options);
  const idsOf = async (collection: string, level: string, options?: { readonly timeoutMs: number }): Promise<string[]> => (await client.get(collection, ['a', 'b'], { level }, options)).map(({ id }) => id);
  /** Nothing is answered, least of all that there is nothing. */
  const isRefused = async (collection: string): Promise<void> => {
    const answers = await Promise.allSettled([...levels.map((level) => idsOf(collection, level, { timeoutMs: refusalMs })), write(collection, 'c', { timeoutMs: refusalMs })]);
    assert.deepEqual(answers.map(({ status }) => status), ['rejected', 'rejected', 'rejected'], `${levels.join(' and ')} read of ${collection}, and a write`);
  };
  for (const [name, replicas] of [['alone', 1], ['docs', 3]] as const) {
    await client.createCollection({ name, dimension: 2, replication: { replicas, minInSync: Math.ceil(replicas / 2) } });
    await write(name, 'a');
  }

  await t.test('F2: a second process on the data of a pod ends and says why; the first goes on', async () => {
    const [shard] = await cluster.whole('docs');
    const { primary, term } = shard!.status.authority!;
    const pod = cluster.pod(primary.pod);
    const twin = await cluster.twinOf(pod);
    twin.spawn();
    const exit = await eventually(timeoutsMs.serverStart, 'the second process to end', () => Promise.resolve(twin.unexpectedExits[0]));
    assert.deepEqual(exit, { code: 1, signal: null });
    assert.match(await readFile(twin.logFile, 'utf8'), /lock/i);
    await write('docs', 'b');
    assert.deepEqual(await idsOf('docs', 'linearizable'), ['a', 'b']);
    assert.deepEqual([pod.unexpectedExits, (await cluster.shards('docs'))[0]!.status.authority!.term], [[], term]);
  });

  await t.test('F2: pods that cannot read the objects serve nothing of what they hold, until they can', async () => {
    const termOf = async (): Promise<number> => (await cluster.shards('docs'))[0]!.status.authority!.term;
    const term = await termOf();
    for (const pod of cluster.pods) await pod.kill();
    await cluster.kubernetes.stopApiServer('SIGKILL');
    for (const pod of cluster.pods) pod.spawn();
    await Promise.all(cluster.pods.map((pod) => pod.unready()));
    await isRefused('docs');
    await cluster.kubernetes.startApiServer();
    // Each process hears of the API server again in its own time; until then the object names a process that has gone.
    await eventually(timeoutsMs.serverStart, 'a primary to be named anew', async () => ((await termOf()) > term ? true : undefined));
    await cluster.whole('docs');
    for (const level of levels) assert.deepEqual(await idsOf('docs', level), ['a', 'b']);
  });

  await t.test('F2: a pod that lost its disk does not serve in the place of the incarnation that the object names', async () => {
    const [before] = await cluster.whole('alone');
    const authority = before!.status.authority!;
    const pod = cluster.pod(authority.primary.pod);
    await cluster.wipe(pod);
    await pod.start();
    await isRefused('alone');
    assert.deepEqual((await cluster.shards('alone'))[0]!.status.authority, authority);
  });
});
