/**
 * Aim: nobody gets in sideways. On the internal port: who has no certificate of the installation is refused, and who has one
 * does what its role is for. With the token of a real data pod: rule G1, and nothing else. And nothing listens but what is
 * meant to.
 */
// Labels: core, security

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { makeAuthority, makeLeaf } from '../../../operator/certificates/x509.ts';
import { createPrivateKey } from 'node:crypto';
import type { PodService } from '../../../pods/domain/pod-service.ts';
import { systemClock } from '../../../pods/kernel/clock.ts';
import { silentLogger } from '../../../pods/kernel/logger.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { noSpan } from '../../../pods/kernel/span.ts';
import { KubeClient } from '../../../pods/kube/client.ts';
import { kubeEndpoint } from '../../../pods/kube/endpoint.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { PeerTls } from '../../../pods/wire/peer-tls.ts';
import { PeerTransport } from '../../../pods/wire/peer-transport.ts';
import { kubernetesProgram } from '../../framework/kubernetes/binaries.ts';
import { pause, timeoutsMs } from '../../framework/timeouts.ts';
import { atEnd } from '../../framework/cleanup.ts';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { nobody, node, nothing } from '../harness/echo-servers.ts';
import { collectionReady, installShoal, type Installation } from '../harness/installation.ts';
import { podsOf, readyPods, type Pod } from '../harness/objects.ts';
import { suiteOwner } from '../harness/owner.ts';
import { waitUntil, clusterTimeoutsMs } from '../harness/wait.ts';

const collection = {
  apiVersion: 'shoal.dev/v1alpha1',
  kind: 'VectorCollection',
  metadata: { name: 'guarded' },
  spec: { name: 'guarded', dimension: 2, replication: { replicas: 2, minInSync: 1 }, placement: { pool: 'default' } },
};

