/** Aim: the processes of a cluster find each other, make a collection and answer through every gateway; with mutual TLS too. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../../framework/cluster/cluster.ts';
import { packVector, ShoalClient } from '../../framework/shoal-client.ts';
import { atEnd } from '../../framework/cleanup.ts';

for (const tls of [false, true]) {
  test(`a cluster of three pods, ${tls ? 'mutual TLS' : 'plaintext'}`, async (t) => {
    const cluster = await startCluster(t, { tls, gateways: tls ? 1 : 2, controllers: tls ? 1 : 2 });
    const clients = cluster.gateways.map(({ grpcAddress }) => new ShoalClient({ grpcAddress, key: cluster.key }));
    atEnd(t, () => clients.forEach((client) => client.close()));
    const [first, last] = [clients[0]!, clients.at(-1)!];

    const made = await first.createCollection({ name: 'docs', dimension: 4, shards: 2, replication: { replicas: 3, minInSync: 2 } });
    assert.deepEqual(made.spec?.replication, { replicas: 3, minInSync: 2 });
    const shards = await cluster.whole('docs');
    assert.deepEqual(shards.map(({ spec }) => [...spec.replicas].sort()), [['pod-0', 'pod-1', 'pod-2'], ['pod-0', 'pod-1', 'pod-2']]);

    const ids = Array.from({ length: 40 }, (_, i) => `point-${i}`);
    const vectorOf = (i: number): Uint8Array => packVector(Float32Array.of(i + 1, 1, 0, 0));
    const items = await first.upsert({ collection: 'docs', points: ids.map((id, i) => ({ id, packedVector: vectorOf(i) })), clientId: 'loader', requestNumber: 1n });
    assert.deepEqual(new Set(items.map(({ outcome }) => outcome)), new Set(['created']));

    assert.equal((await last.get('docs', ids, { level: 'linearizable' })).length, ids.length);
    const { hits } = await last.search('docs', { packedVector: vectorOf(7), topK: 3, exact: true, consistency: { level: 'linearizable' } });
    assert.equal(hits.length, 3);
    for (const process of [...cluster.pods, ...cluster.gateways, ...cluster.controllers]) assert.deepEqual(process.unexpectedExits, [], process.name);
  });
}
