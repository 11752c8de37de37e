/**
 * Takes a cluster down, from whatever is there of it. Everything that it started is in its control groups, everything that it
 * mounted lies below its directory, everything in the network is in its namespaces; so nothing needs to be remembered.
 */

import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { say, run } from './command.ts';
import { killProcessesIn, removeControlGroup } from './control-groups.ts';
import { clustersDirectory, type Cluster, type ClusterNode } from './description.ts';
import { restoreKernelSettings } from './kernel-settings.ts';
import { removeNetwork } from './network.ts';
import { networkName } from './node.ts';
import { findCluster, forgetCluster } from './state.ts';

const containerLogLinks = '/var/log/containers';
const networkResults = '/var/lib/cni/results';

/** False when there was nothing. */
export async function down(name: string): Promise<boolean> {
  const cluster = findCluster(name);
  if (cluster === undefined) {
    rmSync(join(clustersDirectory, name), { recursive: true, force: true });
    return false;
  }
  say(`ending the processes of cluster ${name}`);
  await killProcessesIn([cluster.controlGroup]);
  removeShimSockets(cluster);
  await unmountBelow(cluster.directory);
  await removeNetwork(cluster);
  await removeControlGroup(cluster.controlGroup);
  removeContainerLogLinks(cluster);
  removeNetworkResults(cluster);
  forgetCluster(cluster);
  restoreKernelSettings();
  return true;
}

/** What a node keeps in memory only is gone when its power is: mounts, and what containerd knows of running containers. */
export async function forgetRunningContainers(node: ClusterNode): Promise<void> {
  removeShimSockets({ nodes: [node] });
  await unmountBelow(node.directory);
  rmSync(join(node.directory, 'containerd', 'state'), { recursive: true, force: true });
}

/** Nobody will answer on them. */
function removeShimSockets({ nodes }: Pick<Cluster, 'nodes'>): void {
  for (const { directory } of nodes) {
    const tasks = join(directory, 'containerd', 'state', 'io.containerd.runtime.v2.task', 'k8s.io');
    if (!existsSync(tasks)) continue;
    for (const id of readdirSync(tasks)) {
      const address = join(tasks, id, 'address');
      if (!existsSync(address)) continue;
      const socket = readFileSync(address, 'utf8').trim().replace('unix://', '');
      if (socket.startsWith('/run/containerd/s/')) rmSync(socket, { force: true });
    }
  }
}

/** The innermost first, until none is left: mounts may lie on each other. */
async function unmountBelow(directory: string): Promise<void> {
  for (let round = 1; ; round++) {
    const points = mountPointsBelow(directory);
    if (points.length === 0) return;
    if (round > 20) throw new Error(`cannot unmount ${points.join(', ')}`);
    // Many at once; a stubborn one is taken out of the way while it is in use.
    for (let i = 0; i < points.length; i += 100) await run('umount', [...(round > 2 ? ['-l'] : []), ...points.slice(i, i + 100)]).catch(() => undefined);
  }
}

function mountPointsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4]?.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))) ?? '')
    .filter((point) => point.startsWith(`${directory}/`))
    .reverse();
}

function removeContainerLogLinks(cluster: Cluster): void {
  if (!existsSync(containerLogLinks)) return;
  for (const name of readdirSync(containerLogLinks)) {
    const link = join(containerLogLinks, name);
    if (lstatSync(link).isSymbolicLink() && readlinkSync(link).startsWith(`${cluster.directory}/`)) rmSync(link, { force: true });
  }
}

/** Files that the plugins of the network keep: those of our networks by name, those of the loopback network by the pod's sandbox. */
function removeNetworkResults(cluster: Cluster): void {
  if (!existsSync(networkResults)) return;
  const beginnings = cluster.nodes.flatMap((node) => {
    const sandboxes = join(node.directory, 'containerd', 'state', 'io.containerd.grpc.v1.cri', 'sandboxes');
    const ids = existsSync(sandboxes) ? readdirSync(sandboxes) : [];
    return [`${networkName(node)}-`, ...ids.map((id) => `cni-loopback-${id}-`)];
  });
  for (const name of readdirSync(networkResults)) {
    if (beginnings.some((beginning) => name.startsWith(beginning))) rmSync(join(networkResults, name), { force: true });
  }
}
