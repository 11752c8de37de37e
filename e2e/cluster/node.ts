/** A node: containerd, kubelet and kube-proxy in the node's network and control group, with directories of their own. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Identities } from './certificates.ts';
import { kubeProxy, type Programs } from './control-plane.ts';
import type { Cluster, ClusterNode } from './description.ts';
import { pauseImage } from './images/system-images.ts';
import { flagList, type ProcessSpec } from './processes.ts';

const pluginsDirectory = '/usr/lib/cni';

export interface NodeProcesses {
  readonly containerd: ProcessSpec;
  readonly kubelet: ProcessSpec;
  readonly kubeProxy: ProcessSpec;
}

export function nodeProcesses(cluster: Cluster, node: ClusterNode, programs: Programs, identities: Identities): NodeProcesses {
  return {
    containerd: { name: `${node.name}-containerd`, place: node, program: 'containerd', args: ['--config', join(node.directory, 'containerd.toml')] },
    kubelet: {
      name: `${node.name}-kubelet`,
      place: node,
      program: programs['kubelet']!,
      args: flagList({
        config: join(node.directory, 'kubelet.json'),
        kubeconfig: identities.kubeconfigOf(node.name),
        'root-dir': join(node.directory, 'kubelet'),
        'cert-dir': join(node.directory, 'kubelet', 'pki'),
        'hostname-override': node.name,
        'node-ip': node.address,
        'node-labels': `topology.kubernetes.io/zone=${node.zone},topology.kubernetes.io/region=region-1`,
      }),
    },
    kubeProxy: { name: `${node.name}-kube-proxy`, place: node, ...kubeProxy(cluster, programs, identities, node.name) },
  };
}

/** Names of its processes, whether they run or not. */
export function nodeProcessNames(node: ClusterNode): readonly string[] {
  return ['containerd', 'kubelet', 'kube-proxy'].map((part) => `${node.name}-${part}`);
}

export function writeNodeFiles(cluster: Cluster, node: ClusterNode, identities: Identities): void {
  const path = (...parts: string[]): string => join(node.directory, ...parts);
  for (const directory of [path('network.d'), path('kubelet', 'pki'), path('volumes')]) mkdirSync(directory, { recursive: true });
  writeFileSync(path('containerd.toml'), containerdConfig(node));
  writeFileSync(path('network.d', '10-shoal.conflist'), JSON.stringify(networkConfig(node), undefined, 2));
  writeFileSync(path('kubelet.json'), JSON.stringify(kubeletConfig(cluster, node, identities), undefined, 2));
  // The machine's own name server is none of the cluster's.
  writeFileSync(path('resolv.conf'), '');
}

/** Name of the pods' network: files that plugins keep in directories of the machine's begin with it. */
export function networkName(node: ClusterNode): string {
  return node.namespace;
}

function networkConfig(node: ClusterNode): unknown {
  return {
    cniVersion: '1.0.0',
    name: networkName(node),
    plugins: [
      {
        type: 'bridge',
        bridge: 'pods',
        isGateway: true,
        hairpinMode: true,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: node.podSubnet }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: join(node.directory, 'addresses'),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
    ],
  };
}

function containerdConfig(node: ClusterNode): string {
  const text = JSON.stringify;
  return `version = 2
root = ${text(join(node.directory, 'containerd', 'root'))}
state = ${text(join(node.directory, 'containerd', 'state'))}
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = ${text(node.containerdSocket)}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = ${text(pauseImage)}
# Only who has CAP_SYS_RESOURCE can lower the score of a process.
restrict_oom_score_adj = true
# So that they are unmounted with all else that is below the cluster's directory.
netns_mounts_under_state_dir = true
disable_tcp_service = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = ${text(pluginsDirectory)}
conf_dir = ${text(join(node.directory, 'network.d'))}
`;
}

function kubeletConfig(cluster: Cluster, node: ClusterNode, identities: Identities): unknown {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: node.address,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: identities.ca } },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: `unix://${node.containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${node.podControlGroup}`,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    clusterDNS: [cluster.dnsAddress],
    clusterDomain: 'cluster.local',
    resolvConf: join(node.directory, 'resolv.conf'),
    podLogsDir: join(node.directory, 'pod-logs'),
    volumePluginDir: join(node.directory, 'volume-plugins'),
    // Three nodes share one disk and one memory: no node shall think that it alone fills them.
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'nodefs.inodesFree': '1%', 'imagefs.available': '1%' },
    // No registry could bring an image back.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    // A lease is renewed four times in its duration: every 2 s, because the loss of a node is noticed after 10 s.
    nodeLeaseDurationSeconds: 8,
    nodeStatusUpdateFrequency: '4s',
    // How soon a changed Secret arrives in a volume.
    syncFrequency: '10s',
    registerWithTaints: [],
    serializeImagePulls: false,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
  };
}
