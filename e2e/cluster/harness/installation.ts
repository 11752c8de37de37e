/** An installation of the chart in a namespace of the test's own, as users make one, small enough for a test machine. */

import { atEnd, type Owner } from '../../framework/cleanup.ts';
import { chartDirectory } from '../../framework/kubernetes/chart.ts';
import type { TestCluster } from './connect.ts';
import { clusterTimeoutsMs, waitUntil } from './wait.ts';

export interface Installation {
  readonly namespace: string;
  readonly release: string;
  /** Has every right. */
  readonly apiKey: string;
  /** With other values, which are added to those of the installation. */
  upgrade(values: object): Promise<void>;
  /** Throws what helm says when a hook refuses. */
  uninstall(): Promise<void>;
  /** What makes helm go on after a refused uninstall. */
  resume(): Promise<void>;
  /** `helm test`; its log when it fails. */
  test(): Promise<void>;
}

const release = 'shoal';
/** kubectl deletes one after the other: hundreds of collections take minutes. */
const deletionTimeoutMs = 300_000;
const helmTimeout = '5m';
const helmTimeoutMs = 330_000;

/** Resources that leave room for suites on two cores. */
const small = { requests: { cpu: '20m', memory: '64Mi' } };

function smallValues(image: string): object {
  const colon = image.lastIndexOf(':');
  return {
    image: { repository: image.slice(0, colon), tag: image.slice(colon + 1), pullPolicy: 'IfNotPresent' },
    operator: { resources: small },
    gateway: { resources: small },
    pool: { resources: small, storage: { size: '1Gi' } },
  };
}

/** Resolves when operator and gateways are ready and the default pool is. Uninstalled with its collections when the test ends. */
export async function installShoal(t: Owner, cluster: TestCluster, values: object = {}): Promise<Installation> {
  const namespace = await cluster.namespaceFor(t);
  const helm = (args: readonly string[], input?: object): Promise<string> =>
    cluster.helm([...args, '--namespace', namespace, '--timeout', helmTimeout], { timeoutMs: helmTimeoutMs, ...(input === undefined ? {} : { input: JSON.stringify(input) }) });
  const given = (extra: object): object => merged(merged(smallValues(cluster.image), values), extra);
  let isThere = true;
  // Before the namespace goes, which would wait for an operator that has gone.
  atEnd(t, async () => {
    if (!isThere || process.env['SHOAL_KEEP'] === '1') return;
    await cluster.kubectl(['delete', 'vectorcollections', '-n', namespace, '-l', '!shoal.dev/system', '--wait=false'], { timeoutMs: deletionTimeoutMs });
    await helm(['uninstall', release, '--wait']);
  });
  await helm(['install', release, chartDirectory, '--values', '-', '--wait'], given({}));
  await poolReady(cluster, namespace, 'default');
  const secret = await cluster.kubectlJson<{ data: Record<string, string> }>(['get', 'secret', 'shoal-api-keys', '-n', namespace]);
  return {
    namespace,
    release,
    apiKey: Buffer.from(secret.data['api-key']!, 'base64').toString(),
    async upgrade(extra) {
      await helm(['upgrade', release, chartDirectory, '--values', '-', '--wait'], given(extra));
    },
    async uninstall() {
      await helm(['uninstall', release, '--wait']);
      isThere = false;
    },
    async resume() {
      const [{ revision }] = JSON.parse(await cluster.helm(['list', '--all', '--namespace', namespace, '--output', 'json'])) as [{ revision: string }];
      await helm(['rollback', release, revision, '--wait']);
    },
    async test() {
      await helm(['test', release, '--logs']);
    },
  };
}

/** Until the object's condition Ready holds; a failure says what its conditions say. */
export function poolReady(cluster: TestCluster, namespace: string, name: string): Promise<void> {
  return conditionReady(cluster, namespace, 'vectorpool', name);
}

export function collectionReady(cluster: TestCluster, namespace: string, name: string): Promise<void> {
  return conditionReady(cluster, namespace, 'vectorcollection', name);
}

interface WithConditions {
  readonly metadata: { readonly generation: number };
  readonly status?: { readonly observedGeneration?: number; readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message: string }[] };
}

function conditionReady(cluster: TestCluster, namespace: string, kind: string, name: string): Promise<void> {
  return waitUntil(`${kind} ${name} to be Ready`, clusterTimeoutsMs.rollout, async () => {
    const { metadata, status } = await cluster.kubectlJson<WithConditions>(['get', kind, name, '-n', namespace]);
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status === 'True' && status?.observedGeneration === metadata.generation) return { value: undefined };
    return status?.conditions?.map(({ type, status: value, message }) => `${type} ${value}: ${message}`).join('; ') ?? 'it has no status';
  });
}

function merged(base: object, extra: object): object {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(extra)) {
    const present = result[key];
    result[key] = isPlain(present) && isPlain(value) ? merged(present, value) : value;
  }
  return result;
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