await describe('nobody gets in sideways', { concurrency: false }, () => {
  const owner = suiteOwner();
  let cluster: TestCluster;
  let shoal: Installation;
  /** Of a namespace that has nothing to do with the installation. */
  let elsewhere: string;
  let dataPods: readonly Pod[];

  before(async () => {
    cluster = await connectCluster(owner);
    shoal = await installShoal(owner, cluster);
    await cluster.apply([collection], { namespace: shoal.namespace });
    await collectionReady(cluster, shoal.namespace, 'guarded');
    dataPods = await podsOf(cluster, shoal.namespace, 'shoal.dev/role=data-pod');
    elsewhere = await cluster.namespaceFor(owner);
    await cluster.apply([stranger(cluster.image)], { namespace: elsewhere });
    await readyPods(cluster, elsewhere, 'app=stranger', 1);
  });

  const secretText = async (name: string, key: string): Promise<string> => {
    const { data } = await cluster.kubectlJson<{ data: Record<string, string> }>(['get', 'secret', name, '-n', shoal.namespace]);
    return Buffer.from(data[key]!, 'base64').toString();
  };
  const run = async (namespace: string, pod: string, program: string, container?: string): Promise<string> =>
    (await cluster.kubectl(['exec', '-n', namespace, pod, ...(container === undefined ? [] : ['-c', container]), '--', node, '-e', program])).trim();

  test('the internal port: plaintext, no certificate and one of somebody else get nothing', async () => {
    const host = `${dataPods[0]!.metadata.name}.shoal-pods.${shoal.namespace}.svc`;
    const lifetime = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
    const authority = makeAuthority('shoal internal', lifetime);
    const false_ = makeLeaf({ commonName: 'shoal operator', uri: `shoal://${shoal.namespace}/operator`, dnsNames: [], isServer: false }, lifetime, { commonName: 'shoal internal', privateKey: createPrivateKey(authority.key) });
    const real = { certificate: await secretText('shoal-gateway-internal-tls', 'tls.crt'), key: await secretText('shoal-gateway-internal-tls', 'tls.key') };
    /** Until the node's name server knows the pod, the question does not arrive. */
    const asks = (how: 'plaintext' | { readonly cert?: string; readonly key?: string }): Promise<string> =>
      waitUntil(`${host} to hear the stranger`, clusterTimeoutsMs.podReady, async () => {
        const outcome = await run(elsewhere, 'stranger', knock(host, 7600, how));
        return ['answered', 'refused', 'silent'].includes(outcome) ? { value: outcome } : `it ends with ${outcome}`;
      });
    assert.deepEqual(
      { plaintext: await asks('plaintext'), none: await asks({}), ofAnother: await asks({ cert: false_.certificate, key: false_.key }), ofTheInstallation: await asks({ cert: real.certificate, key: real.key }) },
      { plaintext: 'refused', none: 'refused', ofAnother: 'refused', ofTheInstallation: 'answered' },
    );
  });

  test('each role does what it is for', async (t) => {
    const pod = dataPods[0]!.metadata.name;
    const signal = AbortSignal.timeout(timeoutsMs.request);
    const tries: Readonly<Record<string, (service: PodService) => Promise<unknown>>> = {
      report: (service) => service.report(signal),
      nudge: (service) => service.nudge('no-shard', signal),
      stopWrites: (service) => service.stopWrites('no-shard', signal),
      snapshot: (service) => service.snapshot({ shardUID: 'no-shard', incarnation: 'none', transfer: 'none', offset: 0 }, signal),
      get: (service) => service.shard({ collectionUID: 'none', shardUID: 'no-shard', epoch: 1 }).get({ signal, span: noSpan }, { ids: ['a'], consistency: { level: 'eventual' }, includeVector: false, includePayload: false }),
    };
    const permitted: Record<string, string[]> = {};
    for (const role of ['pod', 'gateway', 'operator'] as const) {
      // A way of its own: kubectl gives one up whose connection ended without a farewell.
      const port = await forwarded(t, cluster, shoal.namespace, pod, 7600);
      const name = `shoal-${role}-internal-tls`;
      const [certificate, key, authorities] = await Promise.all(['tls.crt', 'tls.key', 'ca.crt'].map(async (file) => Buffer.from(await secretText(name, file))));
      const tls = new PeerTls({ certificate: certificate!, key: key!, authorities: authorities! }, { namespace: shoal.namespace, requireRoles: true, serverName: `${pod}.shoal-pods.${shoal.namespace}.svc` });
      const self = { role: role === 'pod' ? ('pod' as const) : ('gateway' as const), name: `stranger-${role}`, podUID: '', session: systemRandom.uuid() };
      const transport = new PeerTransport({ self, resolve: () => `127.0.0.1:${port}`, tls, clock: systemClock, random: systemRandom, logger: silentLogger });
      permitted[role] = [];
      for (const [what, ask] of Object.entries(tries)) {
        const outcome = await ask(transport.pod(pod)).then(() => 'OK', (error: unknown) => (error as { code: string }).code);
        assert.notEqual(outcome, 'UNAVAILABLE', `${what} by ${role} did not arrive`);
        if (outcome !== 'PERMISSION_DENIED') permitted[role].push(what);
      }
      transport.close();
    }
    assert.deepEqual(permitted, { pod: ['report', 'snapshot'], gateway: ['report', 'get'], operator: ['report', 'nudge', 'stopWrites'] });
  });

  test('rule G1, with the tokens of real pods', async (t) => {
    const shards = (await cluster.kubectlJson<{ items: VectorShard[] }>(['get', 'vectorshards', '-n', shoal.namespace])).items;
    const shard = shards.find(({ spec }) => spec.collection.name === 'guarded')!;
    const primary = shard.status!.authority!.primary.pod;
    const backup = shard.status!.authority!.inSync.map(({ pod }) => pod).find((pod) => pod !== primary)!;
    const tokenOf = (pod: string): Promise<string> => run(shoal.namespace, pod, "process.stdout.write(require('node:fs').readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8'))");
    const clientOf = tokenClients(t, cluster);
    const [leading, following] = [await clientOf(await tokenOf(primary)), await clientOf(await tokenOf(backup))];
    const unbound = await clientOf((await cluster.kubectl(['create', 'token', 'shoal-pod', '-n', shoal.namespace])).trim());
    const path = `/apis/shoal.dev/v1alpha1/namespaces/${shoal.namespace}/vectorshards/${shard.metadata.name}`;
    const read = async (): Promise<VectorShard> => (await cluster.admin.read(path)) as VectorShard;

    /** PUT of what is there, changed; again where somebody else was faster. OK, or how it was refused. */
    const put = async (client: KubeClient, where: string, change: (found: VectorShard) => object): Promise<string> => {
      for (let attempt = 0; attempt < 10; attempt++) {
        try {
          await client.write({ method: 'PUT', path: path + where, body: change(await read()) });
          return 'OK';
        } catch (error) {
          const { code, message } = error as { code: string; message: string };
          if (code !== 'CONFLICT') return /G1: [^"]+/.exec(message)?.[0] ?? code;
        }
      }
      return 'CONFLICT';
    };
    const nonce = (found: VectorShard): object => ({ ...found, status: { ...found.status, nonce: systemRandom.uuid() } });
    const another = (found: VectorShard): object => {
      const authority = found.status!.authority!;
      const successor = dataPods.find(({ metadata }) => metadata.name === backup)!;
      const member = authority.inSync.find(({ pod }) => pod === backup)!;
      return { ...found, status: { ...found.status, authority: { ...authority, term: authority.term + 1, primary: { ...member, podUID: successor.metadata.uid, session: systemRandom.uuid() } } } };
    };
    const sent = (client: KubeClient, request: Parameters<KubeClient['write']>[0]): Promise<string> => client.write(request).then(() => 'OK', (error: unknown) => (error as { code: string }).code);
    const before_ = await read();
    const { resourceVersion: _, uid: __, ...metadata } = before_.metadata;
    assert.deepEqual(
      {
        primaryItsStatus: await put(leading, '/status', nonce),
        primaryAnotherPrimary: await put(leading, '/status', another),
        backupStatus: await put(following, '/status', nonce),
        backupPrimaryItself: await put(following, '/status', another),
        withoutPod: await put(unbound, '/status', nonce),
        primarySpec: await put(leading, '', (found) => ({ ...found, spec: { ...found.spec, replicas: [primary] } })),
        primaryPatch: await sent(leading, { method: 'PATCH', path: `${path}/status`, contentType: 'application/merge-patch+json', body: { status: { nonce: 'x' } } }),
        primaryDelete: await sent(leading, { method: 'DELETE', path }),
        primaryCreate: await sent(leading, { method: 'POST', path: path.slice(0, path.lastIndexOf('/')), body: { ...before_, metadata: { ...metadata, name: 'another' } } }),
      },
      {
        primaryItsStatus: 'OK',
        primaryAnotherPrimary: 'G1: a data pod never changes term or primary',
        backupStatus: "G1: this pod is not the shard's primary",
        backupPrimaryItself: "G1: this pod is not the shard's primary",
        withoutPod: "G1: this pod is not the shard's primary",
        primarySpec: 'PERMISSION_DENIED',
        primaryPatch: 'PERMISSION_DENIED',
        primaryDelete: 'PERMISSION_DENIED',
        primaryCreate: 'PERMISSION_DENIED',
      },
    );
    for (const refused of ['/api/v1/namespaces/kube-system/secrets', `/api/v1/namespaces/${shoal.namespace}/secrets/shoal-internal-ca`, `/api/v1/namespaces/${shoal.namespace}/pods`, `/apis/shoal.dev/v1alpha1/namespaces/${elsewhere}/vectorshards`]) {
      await assert.rejects(leading.read(refused), { code: 'PERMISSION_DENIED' }, refused);
    }

    // Its successor has the name, and neither the token nor the right of the one before.
    await cluster.kubectl(['delete', 'pod', backup, '-n', shoal.namespace], { timeoutMs: clusterTimeoutsMs.deletion });
    await waitUntil('the token of a deleted pod to be void', clusterTimeoutsMs.rollout, async () => {
      const outcome = await following.read(path).then(() => 'OK', (error: unknown) => (error as { code: string }).code);
      return outcome === 'UNAUTHENTICATED' ? { value: undefined } : `it is answered ${outcome}`;
    });
    await readyPods(cluster, shoal.namespace, 'shoal.dev/role=data-pod', dataPods.length);
  });

  test('nothing listens but what is meant to, and metrics of gateways want a key', async () => {
    const listens = async (selector: string): Promise<string[]> => {
      const [pod] = await readyPodsOf(selector);
      const tables = await run(shoal.namespace, pod!.metadata.name, "for (const t of ['tcp', 'tcp6']) process.stdout.write(require('node:fs').readFileSync('/proc/net/' + t, 'utf8'))");
      const ports = [...tables.matchAll(/^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A /gm)].map(([, address, port]) => `${/^0100007F$|01000000$/.test(address!) ? 'loopback' : 'any'}:${Number.parseInt(port!, 16)}`);
      return [...new Set(ports)].sort();
    };
    const readyPodsOf = async (selector: string): Promise<readonly Pod[]> => {
      const pods = await podsOf(cluster, shoal.namespace, selector);
      return readyPods(cluster, shoal.namespace, selector, pods.length);
    };
    assert.deepEqual(
      { pod: await listens('shoal.dev/role=data-pod'), gateway: await listens('app.kubernetes.io/component=gateway'), operator: await listens('app.kubernetes.io/component=operator') },
      { pod: ['any:7600', 'any:8081'], gateway: ['any:50051', 'any:8080'], operator: ['any:8081'] },
    );
    const [gateway] = await readyPodsOf('app.kubernetes.io/component=gateway');
    const statusOf = (address: string): string => `fetch('http://${address}').then(({ status }) => process.stdout.write(String(status)), () => process.stdout.write('refused'))`;
    const gatewayMetrics = await run(elsewhere, 'stranger', statusOf(`${gateway!.status.podIP}:8080/metrics`));
    // Where the network enforces policies, a stranger does not get as far as that.
    assert.match(gatewayMetrics, /^(401|refused)$/);
    const pods = await readyPodsOf('shoal.dev/role=data-pod');
    const text = await run(shoal.namespace, pods[0]!.metadata.name, "fetch('http://127.0.0.1:8081/metrics').then((answer) => answer.text()).then((text) => process.stdout.write(text))");
    assert.match(text, /^shoal_certificate_remaining_days\{certificate="internal"\} (29\.\d+|30)/m);
  });
});



function stranger(image: string): object {
  const container = { name: 'stranger', image, imagePullPolicy: 'IfNotPresent', command: [node, '-e', 'setInterval(() => undefined, 1_000)'], securityContext: nothing };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'stranger', labels: { app: 'stranger' } }, spec: { securityContext: nobody, terminationGracePeriodSeconds: 0, containers: [container] } };
}

