/**
 * An operator at work on a Kubernetes API without nodes. What nodes and Kubernetes' own controllers would do is done here as
 * far as the operator can see it: StatefulSets get pods, pods are processes on this machine with a volume and a token of
 * their own, which are started again when they end by themselves, and their conditions say what their readiness probe and
 * gate say.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../../../pods/kernel/errors.ts';
import type { KubeClient } from '../../../../pods/kube/client.ts';
import type { KubeMetadata } from '../../../../pods/metadata/kube-metadata.ts';
import { atEnd, type Owner } from '../../../framework/cleanup.ts';
import { ClusterProcess } from '../../../framework/cluster/cluster-process.ts';
import { fixedPorts } from '../../../framework/cluster/fixed-ports.ts';
import { logExcerpt } from '../../../framework/cluster/log-excerpt.ts';
import { shoalManifests, startKubernetes, type Kubernetes } from '../../../framework/kubernetes/kubernetes.ts';
import { metadataOf } from '../../../framework/kubernetes/metadata.ts';
import { temporaryDirectory } from '../../../framework/temporary-directory.ts';
import { eventually, pause, timeoutsMs } from '../../../framework/timeouts.ts';

export interface Installation {
  readonly kubernetes: Kubernetes;
  readonly admin: KubeClient;
  /** With every right. */
  readonly metadata: KubeMetadata;
  /** Not started. Each has a name of its own. With `restarts` it is started again when it ends by itself, as one does that could not renew its Lease. */
  operator(name: string, options?: { readonly restarts: boolean }): Promise<OperatorProcess>;
  /** The process of a pod that runs. */
  podProcess(pod: string): ClusterProcess | undefined;
  explain(t: Owner): void;
}

export interface OperatorProcess extends ClusterProcess {
  readonly statusUrl: string;
}

interface Metadata {
  readonly name: string;
  readonly uid: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly { readonly uid: string }[];
}

interface StatefulSet {
  readonly metadata: Metadata;
  readonly spec: { readonly replicas: number; readonly template: { readonly metadata: { readonly labels: Readonly<Record<string, string>> } }; readonly volumeClaimTemplates: readonly { readonly metadata: { readonly labels: object }; readonly spec: object }[] };
}

interface Pod {
  readonly metadata: Metadata;
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

interface Place {
  readonly port: number;
  readonly statusPort: number;
}

const namespace = 'default';
const core = `/api/v1/namespaces/${namespace}`;
const lookPauseMs = 200;
const orphanLooksMax = 15;
const nodeNames = ['node-a', 'node-b', 'node-c'];

/** `pods`: names of all the pods that there will ever be, since where they listen has to be known beforehand. */
export async function startInstallation(t: Owner, { pods }: { readonly pods: readonly string[] }): Promise<Installation> {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'logs'));
  const kubernetes = await startKubernetes();
  atEnd(t, () => kubernetes.close());
  await kubernetes.apply(...(await shoalManifests()));
  const { admin } = kubernetes;
  const metadata = await metadataOf(t, kubernetes.kubeconfig);
  const ports = await fixedPorts(2 * pods.length);
  const places = new Map<string, Place>(pods.map((name) => [name, { port: ports.pop()!, statusPort: ports.pop()! }]));
  const podAddresses = [...places].map(([name, { port }]) => `${name}=127.0.0.1:${port}`).join(',');
  const common = ['--namespace', namespace, '--pod-addresses', podAddresses];

  const all: ClusterProcess[] = [];
  const restarting: ClusterProcess[] = [];
  const running = new Map<string, ClusterProcess>();
  atEnd(t, () => Promise.all(all.map((each) => each.kill())));
  for (const [index, name] of nodeNames.entries()) await makeNode(admin, name, `zone-${index}`);
  const stop = new AbortController();
  const nodes = runNodes({ admin, kubernetes, directory, places, common, running, restarting, all, withoutSet: new Map() }, stop.signal);
  atEnd(t, async () => {
    stop.abort();
    await nodes;
  });
  const explain = (test: Owner): void =>
    atEnd(test, () => {
      if (test.passed === false) process.stderr.write(`\nthe last that the processes logged:\n${logExcerpt(all, 150)}\n\n`);
    });
  return {
    kubernetes,
    admin,
    metadata,
    async operator(name, { restarts } = { restarts: false }) {
      const { kubeconfig } = await kubernetes.podToken(name, { serviceAccount: 'shoal-operator' });
      const [statusPort] = (await fixedPorts(1)) as [number];
      const statusUrl = `http://127.0.0.1:${statusPort}`;
      const flags = ['--image', 'shoal:test', '--no-pod-tls', '--status-port', String(statusPort), '--kubeconfig', kubeconfig, ...common];
      const made = new ClusterProcess({ name, command: 'operator', flags: () => flags, readyUrl: `${statusUrl}/readyz`, logFile: join(directory, 'logs', `${name}.log`) });
      all.push(made);
      if (restarts) restarting.push(made);
      return Object.assign(made, { statusUrl });
    },
    podProcess: (pod) => running.get(pod),
    explain,
  };
}

interface Nodes {
  readonly admin: KubeClient;
  readonly kubernetes: Kubernetes;
  readonly directory: string;
  readonly places: ReadonlyMap<string, Place>;
  readonly common: readonly string[];
  readonly running: Map<string, ClusterProcess>;
  /** Beside the pods. */
  readonly restarting: readonly ClusterProcess[];
  readonly all: ClusterProcess[];
  /** By pod, how often it was seen without a StatefulSet. */
  readonly withoutSet: Map<string, number>;
}

