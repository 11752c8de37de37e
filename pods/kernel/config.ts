/** The options of each process: selections of one table, so that the same option means the same everywhere. */

import { invalid, readOptions, type ConfigOf, type ConfigSources, type OptionDeclaration } from './options.ts';
import { limits } from './limits.ts';
import { logLevels } from './logger.ts';

const port = { type: 'integer', minimum: 0, maximum: 65_535 } as const;

const doors = {
  host: { type: 'string', flag: 'host', variables: ['SHOAL_HOST'], default: '127.0.0.1', help: 'Address to listen on.' },
  httpPort: { ...port, flag: 'http-port', variables: ['SHOAL_HTTP_PORT'], default: 8080, help: 'Port of HTTP; 0 takes a free one.' },
  grpcPort: { ...port, flag: 'grpc-port', variables: ['SHOAL_GRPC_PORT'], default: 50_051, help: 'Port of gRPC; 0 takes a free one.' },
} as const satisfies Record<string, OptionDeclaration>;

const data = {
  dataDirectory: { type: 'string', flag: 'data-dir', variables: ['SHOAL_DATA_DIR'], default: './data', help: 'Directory of everything that is stored.' },
} as const satisfies Record<string, OptionDeclaration>;

/** What makes the graphs. */
const index = {
  indexImplementation: {
    type: 'choice',
    choices: ['native', 'hnswlib'],
    flag: 'index-implementation',
    variables: ['SHOAL_INDEX_IMPLEMENTATION'],
    default: 'native',
    help: 'What makes graphs: the native core (hnswlib-node serves where it could not be built), or hnswlib-node.',
  },
  indexThreads: {
    type: 'integer',
    minimum: 0,
    maximum: 256,
    flag: 'index-threads',
    variables: ['SHOAL_INDEX_THREADS'],
    default: 0,
    help: 'Threads of the native core; 0 is one per processor that the process may use.',
  },
} as const satisfies Record<string, OptionDeclaration>;

const access = {
  apiKeys: {
    type: 'list',
    flag: 'api-keys',
    variables: ['SHOAL_API_KEYS', 'API_KEYS'],
    default: [],
    secret: true,
    help: 'API keys with every right, comma-separated; beside those that are stored.',
  },
  noAuth: { type: 'boolean', flag: 'no-auth', variables: ['SHOAL_NO_AUTH'], default: false, help: 'Ask for no API key; only on a loopback address.' },
  tlsCertificate: { type: 'string', flag: 'tls-cert', variables: ['SHOAL_TLS_CERT'], default: undefined, help: 'PEM file of the certificate chain.' },
  tlsKey: { type: 'string', flag: 'tls-key', variables: ['SHOAL_TLS_KEY'], default: undefined, help: "PEM file of the certificate's private key." },
  insecure: { type: 'boolean', flag: 'insecure', variables: ['SHOAL_INSECURE'], default: false, help: 'Serve without TLS on an address that is not loopback.' },
  openMetrics: {
    type: 'boolean',
    flag: 'open-metrics',
    variables: ['SHOAL_OPEN_METRICS'],
    default: false,
    help: 'Serve /metrics without an API key off loopback too (on loopback it needs none).',
  },
} as const satisfies Record<string, OptionDeclaration>;

const observation = {
  metrics: { type: 'boolean', flag: 'metrics', variables: ['SHOAL_METRICS'], default: true, help: 'Serve metrics at /metrics.' },
  logLevel: { type: 'choice', choices: logLevels, flag: 'log-level', variables: ['SHOAL_LOG_LEVEL'], default: 'info', help: 'Least level of log lines.' },
} as const satisfies Record<string, OptionDeclaration>;

const requests = {
  slowQueryMs: {
    type: 'number',
    minimum: 0,
    flag: 'slow-query-ms',
    variables: ['SHOAL_SLOW_QUERY_MS'],
    default: 500,
    help: 'Log requests that take longer, in milliseconds; 0 logs none.',
  },
  otlpEndpoint: {
    type: 'string',
    flag: 'otlp-endpoint',
    variables: ['SHOAL_OTLP_ENDPOINT'],
    default: undefined,
    help: 'Send traces to this OTLP/HTTP base address, such as http://127.0.0.1:4318; nothing is sent without it.',
  },
  traceSampleRatio: {
    type: 'number',
    minimum: 0,
    maximum: 1,
    flag: 'trace-sample-ratio',
    variables: ['SHOAL_TRACE_SAMPLE_RATIO'],
    default: 1,
    help: 'Fraction of requests to trace where the caller has not decided.',
  },
} as const satisfies Record<string, OptionDeclaration>;

