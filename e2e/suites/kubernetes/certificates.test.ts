/**
 * Aim: with the rights that the chart gives it and no other, the operator makes, repairs and replaces the internal
 * certificates in a real API, also when two operators do so at once; and neither pods nor gateways read any of their keys.
 */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CertificateKeeper } from '../../../operator/certificates/certificate-keeper.ts';
import { kubeSecretStore } from '../../../operator/certificates/kube-secret-store.ts';
import { certificateSecret, certifiedRoles } from '../../../operator/certificates/roles.ts';
import { authoritySecret, type RotationTimes } from '../../../operator/certificates/rotation.ts';
import { bundleIn, rotateAnnotation, textOf } from '../../../operator/certificates/secrets.ts';
import type { SeenSecret } from '../../../operator/observe/objects.ts';
import { ObjectWriter } from '../../../operator/runtime/apply.ts';
import { systemClock, type Clock } from '../../../pods/kernel/clock.ts';
import { silentLogger } from '../../../pods/kernel/logger.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { KubeClient } from '../../../pods/kube/client.ts';
import { kubeEndpoint } from '../../../pods/kube/endpoint.ts';
import { shoalManifests, startKubernetes, type Kubernetes } from '../../framework/kubernetes/kubernetes.ts';
import { timeoutsMs } from '../../framework/timeouts.ts';

const hour = 3_600_000;
const times: RotationTimes = { leafMs: 720 * hour, authorityMs: 43_800 * hour, overlapMs: 24 * hour };
const secretNames = [authoritySecret, ...certifiedRoles.map(certificateSecret)];
const path = (name: string): string => `/api/v1/namespaces/default/secrets/${name}`;

let kubernetes: Kubernetes;
const clients: KubeClient[] = [];
let podCount = 0;
before(async () => {
  kubernetes = await startKubernetes();
  await kubernetes.apply(...(await shoalManifests()));
});
after(async () => {
  for (const { endpoint } of clients) endpoint.agent.destroy();
  await kubernetes.close();
});

/** As a pod of this service account. */
async function clientOf(serviceAccount: string): Promise<KubeClient> {
  const { kubeconfig } = await kubernetes.podToken(`${serviceAccount}-${++podCount}`, { serviceAccount });
  const client = new KubeClient({ endpoint: await kubeEndpoint({ kubeconfig }), clock: systemClock, random: systemRandom, timeoutMs: timeoutsMs.request });
  clients.push(client);
  return client;
}

async function operator(aheadMs = 0): Promise<CertificateKeeper> {
  const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
  return new CertificateKeeper({ store: kubeSecretStore(new ObjectWriter(await clientOf('shoal-operator'), 'default')), namespace: 'default', times, clock, logger: silentLogger });
}

const read = async (name: string): Promise<SeenSecret> => (await kubernetes.admin.read(path(name))) as SeenSecret;

/** That each certificate comes from the current authority, and what each is told to trust. */
async function trusted(): Promise<string[]> {
  const authority = await read(authoritySecret);
  const current = new X509Certificate(textOf(authority, 'current.crt')!);
  const bundles = new Set<string>();
  for (const role of certifiedRoles) {
    const secret = await read(certificateSecret(role));
    assert.equal(new X509Certificate(textOf(secret, 'tls.crt')!).verify(current.publicKey), true, role);
    bundles.add(bundleIn(secret).map(({ fingerprint256 }) => fingerprint256).join());
  }
  assert.equal(bundles.size, 1, 'all are told to trust the same');
  return [...bundles][0]!.split(',');
}

test('two operators at once make one authority and one certificate for each role', async () => {
  const operators = await Promise.all([operator(), operator()]);
  await Promise.all(operators.map((each) => each.look()));
  await operators[0]!.look();
  assert.deepEqual(await trusted(), [new X509Certificate(textOf(await read(authoritySecret), 'current.crt')!).fingerprint256]);
  const versions = await Promise.all(secretNames.map(async (name) => (await read(name)).metadata.resourceVersion));
  await Promise.all(operators.map((each) => each.look()));
  assert.deepEqual(await Promise.all(secretNames.map(async (name) => (await read(name)).metadata.resourceVersion)), versions, 'nothing is written where nothing is to be done');
});

test('a Secret that was deleted comes back', async () => {
  await kubernetes.admin.write({ method: 'DELETE', path: path(certificateSecret('gateway')) });
  await (await operator()).look();
  assert.equal((await trusted()).length, 1);
});

test('another authority is asked for by annotation, and takes the place of the first', async () => {
  const [first] = await trusted();
  const authority = await read(authoritySecret);
  await kubernetes.admin.write({ method: 'PUT', path: path(authoritySecret), body: { ...authority, metadata: { ...authority.metadata, annotations: { [rotateAnnotation]: 'now' } } } });
  await Promise.all([operator(), operator()].map(async (each) => (await each).look()));
  const both = await trusted();
  assert.deepEqual([both.length, both[0]], [2, first]);
  await (await operator(25 * hour)).look();
  assert.equal((await trusted()).length, 2);
  await (await operator(50 * hour)).look();
  assert.deepEqual(await trusted(), both.slice(1));
});

test('neither pods nor gateways read or write a key', async () => {
  for (const account of ['shoal-pod', 'shoal-gateway']) {
    const client = await clientOf(account);
    for (const name of secretNames) {
      await assert.rejects(client.read(path(name)), { code: 'PERMISSION_DENIED' }, `${account} reads ${name}`);
      await assert.rejects(client.write({ method: 'PUT', path: path(name), body: await read(name) }), { code: 'PERMISSION_DENIED' });
      await assert.rejects(client.write({ method: 'DELETE', path: path(name) }), { code: 'PERMISSION_DENIED' });
    }
  }
  const operating = await clientOf('shoal-operator');
  await assert.rejects(operating.read('/api/v1/namespaces/default/secrets'), { code: 'PERMISSION_DENIED' });
  await assert.rejects(operating.read(path('shoal-api-keys')), { code: 'PERMISSION_DENIED' });
});