/** Begins HTTP/2 there, and prints `answered` when the other side does, `refused` when it ends the connection or is silent. */
function knock(host: string, port: number, how: 'plaintext' | { readonly cert?: string; readonly key?: string }): string {
  return `
    const preface = Buffer.from('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\u0004\\0\\0\\0\\0\\0', 'latin1');
    const how = ${JSON.stringify(how)};
    const end = (outcome) => { process.stdout.write(outcome); process.exit(0); };
    const to = { host: ${JSON.stringify(host)}, port: ${port} };
    const socket = how === 'plaintext' ? require('node:net').connect(to) : require('node:tls').connect({ ...to, ...how, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    socket.on(how === 'plaintext' ? 'connect' : 'secureConnect', () => socket.write(preface));
    socket.on('data', () => end('answered'));
    socket.on('error', (error) => (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED/.test(String(error.code)) ? end(String(error.code)) : end('refused')));
    socket.on('close', () => end('refused'));
    setTimeout(() => end('silent'), 10_000);`;
}

/** A port of this machine that leads to one of the pod. */
async function forwarded(t: Parameters<typeof atEnd>[0], cluster: TestCluster, namespace: string, pod: string, port: number): Promise<number> {
  const forwarding: ChildProcess = spawn(await kubernetesProgram('kubectl'), ['--kubeconfig', cluster.kubeconfig, 'port-forward', '-n', namespace, `pod/${pod}`, `:${port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(t, () => void forwarding.kill('SIGTERM'));
  let said = '';
  for (const stream of [forwarding.stdout!, forwarding.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  for (let waitedMs = 0; waitedMs < timeoutsMs.serverStart; waitedMs += 100) {
    const local = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    if (local !== undefined) return Number(local);
    await pause(100);
  }
  throw new Error(`kubectl port-forward said: ${said}`);
}

/** Clients that are who a token says, and nobody else: without the administrator's certificate. */
function tokenClients(t: Parameters<typeof atEnd>[0], cluster: TestCluster): (token: string) => Promise<KubeClient> {
  return async (token) => {
    const { clusters } = await cluster.kubectlJson<{ clusters: { cluster: object }[] }>(['config', 'view', '--raw', '--minify']);
    const directory = await mkdtemp(join(tmpdir(), 'shoal-token-'));
    atEnd(t, () => rm(directory, { recursive: true, force: true }));
    const kubeconfig = join(directory, 'kubeconfig');
    const name = 'token';
    await writeFile(kubeconfig, JSON.stringify({ apiVersion: 'v1', kind: 'Config', clusters: [{ name, cluster: clusters[0]!.cluster }], users: [{ name, user: { token } }], contexts: [{ name, context: { cluster: name, user: name } }], 'current-context': name }), { mode: 0o600 });
    const client = new KubeClient({ endpoint: await kubeEndpoint({ kubeconfig }), clock: systemClock, random: systemRandom, timeoutMs: timeoutsMs.request });
    atEnd(t, () => client.endpoint.agent.destroy());
    return client;
  };
}
