/** What of a cluster runs, and where it is reached. */

import { kubernetesProgram } from '../framework/kubernetes/binaries.ts';
import { tryRun } from './command.ts';
import type { Cluster } from './description.ts';
import { isCutOff } from './network.ts';
import { nodeProcessNames } from './node.ts';
import { isRunning } from './processes.ts';

export interface ClusterStatus {
  readonly name: string;
  readonly state: 'ready' | 'incomplete';
  /** Why it is not ready, as sentences. */
  readonly problems: readonly string[];
  readonly kubeconfig: string;
  readonly apiUrl: string;
  /** HTTP on port 80, HTTPS on port 443. */
  readonly ingressAddress: string;
  readonly directory: string;
  readonly nodes: readonly NodeStatus[];
}

export interface NodeStatus {
  readonly name: string;
  readonly zone: string;
  readonly address: string;
  readonly ready: boolean;
}

const controlPlaneProcesses = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'service-proxy', 'local-path-provisioner', 'contour', 'load-balancer'];

export async function readStatus(cluster: Cluster): Promise<ClusterStatus> {
  const problems = [...controlPlaneProcesses, ...cluster.nodes.flatMap(nodeProcessNames)].filter((name) => !isRunning(cluster, name)).map((name) => `${name} does not run`);
  const ready = await readyNodes(cluster);
  if (ready === undefined) problems.push('the API server does not answer');
  for (const node of cluster.nodes) {
    if (await isCutOff(cluster, node)) problems.push(`${node.name} is cut off`);
    else if (ready !== undefined && !ready.has(node.name)) problems.push(`${node.name} is not ready`);
  }
  return {
    name: cluster.name,
    state: problems.length === 0 ? 'ready' : 'incomplete',
    problems,
    kubeconfig: cluster.kubeconfig,
    apiUrl: cluster.apiUrl,
    ingressAddress: cluster.ingressAddress,
    directory: cluster.directory,
    nodes: cluster.nodes.map(({ name, zone, address }) => ({ name, zone, address, ready: ready?.has(name) ?? false })),
  };
}

export function statusText(status: ClusterStatus): string {
  const { name, state, nodes } = status;
  return [
    `cluster ${name}: ${state}`,
    ...status.problems.map((problem) => `  ${problem}`),
    `  API server   ${status.apiUrl}`,
    `  kubeconfig   export KUBECONFIG=${status.kubeconfig}`,
    `  ingress      http://${status.ingressAddress}, https://${status.ingressAddress}`,
    ...nodes.map((node) => `  ${node.name}       ${node.address}  ${node.zone}  ${node.ready ? 'ready' : 'not ready'}`),
    `  files, logs  ${status.directory}`,
  ].join('\n');
}

/** Names; undefined when the API server does not answer. */
async function readyNodes(cluster: Cluster): Promise<ReadonlySet<string> | undefined> {
  const kubectl = await kubernetesProgram('kubectl');
  const { code, stdout } = await tryRun(kubectl, ['--kubeconfig', cluster.kubeconfig, '--request-timeout=5s', 'get', 'nodes', '-o', 'json'], { timeoutMs: 10_000 });
  if (code !== 0) return undefined;
  const { items } = JSON.parse(stdout) as { items: readonly { metadata: { name: string }; status: { conditions?: readonly { type: string; status: string }[] } }[] };
  return new Set(items.filter(({ status }) => status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')).map(({ metadata }) => metadata.name));
}
