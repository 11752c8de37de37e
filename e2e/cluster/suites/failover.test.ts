/**
 * Aim: the pod that leads a shard dies again and again, each pod by SIGKILL and by a forced deletion in turns, and so does the
 * operator that leads; clients outside of the cluster, who repeat what failed, lose no acknowledged write and no request.
 * Every write outage is printed.
 */
// Labels: core, failover

import { test } from 'node:test';
import { below } from '../../../pods/kernel/random.ts';
import { countFrom, seedOf } from '../../framework/seed.ts';
import { pause } from '../../framework/timeouts.ts';
import { connectCluster } from '../harness/connect.ts';
import type { IngressLoad } from '../harness/ingress-load.ts';
import { outageReport, throughIngress } from '../harness/through-ingress.ts';

const kills = countFrom('SHOAL_POD_KILLS', 3);
/** While the operator dies, too: a failover waits for the next leader then. */
const killsWithoutOperator = Math.max(2, Math.ceil(kills / 4));

test('failover', async (t) => {
  const { random } = seedOf(t);
  const cluster = await connectCluster(t);
  const shoal = await throughIngress(t, cluster, 'failover.shoal.test', random);
  const { namespace } = shoal.installation;
  const forceDelete = (pod: string): Promise<string> => cluster.kubectl(['delete', 'pod', pod, '-n', namespace, '--grace-period=0', '--force']);

  /** By SIGKILL the last time. Kubelet lets a pod wait ever longer that ends again and again, so the next time it is deleted. */
  const signalled = new Set<string>();

  /** The longest write outage of a shard that the pod led, until everything is in sync again. */
  const killPrimary = async (load: IngressLoad, round: number): Promise<number> => {
    await shoal.settled(3);
    const before = await shoal.collectionShards();
    const victim = before[below(random, before.length)]!.status.authority!.primary.pod;
    const led = await shoal.ledBy(victim);
    const { uid } = (await shoal.dataPods()).find(({ metadata }) => metadata.name === victim)!.metadata;
    await pause(500 + below(random, 2_000));
    const killedMs = performance.now();
    const bySignal = cluster.faults !== undefined && !signalled.delete(victim);
    if (bySignal) {
      cluster.faults.killProcessOf(uid);
      signalled.add(victim);
    } else {
      await forceDelete(victim);
    }
    await shoal.termsAfter(before, led);
    const ledMs = performance.now();
    await shoal.settled(3);
    await pause(1_000);
    const outageMs = load.longestGapMs(killedMs, performance.now(), led);
    const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
    // At once, because the measured run is long.
    process.stderr.write(`${round}: ${victim}, leader of ${led.length}, ${bySignal ? 'killed' : 'deleted by force'}; write outage ${seconds(outageMs)} s; terms granted after ${seconds(ledMs - killedMs)} s, all in sync after ${seconds(performance.now() - killedMs - 1_000)} s\n`);
    return outageMs;
  };

  await t.test(`${kills} kills of a primary`, async (t) => {
    await shoal.underIngressLoad(t, `${kills} kills of a primary`, async (load) => {
      const outagesMs: number[] = [];
      for (let round = 1; round <= kills; round++) outagesMs.push(await killPrimary(load, round));
      t.diagnostic(outageReport('kill of a primary', outagesMs));
    });
  });

  await t.test(`the operator that leads is killed at random, and ${killsWithoutOperator} primaries beside it`, async (t) => {
    await shoal.underIngressLoad(t, 'operator and primaries killed', async (load) => {
      let isOver = false;
      let operatorKills = 0;
      const assassin = (async () => {
        while (!isOver) {
          const leader = await shoal.leader().catch(() => '');
          if (leader !== '') {
            // It may have gone by itself.
            await forceDelete(leader).then(() => operatorKills++, () => undefined);
          }
          for (let waits = 20 + below(random, 60); waits > 0 && !isOver; waits--) await pause(500);
        }
      })();
      const outagesMs: number[] = [];
      try {
        for (let round = 1; round <= killsWithoutOperator; round++) outagesMs.push(await killPrimary(load, round));
      } finally {
        isOver = true;
        await assassin;
      }
      t.diagnostic(`the leading operator was killed ${operatorKills} times`);
      t.diagnostic(outageReport('kill of a primary while operators die', outagesMs));
    });
  });
});
