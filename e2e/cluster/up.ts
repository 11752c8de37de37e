/** Brings a cluster up, from whatever is there of it: each step looks first, so that a second `up` only mends what is missing. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { clusterPrograms, fileBeside, isBuilt, kubernetesProgram } from '../framework/kubernetes/binaries.ts';
import { pause } from '../framework/timeouts.ts';
import { loadBalancerConfig } from './addons/load-balancer.ts';
import { manifest } from './addons/manifests.ts';
import { makeIdentities, type Identities } from './certificates.ts';
import { ClusterError } from './cluster-error.ts';
import { run, say, tryRun } from './command.ts';
import { contourPort, controlPlaneOf, ingressNamespace, loadBalancerFile, storageNamespace, type ControlPlane, type Programs } from './control-plane.ts';
import { giveWeight, killProcessesIn, makeControlGroup } from './control-groups.ts';
import type { Cluster, ClusterNode } from './description.ts';
import { forgetRunningContainers } from './down.ts';
import { envoyProgram } from './envoy.ts';
import { importImage } from './images/import.ts';
import { systemImages, toolsImage } from './images/system-images.ts';
import { hasNetwork, makeNetwork } from './network.ts';
import { nodeProcesses, writeNodeFiles } from './node.ts';
import { ensurePrerequisites } from './prerequisites.ts';
import { isRunning, lastLines, logFile, startProcess, type ProcessSpec } from './processes.ts';
import { registerCluster } from './state.ts';
import { keepKernelSettings } from './kernel-settings.ts';

const readyTimeoutMs = 180_000;
/** As many processes of the machine the pods of a cluster weigh together: as a few of the larger ones would by themselves. */
const podWeight = 8;

