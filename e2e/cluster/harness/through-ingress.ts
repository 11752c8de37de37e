/** What suites about failures share: an installation behind an ingress, load through it, and whoever leads. */

import type { Random } from '../../../pods/kernel/random.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { atEnd, type Owner } from '../../framework/cleanup.ts';
import type { TestCluster } from './connect.ts';
import { collection, dayTwo, shardCount, type DayTwo } from './day-two.ts';
import { IngressLoad, ingressValues } from './ingress-load.ts';
import { clusterTimeoutsMs, waitUntil } from './wait.ts';

export interface ThroughIngress extends DayTwo {
  /**
   * Runs `work` while clients write, read and search. Then no request may have failed, and no acknowledged write be lost;
   * that is looked at when all is well again. Prints what clients saw.
   */
  underIngressLoad(t: Owner, what: string, work: (load: IngressLoad) => Promise<void>): Promise<void>;
  /** Of the shards of the collection that a pod leads, their numbers. */
  ledBy(pod: string): Promise<readonly number[]>;
  /** Until each of these shards has had another term granted than in `before`. */
  termsAfter(before: readonly VectorShard[], shards: readonly number[]): Promise<void>;
  collectionShards(): Promise<readonly VectorShard[]>;
  /** Name of the operator's pod that holds the Lease. */
  leader(): Promise<string>;
}

export async function throughIngress(t: Owner, cluster: TestCluster, host: string, random: Random, podCount = 3): Promise<ThroughIngress> {
  const shoal = await dayTwo(t, cluster, { ...ingressValues(host), pool: { replicas: podCount } });
  const { namespace, apiKey: key } = shoal.installation;
  await shoal.settled(podCount);
  const collectionShards = async (): Promise<readonly VectorShard[]> => (await shoal.metadata.shards.list()).filter(({ metadata: { name } }) => name.startsWith(`${collection}-`));
  return {
    ...shoal,
    collectionShards,
    async underIngressLoad(owner, what, work) {
      shoal.explain(owner);
      const load = new IngressLoad({ cluster, host, key, collection, shardCount, random });
      atEnd(owner, () => load.close());
      await load.start();
      const beganMs = performance.now();
      try {
        await work(load);
      } finally {
        await load.stop();
      }
      const endMs = performance.now();
      owner.diagnostic(`${what}: ${((endMs - beganMs) / 1_000).toFixed(0)} s; ${load.summary()}; longest write outage of a shard ${(load.longestGapMs(beganMs, endMs) / 1_000).toFixed(2)} s`);
      await shoal.settled(podCount);
      await load.mustHold();
    },
    async ledBy(pod) {
      return (await collectionShards()).filter(({ status }) => status.authority?.primary.pod === pod).map(numberOf);
    },
    async termsAfter(before, shards) {
      const termOf = ({ status }: VectorShard): number => status.authority!.term;
      await waitUntil('another term', clusterTimeoutsMs.rollout, async () => {
        const now = await collectionShards();
        const same = before.filter((shard) => shards.includes(numberOf(shard)) && termOf(now.find(({ metadata }) => metadata.name === shard.metadata.name)!) <= termOf(shard));
        return same.length === 0 ? { value: undefined } : `${same.map(({ metadata }) => metadata.name).join(', ')} is led as before`;
      });
    },
    async leader() {
      const { spec } = await cluster.kubectlJson<{ spec: { holderIdentity?: string } }>(['get', 'lease', 'shoal-operator', '-n', namespace]);
      return (spec.holderIdentity ?? '').split('_')[0]!;
    },
  };
}

export function numberOf({ metadata: { name } }: VectorShard): number {
  return Number(name.slice(name.lastIndexOf('-') + 1));
}

/** Figures in seconds, each of them, then median and maximum. */
export function outageReport(what: string, outagesMs: readonly number[]): string {
  const sorted = [...outagesMs].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
  return `${what}, write outages in s: ${outagesMs.map(seconds).join(' ')}; median ${seconds(median)}, maximum ${seconds(sorted.at(-1)!)}, of ${outagesMs.length}`;
}