const disk = {
  diskReadOnlyAt: {
    type: 'number',
    minimum: 0.01,
    maximum: 1,
    flag: 'disk-read-only-at',
    variables: ['SHOAL_DISK_READ_ONLY_AT'],
    default: limits.diskReadOnlyAtFraction,
    help: 'Refuse writes that add data when this fraction of the disk is in use.',
  },
} as const satisfies Record<string, OptionDeclaration>;

const ending = {
  shutdownGraceMs: {
    type: 'integer',
    minimum: 0,
    maximum: 600_000,
    flag: 'shutdown-grace',
    variables: ['SHOAL_SHUTDOWN_GRACE'],
    default: limits.shutdownGraceMs,
    help: 'Time that requests in flight get at shutdown, in milliseconds.',
  },
} as const satisfies Record<string, OptionDeclaration>;

const deadlines = {
  requestTimeoutMs: {
    type: 'integer',
    minimum: 1,
    maximum: limits.requestTimeoutMsMax,
    flag: 'request-timeout-ms',
    variables: ['SHOAL_REQUEST_TIMEOUT_MS'],
    default: limits.requestTimeoutMsDefault,
    help: 'Deadline of a request whose client sets none, in milliseconds.',
  },
} as const satisfies Record<string, OptionDeclaration>;

const file = {
  configFile: { type: 'string', flag: 'config', variables: ['SHOAL_CONFIG'], default: undefined, notInFile: true, help: 'JSON file of options, its fields named like the flags.' },
} as const satisfies Record<string, OptionDeclaration>;

/** How a process of a cluster reaches the Kubernetes API, and which objects are its own. */
const cluster = {
  kubeconfig: {
    type: 'string',
    flag: 'kubeconfig',
    variables: ['SHOAL_KUBECONFIG', 'KUBECONFIG'],
    default: undefined,
    help: "File that says how to reach the Kubernetes API; without it, the pod's own service account.",
  },
  namespace: { type: 'string', flag: 'namespace', variables: ['SHOAL_NAMESPACE', 'POD_NAMESPACE'], default: 'default', help: 'Namespace of its objects.' },
} as const satisfies Record<string, OptionDeclaration>;

/** How pods and gateways reach each other. */
const peers = {
  podAddresses: {
    type: 'string',
    flag: 'pod-addresses',
    variables: ['SHOAL_POD_ADDRESSES'],
    default: '{pod}.shoal-pods.{namespace}.svc:7600',
    help: 'Where data pods listen for each other: a template of {pod} and {namespace}, or a list name=host:port,…',
  },
  internalTlsCertificate: {
    type: 'string',
    flag: 'internal-tls-cert',
    variables: ['SHOAL_INTERNAL_TLS_CERT'],
    default: undefined,
    help: 'PEM file of the certificate that other pods and gateways know this process by; read again when it changes.',
  },
  internalTlsKey: { type: 'string', flag: 'internal-tls-key', variables: ['SHOAL_INTERNAL_TLS_KEY'], default: undefined, help: "PEM file of that certificate's private key." },
  internalTlsAuthority: {
    type: 'string',
    flag: 'internal-tls-ca',
    variables: ['SHOAL_INTERNAL_TLS_CA'],
    default: undefined,
    help: 'PEM file of the authority that the certificates of all pods and gateways come from.',
  },
  internalServerName: {
    type: 'string',
    flag: 'internal-server-name',
    variables: ['SHOAL_INTERNAL_SERVER_NAME'],
    default: undefined,
    help: 'Name in the certificates of pods, where it is not the host they are reached by.',
  },
  internalRequireRoles: {
    type: 'boolean',
    flag: 'internal-require-roles',
    variables: ['SHOAL_INTERNAL_REQUIRE_ROLES'],
    default: false,
    help: 'Refuse certificates that do not name a role (URI shoal://NAMESPACE/pod, gateway or operator); without it, who has none may ask for everything.',
  },
} as const satisfies Record<string, OptionDeclaration>;

