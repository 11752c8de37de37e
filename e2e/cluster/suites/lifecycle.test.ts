/**
 * Aim: the life of collections and pools on a real Kubernetes: the sample collection becomes ready and keeps points, what is
 * made through a gateway and what is applied are both visible everywhere, objects that are removed or changed by hand come
 * back as they were without a pod being disturbed, a leader that is killed is followed, and what is deleted goes as asked.
 */
// Labels: lifecycle, core

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '../../../pods/metadata/objects.ts';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { collectionReady, installShoal, poolReady, type Installation } from '../harness/installation.ts';
import { isReady, podsOf, readyPods } from '../harness/objects.ts';
import { suiteOwner } from '../harness/owner.ts';
import { runShoal } from '../harness/run-shoal.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const samples = join(import.meta.dirname, '..', '..', '..', 'docs', 'samples');

interface Described {
  readonly metadata: { readonly name: string; readonly uid: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: { readonly conditions?: readonly Condition[]; readonly phase?: string };
}

const small = { requests: { cpu: '20m', memory: '64Mi' } };
const collection = (name: string, spec: object = {}): object => ({
  apiVersion: 'shoal.dev/v1alpha1',
  kind: 'VectorCollection',
  metadata: { name },
  spec: { name, dimension: 2, placement: { dedicated: { storage: '1Gi', resources: small } }, ...spec },
});

await describe('the life of collections and pools', { concurrency: false }, () => {
  const owner = suiteOwner();
  let cluster: TestCluster;
  let shoal: Installation;

  before(async () => {
    cluster = await connectCluster(owner);
    shoal = await installShoal(owner, cluster);
  });

  const get = async (kind: string, name: string): Promise<Described> => cluster.kubectlJson<Described>(['get', kind, name, '-n', shoal.namespace]);
  const find = async (kind: string, name: string): Promise<Described | undefined> => {
    const { stdout } = await cluster.tryKubectl(['get', kind, name, '-n', shoal.namespace, '-o', 'json', '--ignore-not-found']);
    return stdout.trim() === '' ? undefined : (JSON.parse(stdout) as Described);
  };
  const condition = (kind: string, name: string, type: string, status: string, reason?: string): Promise<Condition> =>
    waitUntil(`${kind} ${name} to be ${type} ${status}`, clusterTimeoutsMs.rollout, async () => {
      const conditions = (await get(kind, name)).status?.conditions ?? [];
      const found = conditions.find((each) => each.type === type && each.status === status && (reason === undefined || each.reason === reason));
      return found === undefined ? conditions.map((each) => `${each.type} ${each.status}: ${each.message}`).join('; ') : { value: found };
    });
  const gone = (kind: string, name: string): Promise<void> =>
    waitUntil(`${kind} ${name} to be gone`, clusterTimeoutsMs.deletion, async () => ((await find(kind, name)) === undefined ? { value: undefined } : 'it is there'));

  test('the sample collection becomes ready, and points go in and out', async (t) => {
    const startedMs = performance.now();
    await cluster.kubectl(['apply', '-n', shoal.namespace, '-f', join(samples, 'collection.yaml')]);
    await collectionReady(cluster, shoal.namespace, 'my-docs');
    t.diagnostic(`ready ${((performance.now() - startedMs) / 1_000).toFixed(1)} s after it was applied`);
    const vector = JSON.stringify(Array.from({ length: 768 }, (_, i) => (i === 0 ? 1 : 0)));
    await runShoal(cluster, shoal, ['points', 'upsert', 'my_docs', '--id', 'a', '--vector', vector]);
    assert.match(await runShoal(cluster, shoal, ['--output', 'json', 'search', 'my_docs', '--vector', vector]), /"id": ?"a"/);
  });

  test('kubectl get tells the story', async () => {
    // On a busy machine a replica may fall out of sync, which the conditions say too, and another one may lead.
    const settled = { Ready: 'True: all 2 shards serve', Progressing: 'False: everything that was asked for is done', Degraded: 'False: nothing is wrong' };
    await waitUntil('nothing to be left to do', clusterTimeoutsMs.rollout, async () => {
      const said = Object.fromEntries((await get('vc', 'my-docs')).status!.conditions!.map(({ type, status, message }) => [type, `${status}: ${message}`]));
      return isDeepStrictEqual(said, settled) ? { value: undefined } : JSON.stringify(said);
    });
    for (const [args, expected] of [
      [['get', 'vc'], /my-docs +my_docs +768 +cosine +2 +2 +Ready/],
      [['get', 'vp'], /my-docs +3 +3 +3 +1Gi/],
      [['get', 'vs'], /my-docs-1-0 +my_docs +Ready +\d+ +my-docs-\d/],
      // Events are written beside the work.
      [['describe', 'vc', 'my-docs'], /CreatedPool .*made pool my-docs for it/],
    ] as const) {
      await waitUntil(`${args.join(' ')} to tell ${expected}`, clusterTimeoutsMs.rollout, async () => {
        const told = await cluster.kubectl([...args, '-n', shoal.namespace]);
        return expected.test(told) ? { value: undefined } : told;
      });
    }
  });

  test('its pods are spread over the nodes, and are allowed nothing', async () => {
    const pods = await readyPods(cluster, shoal.namespace, 'shoal.dev/pool=my-docs', 3);
    const { items: nodes } = await cluster.kubectlJson<{ items: readonly unknown[] }>(['get', 'nodes']);
    assert.equal(new Set(pods.map(({ spec }) => spec.nodeName)).size, Math.min(3, nodes.length));
    // What the strictest of Kubernetes' standards would refuse, the API server names.
    const { stdout, stderr } = await cluster.tryKubectl(['label', '--dry-run=server', '--overwrite', 'ns', shoal.namespace, 'pod-security.kubernetes.io/enforce=restricted']);
    assert.doesNotMatch(`${stdout}${stderr}`, /my-docs|default-\d|shoal-operator|shoal-gateway/);
  });

  test('what is applied and what is made through a gateway are the same', async () => {
    assert.match(await runShoal(cluster, shoal, ['collection', 'list']), /my_docs/);
    await runShoal(cluster, shoal, ['collection', 'create', 'made_there', '--dimension', '2', '--replicas', '3', '--min-in-sync', '2']);
    const { items } = await cluster.kubectlJson<{ items: readonly Described[] }>(['get', 'vc', '-n', shoal.namespace]);
    const made = items.find(({ spec }) => spec['name'] === 'made_there');
    assert.deepEqual(made?.spec['placement'], { pool: 'default' });
    await collectionReady(cluster, shoal.namespace, made!.metadata.name);
  });

  for (const [kind, name] of [['statefulset', 'my-docs'], ['service', 'shoal-pods'], ['poddisruptionbudget', 'my-docs']] as const) {
    test(`a ${kind} that is deleted comes back`, async () => {
      const before = await get(kind, name);
      // Waiting is kubectl's watch on the name, which the next object has as well.
      await cluster.kubectl(['delete', kind, name, '-n', shoal.namespace, '--cascade=orphan', '--wait=false']);
      await waitUntil(`another ${kind} ${name}`, clusterTimeoutsMs.rollout, async () => {
        const found = await find(kind, name);
        return found !== undefined && found.metadata.uid !== before.metadata.uid ? { value: found } : 'it is not there';
      });
      await poolReady(cluster, shoal.namespace, 'my-docs');
    });
  }

  test('also one that takes its pods along: nothing that was acknowledged is lost', async () => {
    await cluster.kubectl(['delete', 'statefulset', 'my-docs', '-n', shoal.namespace, '--cascade=foreground'], { timeoutMs: clusterTimeoutsMs.rollout });
    // Which the conditions say of the pods that have gone, too, until the operator looks.
    await readyPods(cluster, shoal.namespace, 'shoal.dev/pool=my-docs', 3);
    await poolReady(cluster, shoal.namespace, 'my-docs');
    await collectionReady(cluster, shoal.namespace, 'my-docs');
    assert.match(await runShoal(cluster, shoal, ['--output', 'json', 'points', 'get', 'my_docs', 'a']), /"id": ?"a"/);
  });

  test('a field of ours is put right, fields of others are left alone', async () => {
    const uidsBefore = (await podsOf(cluster, shoal.namespace, 'shoal.dev/pool=my-docs')).map(({ metadata }) => metadata.uid).sort();
    const patch = { metadata: { annotations: { 'example.com/note': 'mine' } }, spec: { template: { spec: { terminationGracePeriodSeconds: 5 } } } };
    await cluster.kubectl(['patch', 'statefulset', 'my-docs', '-n', shoal.namespace, '--type', 'merge', '-p', JSON.stringify(patch)]);
    const mended = await waitUntil('the grace period to be put right', clusterTimeoutsMs.rollout, async () => {
      const found = await get('statefulset', 'my-docs');
      const seconds = (found.spec['template'] as { spec: { terminationGracePeriodSeconds: number } }).spec.terminationGracePeriodSeconds;
      return seconds === 120 ? { value: found } : `it is ${seconds}`;
    });
    assert.equal(mended.metadata.annotations?.['example.com/note'], 'mine');
    await poolReady(cluster, shoal.namespace, 'my-docs');
    const uidsAfter = (await podsOf(cluster, shoal.namespace, 'shoal.dev/pool=my-docs')).map(({ metadata }) => metadata.uid).sort();
    assert.deepEqual(uidsAfter, uidsBefore, 'a template that is what it was replaces no pod');
  });

  test('of two that claim one name the younger waits, and says why', async () => {
    await cluster.apply([collection('rival', { name: 'my_docs' })], { namespace: shoal.namespace });
    const conflict = await condition('vc', 'rival', 'NameConflict', 'True');
    assert.equal(conflict.message, 'the name my_docs belongs to VectorCollection my-docs, which is older');
    await cluster.kubectl(['delete', 'vc', 'rival', '-n', shoal.namespace, `--timeout=${clusterTimeoutsMs.deletion}ms`], { timeoutMs: clusterTimeoutsMs.deletion });
    await collectionReady(cluster, shoal.namespace, 'my-docs');
  });

  test('an operator that is killed is followed by the other', async () => {
    const holder = async (): Promise<string> => ((await get('lease', 'shoal-operator')).spec['holderIdentity'] as string | undefined) ?? '';
    const before = await holder();
    const leader = before.slice(0, before.indexOf('_'));
    await cluster.kubectl(['delete', 'pod', leader, '-n', shoal.namespace, '--grace-period=0', '--force']);
    await waitUntil('another leader', clusterTimeoutsMs.rollout, async () => ((await holder()) !== before && (await holder()) !== '' ? { value: undefined } : `it is ${before}`));
    await cluster.apply([collection('after')], { namespace: shoal.namespace });
    await collectionReady(cluster, shoal.namespace, 'after');
  });

  test('what is paused is left alone until it is not', async () => {
    await cluster.kubectl(['annotate', 'vc', 'after', '-n', shoal.namespace, 'shoal.dev/paused=true']);
    await condition('vc', 'after', 'Progressing', 'True', 'Paused');
    await cluster.kubectl(['patch', 'vc', 'after', '-n', shoal.namespace, '--type', 'merge', '-p', JSON.stringify({ spec: { placement: { dedicated: { pods: 2 } } } })]);
    assert.equal((await get('vp', 'after')).spec['replicas'], 1);
    await cluster.kubectl(['annotate', 'vc', 'after', '-n', shoal.namespace, 'shoal.dev/paused-']);
    const pods = await readyPods(cluster, shoal.namespace, 'shoal.dev/pool=after', 2);
    assert.ok(pods.every(isReady));
  });

  test('deleted, it goes with its pods and volumes; with Retain the volumes stay', async () => {
    await cluster.kubectl(['patch', 'vc', 'after', '-n', shoal.namespace, '--type', 'merge', '-p', JSON.stringify({ spec: { deletionPolicy: 'Retain' } })]);
    await collectionReady(cluster, shoal.namespace, 'after');
    for (const name of ['my-docs', 'after']) await cluster.kubectl(['delete', 'vc', name, '-n', shoal.namespace, '--wait=false']);
    for (const name of ['my-docs', 'after']) {
      await gone('vc', name);
      assert.equal(await find('vp', name), undefined);
      assert.deepEqual(await podsOf(cluster, shoal.namespace, `shoal.dev/pool=${name}`), []);
    }
    await gone('pvc', 'data-my-docs-0');
    assert.notEqual(await find('pvc', 'data-after-0'), undefined);
    await cluster.kubectl(['delete', 'pvc', '-n', shoal.namespace, '-l', 'shoal.dev/pool=after']);
  });
});
