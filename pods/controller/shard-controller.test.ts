/** Aim: a cluster of pods without data is bootstrapped, kept led through every way to lose a primary, moved and taken down. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { isUpToDate, systemCollectionName } from '../metadata/objects.ts';
import { TestCluster, TestPod } from './controller.fixture.ts';

async function started(podNames: readonly string[] = ['a', 'b', 'c'], collection?: Parameters<TestCluster['create']>): Promise<TestCluster> {
  const cluster = await TestCluster.open(podNames);
  if (collection !== undefined) await cluster.create(...collection);
  await cluster.controller.start();
  await cluster.until(() => cluster.controller.unsettled().size === 0);
  return cluster;
}

const docs = 'docs-1-0';

async function led(cluster: TestCluster, name: string, term: number): Promise<boolean> {
  const { metadata, status } = await cluster.shard(name);
  const { authority } = status;
  if (authority === undefined || authority.term < term) return false;
  const pod = cluster.pod(authority.primary.pod);
  const replica = pod.replicas.get(metadata.uid);
  return pod.state === 'up' && pod.session === authority.primary.session && replica?.role === 'primary' && replica.term === authority.term;
}

async function primaryOf(cluster: TestCluster, name = docs): Promise<string> {
  return (await cluster.shard(name)).status.authority!.primary.pod;
}

test('B1: collections get shards, their UIDs are recorded, they are bootstrapped and ready, with primaries spread', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', { shards: 6 }]);
  t.after(() => cluster.controller.close());
  const collection = await cluster.collection('docs');
  const shards = await Promise.all(Array.from({ length: 6 }, (_, index) => cluster.shard(`docs-1-${index}`)));
  assert.deepEqual([collection.status.phase, collection.status.observedGeneration], ['Ready', 1]);
  assert.deepEqual(collection.status.shards, shards.map(({ metadata }) => metadata.uid));
  for (const { status, spec } of shards) {
    assert.deepEqual([status.phase, status.authority?.term, status.authority?.configVersion, status.authority?.inSync.map(({ pod }) => pod)], ['Ready', 1, 1, spec.replicas]);
    assert.deepEqual([...spec.replicas].sort(), ['a', 'b', 'c']);
  }
  const system = await cluster.shard(`${systemCollectionName}-1-0`);
  const counts = ['a', 'b', 'c'].map((pod) => [system, ...shards].filter(({ status }) => status.authority?.primary.pod === pod).length);
  assert(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
});

test('a start on what is there waits for no probe: it takes less than one probe interval', async (t) => {
  const cluster = await started(['a'], ['docs', { replication: { replicas: 1, minInSync: 1 } }]);
  await cluster.controller.close();
  cluster.pod('a').start();
  cluster.controller = cluster.newController();
  t.after(() => cluster.controller.close());
  await cluster.controller.start();
  const took = await cluster.until(() => cluster.controller.unsettled().size === 0);
  assert.equal((await cluster.shard(docs)).status.authority?.term, 2, 'W0: a new session needs a new term');
  assert(await led(cluster, docs, 2));
  assert(took < limits.probeIntervalMs / 5, `${took} ms`);
  await cluster.create('more', { replication: { replicas: 1, minInSync: 1 } });
  const created = await cluster.until(async () => (await cluster.collection('more')).status.phase === 'Ready');
  assert(created < limits.probeIntervalMs / 2, `${created} ms`);
});

for (const state of ['down', 'hung'] as const) {
  test(`P1: a primary that is ${state} is followed by a member in sync, and comes back as a backup`, async (t) => {
    const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
    t.after(() => cluster.controller.close());
    const old = await primaryOf(cluster);
    await cluster.pass(1_234);
    cluster.pod(old).state = state;
    const took = await cluster.until(() => led(cluster, docs, 2));
    assert(took >= limits.suspectAfterMs - limits.probeIntervalMs && took <= limits.suspectAfterMs + 2 * limits.probeIntervalMs, `${took} ms`);
    await cluster.until(async () => (await cluster.shard(docs)).status.authority!.inSync.length === 2);
    cluster.pod(old).start();
    await cluster.pod(old).look((await cluster.shard(docs)).metadata.uid);
    await cluster.pass(5_000);
    const { authority } = (await cluster.shard(docs)).status;
    assert.deepEqual([authority?.term, authority?.primary.pod === old], [2, false]);
  });
}

test('P1: a primary that restarts within the time of suspicion gets a new term, or another does, at the next probe', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
  t.after(() => cluster.controller.close());
  cluster.pod(await primaryOf(cluster)).start();
  const took = await cluster.until(() => led(cluster, docs, 2));
  assert(took <= limits.probeIntervalMs + 50, `${took} ms`);
});

test('P1: a primary that waited for the store of objects as everybody did stays; one that alone waits does not', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
  t.after(() => cluster.controller.close());
  const { uid } = (await cluster.shard(docs)).metadata;
  const pod = cluster.pod(await primaryOf(cluster));
  const { shards } = cluster.metadata;
  const get = shards.get.bind(shards);
  shards.get = () => Promise.reject(new ShoalError('UNAVAILABLE', 'the store of objects is away'));
  for (let blockedMs = 500; blockedMs <= 20_000; blockedMs += 500) {
    pod.change(uid, { blockedMs });
    await cluster.pass(500);
  }
  shards.get = get;
  await cluster.pass(500);
  pod.change(uid, { blockedMs: 0 });
  await cluster.pass(5_000);
  assert.equal((await cluster.shard(docs)).status.authority?.term, 1);
  pod.change(uid, { blockedMs: 2_500 });
  await cluster.until(() => led(cluster, docs, 2));
});

test('P1: a single member waits for its pod', async (t) => {
  const cluster = await started(['a', 'b'], ['docs', { replication: { replicas: 1, minInSync: 1 } }]);
  t.after(() => cluster.controller.close());
  const pod = cluster.pod(await primaryOf(cluster));
  pod.state = 'down';
  await cluster.pass(10_000);
  assert.equal((await cluster.shard(docs)).status.authority?.term, 1);
  pod.start();
  await cluster.until(() => led(cluster, docs, 2), 1_000);
});

test('W0: a primary that gives up its term gets the next at once, but not one after another', async (t) => {
  const cluster = await started(['a'], ['docs', { replication: { replicas: 1, minInSync: 1 } }]);
  t.after(() => cluster.controller.close());
  await cluster.pass(2_000);
  const { uid } = (await cluster.shard(docs)).metadata;
  const giveUp = (): void => {
    cluster.pod('a').change(uid, { role: 'waiting' });
    cluster.controller.podChanged('a');
  };
  giveUp();
  assert(await cluster.until(() => led(cluster, docs, 2)) < 50);
  giveUp();
  const second = await cluster.until(() => led(cluster, docs, 3));
  assert(second > 500 && second < 2_000, `${second} ms`);
});

test('P1: many shards of a lost pod are all led again, and evenly', async (t) => {
  const cluster = await started(['a', 'b', 'c', 'd'], ['docs', { shards: 24 }]);
  t.after(() => cluster.controller.close());
  const names = Array.from({ length: 24 }, (_, index) => `docs-1-${index}`);
  cluster.pod('a').state = 'down';
  await cluster.until(async () => (await Promise.all(names.map((name) => led(cluster, name, 1)))).every(Boolean));
  const primaries = await Promise.all(names.map((name) => primaryOf(cluster, name)));
  const counts = ['b', 'c', 'd'].map((pod) => primaries.filter((primary) => primary === pod).length);
  assert(Math.min(...counts) >= 6, counts.join());
});

test('P1: a store of objects that went back in time stops promotions, also after the witness is gone', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
  t.after(() => cluster.controller.close());
  const shard = await cluster.shard(docs);
  const { primary } = shard.status.authority!;
  const witness = ['a', 'b', 'c'].find((name) => name !== primary.pod)!;
  cluster.pod(witness).change(shard.metadata.uid, { term: 3, configVersion: 4 });
  await cluster.until(async () => (await cluster.shard(docs)).status.conditions?.[0]?.type === 'MetadataRolledBack');
  cluster.pod(witness).state = 'down';
  cluster.pod(primary.pod).state = 'down';
  await cluster.pass(10_000);
  assert.equal((await cluster.shard(docs)).status.authority?.term, 1);
  // The witness gets a new disk, and a human takes the condition away.
  cluster.pod(witness).wipe();
  cluster.pod(witness).start();
  await cluster.pass(1_000);
  const stopped = await cluster.shard(docs);
  const { conditions: _removed, ...status } = stopped.status;
  await cluster.metadata.shards.replaceStatus({ ...stopped, status });
  await cluster.until(() => led(cluster, docs, 2));
});

test('B1: a recorded shard whose object is lost is never made anew', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
  await cluster.controller.close();
  const shard = await cluster.shard(docs);
  await cluster.metadata.shards.replace({ ...shard, metadata: { ...shard.metadata, finalizers: [] } });
  await cluster.metadata.shards.delete(docs, (await cluster.shard(docs)).metadata.resourceVersion);
  cluster.controller = cluster.newController();
  t.after(() => cluster.controller.close());
  await cluster.controller.start();
  await cluster.until(async () => (await cluster.collection('docs')).status.phase === 'Degraded');
  assert.deepEqual((await cluster.collection('docs')).status.conditions?.map(({ type, reason }) => [type, reason]), [['Degraded', 'Lost']]);
  await cluster.pass(15_000);
  assert.equal(await cluster.metadata.shards.get(docs), undefined);
  assert.equal([...cluster.pods.values()].filter(({ replicas }) => replicas.has(shard.metadata.uid)).length, 3, 'the data is kept');
});

test('a collection that finds no room says so, and is brought up when there is', async (t) => {
  const cluster = await started(['a', 'b', 'c']);
  t.after(() => cluster.controller.close());
  await cluster.create('docs', { replication: { replicas: 4, minInSync: 2 } });
  await cluster.until(async () => (await cluster.collection('docs')).status.conditions?.[0]?.reason === 'Unplaced');
  assert.equal((await cluster.collection('docs')).status.phase, 'Pending');
  cluster.pods.set('d', new TestPod(cluster, 'd'));
  cluster.directory.set([...cluster.directory.list(), { name: 'd', isDraining: false }]);
  await cluster.until(async () => (await cluster.collection('docs')).status.phase === 'Ready');
  assert.equal((await cluster.collection('docs')).status.conditions, undefined);
});

test('another replication is wanted: it is through when every shard has it, and not before there is room for it', async (t) => {
  const cluster = await started(['a', 'b'], ['docs', { shards: 2, replication: { replicas: 1, minInSync: 1 } }]);
  t.after(() => cluster.controller.close());
  const want = async (replicas: number, minInSync: number): Promise<void> => {
    const collection = await cluster.collection('docs');
    await cluster.metadata.collections.replace({ ...collection, spec: { ...collection.spec, replication: { replicas, minInSync } } });
  };
  const isThrough = async (): Promise<boolean> => isUpToDate(await cluster.collection('docs'));
  const found = async (): Promise<unknown[]> =>
    Promise.all(['docs-1-0', 'docs-1-1'].map(async (name) => (({ spec, status }) => [spec.replicas.length, spec.leaving, spec.minInSync, status.authority!.inSync.length >= spec.minInSync, status.authority!.term])(await cluster.shard(name))));
  await want(3, 2);
  await cluster.until(async () => (await cluster.collection('docs')).status.conditions?.[0]?.reason === 'Unplaced');
  assert.equal(await isThrough(), false);
  cluster.pods.set('c', new TestPod(cluster, 'c'));
  cluster.directory.set([...cluster.directory.list(), { name: 'c', isDraining: false }]);
  await cluster.until(isThrough);
  assert.deepEqual([await found(), (await cluster.collection('docs')).status.conditions], [[[3, undefined, 2, true, 1], [3, undefined, 2, true, 1]], undefined]);
  await want(1, 1);
  await cluster.until(isThrough);
  assert.deepEqual(await found(), [[1, undefined, 1, true, 1], [1, undefined, 1, true, 1]], 'nobody else had to lead');
});

test('A2, S1: a pod that drains is left by all its replicas, primaries by a switchover', async (t) => {
  const cluster = await started(['a', 'b', 'c', 'd'], ['docs', { shards: 4 }]);
  t.after(() => cluster.controller.close());
  const names = [...Array.from({ length: 4 }, (_, index) => `docs-1-${index}`), `${systemCollectionName}-1-0`];
  const leads = (await Promise.all(names.map((name) => primaryOf(cluster, name)))).filter((pod) => pod === 'a').length;
  assert(leads > 0);
  cluster.drain('a');
  await cluster.until(async () => (await Promise.all(names.map((name) => cluster.shard(name)))).every(({ spec, status }) => !spec.replicas.includes('a') && spec.leaving === undefined && status.authority!.inSync.length === 3));
  assert.equal(cluster.pod('a').stoppedCount, leads);
  await cluster.until(() => cluster.pod('a').replicas.size === 0);
});

test('S1: a primary that asks is relieved; a switchover that fails is not tried over and over', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
  t.after(() => cluster.controller.close());
  const shard = await cluster.shard(docs);
  const old = shard.status.authority!.primary.pod;
  await cluster.metadata.shards.replaceStatus({ ...shard, status: { ...shard.status, handover: { id: 'h-1', term: 1 } } });
  await cluster.until(() => led(cluster, docs, 2));
  const { handover, authority } = (await cluster.shard(docs)).status;
  assert.deepEqual([handover, authority!.primary.pod === old, cluster.pod(old).stoppedCount], [undefined, false, 1]);

  const now = await cluster.shard(docs);
  const primary = cluster.pod(authority!.primary.pod);
  const real = primary.service.stopWrites.bind(primary.service);
  let attempts = 0;
  primary.service.stopWrites = async (uid, signal) => {
    attempts++;
    const { term, lastSeq } = await real(uid, signal);
    return { term, lastSeq: lastSeq + 1 };
  };
  await cluster.metadata.shards.replaceStatus({ ...now, status: { ...now.status, handover: { id: 'h-2', term: 2 } } });
  // Whatever else happens to the object meanwhile.
  for (let change = 0; change < 40; change++) {
    const present = await cluster.shard(docs);
    await cluster.metadata.shards.replaceStatus({ ...present, status: { ...present.status, nonce: `n-${change}` } });
    await cluster.pass(500);
  }
  assert.equal((await cluster.shard(docs)).status.authority?.term, 2, 'nobody has all entries');
  assert(attempts >= 3 && attempts <= 6, `${attempts} attempts`);
});

test('deletion: pods remove the data, then the objects go, then the name can be used again', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', { shards: 2 }]);
  t.after(() => cluster.controller.close());
  const { metadata } = await cluster.collection('docs');
  await cluster.metadata.collections.delete('docs', metadata.resourceVersion);
  await cluster.until(async () => (await cluster.metadata.collections.get('docs')) === undefined);
  assert.deepEqual((await cluster.metadata.shards.list()).map(({ metadata: { name } }) => name), [`${systemCollectionName}-1-0`]);
  assert.deepEqual([...cluster.pods.values()].map(({ replicas }) => replicas.size), [1, 1, 1]);
  const again = await cluster.create('docs', { shards: 2 });
  await cluster.until(async () => (await cluster.collection('docs')).status.phase === 'Ready');
  assert.notEqual(again.metadata.uid, metadata.uid);
});

test('a shard object that is deleted by itself keeps its data', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
  t.after(() => cluster.controller.close());
  await cluster.metadata.shards.delete(docs, (await cluster.shard(docs)).metadata.resourceVersion);
  await cluster.pass(15_000);
  assert.notEqual(await cluster.metadata.shards.get(docs), undefined);
});

test('settled: not before every shard is led, but for a pod that lost its data no longer than a while', async (t) => {
  const cluster = await started(['a'], ['docs', { replication: { replicas: 1, minInSync: 1 } }]);
  await cluster.controller.close();
  cluster.pod('a').start();
  const restart = async (): Promise<boolean[]> => {
    cluster.controller = cluster.newController();
    await cluster.controller.start();
    const ledWhenSettled: boolean[] = [];
    void cluster.controller.settled(AbortSignal.timeout(60_000)).then(async () => ledWhenSettled.push(await led(cluster, docs, 2)));
    return ledWhenSettled;
  };
  const first = await restart();
  await cluster.until(() => first.length > 0, 200);
  assert.deepEqual(first, [true]);
  await cluster.controller.close();
  cluster.pod('a').wipe();
  cluster.pod('a').start();
  const second = await restart();
  t.after(() => cluster.controller.close());
  const took = await cluster.until(() => second.length > 0, 30_000, 50);
  assert.deepEqual(second, [false]);
  assert(took > 10_000, `${took} ms`);
});

test('two controllers at once come to the same end', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', { shards: 3 }]);
  const other = cluster.newController();
  t.after(() => Promise.all([cluster.controller.close(), other.close()]));
  await other.start();
  await cluster.pass(1_000);
  cluster.pod('a').state = 'down';
  const names = ['docs-1-0', 'docs-1-1', 'docs-1-2'];
  await cluster.until(async () => (await Promise.all(names.map((name) => led(cluster, name, 1)))).every(Boolean));
  await cluster.pass(5_000);
  for (const name of names) assert((await cluster.shard(name)).status.authority!.term <= 2);
});

test('a controller that stood still for a while suspects nobody', async (t) => {
  const cluster = await started(['a', 'b', 'c'], ['docs', {}]);
  t.after(() => cluster.controller.close());
  await cluster.pass(2_000);
  cluster.clock.standStill(60_000);
  await cluster.pass(3_000);
  assert.equal((await cluster.shard(docs)).status.authority?.term, 1);
  assert([...cluster.controller.pods().values()].every(({ isSilent }) => !isSilent));
});
