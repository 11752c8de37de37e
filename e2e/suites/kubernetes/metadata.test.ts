/** Aim: cluster metadata on a real Kubernetes API keeps the promises of the port, and the schemas fill in what the code would. */

import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { collectionSpec } from '../../../pods/domain/collection.ts';
import { hasCode } from '../../../pods/kernel/errors.ts';
import type { KubeClient } from '../../../pods/kube/client.ts';
import { clusterMetadataConformance } from '../../../pods/metadata/cluster-metadata.conformance.ts';
import { fullSpecs } from '../../../pods/metadata/full-objects.fixture.ts';
import type { KubeMetadata } from '../../../pods/metadata/kube-metadata.ts';
import { shoalManifests, startKubernetes, type Kubernetes } from '../../framework/kubernetes/kubernetes.ts';
import { metadataOf, namespaceFor } from '../../framework/kubernetes/metadata.ts';

let kubernetes: Kubernetes;
before(async () => {
  kubernetes = await startKubernetes();
  await kubernetes.apply(...(await shoalManifests()));
});
after(() => kubernetes.close());

async function twoClients(t: TestContext): Promise<{ here: KubeMetadata; there: KubeMetadata; namespace: string }> {
  const namespace = await namespaceFor(kubernetes);
  return { here: await metadataOf(t, kubernetes.kubeconfig, { namespace }), there: await metadataOf(t, kubernetes.kubeconfig, { namespace }), namespace };
}

clusterMetadataConformance('metadata in Kubernetes', twoClients);

test('what the schema fills in is what the code would', async (t) => {
  const { here, namespace } = await twoClients(t);
  const cases = [
    { name: 'plain', dimension: 3 },
    { name: 'three copies', dimension: 3, replication: { replicas: 3 } },
    { name: 'a flat one', dimension: 3, index: { type: 'flat' } },
  ] as const;
  for (const [index, spec] of cases.entries()) {
    await post(kubernetes.admin, namespace, 'vectorcollections', 'VectorCollection', `c-${index}`, spec);
    const hosting = { placement: { dedicated: { storage: '10Gi' } }, deletionPolicy: 'Delete' };
    assert.deepEqual((await here.collections.get(`c-${index}`))!.spec, { ...collectionSpec(spec), ...hosting });
  }
});

describe('specs that the schemas refuse', () => {
  const collection = { name: 'docs', dimension: 3 };
  const { shards: shard, pools: pool } = fullSpecs;
  const cases: readonly [string, 'VectorCollection' | 'VectorPool' | 'VectorShard', object, RegExp][] = [
    ['no dimension', 'VectorCollection', { name: 'docs' }, /dimension/],
    ['a dimension too large', 'VectorCollection', { ...collection, dimension: 16_385 }, /dimension/],
    ['an unknown metric', 'VectorCollection', { ...collection, metric: 'taxicab' }, /metric/],
    ['more in sync than replicas', 'VectorCollection', { ...collection, replication: { replicas: 2, minInSync: 3 } }, /minInSync must not exceed replicas/],
    ['a name of 256 bytes', 'VectorCollection', { ...collection, name: 'é'.repeat(128) }, /more than 255 bytes/],
    ['a name with a slash', 'VectorCollection', { ...collection, name: 'a/b' }, /name/],
    ['the name ..', 'VectorCollection', { ...collection, name: '..' }, /must not be/],
    ['one field indexed twice', 'VectorCollection', { ...collection, payloadIndexes: [{ field: 'f', type: 'bool' }, { field: 'f', type: 'float' }] }, /Duplicate/],
    ['a pool without storage', 'VectorPool', { replicas: 3 }, /storage/],
    ['a size that is none', 'VectorPool', { ...pool, storage: { size: 'large' } }, /quantity/],
    ['an empty hash range', 'VectorShard', { ...shard, hashRange: { start: 'f000000000000000', end: '0000000000000000' } }, /ends before it starts/],
    ['a hash of 15 digits', 'VectorShard', { ...shard, hashRange: { start: '000000000000000', end: 'ffffffffffffffff' } }, /hashRange/],
    ['one replica twice', 'VectorShard', { ...shard, replicas: ['p-0', 'p-0'] }, /Duplicate/],
    ['nothing in sync', 'VectorShard', { ...shard, minInSync: 0 }, /minInSync/],
  ];
  for (const [name, kind, spec, message] of cases) {
    test(`${kind}: ${name}`, async () => {
      await assert.rejects(post(kubernetes.admin, 'default', `${kind.toLowerCase()}s`, kind, 'refused', spec), (error) => hasCode(error, 'INVALID_ARGUMENT') && message.test((error as Error).message));
    });
  }
});

