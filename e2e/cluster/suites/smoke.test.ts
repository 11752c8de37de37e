/**
 * That a cluster is one: the image runs as nobody on a file system that it cannot write, volumes are there on every node,
 * names and services are answered across nodes, and the ingress controller reaches a pod. Everything else builds upon this.
 */
// Labels: core, smoke

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { projectVersion } from '../images/shoal-image.ts';
import { connectCluster } from '../harness/connect.ts';
import { readyPods, type Pod } from '../harness/objects.ts';
import { clusterTimeoutsMs, waitUntil } from '../harness/wait.ts';

const node = '/usr/local/bin/node';
const nobody = {
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};
const nothing = { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
const labels = { app: 'smoke' };
const host = 'smoke.shoal.test';

/** Answers its name, which it has written to its volume. */
const serverProgram = `
  const { readFileSync, writeFileSync } = require('node:fs');
  writeFileSync('/data/name', process.env.POD_NAME);
  require('node:http').createServer((_, answer) => answer.end(readFileSync('/data/name'))).listen(8080);`;

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
    await cluster.apply(objects(cluster.image), { namespace });
    const pods = await readyPods(cluster, namespace, 'app=smoke', 3);
    assert.equal(new Set(pods.map(({ spec }) => spec.nodeName)).size, 3);
    // The volume comes back with the pod of that name.
    await cluster.kubectl(['exec', '-n', namespace, 'smoke-0', '--', node, '-e', "require('node:fs').writeFileSync('/data/kept', 'kept')"]);
    await cluster.kubectl(['delete', 'pod', 'smoke-0', '-n', namespace, '--grace-period=1'], { timeoutMs: clusterTimeoutsMs.deletion });
    await readyPods(cluster, namespace, 'app=smoke', 3);
    assert.equal(await cluster.kubectl(['exec', '-n', namespace, 'smoke-0', '--', node, '-p', "require('node:fs').readFileSync('/data/kept', 'utf8')"]), 'kept\n');
  });

  await t.test('answers names and services across nodes', async () => {
    for (const from of ['smoke-0', 'smoke-1', 'smoke-2']) {
      const ask = async (url: string): Promise<string> => {
        const program = `fetch(${JSON.stringify(url)}).then((answer) => answer.text()).then((text) => process.stdout.write(text))`;
        return cluster.kubectl(['exec', '-n', namespace, from, '--', node, '-e', program]);
      };
      for (const to of ['smoke-0', 'smoke-1', 'smoke-2']) assert.equal(await ask(`http://${to}.smoke-pods.${namespace}.svc:8080/`), to);
      const answers = new Set<string>();
      for (let i = 0; i < 30 && answers.size < 2; i++) answers.add(await ask('http://smoke/'));
      assert.ok([...answers].every((name) => /^smoke-[012]$/.test(name)) && answers.size > 1, `the service answered ${[...answers].join(', ')}`);
    }
  });

  await t.test('lets requests in through the ingress controller', async (subtest) => {
    const { ingress } = cluster;
    if (ingress === undefined) {
      subtest.skip('nobody said where the ingress controller of this cluster answers: set SHOAL_INGRESS');
      return;
    }
    const answer = await waitUntil(`${host} to be answered at ${ingress}`, clusterTimeoutsMs.podReady, async () => {
      const { status, text } = await get(ingress, host);
      return status === 200 ? { value: text } : `the answer is ${status} ${text}`;
    });
    assert.match(answer, /^smoke-[012]$/);
    assert.equal((await get(ingress, 'nobody.shoal.test')).status, 404);
  });
});

function get(ingress: string, hostName: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const [address, port = '80'] = ingress.split(':');
    const asked = request({ host: address, port, path: '/', headers: { host: hostName }, timeout: 5_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    asked.once('timeout', () => asked.destroy(new Error('no answer within 5 s')));
    asked.once('error', reject);
    asked.end();
  });
}

function objects(image: string): object[] {
  const container = {
    name: 'server',
    image,
    imagePullPolicy: 'IfNotPresent',
    command: [node, '-e', serverProgram],
    env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
    securityContext: nothing,
  };
  const spread = { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: labels } };
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'smoke-pods' }, spec: { clusterIP: 'None', selector: labels, ports: [{ port: 8080 }] } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'smoke' }, spec: { selector: labels, ports: [{ port: 80, targetPort: 'http' }] } },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name: 'smoke' },
      spec: { rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'smoke', port: { number: 80 } } } }] } }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'smoke' },
      spec: {
        serviceName: 'smoke-pods',
        replicas: 3,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { securityContext: { ...nobody, fsGroup: 65_532 }, terminationGracePeriodSeconds: 1, topologySpreadConstraints: [spread], containers: [container] },
        },
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOncePod'], resources: { requests: { storage: '16Mi' } } } }],
      },
    },
  ];
}
