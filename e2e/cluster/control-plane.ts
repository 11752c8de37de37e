/**
 * The processes beside the nodes: etcd and what Kubernetes runs on it, and the parts of add-ons that a fault of a node shall
 * not touch (who makes volumes, who tells Envoy what to do, what spreads requests over the nodes' Envoys).
 */

import { join } from 'node:path';
import type { Identities } from './certificates.ts';
import type { Cluster } from './description.ts';
import { flagList, type Flags, type ProcessSpec } from './processes.ts';

/** Path by name, of what is built from Go modules, and of Envoy. */
export type Programs = Readonly<Record<string, string>>;

export const etcdPort = 2379;
/** Where Envoy asks Contour. */
export const contourPort = 8001;
export const storageNamespace = 'local-path-storage';
export const ingressNamespace = 'projectcontour';

export interface ControlPlane {
  readonly etcd: ProcessSpec;
  readonly apiServer: ProcessSpec;
  /** In the order in which they are started, once the API server is ready. */
  readonly others: readonly ProcessSpec[];
  /** Started when the objects that they need are there. */
  readonly addons: readonly ProcessSpec[];
}

export function controlPlaneOf(cluster: Cluster, programs: Programs, identities: Identities): ControlPlane {
  const place = cluster.controlPlane;
  const spec = (name: string, flags: Flags, before: readonly string[] = []): ProcessSpec => ({ name, place, program: programs[name]!, args: [...before, ...flagList(flags)] });
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = 'http://127.0.0.1:2380';
  return {
    etcd: spec('etcd', {
      'data-dir': join(cluster.directory, 'etcd'),
      'listen-client-urls': etcdUrl,
      'advertise-client-urls': etcdUrl,
      'listen-peer-urls': peerUrl,
      'initial-advertise-peer-urls': peerUrl,
      'initial-cluster': `default=${peerUrl}`,
      'log-level': 'warn',
      // The disk belongs to what is tested. No test cuts the machine's power; a killed etcd loses nothing by this.
      'unsafe-no-fsync': 'true',
      'auto-compaction-retention': '10m',
    }),
    apiServer: spec('kube-apiserver', {
      'etcd-servers': etcdUrl,
      'bind-address': '0.0.0.0',
      'advertise-address': place.address,
      'secure-port': '6443',
      'tls-cert-file': identities.apiServerCertificate,
      'tls-private-key-file': identities.apiServerKey,
      'client-ca-file': identities.ca,
      'token-auth-file': identities.tokens,
      'authorization-mode': 'Node,RBAC',
      'enable-admission-plugins': 'NodeRestriction',
      'allow-privileged': 'true',
      'service-cluster-ip-range': cluster.serviceSubnet,
      'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
      'service-account-key-file': identities.serviceAccountPublicKey,
      'service-account-signing-key-file': identities.serviceAccountKey,
      // Names of nodes are in no name server.
      'kubelet-preferred-address-types': 'InternalIP',
      'kubelet-client-certificate': identities.kubeletClientCertificate,
      'kubelet-client-key': identities.kubeletClientKey,
      // Goes at once when it is told to: no load balancer waits for it.
      'shutdown-delay-duration': '0s',
    }),
    others: [
      spec('kube-controller-manager', {
        kubeconfig: identities.kubeconfigOf('kube-controller-manager'),
        'leader-elect': 'false',
        'use-service-account-credentials': 'true',
        'root-ca-file': identities.ca,
        'service-account-private-key-file': identities.serviceAccountKey,
        'cluster-signing-cert-file': identities.ca,
        'cluster-signing-key-file': identities.caKey,
        'cluster-cidr': cluster.podSubnet,
        // The loss of a node is noticed within seconds; kubelets renew their leases accordingly.
        'node-monitor-grace-period': '10s',
        'node-monitor-period': '2s',
        'kube-api-qps': '100',
        'kube-api-burst': '200',
        'flex-volume-plugin-dir': join(cluster.directory, 'volume-plugins'),
      }),
      spec('kube-scheduler', { kubeconfig: identities.kubeconfigOf('kube-scheduler'), 'leader-elect': 'false', 'kube-api-qps': '100', 'kube-api-burst': '200' }),
    ],
    addons: [
      // What the machine sends to addresses of services arrives here, whichever nodes are well.
      { ...kubeProxy(cluster, programs, identities, cluster.nodes[0]!.name), name: 'service-proxy', place },
      {
        name: 'local-path-provisioner',
        place,
        program: programs['local-path-provisioner']!,
        args: [
          'start',
          '--kubeconfig', identities.kubeconfigOf('local-path-provisioner'),
          '--config', join(cluster.directory, 'storage.json'),
          '--namespace', storageNamespace,
          '--helper-pod-file', join(cluster.directory, 'storage-helper-pod.yaml'),
          '--service-account-name', 'default',
          '--worker-threads', '8',
        ],
      },
      {
        name: 'contour',
        place,
        program: programs['contour']!,
        args: [
          'serve',
          '--insecure',
          '--disable-leader-election',
          ...flagList({
            kubeconfig: identities.kubeconfigOf('contour'),
            'xds-address': place.address,
            'xds-port': String(contourPort),
            'ingress-status-address': cluster.ingressAddress,
          }),
        ],
      },
      { name: 'load-balancer', place, program: programs['envoy']!, args: ['-c', loadBalancerFile(cluster), '--disable-hot-restart', '--concurrency', '1', '--log-level', 'warn'] },
    ],
  };
}

export function loadBalancerFile(cluster: Cluster): string {
  return join(cluster.directory, 'load-balancer.json');
}

/** `nodeName`: of a node that exists; it takes that node's part only for services that want local traffic. */
export function kubeProxy(cluster: Cluster, programs: Programs, identities: Identities, nodeName: string): Pick<ProcessSpec, 'program' | 'args'> {
  const flags: Flags = {
    kubeconfig: identities.kubeconfigOf('kube-proxy'),
    'hostname-override': nodeName,
    'proxy-mode': 'iptables',
    'cluster-cidr': cluster.podSubnet,
    'iptables-min-sync-period': '200ms',
    // These can be set for the whole machine only.
    'conntrack-max-per-core': '0',
    'conntrack-tcp-timeout-established': '0',
    'conntrack-tcp-timeout-close-wait': '0',
  };
  return { program: programs['kube-proxy']!, args: flagList(flags) };
}