test('what was chosen once stays', async (t) => {
  const { here } = await twoClients(t);
  const collection = await here.collections.create({ metadata: { name: 'a', labels: {} }, spec: collectionSpec({ name: 'a', dimension: 3 }) });
  for (const change of [{ name: 'b' }, { dimension: 4 }, { metric: 'dot' as const }]) {
    await assert.rejects(here.collections.replace({ ...collection, spec: { ...collection.spec, ...change } }), (error) => hasCode(error, 'INVALID_ARGUMENT'), JSON.stringify(change));
  }
  const pool = await here.pools.create({ metadata: { name: 'a', labels: {} }, spec: fullSpecs.pools });
  const withStorage = (storage: typeof pool.spec.storage) => here.pools.replace({ ...pool, spec: { ...pool.spec, storage } });
  await assert.rejects(withStorage({ size: '9Gi', storageClassName: 'fast' }), /cannot shrink/);
  await assert.rejects(withStorage({ size: '10Gi' }), /storageClassName is immutable/);
  assert.equal((await withStorage({ size: '0.5Ti', storageClassName: 'fast' })).spec.storage.size, '0.5Ti');
});

test('a pool is scaled through its subresource', async (t) => {
  const { here, namespace } = await twoClients(t);
  const pool = await here.pools.create({ metadata: { name: 'a', labels: {} }, spec: fullSpecs.pools });
  await here.pools.replaceStatus({ ...pool, status: { ...pool.status, replicas: 2, selector: 'pool=a' } });
  const path = `/apis/shoal.dev/v1alpha1/namespaces/${namespace}/vectorpools/a/scale`;
  const scale = (await kubernetes.admin.read(path)) as { spec: object; status: object };
  assert.deepEqual([scale.spec, scale.status], [{ replicas: 3 }, { replicas: 2, selector: 'pool=a' }]);
  await kubernetes.admin.write({ method: 'PUT', path, body: { ...scale, spec: { replicas: 5 } } });
  assert.equal((await here.pools.get('a'))!.spec.replicas, 5);
});

test('a watch with a label selector sees only what has the label, get sees all', async (t) => {
  const namespace = await namespaceFor(kubernetes);
  const metadata = await metadataOf(t, kubernetes.kubeconfig, { namespace, shardSelector: 'shoal.dev/pool=a' });
  const heard: string[] = [];
  metadata.shards.watch((name) => heard.push(name));
  for (const pool of ['b', 'a']) await metadata.shards.create({ metadata: { name: `in-${pool}`, labels: { 'shoal.dev/pool': pool } }, spec: fullSpecs.shards });
  while (metadata.shards.peek('in-a') === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual([heard, metadata.shards.peek('in-b')], [['in-a'], undefined]);
  assert.equal((await metadata.shards.get('in-b'))?.metadata.name, 'in-b');
});

async function post(admin: KubeClient, namespace: string, plural: string, kind: string, name: string, spec: object): Promise<void> {
  await admin.write({ method: 'POST', path: `/apis/shoal.dev/v1alpha1/namespaces/${namespace}/${plural}`, body: { apiVersion: 'shoal.dev/v1alpha1', kind, metadata: { name }, spec } });
}
