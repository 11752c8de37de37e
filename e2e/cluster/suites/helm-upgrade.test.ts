/**
 * Aim: `helm upgrade` of a live installation replaces gateways, operators and data pods; clients outside of the cluster, who
 * repeat what failed, lose no acknowledged write and no request. So does the rollback.
 */
// Labels: helm, upgrade

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seedOf } from '../../framework/seed.ts';
import { connectCluster } from '../harness/connect.ts';
import { podsOf } from '../harness/objects.ts';
import { throughIngress } from '../harness/through-ingress.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

test('an upgrade of a live installation', async (t) => {
  const { random } = seedOf(t);
  const cluster = await connectCluster(t);
  const shoal = await throughIngress(t, cluster, 'upgrade.shoal.test', random);
  const { namespace, release } = shoal.installation;
  const pods = async (): Promise<string[]> => (await podsOf(cluster, namespace, 'app.kubernetes.io/component in (operator, gateway, data-pod)')).map(({ metadata }) => metadata.uid);

  /** Until no pod of before is left. */
  const replaced = async (before: readonly string[]): Promise<void> => {
    await waitUntil('every pod to be another one', 3 * clusterTimeoutsMs.rollout, async () => {
      const now = await pods();
      const kept = now.filter((uid) => before.includes(uid)).length;
      return kept === 0 ? { value: undefined } : `${kept} of ${now.length} are as before`;
    });
    await shoal.settled(3);
  };

  await t.test('new values for every process', async (t) => {
    const before = await pods();
    assert.equal(before.length, 7, 'two operators, two gateways, three data pods');
    await shoal.underIngressLoad(t, 'helm upgrade', async () => {
      await shoal.installation.upgrade({ logLevel: 'debug' });
      await replaced(before);
    });
  });

  await t.test('and back', async (t) => {
    const before = await pods();
    await shoal.underIngressLoad(t, 'helm rollback', async () => {
      await cluster.helm(['rollback', release, '1', '--namespace', namespace, '--wait', '--timeout', '5m'], { timeoutMs: 330_000 });
      await replaced(before);
    });
  });
});
