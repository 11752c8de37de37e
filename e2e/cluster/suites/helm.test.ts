/**
 * Aim: an installation's life, as helm leads it. What is installed works (`helm test`); an upgrade of a live installation
 * keeps the first key, collections and points; it does not go while there are collections; told to, it
 * goes whole, but for volumes of pools, the first key and what Retain keeps.
 */
// Labels: helm

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { collectionReady, installShoal, type Installation } from '../harness/installation.ts';
import { suiteOwner } from '../harness/owner.ts';
import { runShoal } from '../harness/run-shoal.ts';

const collection = (name: string, deletionPolicy: 'Delete' | 'Retain'): object => ({
  apiVersion: 'shoal.dev/v1alpha1',
  kind: 'VectorCollection',
  metadata: { name },
  spec: { name, dimension: 2, replication: { replicas: 2, minInSync: 1 }, placement: { dedicated: { storage: '1Gi', resources: { requests: { cpu: '20m', memory: '64Mi' } } } }, deletionPolicy },
});

await describe('an installation', { concurrency: false }, () => {
  const owner = suiteOwner();
  let cluster: TestCluster;
  let shoal: Installation;

  before(async () => {
    cluster = await connectCluster(owner);
    shoal = await installShoal(owner, cluster);
  });

  const names = async (kind: string): Promise<string[]> =>
    (await cluster.kubectlJson<{ items: readonly { metadata: { name: string } }[] }>(['get', kind, '-n', shoal.namespace])).items.map(({ metadata }) => metadata.name).sort();

  test('helm test makes a collection, writes, searches, and cleans up', async () => {
    await shoal.test();
    assert.deepEqual((await names('vectorcollections')).filter((name) => name !== 'shoal.system'), []);
  });

  test('an upgrade keeps the key, the collections and their points', async () => {
    await cluster.apply([collection('kept', 'Retain'), collection('gone', 'Delete')], { namespace: shoal.namespace });
    for (const name of ['kept', 'gone']) await collectionReady(cluster, shoal.namespace, name);
    for (const name of ['kept', 'gone']) await runShoal(cluster, shoal, ['points', 'upsert', name, '--id', 'a', '--vector', '[1,0]']);
    const before = await uids(cluster, shoal.namespace);
    await shoal.upgrade({ logLevel: 'debug', gateway: { autoscaling: { minReplicas: 3 }, slowQueryMs: 0 } });
    assert.deepEqual(await uids(cluster, shoal.namespace), before);
    for (const name of ['kept', 'gone']) assert.match(await runShoal(cluster, shoal, ['--output', 'json', 'points', 'get', name, 'a']), /"id": ?"a"/);
  });

  test('it does not go while there are collections, and says which', async () => {
    await assert.rejects(shoal.uninstall());
    const log = await cluster.kubectl(['logs', 'job/shoal-uninstall', '-n', shoal.namespace]);
    assert.match(log, /there are 2 collections: "gone", "kept". Delete them first, or set uninstall\.withCollections=true/);
    for (const name of ['kept', 'gone']) assert.match(await runShoal(cluster, shoal, ['--output', 'json', 'points', 'get', name, 'a']), /"id": ?"a"/);
  });

  test('told to, it goes whole; the first key stays, and the volumes of shared pools and of what is retained', async () => {
    await shoal.resume();
    await shoal.upgrade({ uninstall: { withCollections: true } });
    await shoal.uninstall();
    for (const kind of ['vectorcollections', 'vectorpools', 'vectorshards', 'statefulsets', 'deployments', 'poddisruptionbudgets', 'networkpolicies', 'roles']) assert.deepEqual(await names(kind), [], kind);
    assert.ok((await names('secrets')).includes('shoal-api-keys'));
    assert.deepEqual(await names('persistentvolumeclaims'), ['data-default-0', 'data-default-1', 'data-default-2', 'data-kept-0', 'data-kept-1']);
  });
});

/** Whose change would mean that something was made anew. */
async function uids(cluster: TestCluster, namespace: string): Promise<unknown> {
  const kinds = 'vectorcollections,vectorpools,vectorshards,statefulsets,persistentvolumeclaims';
  const { items } = await cluster.kubectlJson<{ items: readonly { kind: string; metadata: { name: string; uid: string } }[] }>(['get', kinds, '-n', namespace]);
  const secret = await cluster.kubectlJson<{ data: object }>(['get', 'secret', 'shoal-api-keys', '-n', namespace]);
  return { secret: secret.data, objects: items.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.uid}`).sort() };
}
