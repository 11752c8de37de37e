/** Aim: replicas of a shard are spread over zones, by the nodes' labels; pods of a pool share the load; a dedicated collection keeps to its own pods. */
// Labels: placement

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalClient } from '../../framework/shoal-client.ts';
import { connectCluster } from '../harness/connect.ts';
import { dayTwo } from '../harness/day-two.ts';
import { collectionReady } from '../harness/installation.ts';

interface Node {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

test('placement', async (t) => {
  const cluster = await connectCluster(t);
  const shoal = await dayTwo(t, cluster, { pool: { replicas: 4 } });
  const { namespace } = shoal.installation;
  await shoal.settled(4);
  const nodes = (await cluster.kubectlJson<{ items: readonly Node[] }>(['get', 'nodes'])).items;
  const zoneOf = new Map(nodes.map(({ metadata }) => [metadata.name, metadata.labels?.['topology.kubernetes.io/zone'] ?? metadata.name]));
  const zones = new Set(zoneOf.values());

  await t.test('three replicas are in as many zones as there are, up to three', async (t) => {
    shoal.explain(t);
    const pods = new Map((await shoal.dataPods()).map(({ metadata, spec }) => [metadata.name, zoneOf.get(spec.nodeName!)!]));
    const taken = new Set(pods.values());
    assert.equal(taken.size, Math.min(zones.size, 4), 'pods are spread over zones');
    for (const { metadata, spec } of await shoal.settled(4)) {
      const found = new Set(spec.replicas.map((pod) => pods.get(pod)!));
      assert.equal(found.size, Math.min(3, taken.size), `${metadata.name} is in ${[...found].join(', ')}`);
    }
  });

  await t.test('collections of one replica share the pods', async (t) => {
    shoal.explain(t);
    const client = new ShoalClient({ grpcAddress: shoal.target.gateways[0]!.grpcAddress, key: shoal.target.key });
    for (let i = 0; i < 8; i++) await client.createCollection({ name: `small-${i}`, dimension: 3, shards: 1, replication: { replicas: 1, minInSync: 1 } });
    client.close();
    const load = new Map<string, number>();
    for (const { spec } of await shoal.settled(4)) for (const pod of spec.replicas) load.set(pod, (load.get(pod) ?? 0) + 1);
    const counts = [...load.values()];
    t.diagnostic(`replicas on pods: ${[...load].sort().map(([pod, count]) => `${pod} ${count}`).join(', ')}`);
    assert.equal(load.size, 4);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 2, counts.join(', '));
  });

  await t.test('a dedicated collection keeps to its own pods', async (t) => {
    shoal.explain(t);
    const object = { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorCollection', metadata: { name: 'own' }, spec: { name: 'own', dimension: 3, replication: { replicas: 2, minInSync: 1 }, placement: { dedicated: { storage: '1Gi', resources: { requests: { cpu: '20m', memory: '64Mi' } } } } } };
    await cluster.apply([object], { namespace });
    await collectionReady(cluster, namespace, 'own');
    const [shard] = (await shoal.metadata.shards.list()).filter(({ metadata }) => metadata.name.startsWith('own-'));
    assert.deepEqual([...shard!.spec.replicas].sort(), ['own-0', 'own-1']);
  });
});