async function makeNode(admin: KubeClient, name: string, zone: string): Promise<void> {
  const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': zone };
  await admin.write({ method: 'POST', path: '/api/v1/nodes', body: { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } } });
  await admin.write({ method: 'PATCH', path: `/api/v1/nodes/${name}/status`, contentType: 'application/strategic-merge-patch+json', body: { status: { conditions: [{ type: 'Ready', status: 'True' }] } } });
}

async function runNodes(nodes: Nodes, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const each of [...nodes.running.values(), ...nodes.restarting]) if (each.hasFallen) each.spawn();
    try {
      await lookOnce(nodes);
    } catch (error) {
      // While the API server is away, nodes do nothing either.
      if (!signal.aborted && !hasCode(error, 'UNAVAILABLE')) process.stderr.write(`the nodes of the test: ${String(error)}\n`);
    }
    await pause(lookPauseMs);
  }
}

/** Level-triggered, as what it stands for is. */
async function lookOnce(nodes: Nodes): Promise<void> {
  const { admin } = nodes;
  const sets = ((await admin.read(`/apis/apps/v1/namespaces/${namespace}/statefulsets`)) as { items: StatefulSet[] }).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const pods = ((await admin.read(`${core}/pods`, { labelSelector: 'shoal.dev/role=data-pod' })) as { items: Pod[] }).items;
  const wanted = new Map(sets.flatMap((set) => Array.from({ length: set.spec.replicas }, (_, i): [string, StatefulSet] => [`${set.metadata.name}-${i}`, set])));
  for (const [name, set] of wanted) if (!pods.some(({ metadata }) => metadata.name === name)) await makePod(nodes, name, set);
  for (const pod of pods) {
    const { name } = pod.metadata;
    if (wanted.has(name)) {
      nodes.withoutSet.delete(name);
      await statePod(nodes, pod);
      continue;
    }
    // Orphans stay for a while, as they would until the garbage collector looks.
    const looks = (nodes.withoutSet.get(name) ?? 0) + 1;
    nodes.withoutSet.set(name, looks);
    if (looks > orphanLooksMax) await endPod(nodes, name);
  }
  // A volume that is to go goes once no pod uses it.
  const claims = ((await admin.read(`${core}/persistentvolumeclaims`)) as { items: { metadata: Metadata & { finalizers?: string[] } }[] }).items;
  for (const { metadata } of claims) {
    if (metadata.deletionTimestamp !== undefined) await admin.write({ method: 'PATCH', path: `${core}/persistentvolumeclaims/${metadata.name}`, contentType: 'application/merge-patch+json', body: { metadata: { finalizers: null } } });
  }
}

async function makePod({ admin, kubernetes, directory, places, common, running, all }: Nodes, name: string, set: StatefulSet): Promise<void> {
  const place = places.get(name);
  if (place === undefined) throw new Error(`there is no place for ${name}`);
  const claim = `data-${name}`;
  if ((await admin.read(`${core}/persistentvolumeclaims/${claim}`)) === undefined) {
    const [template] = set.spec.volumeClaimTemplates;
    await admin.write({ method: 'POST', path: `${core}/persistentvolumeclaims`, body: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: claim, labels: template!.metadata.labels }, spec: template!.spec } });
  }
  const { podUID, kubeconfig } = await kubernetes.podToken(name, { labels: set.spec.template.metadata.labels });
  const node = nodeNames[Number(name.slice(name.lastIndexOf('-') + 1)) % nodeNames.length];
  await admin.write({ method: 'POST', path: `${core}/pods/${name}/binding`, body: { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { apiVersion: 'v1', kind: 'Node', name: node } } });
  const dataDirectory = join(directory, name);
  const flags = ['--pod-name', name, '--pod-uid', podUID, '--internal-port', String(place.port), '--status-port', String(place.statusPort), '--data-dir', dataDirectory, '--kubeconfig', kubeconfig, ...common];
  const started = new ClusterProcess({ name, command: 'pod', flags: () => flags, readyUrl: readyUrl(place), logFile: join(directory, 'logs', `${name}.log`) });
  all.push(started);
  running.set(name, started);
  started.spawn();
}

async function statePod({ admin, places, running }: Nodes, { metadata, status }: Pod): Promise<void> {
  const answer = running.get(metadata.name)?.isRunning === true ? await fetch(readyUrl(places.get(metadata.name)!), { signal: AbortSignal.timeout(2_000) }).catch(() => undefined) : undefined;
  await answer?.arrayBuffer();
  const gate = status?.conditions?.find(({ type }) => type === 'shoal.dev/in-sync')?.status === 'True';
  const isReady = answer?.ok === true;
  const wanted = [
    { type: 'ContainersReady', status: isReady ? 'True' : 'False' },
    { type: 'Ready', status: isReady && gate ? 'True' : 'False' },
  ];
  if (wanted.every(({ type, status: value }) => status?.conditions?.some((each) => each.type === type && each.status === value))) return;
  await admin.write({ method: 'PATCH', path: `${core}/pods/${metadata.name}/status`, contentType: 'application/strategic-merge-patch+json', body: { metadata: { uid: metadata.uid }, status: { conditions: wanted } } });
}

async function endPod({ admin, running }: Nodes, name: string): Promise<void> {
  await running.get(name)?.end('SIGTERM');
  running.delete(name);
  await admin.write({ method: 'DELETE', path: `${core}/pods/${name}`, query: { gracePeriodSeconds: '0' } });
}

function readyUrl({ statusPort }: Place): string {
  return `http://127.0.0.1:${statusPort}/readyz`;
}

/** Until the object is as the test wants it; undefined from `probe` looks again. */
export function until<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  return eventually(timeoutsMs.serverStart, what, probe);
}
