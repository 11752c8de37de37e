/**
 * That the faults which other suites rely on are what they say: a node without power or network is noticed, the rest of the
 * cluster goes on, and the node comes back with its disk; an API server that is gone or silent is just that.
 */
// Labels: harness, faults

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { echoServers, getThrough, node } from '../harness/echo-servers.ts';
import { isReady, podsOf, readyPods } from '../harness/objects.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const host = 'faults.shoal.test';
const selector = 'app=echo';

test('faults of a cluster', async (t) => {
  const cluster = await connectCluster(t);
  const { faults, ingress } = cluster;
  if (faults === undefined || ingress === undefined) {
    t.skip('the machines of this cluster are not ours: its nodes cannot be killed');
    return;
  }
  const namespace = await cluster.namespaceFor(t);
  await cluster.apply(echoServers(cluster.image, host), { namespace });
  const pods = await readyPods(cluster, namespace, selector, 3);
  const victim = pods[0]!.spec.nodeName!;
  const exec = (pod: string, program: string): Promise<string> => cluster.kubectl(['exec', '-n', namespace, pod, '--', node, '-p', program]);
  const boot = await exec(pods[0]!.metadata.name, "require('node:fs').writeFileSync('/data/kept', 'kept') ?? process.pid");
  assert.match(boot, /^\d+\n$/);

  await t.test('a node without power', async (subtest) => {
    const restarts = await restartsOf(cluster, namespace, pods[0]!.metadata.name);
    await faults.killNode(subtest, victim);
    await becomesUnready(cluster, namespace, victim);
    const names = new Set<string>();
    for (let i = 0; i < 20; i++) names.add((await getThrough(ingress, host)).text);
    assert.deepEqual([...names].sort(), pods.filter(({ spec }) => spec.nodeName !== victim).map(({ metadata }) => metadata.name).sort());
    await faults.restoreNode(victim);
    await readyPods(cluster, namespace, selector, 3);
    assert.equal(await exec(pods[0]!.metadata.name, "require('node:fs').readFileSync('/data/kept', 'utf8')"), 'kept\n');
    assert.ok((await restartsOf(cluster, namespace, pods[0]!.metadata.name)) > restarts, 'its container was not started anew');
  });

  await t.test('a node without network', async (subtest) => {
    const restarts = await restartsOf(cluster, namespace, pods[0]!.metadata.name);
    await faults.cutNode(subtest, victim);
    await becomesUnready(cluster, namespace, victim);
    await faults.healNode(victim);
    await readyPods(cluster, namespace, selector, 3);
    assert.equal(await restartsOf(cluster, namespace, pods[0]!.metadata.name), restarts, 'its container went on meanwhile');
  });

  await t.test('an API server that is gone, and one that is silent', async (subtest) => {
    await faults.stopApiServer(subtest, 'SIGKILL');
    assert.match((await cluster.tryKubectl(['get', 'nodes', '--request-timeout=5s'])).stderr, /refused/);
    assert.equal((await getThrough(ingress, host)).status, 200);
    await faults.startApiServer();
    await readyPods(cluster, namespace, selector, 3);
    faults.pauseApiServer(subtest);
    assert.notEqual((await cluster.tryKubectl(['get', 'nodes', '--request-timeout=3s'])).code, 0);
    faults.resumeApiServer();
    await readyPods(cluster, namespace, selector, 3);
  });
});

/** The node's pods are taken out of services with it. */
async function becomesUnready(cluster: TestCluster, namespace: string, name: string): Promise<void> {
  await waitUntil(`pods on ${name} to be known as not Ready`, clusterTimeoutsMs.nodeLost, async () => {
    const ready = (await podsOf(cluster, namespace, selector)).filter((pod) => pod.spec.nodeName === name && isReady(pod));
    return ready.length === 0 ? { value: undefined } : `${ready.map(({ metadata }) => metadata.name).join(', ')} is Ready`;
  });
}

async function restartsOf(cluster: TestCluster, namespace: string, pod: string): Promise<number> {
  return Number(await cluster.kubectl(['get', 'pod', pod, '-n', namespace, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}']));
}
