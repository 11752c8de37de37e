/**
 * A cluster of real processes on this machine: etcd and kube-apiserver, data pods, gateways and failover controllers, each
 * with a service account's token and no other right. Pods are Pod objects too, so that their tokens are bound to them; no
 * kubelet runs, so starting and ending processes is the test's own business.
 */

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeMetadata } from '../../../pods/metadata/kube-metadata.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import type { PeerTlsFiles } from '../../../pods/wire/peer-tls-files.ts';
import { makeAuthority, makeIdentity } from '../../../pods/wire/certificates.fixture.ts';
import { hasCode } from '../../../pods/kernel/errors.ts';
import { systemRandom } from '../../../pods/kernel/random.ts';
import { atEnd, type Owner } from '../cleanup.ts';
import { metadataOf } from '../kubernetes/metadata.ts';
import { shoalManifests, startKubernetes, type Kubernetes } from '../kubernetes/kubernetes.ts';
import { suiteKey } from '../server-process.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { eventually, timeoutsMs } from '../timeouts.ts';
import { ClusterProcess, type ClusterProcessOptions } from './cluster-process.ts';
import { fixedPorts } from './fixed-ports.ts';
import { logExcerpt } from './log-excerpt.ts';
import { machine, type ClusterNetwork } from './network.ts';

export interface ClusterOptions {
  readonly pods?: number;
  readonly gateways?: number;
  readonly controllers?: number;
  /** Mutual TLS between the processes; plaintext otherwise. */
  readonly tls?: boolean;
  readonly logLevel?: 'info' | 'debug';
  /** Where each process has an address and a network namespace of its own; all on loopback otherwise. It takes `tls`. */
  readonly network?: ClusterNetwork;
  /** What the process of this name is started with beside its place in the cluster. */
  readonly extra?: (name: string) => Pick<ClusterProcessOptions, 'extraFlags' | 'nodeFlags' | 'withChannel'>;
}

/** A process that comes back as the same pod, with what its disk holds. */
export interface PodProcess extends ClusterProcess {
  readonly dataDirectory: string;
  /** Where other processes reach it. */
  readonly address: string;
  /** Of /readyz and /metrics. */
  readonly statusUrl: string;
  readonly podUID: string;
}

export interface GatewayProcess extends ClusterProcess {
  readonly httpUrl: string;
  readonly grpcAddress: string;
}

export interface Cluster {
  readonly kubernetes: Kubernetes;
  /** With every right. */
  readonly metadata: KubeMetadata;
  readonly pods: readonly PodProcess[];
  readonly gateways: readonly GatewayProcess[];
  readonly controllers: readonly ClusterProcess[];
  /** Of every gateway, with every right. */
  readonly key: string;
  pod(name: string): PodProcess;
  /** The objects of a collection's shards, by index. */
  shards(collection: string): Promise<readonly VectorShard[]>;
  /** Until each shard of the collection has all its replicas in sync. */
  whole(collection: string, timeoutMs?: number): Promise<readonly VectorShard[]>;
  /** Rule S1: asks that another member in sync lead, `to` once it is one, or one that the controller chooses; resolves once the request is recorded. */
  requestSwitchover(shard: VectorShard, to?: string): Promise<void>;
  /** Ends the pod's process if it runs, loses its disk, and gives its name to a new pod: another UID, another token. Does not start it. */
  wipe(pod: PodProcess): Promise<void>;
  /** A second process on the pod's data, under its name, with ports of its own. Does not start it. */
  twinOf(pod: PodProcess): Promise<ClusterProcess>;
  /** When this test fails, prints what the logs say; for tests inside the one that started the cluster. */
  explain(t: Owner): void;
}

/** What the processes are told of themselves and of each other. */
interface Place {
  readonly name: string;
  readonly port: number;
  readonly statusPort: number;
}

class DataPodProcess extends ClusterProcess implements PodProcess {
  readonly dataDirectory: string;
  readonly address: string;
  readonly statusUrl: string;
  identity: { podUID: string; kubeconfig: string };

  constructor(options: ConstructorParameters<typeof ClusterProcess>[0], dataDirectory: string, address: string, statusUrl: string, identity: { podUID: string; kubeconfig: string }) {
    super(options);
    this.dataDirectory = dataDirectory;
    this.address = address;
    this.statusUrl = statusUrl;
    this.identity = identity;
  }

