/**
 * Aim: an operator that dies between any two writes of a sequence (`faultPoints`) leaves something that the next one finishes:
 * every pod is replaced exactly once, pods leave only when they are empty, volumes grow, and all the while every shard has
 * enough members in sync. The API server is real; what StatefulSets, nodes, primaries and the shard controller do is done
 * here, one write at a time.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { observedReport, type ObservedPod } from '../../../../pods/control/observation.ts';
import { collectionSpec } from '../../../../pods/domain/collection.ts';
import { splitHashSpace } from '../../../../pods/domain/hash-range.ts';
import { systemClock } from '../../../../pods/kernel/clock.ts';
import { ShoalError } from '../../../../pods/kernel/errors.ts';
import { silentLogger } from '../../../../pods/kernel/logger.ts';
import { systemRandom } from '../../../../pods/kernel/random.ts';
import { KubeClient } from '../../../../pods/kube/client.ts';
import { kubeEndpoint } from '../../../../pods/kube/endpoint.ts';
import { openKubeMetadata, type KubeMetadata } from '../../../../pods/metadata/kube-metadata.ts';
import type { ShardAuthority, VectorCollection, VectorPool, VectorShard } from '../../../../pods/metadata/objects.ts';
import { readPoolState } from '../../../../operator/controllers/pool/pool-state.ts';
import { reportPool } from '../../../../operator/controllers/pool/report.ts';
import { poolTasks } from '../../../../operator/controllers/pool/tasks.ts';
import { faultPoints, type FaultPoint } from '../../../../operator/day2/fault-points.ts';
import { ordinalOf } from '../../../../operator/desired/names.ts';
import { watchCluster } from '../../../../operator/observe/cluster.ts';
import type { SeenClaim, SeenPod, SeenStatefulSet } from '../../../../operator/observe/objects.ts';
import { ShoalObjects } from '../../../../operator/observe/shoal-objects.ts';
import { ObjectWriter } from '../../../../operator/runtime/apply.ts';
import { runTasks } from '../../../../operator/runtime/task.ts';
import { atEnd } from '../../../framework/cleanup.ts';
import { shoalManifests, startKubernetes } from '../../../framework/kubernetes/kubernetes.ts';
import { pause } from '../../../framework/timeouts.ts';

const namespace = 'default';
const core = `/api/v1/namespaces/${namespace}`;
const sets = `/apis/apps/v1/namespaces/${namespace}/statefulsets`;
const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
const pool = 'p';
const lookCountMax = 400;
const podOptions = { image: 'shoal:test', imagePullPolicy: 'Never', imagePullSecrets: [], logLevel: 'info', volumeAccessMode: 'ReadWriteOnce', hasInternalTls: false } as const;

type Pod = SeenPod & { readonly metadata: { readonly name: string; readonly uid: string } };

test('an operator dies at every point of a sequence', { timeout: 1_200_000 }, async (t) => {
  const kubernetes = await startKubernetes();
  atEnd(t, () => kubernetes.close());
  await kubernetes.apply(...(await shoalManifests()));
  const { admin } = kubernetes;
  const metadata = openKubeMetadata({ endpoint: await kubeEndpoint({ kubeconfig: kubernetes.kubeconfig }), clock: systemClock, random: systemRandom, logger: silentLogger });
  atEnd(t, () => metadata.close());
  const observed = watchCluster({ client: admin, namespace, logger: silentLogger });
  const objects = { pools: new ShoalObjects<VectorPool>(metadata.pools), collections: new ShoalObjects<VectorCollection>(metadata.collections), shards: new ShoalObjects<VectorShard>(metadata.shards) };
  atEnd(t, () => {
    observed.close();
    for (const each of Object.values(objects)) each.close();
  });
  await observed.listed;

  const read = async <T>(path: string, query?: Record<string, string>): Promise<readonly T[]> => ((await admin.read(path, query)) as { items: readonly T[] }).items;
  const pods = (): Promise<readonly Pod[]> => read<Pod>(`${core}/pods`, { labelSelector: `shoal.dev/pool=${pool}` });
  const merge = (path: string, body: object): Promise<unknown> => admin.write({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body });

  /** StatefulSets' controller, kubelets, the disruption controller and the volumes' resizer. */
  async function nodes(): Promise<void> {
    for (const set of await read<SeenStatefulSet & { spec: { template: { metadata: object; spec: { volumes?: object[] } } } }>(sets)) {
      const { name, generation, deletionTimestamp } = set.metadata;
      // The garbage collector, which leaves what the set owned.
      if (deletionTimestamp !== undefined) {
        await merge(`${sets}/${name}`, { metadata: { finalizers: null } });
        continue;
      }
      const revision = createHash('sha256').update(JSON.stringify(set.spec.template)).digest('hex').slice(0, 10);
      if (set.status?.updateRevision !== revision || set.status.observedGeneration !== generation) await merge(`${sets}/${name}/status`, { status: { observedGeneration: generation, updateRevision: revision, currentRevision: revision, replicas: set.spec.replicas } });
      const present = await pods();
      for (let ordinal = 0; ordinal < set.spec.replicas!; ordinal++) {
        const podName = `${name}-${ordinal}`;
        if (present.some(({ metadata: { name: other } }) => other === podName)) continue;
        const claim = `data-${podName}`;
        const [template] = set.spec.volumeClaimTemplates!;
        if ((await admin.read(`${core}/persistentvolumeclaims/${claim}`)) === undefined) await admin.write({ method: 'POST', path: `${core}/persistentvolumeclaims`, body: { metadata: { name: claim, labels: { 'shoal.dev/role': 'data-pod', 'shoal.dev/pool': pool } }, spec: { ...template!.spec, storageClassName: 'growing' } } });
        const { spec, metadata: meta } = set.spec.template;
        const labels = { ...(meta as { labels: object }).labels, 'controller-revision-hash': revision };
        await admin.write({ method: 'POST', path: `${core}/pods`, body: { metadata: { name: podName, labels }, spec: { ...spec, volumes: [...(spec.volumes ?? []), { name: 'data', persistentVolumeClaim: { claimName: claim } }] } } });
      }
      for (const { metadata: { name: podName } } of present) if (ordinalOf(pool, podName)! >= set.spec.replicas!) await admin.write({ method: 'DELETE', path: `${core}/pods/${podName}` });
    }
    const present = await pods();
    for (const { metadata: { name }, status } of present) {
      const gate = status?.conditions?.some(({ type, status: value }) => type === 'shoal.dev/in-sync' && value === 'True') === true;
      const wanted = [{ type: 'ContainersReady', status: 'True' }, { type: 'Ready', status: gate ? 'True' : 'False' }];
      if (wanted.every(({ type, status: value }) => status?.conditions?.some((each) => each.type === type && each.status === value) === true)) continue;
      await admin.write({ method: 'PATCH', path: `${core}/pods/${name}/status`, contentType: 'application/strategic-merge-patch+json', body: { status: { conditions: wanted } } });
    }
    for (const claim of await read<SeenClaim>(`${core}/persistentvolumeclaims`)) {
      const requested = claim.spec.resources!.requests!.storage!;
      if (claim.status?.capacity?.storage !== requested) await merge(`${core}/persistentvolumeclaims/${claim.metadata.name}/status`, { status: { phase: 'Bound', capacity: { storage: requested } } });
    }
    const healthy = (await pods()).filter(({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true).length;
    for (const budget of await read<{ metadata: { name: string; generation: number } }>(budgets)) {
      await merge(`${budgets}/${budget.metadata.name}/status`, { status: { observedGeneration: budget.metadata.generation, expectedPods: present.length, currentHealthy: healthy, desiredHealthy: present.length - 1, disruptionsAllowed: Math.max(0, healthy - present.length + 1), disruptedPods: null } });
    }
  }

  /** One step of each shard: what its primary and the shard controller do. */
  async function shardsStep(): Promise<void> {
    const { operation, drains = [] } = (await metadata.pools.get(pool))!.status;
    const present = new Map((await pods()).map(({ metadata: { name, uid } }) => [name, uid]));
    const leavingPods = drains.filter(({ phase }) => phase === 'Draining').map(({ pod }) => pod);
    for (const shard of await metadata.shards.list()) {
      const { spec } = shard;
      const authority = shard.status.authority!;
      const { primary, inSync } = authority;
      const write = (change: Partial<ShardAuthority>): Promise<unknown> => metadata.shards.replaceStatus({ ...shard, status: { ...shard.status, authority: { ...authority, ...change } } });
      const joined = (next: ShardAuthority['inSync']): Promise<unknown> => write({ inSync: next, configVersion: authority.configVersion + 1 });
      const gone = spec.replicas.find((pod) => leavingPods.includes(pod));
      const unfit = present.get(primary.pod) !== primary.podUID || operation?.pod === primary.pod || (gone === primary.pod && inSync.length === 4);
      const next = inSync.find(({ pod }) => pod !== primary.pod && pod !== operation?.pod && present.has(pod) && pod !== gone);
      const absent = inSync.find(({ pod }) => pod !== primary.pod && !present.has(pod));
      const joiner = spec.replicas.find((pod) => present.has(pod) && spec.leaving?.includes(pod) !== true && !inSync.some((each) => each.pod === pod));
      const leaver = inSync.find(({ pod }) => spec.leaving?.includes(pod) === true);
      if (unfit && next !== undefined) await write({ term: authority.term + 1, primary: { ...next, podUID: present.get(next.pod)!, session: `${next.pod}-${authority.term}` } });
      else if (absent !== undefined && inSync.length > spec.minInSync) await joined(inSync.filter((each) => each !== absent));
      else if (joiner !== undefined) await joined([...inSync, { pod: joiner, incarnation: `i-${joiner}` }]);
      else if (leaver !== undefined) await joined(inSync.filter((each) => each !== leaver));
      else if (spec.leaving !== undefined) {
        const { leaving, ...rest } = spec;
        await metadata.shards.replace({ ...shard, spec: { ...rest, replicas: spec.replicas.filter((pod) => !leaving.includes(pod)) } });
      } else if (gone !== undefined && spec.replicas.length === 3) {
        const to = [...present.keys()].find((pod) => !spec.replicas.includes(pod) && !drains.some((drain) => drain.pod === pod));
        if (to !== undefined) await metadata.shards.replace({ ...shard, spec: { ...spec, replicas: [...spec.replicas, to] } });
      } else if (gone !== undefined && inSync.length === 4) await metadata.shards.replace({ ...shard, spec: { ...spec, leaving: [gone] } });
    }
  }

  async function heard(): Promise<Map<string, ObservedPod>> {
    const shards = await metadata.shards.list();
    return new Map(
      (await pods()).map(({ metadata: { name, uid } }): [string, ObservedPod] => {
        const named = shards.filter(({ spec, status }) => spec.replicas.includes(name) || status.authority!.inSync.some(({ pod }) => pod === name));
        const replicas = named.map((shard) => ({ collectionUID: shard.spec.collection.uid, shardUID: shard.metadata.uid, incarnation: `i-${name}`, role: 'backup' as const, term: 1, lastSeq: 1, commitSeq: 1, appliedSeq: 1, configVersion: 1, quarantined: false, blockedMs: 0, pointCount: 0 }));
        return [name, { name, isSilent: false, isReachable: true, report: observedReport({ pod: name, podUID: uid, session: 's', freeBytes: 2 ** 30, replicas }, 0, 1) }];
      }),
    );
  }

  /** A process that leads until it dies, after which it writes nothing. */
  async function leader(dieAt: FaultPoint | undefined): Promise<{ look(): Promise<void>; isDead(): boolean; close(): void }> {
    let isDead = false;
    const beforeWrite = (): void => {
      if (isDead) throw new ShoalError('UNAVAILABLE', 'this operator is dead');
    };
    const endpoint = await kubeEndpoint({ kubeconfig: kubernetes.kubeconfig });
    const parts = { endpoint, clock: systemClock, random: systemRandom, beforeWrite };
    const own: KubeMetadata = openKubeMetadata({ ...parts, namespace, logger: silentLogger });
    const writer = new ObjectWriter(new KubeClient(parts), namespace);
    const deps = {
      metadata: own,
      writer,
      podOptions,
      random: systemRandom,
      nowMs: () => Date.now(),
      reach: (point: FaultPoint) => {
        if (point === dieAt) isDead = true;
        return Promise.resolve();
      },
    };
    const tasks = poolTasks(deps);
    return {
      isDead: () => isDead,
      close: () => own.close(),
      async look() {
        const known = await heard();
        const state = await readPoolState(pool, { metadata: own, observed, ...objects, heard: () => known, nowMs: () => Date.now() });
        if (state === undefined) return;
        const rows = await runTasks(tasks, state);
        if (!isDead) await reportPool(own, state, rows).catch((error: unknown) => assert.ok(error instanceof ShoalError && error.code === 'CONFLICT', String(error)));
        lastRows = rows.map(({ task, result }) => `${task}: ${result.outcome}: ${result.because}`).join('\n');
      },
    };
  }
  let lastRows = '';

  /** Looks again and again, with a new leader after a death, until `isDone`. */
  async function until(what: string, dieAt: FaultPoint | undefined, isDone: () => Promise<boolean>): Promise<boolean> {
    let current = await leader(dieAt);
    let died = false;
    try {
      for (let count = 0; count < lookCountMax; count++) {
        await nodes();
        await current.look();
        if (current.isDead()) {
          died = true;
          current.close();
          current = await leader(undefined);
        }
        await shardsStep();
        await shardsServe();
        // The watches tell soon.
        await pause(20);
        if (await isDone()) return died;
      }
      throw new Error(`${what} is not done:\n${lastRows}\n${JSON.stringify((await metadata.pools.get(pool))?.status, undefined, 1)}\n${JSON.stringify((await metadata.shards.list()).map(({ spec, status }) => [spec.replicas, spec.leaving, status.authority]))}`);
    } finally {
      current.close();
    }
  }

  async function shardsServe(): Promise<void> {
    const present = new Set((await pods()).map(({ metadata: { name } }) => name));
    for (const { metadata: { name }, spec, status } of await metadata.shards.list()) {
      const live = status.authority!.inSync.filter(({ pod }) => present.has(pod));
      assert.ok(live.length >= spec.minInSync, `${name} has ${live.map(({ pod }) => pod).join()} in sync`);
    }
  }

  const change = async (spec: Partial<VectorPool['spec']>): Promise<void> => {
    const found = (await metadata.pools.get(pool))!;
    await metadata.pools.replace({ ...found, spec: { ...found.spec, ...spec } });
  };
  const uids = async (): Promise<Map<string, string>> => new Map((await pods()).map(({ metadata: { name, uid } }) => [name, uid]));
  const isQuiet = async (podCount: number): Promise<boolean> => {
    const found = (await metadata.pools.get(pool))!;
    const present = await pods();
    const areReady = present.every(({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true);
    const shards = await metadata.shards.list();
    return present.length === podCount && areReady && found.status.operation === undefined && found.status.drains === undefined && shards.every(({ spec, status }) => spec.replicas.length === 3 && status.authority!.inSync.length === 3);
  };

  // A pool of four pods, and a collection of two shards on the first three of them.
  await admin.write({ method: 'POST', path: '/apis/storage.k8s.io/v1/storageclasses', body: { metadata: { name: 'growing' }, provisioner: 'nobody', allowVolumeExpansion: true } });
  await metadata.pools.create({ metadata: { name: pool, labels: {} }, spec: { replicas: 4, storage: { size: '1Gi' }, topologySpread: [] } });
  await until('four pods', undefined, async () => (await pods()).length === 4);
  const collection = await metadata.collections.create({ metadata: { name: 'docs', labels: {} }, spec: { ...collectionSpec({ name: 'docs', dimension: 3, shards: 2, replication: { replicas: 3, minInSync: 2 } }), placement: { pool } } });
  for (const [index, hashRange] of splitHashSpace(2).entries()) {
    const replicas = ['p-0', 'p-1', 'p-3'];
    const made = await metadata.shards.create({ metadata: { name: `docs-1-${index}`, labels: {} }, spec: { collection: { name: 'docs', uid: collection.metadata.uid }, generation: 1, index, hashRange, replicas, minInSync: 2 } });
    const [lead] = replicas as [string, ...string[]];
    await metadata.shards.replaceStatus({ ...made, status: { phase: 'Ready', authority: { term: 1, configVersion: 1, primary: { pod: lead, podUID: (await uids()).get(lead)!, incarnation: `i-${lead}`, session: 's' }, inSync: replicas.map((pod) => ({ pod, incarnation: `i-${pod}` })) } } });
  }
  await until('everything in sync', undefined, () => isQuiet(4));

  let round = 0;

  /** Every pod is replaced exactly once. */
  async function replaceAll(dieAt: FaultPoint | undefined): Promise<boolean> {
    const before = await uids();
    const seen = new Map<string, Set<string>>();
    await change({ resources: { requests: { cpu: `${100 + round}m` } } });
    const hasDied = await until('the replacement', dieAt, async () => {
      const now = await uids();
      for (const [name, uid] of now) seen.set(name, (seen.get(name) ?? new Set()).add(uid));
      return [...now].every(([name, uid]) => before.get(name) !== uid) && (await isQuiet(4));
    });
    for (const [name, each] of seen) assert.ok(each.size <= 2, `${name} was replaced ${each.size - 1} times`);
    return hasDied;
  }

  /** One pod fewer, and one more, with its replicas on it again, as balance would have it. */
  async function shrinkAndGrow(dieAt: FaultPoint | undefined): Promise<boolean> {
    await change({ replicas: 3 });
    const hasDied = await until('scale-in', dieAt, () => isQuiet(3));
    await change({ replicas: 4 });
    await until('scale-out', undefined, () => isQuiet(4));
    for (const shard of await metadata.shards.list()) await metadata.shards.replace({ ...shard, spec: { ...shard.spec, replicas: [...shard.spec.replicas, 'p-3'] } });
    await until('a fourth replica', undefined, async () => (await metadata.shards.list()).every(({ status }) => status.authority!.inSync.length === 4));
    for (const shard of await metadata.shards.list()) {
      const goes = shard.spec.replicas.find((pod) => pod !== 'p-3' && pod !== shard.status.authority!.primary.pod)!;
      await metadata.shards.replace({ ...shard, spec: { ...shard.spec, leaving: [goes] } });
    }
    await until('three replicas', undefined, () => isQuiet(4));
    return hasDied;
  }

  async function growVolumes(dieAt: FaultPoint | undefined): Promise<boolean> {
    const size = `${1 + round}Gi`;
    const setUid = ((await admin.read(`${sets}/${pool}`)) as SeenStatefulSet).metadata.uid;
    const kept = await uids();
    await change({ storage: { size } });
    const hasDied = await until('larger volumes', dieAt, async () => {
      const set = (await admin.read(`${sets}/${pool}`)) as SeenStatefulSet | undefined;
      const claims = await read<SeenClaim>(`${core}/persistentvolumeclaims`);
      return set?.spec.volumeClaimTemplates?.[0]?.spec.resources?.requests?.storage === size && set.metadata.uid !== setUid && claims.every(({ status }) => status?.capacity?.storage === size) && (await isQuiet(4));
    });
    assert.deepEqual(await uids(), kept, 'pods went on while volumes grew');
    return hasDied;
  }

  const sequences = { replace: replaceAll, drain: shrinkAndGrow, 'scale-in': shrinkAndGrow, grow: growVolumes };
  for (const point of faultPoints) {
    await t.test(point, async () => {
      round++;
      const [, sequence] = Object.entries(sequences).find(([name]) => point.startsWith(`${name}-`))!;
      assert.equal(await sequence(point), true, `${point} was never reached`);
    });
  }
});