const podIdentity = {
  podName: { type: 'string', flag: 'pod-name', variables: ['SHOAL_POD_NAME', 'POD_NAME'], default: undefined, help: "The pod's name, by which objects name its replicas." },
  podUID: { type: 'string', flag: 'pod-uid', variables: ['SHOAL_POD_UID', 'POD_UID'], default: undefined, help: "The pod's UID, which its token carries." },
  internalHost: { type: 'string', flag: 'internal-host', variables: ['SHOAL_INTERNAL_HOST'], default: '127.0.0.1', help: 'Address to listen on for other pods and gateways.' },
  internalPort: { ...port, flag: 'internal-port', variables: ['SHOAL_INTERNAL_PORT'], default: 7600, help: 'Port for other pods and gateways; 0 takes a free one.' },
} as const satisfies Record<string, OptionDeclaration>;

/** What a pod sends to others when they take over a replica. */
const transfers = {
  transferBytesPerSecond: {
    type: 'integer',
    minimum: 64 * 1024,
    flag: 'transfer-bytes-per-second',
    variables: ['SHOAL_TRANSFER_BYTES_PER_SECOND'],
    default: limits.transferBytesPerSecondMax,
    help: 'What all snapshots together that the pod sends to others may take, in bytes per second.',
  },
} as const satisfies Record<string, OptionDeclaration>;

/** Where a process without public doors answers probes and shows its metrics. */
const statusDoor = {
  statusHost: { type: 'string', flag: 'status-host', variables: ['SHOAL_STATUS_HOST'], default: '127.0.0.1', help: 'Address of /livez, /readyz and /metrics.' },
  statusPort: { ...port, flag: 'status-port', variables: ['SHOAL_STATUS_PORT'], default: 8081, help: 'Port of /livez, /readyz and /metrics; 0 takes a free one.' },
} as const satisfies Record<string, OptionDeclaration>;

const directory = {
  pods: {
    type: 'list',
    flag: 'pods',
    variables: ['SHOAL_PODS'],
    default: [],
    help: 'Names of the data pods that may hold replicas, comma-separated; without it, the pods that Kubernetes shows with the label shoal.dev/role=data-pod.',
  },
} as const satisfies Record<string, OptionDeclaration>;

export const serverOptions = { ...doors, ...data, ...index, ...access, ...observation, ...requests, ...disk, ...ending, ...deadlines, ...file } as const;
/** Where a gateway lets the collections be that are made through it. */
const hosting = {
  pool: { type: 'string', flag: 'pool', variables: ['SHOAL_POOL'], default: 'default', help: 'VectorPool that collections go to which are made through this gateway.' },
} as const satisfies Record<string, OptionDeclaration>;

export const gatewayOptions = { ...doors, ...access, ...observation, ...requests, ...ending, ...deadlines, ...cluster, ...hosting, ...peers, ...file } as const;
export const podOptions = { ...podIdentity, ...statusDoor, ...transfers, ...data, ...index, ...observation, ...requests, ...disk, ...ending, ...cluster, ...peers, ...file } as const;
export const controllerOptions = { ...statusDoor, ...observation, ...ending, ...cluster, ...peers, ...directory, ...file } as const;

