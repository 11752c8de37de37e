/**
 * That a cluster is one: the image runs as nobody on a file system that it cannot write, volumes are there on every node,
 * names and services are answered across nodes, and the ingress controller reaches a pod. Everything else builds upon this.
 */
// Labels: core, smoke

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { projectVersion } from '../images/shoal-image.ts';
import { connectCluster } from '../harness/connect.ts';
import { echoServers, getThrough, nobody, node, nothing } from '../harness/echo-servers.ts';
import { readyPods, type Pod } from '../harness/objects.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const host = 'smoke.shoal.test';

test('a cluster', async (t) => {
  const cluster = await connectCluster(t);
  const namespace = await cluster.namespaceFor(t);

  await t.test('runs the image as nobody, on a file system that cannot be written', async () => {
    for (const [args, expected] of [
      [['--version'], projectVersion()],
      [['--help'], 'Usage: shoal [options] [command]'],
    ] as const) {
      const name = `shoal-${args[0].slice(2)}`;
      const container = { name: 'shoal', image: cluster.image, imagePullPolicy: 'IfNotPresent', args, securityContext: nothing };
      await cluster.apply([{ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { restartPolicy: 'Never', securityContext: nobody, containers: [container] } }], { namespace });
      await waitUntil(`pod ${name} to succeed`, clusterTimeoutsMs.podReady, async () => {
        const { status } = await cluster.kubectlJson<Pod>(['get', 'pod', name, '-n', namespace]);
        assert.notEqual(status.phase, 'Failed');
        return status.phase === 'Succeeded' ? { value: undefined } : `it is ${status.phase}`;
      });
      const [firstLine] = (await cluster.kubectl(['logs', name, '-n', namespace])).split('\n');
      assert.equal(firstLine, expected);
    }
  });

  await t.test('keeps volumes of a StatefulSet on three nodes', async () => {
    await cluster.apply(echoServers(cluster.image, host), { namespace });
    const pods = await readyPods(cluster, namespace, 'app=echo', 3);
    assert.equal(new Set(pods.map(({ spec }) => spec.nodeName)).size, 3);
    // The volume comes back with the pod of that name.
    await cluster.kubectl(['exec', '-n', namespace, 'echo-0', '--', node, '-e', "require('node:fs').writeFileSync('/data/kept', 'kept')"]);
    await cluster.kubectl(['delete', 'pod', 'echo-0', '-n', namespace, '--grace-period=1'], { timeoutMs: clusterTimeoutsMs.deletion });
    await readyPods(cluster, namespace, 'app=echo', 3);
    assert.equal(await cluster.kubectl(['exec', '-n', namespace, 'echo-0', '--', node, '-p', "require('node:fs').readFileSync('/data/kept', 'utf8')"]), 'kept\n');
  });

  await t.test('answers names and services across nodes', async () => {
    for (const from of ['echo-0', 'echo-1', 'echo-2']) {
      const ask = async (url: string): Promise<string> => {
        const program = `fetch(${JSON.stringify(url)}).then((answer) => answer.text()).then((text) => process.stdout.write(text))`;
        return cluster.kubectl(['exec', '-n', namespace, from, '--', node, '-e', program]);
      };
      for (const to of ['echo-0', 'echo-1', 'echo-2']) {
        // The name of a pod that was replaced is answered a little after the pod is ready.
        await waitUntil(`${from} to reach ${to} by its name`, clusterTimeoutsMs.podReady, async () => {
          const answer = await ask(`http://${to}.echo-pods.${namespace}.svc:8080/`);
          return answer === to ? { value: undefined } : `the answer is ${answer}`;
        });
      }
      // Nodes forget the address of a pod that was replaced, and learn the new one, in their own time too.
      const answers = new Set<string>();
      await waitUntil(`${from} to reach several pods by the service's name`, clusterTimeoutsMs.podReady, async () => {
        answers.add(await ask('http://echo/'));
        return answers.size > 1 ? { value: undefined } : `the service answered ${[...answers].join(', ')}`;
      });
      assert.ok([...answers].every((name) => /^echo-[012]$/.test(name)), `the service answered ${[...answers].join(', ')}`);
    }
  });

  await t.test('lets requests in through the ingress controller', async (subtest) => {
    const { ingress } = cluster;
    if (ingress === undefined) {
      subtest.skip('nobody said where the ingress controller of this cluster answers: set SHOAL_INGRESS');
      return;
    }
    const answer = await waitUntil(`${host} to be answered at ${ingress}`, clusterTimeoutsMs.podReady, async () => {
      const { status, text } = await getThrough(ingress, host);
      return status === 200 ? { value: text } : `the answer is ${status} ${text}`;
    });
    assert.match(answer, /^echo-[012]$/);
    // Another node's proxy may answer, to which the controller has not said anything yet.
    await waitUntil('404 for a host that nobody has', clusterTimeoutsMs.podReady, async () => {
      const { status } = await getThrough(ingress, 'nobody.shoal.test');
      return status === 404 ? { value: undefined } : `the answer is ${status}`;
    });
  });
});
