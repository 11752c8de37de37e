/**
 * Aim: what the documentation tells people to apply does what it says. The collection gets ready and takes points; how long
 * that took is printed. The pool wants nodes that a test cluster does not have, and says so.
 */
// Labels: samples

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { collectionReady, installShoal, type Installation } from '../harness/installation.ts';
import { suiteOwner } from '../harness/owner.ts';
import { runShoal } from '../harness/run-shoal.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const sample = (name: string): string => readFileSync(join(import.meta.dirname, '..', '..', '..', 'docs', 'samples', name), 'utf8');

await describe('samples', { concurrency: false }, () => {
  const owner = suiteOwner();
  let cluster: TestCluster;
  let shoal: Installation;

  before(async () => {
    cluster = await connectCluster(owner);
    shoal = await installShoal(owner, cluster);
  });

  test('collection.yaml gets ready, on pods of its own, and takes points', async (t) => {
    const startMs = performance.now();
    await cluster.apply(sample('collection.yaml'), { namespace: shoal.namespace });
    await collectionReady(cluster, shoal.namespace, 'my-docs');
    t.diagnostic(`ready after ${((performance.now() - startMs) / 1_000).toFixed(1)} s`);
    const vector = JSON.stringify(Array.from({ length: 768 }, (_, i) => (i === 0 ? 1 : 0)));
    await runShoal(cluster, shoal, ['points', 'upsert', 'my_docs', '--id', 'a', '--vector', vector, '--payload', '{"language": "en"}']);
    const found = await runShoal(cluster, shoal, ['--output', 'json', 'search', 'my_docs', '--vector', vector, '--filter', '{"field": "language", "equals": "en"}']);
    assert.match(found, /"id": ?"a"/);
    const { items } = await cluster.kubectlJson<{ items: readonly { spec: { replicas: readonly string[] } }[] }>(['get', 'vectorshards', '-n', shoal.namespace, '-l', 'shoal.dev/collection=my-docs']);
    for (const { spec } of items) assert.deepEqual([...spec.replicas].sort(), ['my-docs-0', 'my-docs-1', 'my-docs-2']);
  });

  test('pool.yaml says what it waits for where there is no such node', async () => {
    await cluster.apply(sample('pool.yaml'), { namespace: shoal.namespace });
    await waitUntil('the pool to say that its pods find no node', clusterTimeoutsMs.podReady, async () => {
      const described = await cluster.kubectl(['describe', 'vectorpool', 'fast', '-n', shoal.namespace]);
      return /node affinity|node selector|didn't match/i.test(described) ? { value: undefined } : described.slice(described.indexOf('Status:'));
    });
    const described = await cluster.kubectl(['describe', 'vectorcollection', 'pictures', '-n', shoal.namespace]);
    assert.match(described, /Type: +Ready/);
    assert.match(described, /Status: +False/);
  });
});