/** What the operator makes, and how several of them agree. */
const operation = {
  image: { type: 'string', flag: 'image', variables: ['SHOAL_IMAGE'], default: undefined, help: 'Container image of the data pods.' },
  imagePullPolicy: {
    type: 'choice',
    choices: ['Always', 'IfNotPresent', 'Never'],
    flag: 'image-pull-policy',
    variables: ['SHOAL_IMAGE_PULL_POLICY'],
    default: 'IfNotPresent',
    help: 'When nodes fetch that image.',
  },
  imagePullSecrets: { type: 'list', flag: 'image-pull-secrets', variables: ['SHOAL_IMAGE_PULL_SECRETS'], default: [], help: 'Secrets that nodes fetch that image with, comma-separated.' },
  podLogLevel: { type: 'choice', choices: logLevels, flag: 'pod-log-level', variables: ['SHOAL_POD_LOG_LEVEL'], default: 'info', help: 'Least level of log lines of the data pods.' },
  volumeAccessMode: {
    type: 'choice',
    choices: ['ReadWriteOncePod', 'ReadWriteOnce'],
    flag: 'volume-access-mode',
    variables: ['SHOAL_VOLUME_ACCESS_MODE'],
    default: 'ReadWriteOncePod',
    help: 'Access mode of the volumes of data pods; ReadWriteOnce where the storage does not know the other.',
  },
  podTls: { type: 'boolean', flag: 'pod-tls', variables: ['SHOAL_POD_TLS'], default: true, help: 'Mount a certificate into each data pod, for mutual TLS between processes.' },
  issuesCertificates: {
    type: 'boolean',
    flag: 'issue-certificates',
    variables: ['SHOAL_ISSUE_CERTIFICATES'],
    default: true,
    help: 'Issue and renew the certificates of pods, gateways and itself; off where somebody else writes their Secrets.',
  },
  certificateHours: {
    type: 'number',
    minimum: 0.01,
    maximum: 87_600,
    flag: 'certificate-hours',
    variables: ['SHOAL_CERTIFICATE_HOURS'],
    default: 720,
    help: 'How long a certificate that it issues lasts, in hours; it is renewed after two thirds of that.',
  },
  authorityHours: {
    type: 'number',
    minimum: 0.01,
    maximum: 876_000,
    flag: 'authority-hours',
    variables: ['SHOAL_AUTHORITY_HOURS'],
    default: 43_800,
    help: 'How long the authority lasts that they come from, in hours; it is replaced after two thirds of that.',
  },
  authorityOverlapHours: {
    type: 'number',
    minimum: 0.01,
    maximum: 8_760,
    flag: 'authority-overlap-hours',
    variables: ['SHOAL_AUTHORITY_OVERLAP_HOURS'],
    default: 24,
    help: 'While one authority replaces another, how long each step waits for all processes to have read their files, in hours.',
  },
  applySchemas: { type: 'boolean', flag: 'apply-crds', variables: ['SHOAL_APPLY_CRDS'], default: true, help: 'Bring the CustomResourceDefinitions to this version when it begins to lead.' },
  leaseName: { type: 'string', flag: 'lease-name', variables: ['SHOAL_LEASE_NAME'], default: 'shoal-operator', help: 'Lease by which several operators of a namespace agree on one that works.' },
} as const satisfies Record<string, OptionDeclaration>;

export const operatorOptions = { ...operation, ...statusDoor, ...observation, ...ending, ...cluster, ...peers, ...file } as const;

/** Of the Job that makes way for the end of an installation. */
const removal = {
  withCollections: { type: 'boolean', flag: 'with-collections', variables: ['SHOAL_WITH_COLLECTIONS'], default: false, help: 'Delete the collections that there are, instead of refusing.' },
  timeoutMs: { type: 'integer', minimum: 1, maximum: 3_600_000, flag: 'timeout-ms', variables: ['SHOAL_TIMEOUT_MS'], default: 240_000, help: 'How long to wait for the operator, in milliseconds.' },
} as const satisfies Record<string, OptionDeclaration>;

export const uninstallOptions = { ...removal, logLevel: observation.logLevel, ...cluster, ...file } as const;

/** Of the Job that empties a pod. */
const emptying = {
  drainPool: { type: 'string', flag: 'pool', variables: ['SHOAL_POOL'], default: undefined, help: 'Name of the VectorPool that the pod belongs to.' },
  drainPod: { type: 'string', flag: 'pod', variables: ['SHOAL_POD'], default: undefined, help: 'Name of the pod whose replicas shall move elsewhere.' },
  cancel: { type: 'boolean', flag: 'cancel', variables: ['SHOAL_CANCEL'], default: false, help: 'Take the request back: the pod may hold replicas again.' },
  requestedBy: { type: 'string', flag: 'requested-by', variables: ['SHOAL_REQUESTED_BY'], default: 'shoal job drain', help: 'Who asks, as the status of the pool shall say.' },
  drainTimeoutMs: { type: 'integer', minimum: 1, maximum: 604_800_000, flag: 'timeout-ms', variables: ['SHOAL_TIMEOUT_MS'], default: 86_400_000, help: 'How long to wait until it is empty, in milliseconds; the request stands then.' },
} as const satisfies Record<string, OptionDeclaration>;

