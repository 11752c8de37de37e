/**
 * What a test cluster consists of, as names and addresses: everything follows from its name and its number.
 *
 *            machine .1 ──┐
 *      control-plane .2 ──┤            Each is a network namespace (but the machine), joined by a veth pair to a bridge in a
 *      load balancer .3 ──┼── switch   namespace of its own. Pods of a node have a subnet of the node's; services are
 *             node-1 .11 ─┤            translated by each node's kube-proxy, and by one beside the control plane for whoever
 *             node-2 .12 ─┤            asks from the machine.
 *             node-3 .13 ─┘
 *
 * Addresses of several clusters on one machine differ by the cluster's number.
 */

import { join } from 'node:path';

export interface Cluster {
  readonly name: string;
  readonly number: number;
  /** All that it keeps on disk. */
  readonly directory: string;
  readonly subnet: string;
  readonly machineAddress: string;
  readonly controlPlane: Place;
  readonly nodes: readonly ClusterNode[];
  /** Where ingress answers, on ports 80 and 443: passed on to whichever nodes are well. */
  readonly ingressAddress: string;
  /** The namespace of the bridge. */
  readonly switchNamespace: string;
  readonly podSubnet: string;
  readonly serviceSubnet: string;
  readonly dnsAddress: string;
  /** Of the service `kubernetes.default`. */
  readonly apiServiceAddress: string;
  readonly apiUrl: string;
  /** Of an administrator. */
  readonly kubeconfig: string;
  /** Path below each hierarchy of control groups. */
  readonly controlGroup: string;
  /** The machine's end of the pair that joins it to the switch. */
  readonly machineInterface: string;
}

/** A network namespace that joins the switch. */
export interface Place {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  /** Of its processes. */
  readonly controlGroup: string;
}

export interface ClusterNode extends Place {
  readonly zone: string;
  readonly podSubnet: string;
  readonly directory: string;
  /** Of its pods. */
  readonly podControlGroup: string;
  readonly containerdSocket: string;
}

export const clustersDirectory = '/var/tmp/shoal-cluster';
export const defaultClusterName = 'main';
export const clusterNumberMax = 15;
export const nodeCount = 3;
const zones = ['zone-a', 'zone-b', 'zone-c'];

export function describeCluster(name: string, number: number): Cluster {
  const directory = join(clustersDirectory, name);
  const controlGroup = `shoal-cluster-${name}`;
  // 198.18.0.0/15 is set aside for tests of networks (RFC 2544).
  const address = (host: number): string => `198.19.${number}.${host}`;
  const services = `10.${160 + number}.0`;
  const place = (placeName: string, host: number): Place => ({
    name: placeName,
    namespace: `${controlGroup}-${placeName}`,
    address: address(host),
    controlGroup: `${controlGroup}/${placeName}-system`,
  });
  return {
    name,
    number,
    directory,
    subnet: `${address(0)}/24`,
    machineAddress: address(1),
    controlPlane: place('control-plane', 2),
    ingressAddress: address(3),
    nodes: Array.from({ length: nodeCount }, (_, i) => {
      const nodeName = `node-${i + 1}`;
      const nodeDirectory = join(directory, nodeName);
      return {
        ...place(nodeName, 11 + i),
        zone: zones[i % zones.length]!,
        podSubnet: `10.${130 + number}.${i + 1}.0/24`,
        directory: nodeDirectory,
        podControlGroup: `${controlGroup}/${nodeName}`,
        containerdSocket: join(nodeDirectory, 'containerd.sock'),
      };
    }),
    switchNamespace: `${controlGroup}-switch`,
    podSubnet: `10.${130 + number}.0.0/16`,
    serviceSubnet: `${services}.0/20`,
    dnsAddress: `${services}.10`,
    apiServiceAddress: `${services}.1`,
    apiUrl: `https://${address(2)}:6443`,
    kubeconfig: join(directory, 'kubeconfig'),
    controlGroup,
    machineInterface: `shoalc${number}`,
  };
}

/** Also the end of a network namespace's and a control group's name. */
export function isClusterName(name: string): boolean {
  return /^[a-z][a-z0-9-]{0,19}$/.test(name);
}