export async function up(name: string): Promise<Cluster> {
  const startedMs = performance.now();
  const step = (text: string): void => say(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)} s  ${text}`);
  await ensurePrerequisites();
  const programs = await clusterProgramPaths();
  const cluster = registerCluster(name);
  step(`network ${cluster.subnet}`);
  keepKernelSettings();
  if (!hasNetwork(cluster)) {
    // The machine has been restarted, or an earlier attempt did not come this far: nothing of the cluster runs usefully.
    await killProcessesIn([cluster.controlGroup]);
    for (const node of cluster.nodes) await forgetRunningContainers(node);
  }
  await makeNetwork(cluster);
  const identities = await makeIdentities(cluster);
  writeAddonFiles(cluster);
  const groups = [cluster.controlPlane.controlGroup, ...cluster.nodes.flatMap((node) => [node.controlGroup, node.podControlGroup])];
  for (const group of groups) makeControlGroup(group);
  giveWeight(cluster.controlGroup, podWeight);

  step('control plane, containerd');
  for (const node of cluster.nodes) {
    writeNodeFiles(cluster, node, identities);
    startProcess(cluster, nodeProcesses(cluster, node, programs, identities).containerd);
  }
  const controlPlane = controlPlaneOf(cluster, programs, identities);
  await startControlPlane(cluster, controlPlane, programs);

  step('nodes');
  const images = await systemImages({ pause: programs['pause']!, envoy: programs['envoy']! });
  await Promise.all(
    cluster.nodes.map(async (node) => {
      await containerdReady(cluster, node);
      for (const { file, reference } of images) await importImage(node, file, reference);
    }),
  );
  // One after another: each begins by making the socket of device plugins, whose path all kubelets of a machine share.
  for (const node of cluster.nodes) {
    startNode(cluster, node, programs, identities);
    await nodeReady(cluster, node, programs);
  }
  await applyAddons(cluster, programs);

  step('add-ons');
  for (const spec of controlPlane.addons) startProcess(cluster, spec);
  await rolledOut(cluster, programs, 'kube-system', 'daemonset/coredns');
  await rolledOut(cluster, programs, ingressNamespace, 'daemonset/envoy');
  await staysUp(cluster, controlPlane.addons);
  step('ready');
  return cluster;
}

/** Builds or fetches what is not in the cache. */
export async function clusterProgramPaths(): Promise<Programs> {
  const missing = clusterPrograms.filter((program) => !isBuilt(program));
  if (missing.length > 0) say(`to be built, once: ${missing.join(', ')}`);
  const paths: Record<string, string> = {};
  for (const program of clusterPrograms) {
    paths[program] = await kubernetesProgram(program).catch((cause: unknown) => {
      throw new ClusterError((cause as Error).message, { cause });
    });
  }
  paths['envoy'] = await envoyProgram();
  return paths;
}

export async function startControlPlane(cluster: Cluster, controlPlane: ControlPlane, programs: Programs): Promise<void> {
  startProcess(cluster, controlPlane.etcd);
  startProcess(cluster, controlPlane.apiServer);
  await until(cluster, 'the API server', [controlPlane.etcd, controlPlane.apiServer], async () => {
    const { code } = await kubectl(cluster, programs, ['get', '--raw', '/readyz']);
    return code === 0;
  });
  for (const spec of controlPlane.others) startProcess(cluster, spec);
}

export function startNode(cluster: Cluster, node: ClusterNode, programs: Programs, identities: Identities): void {
  const { kubelet, kubeProxy } = nodeProcesses(cluster, node, programs, identities);
  startProcess(cluster, kubelet);
  startProcess(cluster, kubeProxy);
}

export async function containerdReady(cluster: Cluster, node: ClusterNode): Promise<void> {
  await until(cluster, `containerd of ${node.name}`, [{ name: `${node.name}-containerd` }], async () => {
    if (!existsSync(node.containerdSocket)) return false;
    return (await tryRun('ctr', ['-a', node.containerdSocket, 'version'])).code === 0;
  });
}

async function nodeReady(cluster: Cluster, { name }: ClusterNode, programs: Programs): Promise<void> {
  await until(cluster, name, [{ name: `${name}-kubelet` }, { name: `${name}-kube-proxy` }], async () => {
    const { code, stdout } = await kubectl(cluster, programs, ['get', 'node', name, '--ignore-not-found', '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}']);
    return code === 0 && stdout === 'True';
  });
}

function writeAddonFiles(cluster: Cluster): void {
  const paths = cluster.nodes.map(({ name, directory }) => ({ node: name, paths: [join(directory, 'volumes')] }));
  writeFileSync(join(cluster.directory, 'storage.json'), JSON.stringify({ nodePathMap: paths, cmdTimeoutSeconds: 120 }));
  writeFileSync(loadBalancerFile(cluster), JSON.stringify(loadBalancerConfig(cluster), undefined, 2));
  writeFileSync(join(cluster.directory, 'storage-helper-pod.yaml'), manifest('storage-helper-pod.yaml', { toolsImage }));
}

async function applyAddons(cluster: Cluster, programs: Programs): Promise<void> {
  // How Envoy reaches Contour; all else it hears from there.
  const envoyFile = join(cluster.directory, 'envoy.json');
  await run(programs['contour']!, ['bootstrap', envoyFile, `--xds-address=${cluster.controlPlane.address}`, `--xds-port=${contourPort}`]);
  const values = {
    toolsImage,
    dnsAddress: cluster.dnsAddress,
    corednsDirectory: dirname(programs['coredns']!),
    envoyDirectory: dirname(programs['envoy']!),
    envoyConfig: JSON.stringify(JSON.parse(readFileSync(envoyFile, 'utf8'))),
  };
  const crds = readFileSync(fileBeside(programs['contour']!, '01-crds.yaml'), 'utf8');
  await apply(cluster, programs, [crds, ...['dns.yaml', 'storage.yaml', 'ingress.yaml'].map((file) => manifest(file, values))].join('\n---\n'));
  await until(cluster, `service account default of ${storageNamespace}`, [], async () => {
    return (await kubectl(cluster, programs, ['get', 'serviceaccount', 'default', '-n', storageNamespace])).code === 0;
  });
}

async function apply(cluster: Cluster, programs: Programs, text: string): Promise<void> {
  await run(programs['kubectl']!, ['--kubeconfig', cluster.kubeconfig, 'apply', '--server-side', '--force-conflicts', '-f', '-'], { input: text });
}

async function rolledOut(cluster: Cluster, programs: Programs, namespace: string, what: string): Promise<void> {
  const args = ['--kubeconfig', cluster.kubeconfig, '-n', namespace, 'rollout', 'status', what, `--timeout=${readyTimeoutMs}ms`];
  await run(programs['kubectl']!, args, { timeoutMs: readyTimeoutMs + 10_000 });
}

function kubectl(cluster: Cluster, programs: Programs, args: readonly string[]): Promise<{ code: number | undefined; stdout: string; stderr: string }> {
  return tryRun(programs['kubectl']!, ['--kubeconfig', cluster.kubeconfig, ...args], { timeoutMs: 15_000 });
}

/** A program that finds something amiss ends within moments. */
async function staysUp(cluster: Cluster, specs: readonly Pick<ProcessSpec, 'name'>[]): Promise<void> {
  await pause(1_000);
  for (const { name } of specs) if (!isRunning(cluster, name)) throw ended(cluster, name);
}

async function until(cluster: Cluster, what: string, processes: readonly Pick<ProcessSpec, 'name'>[], probe: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + readyTimeoutMs;
  while (!(await probe())) {
    for (const { name } of processes) if (!isRunning(cluster, name)) throw ended(cluster, name);
    if (performance.now() > endMs) throw new ClusterError(`${what} did not become ready within ${readyTimeoutMs / 1_000} s; see ${processes.map(({ name }) => logFile(cluster, name)).join(', ')}`);
    await pause(200);
  }
}

function ended(cluster: Cluster, name: string): ClusterError {
  return new ClusterError(`${name} has ended; it printed at last:\n${lastLines(cluster, name)}`);
}
