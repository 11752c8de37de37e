/**
 * A real Kubernetes API: etcd and kube-apiserver on ports of this machine that they can come back to, in a temporary
 * directory, RBAC on. There are no nodes and no controllers: pods are objects only, and nothing but the API server itself
 * acts upon what is stored.
 */

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeClient } from '../../../pods/kube/client.ts';
import { kubeEndpoint } from '../../../pods/kube/endpoint.ts';
import { send } from '../../../pods/kube/request.ts';
import { systemClock } from '../../../pods/kernel/clock.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { eventually, timeoutsMs } from '../timeouts.ts';
import { fixedPorts } from '../cluster/fixed-ports.ts';
import { applyManifests, type Manifest } from './apply.ts';
import { kubernetesProgram } from './binaries.ts';
import { renderChart } from './chart.ts';
import { startProcess, type ControlPlaneProcess } from './process.ts';

export interface Kubernetes {
  /** Path of a kubeconfig with every right. */
  readonly kubeconfig: string;
  readonly url: string;
  /** Path of the certificate that its own is checked with. */
  readonly ca: string;
  readonly adminToken: string;
  /** With every right; for what a suite sets up and looks at. */
  readonly admin: KubeClient;
  readonly apiServerPid: number;
  /** Ends the API server; etcd and what it holds stay. SIGTERM lets it say goodbye to watchers, SIGKILL does not. */
  stopApiServer(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts it again at the same address. */
  startApiServer(): Promise<void>;
  /** Neither answers nor closes connections, until `resumeApiServer`. */
  pauseApiServer(): void;
  resumeApiServer(): void;
  /** Stops all, copies what etcd holds, and starts again; the copy's path. */
  backUpStore(): Promise<string>;
  /** Stops all, puts the copy in the place of what etcd holds, and starts again: whatever came later is gone. */
  restoreStore(backup: string): Promise<void>;
  /** Creates or replaces the objects of YAML files (`shoalManifests`) or of the suite's own. */
  apply(...manifests: readonly (string | Manifest)[]): Promise<void>;
  /**
   * What a data pod of this name has: makes the pod's object and its service account if they are missing, and a token
   * bound to both. Deleting the pod's object ends the token.
   */
  podToken(podName: string, options?: { readonly namespace?: string; readonly serviceAccount?: string; readonly labels?: Readonly<Record<string, string>> }): Promise<PodIdentity>;
  /** Path of a kubeconfig for any token; `server` where it is reached another way, through a proxy of the suite's own. */
  kubeconfigFor(token: string, options?: { readonly namespace?: string; readonly server?: string }): Promise<string>;
  close(): Promise<void>;
}

export interface PodIdentity {
  readonly token: string;
  readonly podUID: string;
  /** Path. */
  readonly kubeconfig: string;
}

/** The name that the admission policy knows data pods by. */
export const dataPodServiceAccount = 'shoal-pod';

const accessKinds = ['ServiceAccount', 'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'];

/** What an installation brings along that works without nodes: the kinds of objects, and what each process may do with them. */
export async function shoalManifests(): Promise<readonly Manifest[]> {
  const objects = await renderChart();
  return objects.filter(({ kind, metadata }) => (kind === 'CustomResourceDefinition' || accessKinds.includes(kind)) && metadata.annotations?.['helm.sh/hook'] === undefined);
}

/** `address`: of this machine, where the API server listens. */
export async function startKubernetes({ address = '127.0.0.1' }: { readonly address?: string } = {}): Promise<Kubernetes> {
  const programs = { etcd: await kubernetesProgram('etcd'), apiServer: await kubernetesProgram('kube-apiserver') };
  const directory = await mkdtemp(join(tmpdir(), 'shoal-kubernetes-'));
  const [etcdPort, peerPort, apiPort] = (await fixedPorts(3)) as [number, number, number];
  const adminToken = randomBytes(24).toString('hex');
  const files = await writeFiles(directory, adminToken);
  const url = `https://${address}:${apiPort}`;
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;

  const store = join(directory, 'etcd');
  const etcdFlags = {
    'data-dir': store,
    'listen-client-urls': etcdUrl,
    'advertise-client-urls': etcdUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    'log-level': 'warn',
  };
  let etcd = startProcess(programs.etcd, etcdFlags);
  const apiServerFlags = {
    'etcd-servers': etcdUrl,
    'bind-address': address,
    'secure-port': String(apiPort),
    // It signs its own certificate, and keeps it here over restarts.
    'cert-dir': files.certificates,
    'endpoint-reconciler-type': 'none',
    'service-cluster-ip-range': '10.96.0.0/16',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': files.serviceAccountPublicKey,
    'service-account-signing-key-file': files.serviceAccountKey,
    'token-auth-file': files.tokens,
    'authorization-mode': 'RBAC',
    // Goes at once when it is told to: no load balancer waits for it.
    'shutdown-delay-duration': '0s',
  };
  let apiServer: ControlPlaneProcess | undefined;
  let client: KubeClient | undefined;
  let kubeconfigCount = 0;
  const kubeconfig = await kubeconfigFor(adminToken);

  async function startApiServer(): Promise<void> {
    if (apiServer !== undefined && !apiServer.hasEnded) return;
    const started = (apiServer = startProcess(programs.apiServer, apiServerFlags));
    await eventually(timeoutsMs.serverStart, 'the API server', async () => {
      for (const part of [etcd, started]) if (part.hasEnded) throw new Error(`the control plane did not start:\n${part.output}`);
      return (await isReady(kubeconfig)) ? true : undefined;
    });
  }

  /** Does something with the store while nobody uses it. */
  async function whileStopped(work: () => Promise<void>): Promise<void> {
    await apiServer?.end('SIGKILL');
    await etcd.end('SIGTERM');
    await work();
    etcd = startProcess(programs.etcd, etcdFlags);
    await startApiServer();
  }

  async function close(): Promise<void> {
    await apiServer?.end('SIGKILL');
    await etcd.end('SIGKILL');
    client?.endpoint.agent.destroy();
    if (process.env['SHOAL_KEEP'] !== '1') await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  async function kubeconfigFor(token: string, { namespace = 'default', server = url }: { readonly namespace?: string; readonly server?: string } = {}): Promise<string> {
    const path = join(directory, `kubeconfig-${++kubeconfigCount}.json`);
    const name = 'shoal-e2e';
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster: { server, 'certificate-authority': files.ca } }],
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster: name, user: name, namespace } }],
      'current-context': name,
    };
    await writeFile(path, JSON.stringify(config, undefined, 2), { mode: 0o600 });
    return path;
  }

  try {
    await startApiServer();
    const admin = (client = new KubeClient({ endpoint: await kubeEndpoint({ kubeconfig }), clock: systemClock, random: systemRandom, timeoutMs: timeoutsMs.request }));
    await eventually(timeoutsMs.serverStart, 'namespace default', () => admin.read('/api/v1/namespaces/default'));
    return {
      kubeconfig,
      url,
      ca: files.ca,
      adminToken,
      admin,
      get apiServerPid() {
        return apiServer!.pid;
      },
      stopApiServer: async (signal = 'SIGTERM') => apiServer!.end(signal),
      startApiServer,
      pauseApiServer: () => apiServer!.signal('SIGSTOP'),
      resumeApiServer: () => apiServer!.signal('SIGCONT'),
      async backUpStore() {
        const backup = await mkdtemp(join(directory, 'backup-'));
        await whileStopped(() => cp(store, backup, { recursive: true }));
        return backup;
      },
      restoreStore: (backup) =>
        whileStopped(async () => {
          await rm(store, { recursive: true });
          await cp(backup, store, { recursive: true });
        }),
      apply: (...manifests) => applyManifests(admin, manifests),
      async podToken(podName, { namespace = 'default', serviceAccount = dataPodServiceAccount, labels = {} } = {}) {
        const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: serviceAccount, namespace } };
        const container = { name: 'shoal', image: 'shoal' };
        const spec = { serviceAccountName: serviceAccount, containers: [container] };
        const core = `/api/v1/namespaces/${namespace}`;
        if ((await admin.read(`${core}/serviceaccounts/${serviceAccount}`)) === undefined) await admin.write({ method: 'POST', path: `${core}/serviceaccounts`, body: account });
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: podName, namespace, labels }, spec };
        const present = (await admin.read(`${core}/pods/${podName}`)) ?? (await admin.write({ method: 'POST', path: `${core}/pods`, body: pod }));
        const podUID = (present as { metadata: { uid: string } }).metadata.uid;
        const request = {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: { expirationSeconds: 86_400, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: podName, uid: podUID } },
        };
        const made = await admin.write({ method: 'POST', path: `${core}/serviceaccounts/${serviceAccount}/token`, body: request });
        const { token } = (made as { status: { token: string } }).status;
        return { token, podUID, kubeconfig: await kubeconfigFor(token, { namespace }) };
      },
      kubeconfigFor,
      close,
    };
  } catch (error) {
    const output = [etcd, apiServer].map((part) => part?.output ?? '').join('\n');
    await close();
    throw new Error(`the control plane did not start:\n${output}`, { cause: error });
  }
}