  get podUID(): string {
    return this.identity.podUID;
  }
}

const namespace = 'default';
const excerptLineCount = 150;
const dataPodLabels = { 'shoal.dev/role': 'data-pod' };

/** Resolves when every process is ready. All of it ends with the test; after a failure it prints what the logs say. */
export async function startCluster(t: Owner, options: ClusterOptions = {}): Promise<Cluster> {
  const { pods: podCount = 3, gateways: gatewayCount = 2, controllers: controllerCount = 1, logLevel = 'info' } = options;
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'logs'));
  const host = (name: string): string => options.network?.addressOf(name) ?? '127.0.0.1';
  const kubernetes = await startKubernetes({ address: host(machine) });
  atEnd(t, () => kubernetes.close());
  await kubernetes.apply(...(await shoalManifests()));
  const metadata = await metadataOf(t, kubernetes.kubeconfig);
  const identityOf = options.tls === true ? await certificates(directory, host) : undefined;

  const ports = await fixedPorts(2 * (podCount + gatewayCount + controllerCount));
  const places = (role: string, count: number): Place[] => Array.from({ length: count }, (_, i) => ({ name: `${role}-${i}`, port: ports.pop()!, statusPort: ports.pop()! }));
  const podPlaces = places('pod', podCount);
  const commonFlags = async (from: string): Promise<readonly string[]> => {
    const addresses = podPlaces.map(({ name, port }) => `${name}=${host(name)}:${port}`);
    const tls = await identityOf?.(from);
    const tlsFlags = tls === undefined ? [] : ['--internal-tls-cert', tls.certificate, '--internal-tls-key', tls.key, '--internal-tls-ca', tls.authority];
    return ['--namespace', namespace, '--pod-addresses', addresses.join(','), '--log-level', logLevel, ...tlsFlags];
  };
  const processOptions = (name: string): Omit<ClusterProcessOptions, 'command' | 'flags' | 'readyUrl'> => ({
    ...options.extra?.(name),
    name,
    logFile: join(directory, 'logs', `${name}.log`),
    under: options.network?.enter(name) ?? [],
  });

  const pods: DataPodProcess[] = [];
  const twins = new Map<PodProcess, () => Promise<ClusterProcess>>();
  for (const { name, port, statusPort } of podPlaces) {
    const common = await commonFlags(name);
    const dataDirectory = join(directory, name);
    const identity = await kubernetes.podToken(name, { labels: dataPodLabels });
    const optionsAt = ({ port, statusPort }: Pick<Place, 'port' | 'statusPort'>): ClusterProcessOptions => ({
      ...processOptions(name),
      command: 'pod',
      flags: () => {
        const { podUID, kubeconfig } = pod.identity;
        const places = ['--pod-name', name, '--pod-uid', podUID, '--internal-host', host(name), '--internal-port', String(port), '--status-host', host(name), '--status-port', String(statusPort), '--data-dir', dataDirectory];
        return [...places, '--kubeconfig', kubeconfig, ...common];
      },
      readyUrl: `http://${host(name)}:${statusPort}/readyz`,
    });
    const pod = new DataPodProcess(optionsAt({ port, statusPort }), dataDirectory, `${host(name)}:${port}`, `http://${host(name)}:${statusPort}`, identity);
    pods.push(pod);
    twins.set(pod, async () => {
      const [port, statusPort] = (await fixedPorts(2)) as [number, number];
      const twin = new ClusterProcess({ ...optionsAt({ port, statusPort }), name: `${name}-twin`, logFile: join(directory, 'logs', `${name}-twin.log`) });
      atEnd(t, () => twin.kill());
      return twin;
    });
  }

  const gateways: GatewayProcess[] = [];
  for (const { name, port, statusPort } of places('gateway', gatewayCount)) {
    const { kubeconfig } = await kubernetes.podToken(name, { serviceAccount: 'shoal-gateway' });
    const open = options.network === undefined ? [] : ['--insecure'];
    const flags = ['--host', host(name), ...open, '--http-port', String(port), '--grpc-port', String(statusPort), '--kubeconfig', kubeconfig, ...(await commonFlags(name))];
    const gateway = new ClusterProcess({
      ...processOptions(name),
      command: 'gateway',
      flags: () => flags,
      readyUrl: `http://${host(name)}:${port}/readyz`,
      environment: { SHOAL_API_KEYS: suiteKey },
    });
    gateways.push(Object.assign(gateway, { httpUrl: `http://${host(name)}:${port}`, grpcAddress: `${host(name)}:${statusPort}` }));
  }

  const controllers: ClusterProcess[] = [];
  for (const { name, statusPort } of places('controller', controllerCount)) {
    const { kubeconfig } = await kubernetes.podToken(name, { serviceAccount: 'shoal-operator' });
    const flags = ['--status-host', host(name), '--status-port', String(statusPort), '--kubeconfig', kubeconfig, ...(await commonFlags(name))];
    controllers.push(new ClusterProcess({ ...processOptions(name), command: 'failover-controller', flags: () => flags, readyUrl: `http://${host(name)}:${statusPort}/readyz` }));
  }

  const processes: readonly ClusterProcess[] = [...pods, ...gateways, ...controllers];
  const explain = (test: Owner): void =>
    atEnd(test, () => {
      if (test.passed !== false) return;
      process.stderr.write(`\nthe last that the cluster's processes logged:\n${logExcerpt(processes, excerptLineCount)}\n\n`);
    });
  atEnd(t, () => Promise.all(processes.map((each) => each.kill())));
  explain(t);
  for (const each of processes) each.spawn();
  await Promise.all(processes.map((each) => each.ready()));

  const shards = async (collection: string): Promise<readonly VectorShard[]> => {
    const found = await metadata.shards.list();
    return found.filter(({ spec }) => spec.collection.name === collection).sort((a, b) => a.spec.index - b.spec.index);
  };
  return {
    kubernetes,
    metadata,
    pods,
    gateways,
    controllers,
    key: suiteKey,
    pod(name) {
      const found = pods.find((pod) => pod.name === name);
      if (found === undefined) throw new Error(`there is no ${name}`);
      return found;
    },
    shards,
    whole: (collection, timeoutMs = timeoutsMs.serverStart) =>
      eventually(timeoutMs, `all replicas of ${collection} to be in sync`, async () => {
        const found = await shards(collection);
        return found.length > 0 && found.every(isWhole) ? found : undefined;
      }),
    async requestSwitchover({ metadata: { name } }, to) {
      await eventually(timeoutsMs.request, `a switchover of ${name} to be recorded`, async () => {
        const shard = await metadata.shards.get(name);
        const authority = shard?.status.authority;
        if (shard === undefined || authority === undefined) throw new Error(`${name} has no primary`);
        const member = authority.inSync.find(({ pod }) => pod === to);
        if (to !== undefined && member === undefined) return undefined;
        const handover = { id: systemRandom.uuid(), term: authority.term, ...(member === undefined ? {} : { to: member }) };
        try {
          return await metadata.shards.replaceStatus({ ...shard, status: { ...shard.status, handover } });
        } catch (error) {
          if (hasCode(error, 'CONFLICT')) return undefined;
          throw error;
        }
      });
    },
    async wipe(pod) {
      await pod.kill();
      await rm(pod.dataDirectory, { recursive: true, force: true });
      await kubernetes.admin.write({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/pods/${pod.name}`, query: { gracePeriodSeconds: '0' } });
      (pod as DataPodProcess).identity = await kubernetes.podToken(pod.name, { labels: dataPodLabels });
    },
    twinOf: (pod) => twins.get(pod)!(),
    explain,
  };
}

/** Every replica that there shall be is in sync. */
export function isWhole({ spec, status }: VectorShard): boolean {
  const inSync = status.authority?.inSync.map(({ pod }) => pod) ?? [];
  return spec.replicas.length > 0 && spec.leaving === undefined && inSync.length === spec.replicas.length && spec.replicas.every((pod) => inSync.includes(pod));
}

async function certificates(directory: string, host: (name: string) => string): Promise<(name: string) => Promise<PeerTlsFiles>> {
  const place = join(directory, 'certificates');
  await mkdir(place);
  const authority = await makeAuthority(place, 'authority');
  return (name) => makeIdentity(place, name, authority, { hosts: `IP:${host(name)}` });
}