export const drainOptions = { ...emptying, logLevel: observation.logLevel, ...cluster, ...file } as const;

export type ServerConfig = ConfigOf<typeof serverOptions>;
export type GatewayConfig = ConfigOf<typeof gatewayOptions>;
export type PodConfig = ConfigOf<typeof podOptions>;
export type OperatorConfig = ConfigOf<typeof operatorOptions> & { readonly image: string };
export type ControllerConfig = ConfigOf<typeof controllerOptions>;

/** Throws INVALID_ARGUMENT for a bad value and UNKNOWN_FIELD for a flag or field that is not there. */
export function readServerConfig(sources: ConfigSources): ServerConfig {
  const config = readOptions(serverOptions, sources);
  checkBinding(config);
  return config;
}

/** Likewise for a gateway. */
export function readGatewayConfig(sources: ConfigSources): GatewayConfig {
  const config = readOptions(gatewayOptions, sources);
  checkBinding(config);
  checkPeers(config);
  return config;
}

/** Likewise for a data pod. */
export function readPodConfig(sources: ConfigSources): PodConfig & { readonly podName: string; readonly podUID: string } {
  const config = readOptions(podOptions, sources);
  const { podName, podUID } = config;
  if (podName === undefined) throw invalid('--pod-name is missing: objects name replicas by it');
  if (podUID === undefined) throw invalid('--pod-uid is missing: rule G1 compares it with the token of the pod');
  checkPeers(config);
  return { ...config, podName, podUID };
}

/** Likewise for the failover controller. */
export function readControllerConfig(sources: ConfigSources): ControllerConfig {
  const config = readOptions(controllerOptions, sources);
  checkPeers(config);
  return config;
}

export function readUninstallConfig(sources: ConfigSources): ConfigOf<typeof uninstallOptions> {
  return readOptions(uninstallOptions, sources);
}

export function readDrainConfig(sources: ConfigSources): ConfigOf<typeof drainOptions> & { readonly drainPool: string; readonly drainPod: string } {
  const config = readOptions(drainOptions, sources);
  const { drainPool, drainPod } = config;
  if (drainPool === undefined) throw invalid('--pool is missing: the VectorPool that the pod belongs to');
  if (drainPod === undefined) throw invalid('--pod is missing: the pod that shall be emptied');
  return { ...config, drainPool, drainPod };
}

/** Likewise for the operator. */
export function readOperatorConfig(sources: ConfigSources): OperatorConfig {
  const config = readOptions(operatorOptions, sources);
  const { image } = config;
  if (image === undefined) throw invalid('--image is missing: data pods are made of it');
  checkPeers(config);
  const { certificateHours, authorityHours, authorityOverlapHours } = config;
  // What is renewed after two thirds of its life must not end while a replacement waits.
  if (3 * authorityOverlapHours > Math.min(certificateHours, authorityHours)) {
    throw invalid(`--authority-overlap-hours ${authorityOverlapHours} is more than a third of --certificate-hours ${certificateHours} or of --authority-hours ${authorityHours}`);
  }
  return { ...config, image };
}

function checkPeers(config: Pick<PodConfig, 'internalTlsCertificate' | 'internalTlsKey' | 'internalTlsAuthority'>): void {
  const given = [config.internalTlsCertificate, config.internalTlsKey, config.internalTlsAuthority].filter((path) => path !== undefined).length;
  if (given !== 0 && given !== 3) throw invalid('--internal-tls-cert, --internal-tls-key and --internal-tls-ca belong together; some are missing');
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Throws INVALID_ARGUMENT where the address is open to others and the options would let them in, or listen in. */
export function checkBinding(config: Pick<ServerConfig, 'host' | 'noAuth' | 'tlsCertificate' | 'tlsKey' | 'insecure'>): void {
  if ((config.tlsCertificate === undefined) !== (config.tlsKey === undefined)) {
    throw invalid('--tls-cert and --tls-key belong together; one of them is missing');
  }
  if (isLoopback(config.host)) return;
  if (config.noAuth) throw invalid(`--no-auth works on a loopback address only, and --host is ${config.host}`);
  if (config.tlsCertificate === undefined && !config.insecure) {
    throw invalid(`--host ${config.host} is open to others, so it needs --tls-cert and --tls-key, or --insecure to go without`);
  }
}
