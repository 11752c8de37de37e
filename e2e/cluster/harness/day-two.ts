/** What the suites about a pool's later life share: clients that write and read all the while, and the state that all comes back to. */

import assert from 'node:assert/strict';
import { openKubeMetadata, type KubeMetadata } from '../../../pods/metadata/kube-metadata.ts';
import type { VectorPool, VectorShard } from '../../../pods/metadata/objects.ts';
import { kubeEndpoint } from '../../../pods/kube/endpoint.ts';
import { systemClock } from '../../../pods/kernel/clock.ts';
import { silentLogger } from '../../../pods/kernel/logger.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { atEnd, type Owner } from '../../framework/cleanup.ts';
import { Load, type LoadTarget } from '../../framework/cluster/load.ts';
import { ShoalClient } from '../../framework/shoal-client.ts';
import { timeoutsMs } from '../../framework/timeouts.ts';
import type { TestCluster } from './connect.ts';
import { installShoal, type Installation } from './installation.ts';
import { isReady, podsOf, readyPods, type Pod } from './objects.ts';
import { clusterTimeoutsMs, waitUntil } from './wait.ts';

export const collection = 'docs';
export const shardCount = 2;
export const poolName = 'default';
const dataPodSelector = `shoal.dev/pool=${poolName}`;

export interface DayTwo {
  readonly installation: Installation;
  /** With every right. */
  readonly metadata: KubeMetadata;
  readonly target: LoadTarget;
  dataPods(): Promise<readonly Pod[]>;
  pool(): Promise<VectorPool>;
  /** Waits until the pool has so many pods, all Ready, nothing is going on, and every shard has all its replicas in sync. */
  settled(podCount: number): Promise<readonly VectorShard[]>;
  /** Runs `work` while clients write and read; none of their requests may fail. Prints what they saw. */
  underLoad(t: Owner, what: string, work: () => Promise<void>): Promise<void>;
  /** What the operator says of the pool, if the test fails. */
  explain(t: Owner): void;
}

/** An installation with a collection of three replicas, of which two have to have a write. */
export async function dayTwo(t: Owner, cluster: TestCluster, values: object = {}): Promise<DayTwo> {
  const installation = await installShoal(t, cluster, { gateway: { autoscaling: { enabled: false }, replicas: 2 }, ...values });
  const { namespace, apiKey: key } = installation;
  const metadata = openKubeMetadata({ endpoint: await kubeEndpoint({ kubeconfig: cluster.kubeconfig }), namespace, clock: systemClock, random: systemRandom, logger: silentLogger, timeoutMs: timeoutsMs.request });
  atEnd(t, () => metadata.close());
  // The machine reaches pods by their addresses in the clusters of `npm run cluster`.
  const gateways = (await readyPods(cluster, namespace, 'app.kubernetes.io/component=gateway', 2)).map(({ metadata: { name }, status }) => ({ name, grpcAddress: `${status.podIP}:50051` }));
  const target = { gateways, key };
  const client = new ShoalClient({ grpcAddress: gateways[0]!.grpcAddress, key });
  await client.createCollection({ name: collection, dimension: 8, shards: shardCount, replication: { replicas: 3, minInSync: 2 } });
  client.close();

  const dataPods = (): Promise<readonly Pod[]> => podsOf(cluster, namespace, dataPodSelector);
  const pool = async (): Promise<VectorPool> => (await metadata.pools.get(poolName))!;
  const settled: DayTwo['settled'] = (podCount) =>
    waitUntil(`${podCount} pods to have everything in sync`, clusterTimeoutsMs.rollout, async () => {
      const [found, pods, shards] = await Promise.all([pool(), dataPods(), metadata.shards.list()]);
      return whatIsMissing(found, pods, shards, podCount) ?? { value: shards };
    });
  return {
    installation,
    metadata,
    target,
    dataPods,
    pool,
    settled,
    async underLoad(owner, what, work) {
      const load = new Load(target, { collection, dimension: 8, shardCount, writerCount: 2 * shardCount, readerCount: 2, pauseMs: 60 });
      load.start();
      const beganMs = performance.now();
      try {
        await work();
      } finally {
        await load.stop();
      }
      const endMs = performance.now();
      const shards = (await metadata.shards.list()).filter(({ metadata: { name } }) => name.startsWith(`${collection}-`));
      const gapMs = Math.max(...shards.map(({ metadata: { uid } }) => load.longestGap(uid, beganMs, endMs).lengthMs));
      const { writes, reads, repeats } = load.counts;
      owner.diagnostic(`${what}: ${((endMs - beganMs) / 1_000).toFixed(0)} s, ${writes} writes and ${reads} reads answered, ${repeats} tries repeated; longest write outage of a shard ${(gapMs / 1_000).toFixed(2)} s`);
      assert.deepEqual(load.failures, []);
      assert.ok(writes > 0 && reads > 0);
    },
    explain(owner) {
      atEnd(owner, async () => {
        if (owner.passed !== false) return;
        for (const args of [
          ['get', 'vp,vs,pods', '-o', 'wide'],
          ['describe', 'vp', poolName],
          ['logs', '-l', 'app.kubernetes.io/component=operator', '--tail=80', '--prefix'],
        ]) {
          process.stderr.write(`\n$ kubectl ${args.join(' ')}\n${(await cluster.tryKubectl(['-n', namespace, ...args])).stdout}\n`);
        }
      });
    },
  };
}

/** Where the shards' replicas are, and who leads. */
export function placesOf(shards: readonly VectorShard[]): Record<string, readonly string[]> {
  return Object.fromEntries(shards.map(({ metadata: { name }, spec }) => [name, [...spec.replicas].sort()]));
}

function whatIsMissing(pool: VectorPool, pods: readonly Pod[], shards: readonly VectorShard[], podCount: number): string | undefined {
  if (pods.length !== podCount || !pods.every(isReady)) return `${pods.filter(isReady).length} of ${pods.length} pods are ready, ${podCount} are wanted; ${said(pool)}`;
  const { operation } = pool.status;
  if (operation !== undefined) return `the replacement of ${operation.pod} is at ${operation.step}; ${said(pool)}`;
  const open = shards.filter(({ spec, status }) => (spec.leaving ?? []).length > 0 || spec.replicas.length !== status.authority?.inSync.length);
  if (open.length > 0) return `${open.map(({ metadata }) => metadata.name).join(', ')} is not whole; ${said(pool)}`;
  return pool.status.observedGeneration === pool.metadata.generation ? undefined : 'the operator has not seen the newest spec';
}

function said({ status }: VectorPool): string {
  return (status.conditions ?? []).map(({ type, status: value, message }) => `${type} ${value}: ${message}`).join('; ');
}
