/**
 * Aim: a node loses its power, with the primary of a shard and whatever else runs there, and comes back; the API server is
 * away for a minute. Clients outside of the cluster, who repeat what failed, lose no acknowledged write and no request.
 */
// Labels: node-loss

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below } from '../../../pods/kernel/random.ts';
import { countFrom, seedOf } from '../../framework/seed.ts';
import { pause } from '../../framework/timeouts.ts';
import { connectCluster } from '../harness/connect.ts';
import { outageReport, throughIngress } from '../harness/through-ingress.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const losses = countFrom('SHOAL_NODE_LOSSES', 2);
const apiServerAwayMs = 60_000;

test('node loss', async (t) => {
  const { random } = seedOf(t);
  const cluster = await connectCluster(t);
  const { faults } = cluster;
  assert.ok(faults !== undefined, 'only on a cluster of npm run cluster: the nodes of others are not ours to kill');
  const shoal = await throughIngress(t, cluster, 'node-loss.shoal.test', random);
  const { namespace } = shoal.installation;

  await t.test(`${losses} times the node of a primary`, async (t) => {
    await shoal.underIngressLoad(t, `${losses} nodes lost and back`, async (load) => {
      const outagesMs: number[] = [];
      for (let round = 1; round <= losses; round++) {
        await shoal.settled(3);
        const before = await shoal.collectionShards();
        const pods = await shoal.dataPods();
        const nodeOf = (pod: string): string => pods.find(({ metadata }) => metadata.name === pod)!.spec.nodeName!;
        const { spec: leader } = await cluster.kubectlJson<{ spec: { nodeName: string } }>(['get', 'pod', await shoal.leader(), '-n', namespace]);
        const primaries = before.map(({ status }) => status.authority!.primary.pod);
        // The last time with the leading operator, where it has a primary beside it.
        const beside = round === losses ? primaries.filter((pod) => nodeOf(pod) === leader.nodeName) : [];
        const candidates = beside.length > 0 ? beside : primaries;
        const victim = candidates[below(random, candidates.length)]!;
        const led = await shoal.ledBy(victim);
        const node = nodeOf(victim);
        const others = (await cluster.kubectl(['get', 'pods', '-n', namespace, '--field-selector', `spec.nodeName=${node}`, '-o', 'name'])).trim().replaceAll('pod/', '').split('\n');
        const killedMs = performance.now();
        await faults.killNode(t, node);
        await shoal.termsAfter(before, led);
        const ledMs = performance.now();
        await waitUntil('writes to go on without it', clusterTimeoutsMs.rollout, () => Promise.resolve(led.every((shard) => load.isWritten(shard, ledMs)) ? { value: undefined } : 'there are none'));
        await pause(5_000);
        const outageMs = load.longestGapMs(killedMs, performance.now(), led);
        outagesMs.push(outageMs);
        await faults.restoreNode(node);
        await shoal.settled(3);
        const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
        t.diagnostic(`${round}: ${node} with ${others.join(', ')}${node === leader.nodeName ? ', the leading operator among them' : ''}; write outage ${seconds(outageMs)} s; terms granted after ${seconds(ledMs - killedMs)} s; all in sync again after ${seconds(performance.now() - killedMs)} s`);
      }
      t.diagnostic(outageReport('node of a primary lost', outagesMs));
    });
  });

  await t.test('the API server is away for a minute', async (t) => {
    await shoal.underIngressLoad(t, 'API server away for a minute', async () => {
      await faults.stopApiServer(t, 'SIGKILL');
      await pause(apiServerAwayMs);
      await faults.startApiServer();
      await shoal.settled(3);
      const pods = await shoal.dataPods();
      assert.equal(pods.length, 3);
    });
  });
});