interface ControlPlaneFiles {
  readonly certificates: string;
  readonly ca: string;
  readonly tokens: string;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
}

async function writeFiles(directory: string, adminToken: string): Promise<ControlPlaneFiles> {
  const certificates = join(directory, 'certificates');
  await mkdir(certificates, { recursive: true });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const files: ControlPlaneFiles = {
    certificates,
    // The name under which the API server keeps the certificate that it signs for itself.
    ca: join(certificates, 'apiserver.crt'),
    tokens: join(directory, 'tokens.csv'),
    serviceAccountKey: join(directory, 'service-accounts.key'),
    serviceAccountPublicKey: join(directory, 'service-accounts.pub'),
  };
  await writeFile(files.tokens, `${adminToken},admin,admin,system:masters\n`, { mode: 0o600 });
  await writeFile(files.serviceAccountKey, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(files.serviceAccountPublicKey, publicKey.export({ type: 'spki', format: 'pem' }));
  return files;
}

async function isReady(kubeconfig: string): Promise<boolean> {
  try {
    // Fails while the API server has not written its certificate yet.
    const endpoint = await kubeEndpoint({ kubeconfig });
    const answer = await send(endpoint, systemClock, timeoutsMs.request, { method: 'GET', path: '/readyz' });
    answer.resume();
    endpoint.agent.destroy();
    return answer.statusCode === 200;
  } catch {
    return false;
  }
}
