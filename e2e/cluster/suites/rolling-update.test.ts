/**
 * Aim: a changed template reaches every pod, one after another by eviction, primaries first handed over; no client that
 * repeats what failed notices; a template that does not start goes no further than one pod, and a mended one goes on.
 */
// Labels: core, rolling-update

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pause } from '../../framework/timeouts.ts';
import { connectCluster } from '../harness/connect.ts';
import { dayTwo, poolName } from '../harness/day-two.ts';
import { isReady } from '../harness/objects.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

test('a rolling update', async (t) => {
  const cluster = await connectCluster(t);
  const shoal = await dayTwo(t, cluster);
  const { namespace } = shoal.installation;
  await shoal.settled(3);
  const uids = async (): Promise<Map<string, string>> => new Map((await shoal.dataPods()).map(({ metadata }) => [metadata.name, metadata.uid]));
  const patchPool = (spec: object): Promise<string> => cluster.kubectl(['patch', 'vp', poolName, '-n', namespace, '--type=merge', '-p', JSON.stringify({ spec })]);

  await t.test('every pod is replaced, one at a time, and no request fails', async (t) => {
    shoal.explain(t);
    const before = await uids();
    let watching = true;
    let awayMax = 0;
    const seen = new Set<string>();
    // One that falls out of sync by itself, on a busy machine, is not away: it was ready, and nobody ended it.
    const arrived = new Set(before.values());
    const look = async (): Promise<void> => {
      const pods = await shoal.dataPods();
      for (const pod of pods) if (isReady(pod)) arrived.add(pod.metadata.uid);
      awayMax = Math.max(awayMax, 3 - pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined && arrived.has(metadata.uid)).length);
      const { operation } = (await shoal.pool()).status;
      if (operation !== undefined) seen.add(operation.step);
    };
    const watch = (async () => {
      for (; watching; await pause(300)) await look().catch(() => undefined);
    })();
    try {
      await shoal.underLoad(t, 'three pods replaced', async () => {
        await patchPool({ resources: { requests: { cpu: '21m', memory: '64Mi' } } });
        await waitUntil('every pod to be another one', 2 * clusterTimeoutsMs.rollout, async () => {
          const kept = [...(await uids())].filter(([name, uid]) => before.get(name) === uid).map(([name]) => name);
          return kept.length === 0 ? { value: undefined } : `${kept.join(', ')} is the same`;
        });
        await shoal.settled(3);
      });
    } finally {
      watching = false;
      await watch;
    }
    assert.equal(awayMax, 1, 'pods that were away at a time');
    assert.ok(seen.has('await'), `steps that were seen: ${[...seen].join(', ')}`);
  });

  await t.test('a template that does not start stops at the first pod, and says why; a mended one goes on', async (t) => {
    shoal.explain(t);
    const before = await uids();
    await shoal.underLoad(t, 'a bad template and its mending', async () => {
      // No node has so much.
      await patchPool({ resources: { requests: { cpu: '500', memory: '64Mi' } } });
      await waitUntil('one pod to be stuck', clusterTimeoutsMs.rollout, async () => {
        const ready = (await shoal.pool()).status.conditions?.find(({ type }) => type === 'Ready');
        return ready?.status === 'False' && /Insufficient cpu/.test(ready.message) ? { value: undefined } : `Ready is ${ready?.status}: ${ready?.message}`;
      });
      const changed = [...(await uids())].filter(([name, uid]) => before.get(name) !== uid);
      assert.equal(changed.length, 1);
      const operation = (await shoal.pool()).status.operation;
      assert.deepEqual([operation?.pod, operation?.step], [changed[0]![0], 'await']);
      await patchPool({ resources: { requests: { cpu: '22m', memory: '64Mi' } } });
      await waitUntil('every pod to be another one', 2 * clusterTimeoutsMs.rollout, async () => {
        const kept = [...(await uids())].filter(([name, uid]) => before.get(name) === uid).map(([name]) => name);
        return kept.length === 0 ? { value: undefined } : `${kept.join(', ')} is the same`;
      });
      await shoal.settled(3);
    });
  });
});
