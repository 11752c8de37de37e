/** The network of a cluster (drawn in `description.ts`): made once, removed whole, and cut at the switch. */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, tryRun } from './command.ts';
import type { Cluster, Place } from './description.ts';
import { ClusterError } from './cluster-error.ts';

const namespacesDirectory = '/run/netns';
/** Namespaces do not outlive the machine's run, so the mark that they are complete names it. */
const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Whether all of it is there. After a restart of the machine it is not. */
export function hasNetwork(cluster: Cluster): boolean {
  const mark = markOf(cluster);
  return existsSync(mark) && readFileSync(mark, 'utf8') === bootId() && namespacesOf(cluster).every(exists);
}

export async function makeNetwork(cluster: Cluster): Promise<void> {
  if (hasNetwork(cluster)) return;
  await removeNetwork(cluster);
  const inUse = (await run('ip', ['route', 'show', cluster.subnet])).trim();
  if (inUse !== '') throw new ClusterError(`${cluster.subnet} is in use on this machine: ${inUse}`);
  const routes = podRoutes(cluster);

  await run('ip', ['netns', 'add', cluster.switchNamespace]);
  await batch(cluster.switchNamespace, ['link set lo up', 'link add lan type bridge', 'link set lan up']);
  for (const place of placesOf(cluster)) {
    await run('ip', ['netns', 'add', place.namespace]);
    await batch(place.namespace, [
      'link set lo up',
      `link add eth0 type veth peer name ${portOf(place)} netns ${cluster.switchNamespace}`,
      `addr add ${place.address}/24 dev eth0`,
      ...(place === cluster.controlPlane ? [`addr add ${cluster.ingressAddress}/24 dev eth0`] : []),
      'link set eth0 up',
      ...routes.filter(({ via }) => via !== place.address).map(({ subnet, via }) => `route add ${subnet} via ${via}`),
    ]);
    await configure(place, {
      'net/ipv4/ip_forward': '1',
      // Pods of one node reach each other over its bridge, and their answers must pass kube-proxy's rules all the same.
      'net/bridge/bridge-nf-call-iptables': '1',
      'net/ipv6/conf/all/disable_ipv6': '1',
    });
    await joinSwitch(cluster, portOf(place));
  }
  await run('ip', ['link', 'add', cluster.machineInterface, 'type', 'veth', 'peer', 'name', 'to-machine', 'netns', cluster.switchNamespace]);
  await joinSwitch(cluster, 'to-machine');
  await batch(undefined, [
    `addr add ${cluster.machineAddress}/24 dev ${cluster.machineInterface}`,
    `link set ${cluster.machineInterface} up`,
    ...routes.map(({ subnet, via }) => `route add ${subnet} via ${via}`),
    `route add ${cluster.serviceSubnet} via ${cluster.controlPlane.address}`,
  ]);
  writeFileSync(markOf(cluster), bootId());
}

/** Processes that are still in it keep their sockets, but reach nobody. */
export async function removeNetwork(cluster: Cluster): Promise<void> {
  rmSync(markOf(cluster), { force: true });
  // With one end of a pair its other end goes, and with the interface the machine's routes.
  if (existsSync(`/sys/class/net/${cluster.machineInterface}`)) await run('ip', ['link', 'del', cluster.machineInterface]);
  for (const namespace of namespacesOf(cluster)) if (exists(namespace)) await run('ip', ['netns', 'del', namespace]);
}

/** Nothing reaches the node from outside any more, nor the other way round; what runs on it reaches what else is on it. */
export function cutOff(cluster: Cluster, place: Place): Promise<void> {
  return batch(cluster.switchNamespace, [`link set ${portOf(place)} down`]);
}

export function reconnect(cluster: Cluster, place: Place): Promise<void> {
  return batch(cluster.switchNamespace, [`link set ${portOf(place)} up`]);
}

export async function isCutOff(cluster: Cluster, place: Place): Promise<boolean> {
  const { stdout } = await tryRun('ip', ['-n', cluster.switchNamespace, '-o', 'link', 'show', 'dev', portOf(place)]);
  return !/<[^>]*\bUP\b[^>]*>/.test(stdout);
}

function markOf(cluster: Cluster): string {
  return join(cluster.directory, 'network');
}

function placesOf(cluster: Cluster): Place[] {
  return [cluster.controlPlane, ...cluster.nodes];
}

function namespacesOf(cluster: Cluster): string[] {
  return [...placesOf(cluster).map(({ namespace }) => namespace), cluster.switchNamespace];
}

/** The switch's end of the pair. Names of interfaces have at most 15 characters. */
function portOf(place: Place): string {
  return place.name === 'control-plane' ? 'to-control' : `to-${place.name}`;
}

function podRoutes(cluster: Cluster): { readonly subnet: string; readonly via: string }[] {
  return cluster.nodes.map(({ podSubnet, address }) => ({ subnet: podSubnet, via: address }));
}

function joinSwitch(cluster: Cluster, port: string): Promise<void> {
  return batch(cluster.switchNamespace, [`link set ${port} master lan`, `link set ${port} up`]);
}

async function configure(place: Place, settings: Readonly<Record<string, string>>): Promise<void> {
  const script = Object.entries(settings)
    .map(([name, value]) => `[ ! -e /proc/sys/${name} ] || echo ${value} > /proc/sys/${name}`)
    .join(' && ');
  await run('nsenter', [`--net=${namespacesDirectory}/${place.namespace}`, 'sh', '-c', script]);
}

function exists(namespace: string): boolean {
  return existsSync(join(namespacesDirectory, namespace));
}

async function batch(namespace: string | undefined, commands: readonly string[]): Promise<void> {
  await run('ip', [...(namespace === undefined ? [] : ['-n', namespace]), '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
