/**
 * Aim: a Job empties a pod and tells how far it is, refuses where there is no room, goes on when it is run again, and lets
 * the pod hold replicas again; a cordoned node, and `kubectl drain`, harm no client that repeats what failed.
 */
// Labels: core, drain

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { load } from 'js-yaml';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { dayTwo, placesOf, poolName } from '../harness/day-two.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const sample = join(import.meta.dirname, '..', '..', '..', 'docs', 'samples', 'drain-pod.yaml');

interface JobStatus {
  readonly status: { readonly succeeded?: number; readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[] };
}

/** As the documentation has it, for another pod; resolves to how it ended, and its log. */
async function runDrain(cluster: TestCluster, namespace: string, name: string, args: readonly string[]): Promise<{ readonly succeeded: boolean; readonly log: string }> {
  const job = load(await readFile(sample, 'utf8')) as { metadata: { name: string }; spec: { template: { spec: { containers: { image: string; args: string[] }[] } } } };
  job.metadata.name = name;
  const [container] = job.spec.template.spec.containers;
  container!.image = cluster.image;
  container!.args = ['job', 'drain', '--pool', poolName, '--requested-by', name, ...args];
  await cluster.apply([job], { namespace });
  const succeeded = await waitUntil(`Job ${name} to end`, 2 * clusterTimeoutsMs.rollout, async () => {
    const { status } = await cluster.kubectlJson<JobStatus>(['get', 'job', name, '-n', namespace]);
    if (status.succeeded === 1) return { value: true };
    return status.conditions?.some(({ type, status: value }) => type === 'Failed' && value === 'True') === true ? { value: false } : JSON.stringify(status);
  });
  const log = await cluster.kubectl(['logs', `job/${name}`, '-n', namespace, '--tail=20']);
  return { succeeded, log };
}

test('emptying pods and nodes', async (t) => {
  const cluster = await connectCluster(t);
  const shoal = await dayTwo(t, cluster, { pool: { replicas: 4 } });
  const { namespace } = shoal.installation;
  const before = await shoal.settled(4);
  const places = async (): Promise<string[]> => [...new Set(Object.values(placesOf(await shoal.metadata.shards.list())).flat())].sort();
  const victim = placesOf(before)['docs-1-0']![1]!;

  await t.test('a Job empties a pod', async (t) => {
    shoal.explain(t);
    await shoal.underLoad(t, `${victim} emptied`, async () => {
      const { succeeded, log } = await runDrain(cluster, namespace, 'drain-one', ['--pod', victim]);
      assert.ok(succeeded, log);
      assert.match(log, new RegExp(`${victim} is empty; it takes no replicas until that is taken back`));
      assert.ok(!(await places()).includes(victim));
    });
    const [drain] = (await shoal.pool()).status.drains ?? [];
    assert.deepEqual([drain?.pod, drain?.request, drain?.phase, drain?.left], [victim, 'drain-one', 'Drained', 0]);
  });

  await t.test('the same again is done at once', async () => {
    const { succeeded, log } = await runDrain(cluster, namespace, 'drain-again', ['--pod', victim]);
    assert.ok(succeeded, log);
  });

  await t.test('another one has no room, which it says, and leaves no request behind', async (t) => {
    shoal.explain(t);
    const other = (await places())[0]!;
    const { succeeded, log } = await runDrain(cluster, namespace, 'drain-other', ['--pod', other]);
    assert.ok(!succeeded, log);
    assert.match(log, new RegExp(`${other} is not emptied: asked for by drain-other; but there is no room: \\S+: 3 replicas need 3 pods, and there is room on 2`));
    assert.ok((await places()).includes(other));
    await waitUntil('no trace of it', clusterTimeoutsMs.rollout, async () => {
      const { drains = [] } = (await shoal.pool()).status;
      return drains.some(({ pod }) => pod === other) ? JSON.stringify(drains) : { value: undefined };
    });
  });

  await t.test('a pod that is not there', async () => {
    const { succeeded, log } = await runDrain(cluster, namespace, 'drain-nobody', ['--pod', 'default-9']);
    assert.ok(!succeeded, log);
    assert.match(log, /pool default has no pod default-9: it has default-0 to default-3/);
  });

  await t.test('taken back: the pod holds replicas again', async (t) => {
    shoal.explain(t);
    const { succeeded, log } = await runDrain(cluster, namespace, 'drain-cancel', ['--pod', victim, '--cancel']);
    assert.ok(succeeded, log);
    await waitUntil('no drains', clusterTimeoutsMs.rollout, async () => {
      const { drains = [] } = (await shoal.pool()).status;
      return drains.length === 0 ? { value: undefined } : JSON.stringify(drains);
    });
    await shoal.settled(4);
  });

  await t.test('kubectl drain of a node', async (t) => {
    shoal.explain(t);
    // Volumes of the test's cluster are bound to their nodes: of two pods on one node the second may not go before the first is back.
    const nodes = (await shoal.dataPods()).map(({ spec }) => spec.nodeName!);
    const node = nodes.find((name) => nodes.filter((other) => other === name).length === 1);
    if (node === undefined) return t.skip(`every node has several pods: ${nodes.join(', ')}`);
    await shoal.underLoad(t, `node ${node} drained and back`, async () => {
      try {
        await cluster.kubectl(['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', `--pod-selector=shoal.dev/pool=${poolName}`, '--timeout=200s'], { timeoutMs: 230_000 });
        assert.ok((await shoal.dataPods()).every(({ spec }) => spec.nodeName !== node));
      } finally {
        await cluster.kubectl(['uncordon', node]);
      }
      await shoal.settled(4);
    });
  });
});
