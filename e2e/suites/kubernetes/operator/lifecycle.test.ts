/**
 * Aim: from a VectorPool and VectorCollections come running, serving shards, and objects that come back when they are
 * removed and are put right when they are changed; and all of it goes again as it was asked to.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectionSpec } from '../../../../pods/domain/collection.ts';
import { hasCode, type ErrorCode } from '../../../../pods/kernel/errors.ts';
import type { Condition, VectorCollection } from '../../../../pods/metadata/objects.ts';
import { startInstallation, until, type Installation } from './installation.ts';

interface Raw {
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string; readonly annotations?: Readonly<Record<string, string>>; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: Record<string, unknown>;
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const statefulSets = '/apis/apps/v1/namespaces/default/statefulsets';
const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
const core = '/api/v1/namespaces/default';
const pods = ['default-0', 'default-1', 'default-2', 'docs-0', 'kept-0', 'second-0', 'paused-0'];

test('the life of pools and collections', async (t) => {
  const installation = await startInstallation(t, { pods });
  const { admin, metadata } = installation;
  const operator = await installation.operator('operator-0', { restarts: true });
  let hasFailed = false;
  // Each step rests on those before it.
  const step = (name: string, run: () => Promise<void>): Promise<void> =>
    t.test(name, { skip: hasFailed }, async (t) => {
      installation.explain(t);
      hasFailed = true;
      await run();
      hasFailed = false;
    });

  await step('the operator brings schemas to its version', async () => {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vectorpools.shoal.dev';
    const namesOf = async (): Promise<unknown> => ((await admin.read(path)) as { spec: { names: { shortNames: readonly string[] } } }).spec.names.shortNames;
    await admin.write({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { spec: { names: { shortNames: ['older'] } } } });
    await operator.start();
    await until('the short name of pools', async () => (JSON.stringify(await namesOf()) === '["vp"]' ? true : undefined));
  });

  await step('a pool gets its objects', async () => {
    // The API server holds a write of a new kind back for two seconds, and turns it away if the schema was changed just before it came.
    await until('a pool', () => metadata.pools.create({ metadata: { name: 'default', labels: {} }, spec: { replicas: 3, storage: { size: '1Gi' }, topologySpread: ['kubernetes.io/hostname'] } }).catch(unlessCode('UNAVAILABLE')));
    const set = await until('a StatefulSet', async () => (await admin.read(`${statefulSets}/default`)) as Raw | undefined);
    const { replicas, serviceName, updateStrategy, podManagementPolicy } = set.spec;
    assert.deepEqual({ replicas, serviceName, updateStrategy, podManagementPolicy }, { replicas: 3, serviceName: 'shoal-pods', updateStrategy: { type: 'OnDelete' }, podManagementPolicy: 'Parallel' });
    const service = await until('a Service', async () => (await admin.read(`${core}/services/shoal-pods`)) as Raw | undefined);
    assert.equal(service.spec['clusterIP'], 'None');
    const budget = await until('a PodDisruptionBudget', async () => (await admin.read(`${budgets}/default`)) as Raw | undefined);
    assert.equal(budget.spec['maxUnavailable'], 1);
  });

  await step('its pods get ready, and the system collection serves', async () => {
    const pool = await until('three ready pods', async () => {
      const found = await metadata.pools.get('default');
      return found?.status.readyReplicas === 3 ? found : undefined;
    });
    assert.equal(pool.status.selector, 'shoal.dev/pool=default,shoal.dev/role=data-pod');
    assert.equal(pool.status.observedGeneration, pool.metadata.generation);
    const system = await ready(installation, 'shoal.system');
    assert.deepEqual(system.spec.placement, { pool: 'default' });
    assert.deepEqual(system.spec.replication, { replicas: 3, minInSync: 2 });
  });

  for (const [kind, path] of [['StatefulSet', `${statefulSets}/default`], ['Service', `${core}/services/shoal-pods`], ['PodDisruptionBudget', `${budgets}/default`]] as const) {
    await step(`a ${kind} that is deleted comes back`, async () => {
      const before = (await admin.read(path)) as Raw;
      await admin.write({ method: 'DELETE', path, body: { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Orphan' } });
      // Nobody here takes the garbage collector's finalizer away.
      const left = (await admin.read(path)) as Raw | undefined;
      if (left?.metadata.uid === before.metadata.uid) await admin.write({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { metadata: { finalizers: null } } });
      const after = await until('another one', async () => {
        const found = (await admin.read(path)) as Raw | undefined;
        return found !== undefined && found.metadata.uid !== before.metadata.uid ? found : undefined;
      });
      assert.deepEqual(comparable(after.spec), comparable(before.spec));
    });
  }

  await step('a field of ours that is changed is put right, what others have added stays', async () => {
    const body = { metadata: { annotations: { 'example.com/note': 'mine' } }, spec: { template: { metadata: { annotations: { 'example.com/added': 'yes' } }, spec: { terminationGracePeriodSeconds: 5 } } } };
    await admin.write({ method: 'PATCH', path: `${statefulSets}/default`, contentType: 'application/merge-patch+json', body });
    const mended = await until('the grace period to be put right', async () => {
      const found = (await admin.read(`${statefulSets}/default`)) as Raw & { readonly spec: { readonly template: { readonly metadata: Raw['metadata']; readonly spec: { readonly terminationGracePeriodSeconds: number } } } };
      return found.spec.template.spec.terminationGracePeriodSeconds === 120 ? found : undefined;
    });
    assert.equal(mended.metadata.annotations?.['example.com/note'], 'mine');
    assert.equal(mended.spec.template.metadata.annotations?.['example.com/added'], 'yes');
    const budgetPatch = { spec: { maxUnavailable: 3 } };
    await admin.write({ method: 'PATCH', path: `${budgets}/default`, contentType: 'application/merge-patch+json', body: budgetPatch });
    await until('the budget to be put right', async () => (((await admin.read(`${budgets}/default`)) as Raw).spec['maxUnavailable'] === 1 ? true : undefined));
  });

  await step('a collection in the pool becomes ready, and its pods say that they are in sync', async () => {
    await metadata.collections.create({ metadata: { name: 'shared', labels: {} }, spec: { ...collectionSpec({ name: 'Shared!', dimension: 3, shards: 2, replication: { replicas: 3, minInSync: 2 } }), placement: { pool: 'default' } } });
    await ready(installation, 'shared');
    // It serves before all of its replicas are in sync.
    await condition(installation, 'shared', 'Degraded', 'False');
    await condition(installation, 'shared', 'Progressing', 'False');
    const { status } = (await metadata.collections.get('shared'))!;
    assert.deepEqual({ phase: status.phase, readyShards: status.readyShards, observedGeneration: status.observedGeneration }, { phase: 'Ready', readyShards: 2, observedGeneration: 1 });
    assert.deepEqual(said(status.conditions), { Degraded: 'False AsDesired: nothing is wrong', Progressing: 'False AsDesired: everything that was asked for is done', Ready: 'True Serving: all 2 shards serve' });
  });

  await step('a pod whose replica falls out of sync is not ready, and says why', async () => {
    const victim = installation.podProcess('default-2')!;
    victim.pause();
    try {
      const shard = await until('default-2 to be out of sync', async () => {
        const found = (await metadata.shards.list()).find(({ metadata: { name } }) => name === 'shared-1-0');
        return found?.status.authority?.inSync.some(({ pod }) => pod === 'default-2') === false ? found : undefined;
      });
      assert.equal(shard.spec.replicas.length, 3);
      // The system collection's shard may fall out of sync first, and is then named alone for a while.
      await until('its gate to close because of the collection', async () => {
        const found = (await admin.read(`${core}/pods/default-2`)) as { readonly status: { readonly conditions: readonly Condition[] } };
        const gate = found.status.conditions.find(({ type }) => type === 'shoal.dev/in-sync');
        return gate?.status === 'False' && /shared-1-[01] is catching up/.test(gate.message) ? gate : undefined;
      });
      await condition(installation, 'shared', 'Degraded', 'True', /shared-1-[01] has 2 of 3 replicas in sync; default-2 is not/);
    } finally {
      victim.resume();
    }
    await condition(installation, 'shared', 'Degraded', 'False');
    await until('its gate to open', async () => (((await admin.read(`${core}/pods/default-2`)) as { readonly status: { readonly conditions: readonly Condition[] } }).status.conditions.some(({ type, status }) => type === 'shoal.dev/in-sync' && status === 'True') ? true : undefined));
  });

  await step('a collection has pods of its own unless it says otherwise', async () => {
    await metadata.collections.create({ metadata: { name: 'docs', labels: {} }, spec: collectionSpec({ name: 'docs', dimension: 3 }) });
    await ready(installation, 'docs');
    const pool = (await metadata.pools.get('docs'))!;
    assert.equal(pool.spec.replicas, 1);
    assert.deepEqual(pool.metadata.ownerReferences?.map(({ kind, name }) => [kind, name]), [['VectorCollection', 'docs']]);
    const [shard] = (await metadata.shards.list()).filter(({ spec }) => spec.collection.name === 'docs');
    assert.deepEqual(shard!.spec.replicas, ['docs-0']);
  });

  await step('of two that claim one name the older has it, until it goes', async () => {
    const spec = { ...collectionSpec({ name: 'docs', dimension: 5 }), placement: { pool: 'default' } };
    // Ages are whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await metadata.collections.create({ metadata: { name: 'second', labels: {} }, spec });
    const conflict = await condition(installation, 'second', 'NameConflict', 'True');
    assert.equal(conflict.message, 'the name docs belongs to VectorCollection docs, which is older');
    assert.deepEqual((await metadata.shards.list()).filter(({ spec: { collection } }) => collection.name === 'docs').length, 1);
    await ready(installation, 'docs');
  });

  await step('a collection that is deleted takes its pods and volumes along, and leaves its name to the next', async () => {
    await remove(installation, 'docs');
    assert.equal(await metadata.pools.get('docs'), undefined);
    assert.equal(await admin.read(`${statefulSets}/docs`), undefined);
    await until('its volume to go', async () => ((await admin.read(`${core}/persistentvolumeclaims/data-docs-0`)) === undefined ? true : undefined));
    await ready(installation, 'second');
    await condition(installation, 'second', 'NameConflict', 'False');
  });

  await step('with deletionPolicy Retain the volume stays', async () => {
    await metadata.collections.create({ metadata: { name: 'kept', labels: {} }, spec: { ...collectionSpec({ name: 'kept', dimension: 3 }), deletionPolicy: 'Retain' } });
    await ready(installation, 'kept');
    await remove(installation, 'kept');
    assert.equal(await metadata.pools.get('kept'), undefined);
    assert.notEqual(await admin.read(`${core}/persistentvolumeclaims/data-kept-0`), undefined);
  });

  await step('what is paused is left alone', async () => {
    await metadata.collections.create({ metadata: { name: 'paused', labels: {}, annotations: { 'shoal.dev/paused': 'true' } }, spec: collectionSpec({ name: 'paused', dimension: 3 }) });
    const progressing = await condition(installation, 'paused', 'Progressing', 'True');
    assert.equal(progressing.reason, 'Paused');
    assert.equal(await metadata.pools.get('paused'), undefined);
    // The operator may write the status in between.
    await until('it to go on', async () => {
      const found = (await metadata.collections.get('paused'))!;
      return metadata.collections.replace({ ...found, metadata: { ...found.metadata, annotations: {} } }).catch(unlessCode('CONFLICT'));
    });
    await ready(installation, 'paused');
  });

  await step('a shard whose object is taken away is lost, and never begun anew', async () => {
    // Its primary and the operator may write it in between.
    await until('it to go', async () => {
      const [shard] = (await metadata.shards.list()).filter(({ metadata: { name } }) => name.startsWith('paused-'));
      if (shard === undefined) return true;
      try {
        const free = await metadata.shards.replace({ ...shard, metadata: { ...shard.metadata, finalizers: [] } });
        await metadata.shards.delete(free.metadata.name, free.metadata.resourceVersion);
        return true;
      } catch (error) {
        return unlessCode('CONFLICT')(error);
      }
    });
    const degraded = await condition(installation, 'paused', 'Degraded', 'True');
    assert.equal(degraded.reason, 'Lost');
    assert.deepEqual((await metadata.shards.list()).filter(({ metadata: { name } }) => name.startsWith('paused-')), []);
  });

  await step('Events tell what was done', async () => {
    const { items } = (await admin.read(`${core}/events`)) as { items: readonly { readonly reason: string; readonly message: string; readonly involvedObject: { readonly kind: string; readonly name: string } }[] };
    const told = new Set(items.map(({ reason, involvedObject: { kind, name } }) => `${kind}/${name} ${reason}`));
    for (const expected of ['VectorPool/default CreatedStatefulSet', 'VectorPool/default CreatedSystemCollection', 'VectorPool/default AppliedPodDisruptionBudget', 'VectorCollection/docs CreatedPool', 'VectorCollection/second NameConflict', 'VectorCollection/kept RetainedData']) {
      assert.ok(told.has(expected), `${expected} is not among ${[...told].join(', ')}`);
    }
  });

  await step('the operator ends as asked, and says what it did', async () => {
    const metrics = await (await fetch(`${operator.statusUrl}/metrics`)).text();
    assert.match(metrics, /shoal_operator_leads 1/);
    assert.match(metrics, /shoal_operator_reconciles_total\{controller="pool",outcome="ok"\} \d/);
    assert.deepEqual(await operator.end('SIGTERM'), { code: 0, signal: null });
  });
});

async function ready(installation: Installation, name: string): Promise<VectorCollection> {
  await condition(installation, name, 'Ready', 'True');
  return (await installation.metadata.collections.get(name))!;
}

async function condition({ metadata }: Installation, name: string, type: string, status: string, message = /(?:)/): Promise<Condition> {
  let last: VectorCollection | undefined;
  try {
    return await until(`${name} to be ${type} ${status}`, async () => {
      last = await metadata.collections.get(name);
      return last?.status.conditions?.find((each) => each.type === type && each.status === status && message.test(each.message));
    });
  } catch (error) {
    throw new Error(`${String(error)}: ${JSON.stringify(last?.status, undefined, 2)}`, { cause: error });
  }
}

async function remove({ metadata }: Installation, name: string): Promise<void> {
  await until(`${name} to be deleted`, async () => {
    const found = await metadata.collections.get(name);
    if (found === undefined) return true;
    return metadata.collections.delete(name, found.metadata.resourceVersion).then(() => true, () => undefined);
  });
  await until(`${name} to be gone`, async () => ((await metadata.collections.get(name)) === undefined ? true : undefined));
}

function said(conditions: readonly Condition[] | undefined): Record<string, string> {
  return Object.fromEntries((conditions ?? []).map(({ type, status, reason, message }) => [type, `${status} ${reason}: ${message}`]));
}

function unlessCode(code: ErrorCode): (error: unknown) => undefined {
  return (error) => {
    if (!hasCode(error, code)) throw error;
  };
}

/** Without what the API server gives each object anew. */
function comparable(spec: Record<string, unknown>): unknown {
  return JSON.parse(JSON.stringify(spec, (key, value: unknown) => (['clusterIP', 'clusterIPs', 'creationTimestamp', 'annotations'].includes(key) ? undefined : value)));
}
