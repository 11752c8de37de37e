/** The pods of a pool: `shoal pod`, without rights on its node, with a volume, a certificate and a token of its own. Pure. */

import type { V1Container, V1EnvVar, V1PodSpec, V1TopologySpreadConstraint, V1Volume } from '../../pods/kube/resources.ts';
import type { VectorPool } from '../../pods/metadata/objects.ts';
import { containerName, dataVolume, inSyncGate, internalPort, internalTlsDirectory, internalTlsSecret, podSelector, podServiceAccount, statusPort } from './names.ts';

/** What the operator was told about the pods that it makes, the same for all pools. */
export interface PodOptions {
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Names of Secrets. */
  readonly imagePullSecrets: readonly string[];
  readonly logLevel: string;
  readonly volumeAccessMode: 'ReadWriteOncePod' | 'ReadWriteOnce';
  /** Without it, pods talk to each other in plaintext, which they take on loopback addresses only: for tests. */
  readonly hasInternalTls: boolean;
}

/** Nobody's, on a node: the image has no user of its own. */
const userId = 65_532;
/** A pod that ends hands over what it leads, and has half a minute for it; then it closes its files. */
const gracePeriodSeconds = 120;
/** Opening a large volume, replaying its log and loading its graphs. */
const startSecondsMax = 1_800;

export function podSpec(pool: VectorPool, options: PodOptions): V1PodSpec {
  const { nodeSelector, tolerations } = pool.spec;
  return {
    serviceAccountName: podServiceAccount,
    // Its token is bound to this pod by name and UID, by which rule G1's policy knows it.
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    // Its first process is the sandbox's then: the kernel keeps SIGTERM from a first process that has no handler yet, so that
    // a pod told to end as it starts would live through its whole grace.
    shareProcessNamespace: true,
    terminationGracePeriodSeconds: gracePeriodSeconds,
    readinessGates: [{ conditionType: inSyncGate }],
    securityContext: {
      runAsNonRoot: true,
      runAsUser: userId,
      runAsGroup: userId,
      fsGroup: userId,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    topologySpreadConstraints: spread(pool),
    ...(nodeSelector === undefined ? {} : { nodeSelector: { ...nodeSelector } }),
    ...(tolerations === undefined ? {} : { tolerations: tolerations.map((toleration) => ({ ...toleration })) }),
    ...(options.imagePullSecrets.length === 0 ? {} : { imagePullSecrets: options.imagePullSecrets.map((name) => ({ name })) }),
    containers: [container(pool, options)],
    volumes: volumes(options),
  };
}

/** Pods are spread as far as nodes allow; where they do not, a pod on a crowded node is better than none. */
function spread(pool: VectorPool): V1TopologySpreadConstraint[] {
  return pool.spec.topologySpread.map((topologyKey) => ({
    topologyKey,
    maxSkew: 1,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: podSelector(pool.metadata.name) },
  }));
}

function container(pool: VectorPool, options: PodOptions): V1Container {
  const { requests, limits } = pool.spec.resources ?? {};
  const probe = (path: string): { readonly httpGet: { readonly path: string; readonly port: string; readonly scheme: string } } => ({ httpGet: { path, port: 'status', scheme: 'HTTP' } });
  return {
    name: containerName,
    image: options.image,
    imagePullPolicy: options.imagePullPolicy,
    args: ['pod'],
    env: environment(options),
    ports: [
      { name: 'internal', containerPort: internalPort, protocol: 'TCP' },
      { name: 'status', containerPort: statusPort, protocol: 'TCP' },
    ],
    resources: { ...(requests === undefined ? {} : { requests: { ...requests } }), ...(limits === undefined ? {} : { limits: { ...limits } }) },
    startupProbe: { ...probe('/livez'), periodSeconds: 2, timeoutSeconds: 5, failureThreshold: startSecondsMax / 2 },
    // Whoever ends a pod that is merely busy takes a replica away for nothing.
    livenessProbe: { ...probe('/livez'), periodSeconds: 10, timeoutSeconds: 10, failureThreshold: 6 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 3 },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    volumeMounts: [
      { name: dataVolume, mountPath: '/data' },
      { name: 'tmp', mountPath: '/tmp' },
      ...(options.hasInternalTls ? [{ name: 'internal-tls', mountPath: internalTlsDirectory, readOnly: true }] : []),
    ],
  };
}

function environment(options: PodOptions): V1EnvVar[] {
  const field = (name: string, fieldPath: string): V1EnvVar => ({ name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } });
  const tls: readonly V1EnvVar[] = [
    { name: 'SHOAL_INTERNAL_TLS_CERT', value: `${internalTlsDirectory}/tls.crt` },
    { name: 'SHOAL_INTERNAL_TLS_KEY', value: `${internalTlsDirectory}/tls.key` },
    { name: 'SHOAL_INTERNAL_TLS_CA', value: `${internalTlsDirectory}/ca.crt` },
    { name: 'SHOAL_INTERNAL_REQUIRE_ROLES', value: 'true' },
  ];
  return [
    field('SHOAL_POD_NAME', 'metadata.name'),
    field('SHOAL_POD_UID', 'metadata.uid'),
    field('SHOAL_NAMESPACE', 'metadata.namespace'),
    { name: 'SHOAL_DATA_DIR', value: '/data' },
    { name: 'SHOAL_INTERNAL_HOST', value: '0.0.0.0' },
    { name: 'SHOAL_INTERNAL_PORT', value: String(internalPort) },
    { name: 'SHOAL_STATUS_HOST', value: '0.0.0.0' },
    { name: 'SHOAL_STATUS_PORT', value: String(statusPort) },
    { name: 'SHOAL_LOG_LEVEL', value: options.logLevel },
    ...(options.hasInternalTls ? tls : []),
  ];
}

function volumes(options: PodOptions): V1Volume[] {
  const certificate: V1Volume = { name: 'internal-tls', secret: { secretName: internalTlsSecret, defaultMode: 0o440 } };
  return [{ name: 'tmp', emptyDir: {} }, ...(options.hasInternalTls ? [certificate] : [])];
}
