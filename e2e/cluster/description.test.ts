/** Names and addresses of clusters: none of one cluster's is another's, and all of them fit where they go. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterNumberMax, describeCluster, isClusterName } from './description.ts';

test('a cluster in full', () => {
  const cluster = describeCluster('main', 2);
  assert.deepEqual(
    { ...cluster, nodes: cluster.nodes.length, controlPlane: cluster.controlPlane.namespace },
    {
      name: 'main',
      number: 2,
      directory: '/var/tmp/shoal-cluster/main',
      subnet: '198.19.2.0/24',
      machineAddress: '198.19.2.1',
      controlPlane: 'shoal-cluster-main-control-plane',
      ingressAddress: '198.19.2.3',
      nodes: 3,
      switchNamespace: 'shoal-cluster-main-switch',
      podSubnet: '10.132.0.0/16',
      serviceSubnet: '10.162.0.0/20',
      dnsAddress: '10.162.0.10',
      apiServiceAddress: '10.162.0.1',
      apiUrl: 'https://198.19.2.2:6443',
      kubeconfig: '/var/tmp/shoal-cluster/main/kubeconfig',
      controlGroup: 'shoal-cluster-main',
      machineInterface: 'shoalc2',
    },
  );
  assert.deepEqual(cluster.nodes[1], {
    name: 'node-2',
    namespace: 'shoal-cluster-main-node-2',
    address: '198.19.2.12',
    controlGroup: 'shoal-cluster-main/node-2-system',
    zone: 'zone-b',
    podSubnet: '10.132.2.0/24',
    directory: '/var/tmp/shoal-cluster/main/node-2',
    podControlGroup: 'shoal-cluster-main/node-2',
    containerdSocket: '/var/tmp/shoal-cluster/main/node-2/containerd.sock',
  });
});

test('no two clusters share an address', () => {
  const seen = new Set<string>();
  for (let number = 0; number <= clusterNumberMax; number++) {
    const { subnet, podSubnet, serviceSubnet, machineInterface } = describeCluster('any', number);
    for (const thing of [subnet, podSubnet, serviceSubnet, machineInterface]) {
      assert.ok(!seen.has(thing), `${thing} of number ${number} is another's too`);
      seen.add(thing);
    }
  }
});

test('names that are too long for sockets and interfaces, or that another tool would take for its own, are none', () => {
  const taken = ['main', 'a', 'second-1', 'x'.repeat(20)];
  const refused = ['', 'Main', '1', 'a/b', '../a', '-a', 'a_b', 'x'.repeat(21)];
  assert.deepEqual({ taken: taken.filter((name) => !isClusterName(name)), refused: refused.filter(isClusterName) }, { taken: [], refused: [] });
  const { nodes } = describeCluster('x'.repeat(20), clusterNumberMax);
  // The address of a Unix socket has at most 107 bytes; containerd makes one with `.ttrpc` at its end.
  for (const { containerdSocket } of nodes) assert.ok(`${containerdSocket}.ttrpc`.length <= 107, containerdSocket);
});
