/** Aim: a pool grows and takes replicas over, shrinks only once those that leave are empty, and no client that repeats what failed notices. */
// Labels: scale

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectCluster } from '../harness/connect.ts';
import { dayTwo, placesOf, poolName } from '../harness/day-two.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

test('scaling a pool', async (t) => {
  const cluster = await connectCluster(t);
  const shoal = await dayTwo(t, cluster);
  const { namespace } = shoal.installation;
  await shoal.settled(3);
  const scale = (replicas: number): Promise<string> => cluster.kubectl(['scale', 'vp', poolName, '-n', namespace, `--replicas=${replicas}`]);

  await t.test('3 → 5: the new pods take replicas over', async (t) => {
    shoal.explain(t);
    await shoal.underLoad(t, '3 → 5', async () => {
      await scale(5);
      await waitUntil('replicas on the new pods', clusterTimeoutsMs.rollout, async () => {
        const places = Object.values(placesOf(await shoal.settled(5))).flat();
        return places.includes('default-3') && places.includes('default-4') ? { value: undefined } : `replicas are on ${[...new Set(places)].sort().join(', ')}`;
      });
    });
  });

  await t.test('5 → 3: the pods that leave are emptied first', async (t) => {
    shoal.explain(t);
    let emptiedBefore = true;
    await shoal.underLoad(t, '5 → 3', async () => {
      await scale(3);
      await waitUntil('three pods', 2 * clusterTimeoutsMs.rollout, async () => {
        const pods = (await shoal.dataPods()).map(({ metadata }) => metadata.name);
        const places = Object.values(placesOf(await shoal.metadata.shards.list())).flat();
        for (const gone of ['default-3', 'default-4']) if (!pods.includes(gone) && places.includes(gone)) emptiedBefore = false;
        return pods.length === 3 ? { value: undefined } : `there are ${pods.join(', ')}`;
      });
      const shards = await shoal.settled(3);
      for (const pods of Object.values(placesOf(shards))) assert.deepEqual(pods, ['default-0', 'default-1', 'default-2']);
    });
    assert.ok(emptiedBefore, 'a pod went with replicas on it');
    assert.equal((await shoal.pool()).status.drains, undefined);
  });

  await t.test('3 → 2: there is no room, and nothing is lost', async (t) => {
    shoal.explain(t);
    await shoal.underLoad(t, '3 → 2, refused', async () => {
      await scale(2);
      const degraded = await waitUntil('the refusal', clusterTimeoutsMs.rollout, async () => {
        const found = (await shoal.pool()).status.conditions?.find(({ type }) => type === 'Degraded');
        return found?.status === 'True' ? { value: found } : `Degraded is ${found?.status}: ${found?.message}`;
      });
      assert.equal(degraded.reason, 'NoRoom');
      assert.match(degraded.message, /default-2 is not emptied: the pool shall have 2 pods; but there is no room: \S+: 3 replicas need 3 pods, and there is room on 2/);
      assert.equal((await shoal.dataPods()).length, 3);
      await scale(3);
      await shoal.settled(3);
      await waitUntil('the end of it', clusterTimeoutsMs.rollout, async () => {
        const found = (await shoal.pool()).status.conditions?.find(({ type }) => type === 'Degraded');
        return found?.status === 'False' ? { value: undefined } : `Degraded is ${found?.status}: ${found?.message}`;
      });
    });
  });
});
