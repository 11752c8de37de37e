/**
 * Everything in one process: a data pod with local metadata, the controller that stands for the operator, the router and
 * the gateway. Builds the concrete parts and joins them; nothing is decided here.
 */

import { createAuthenticator, openAuthenticator } from '../auth/authenticator.ts';
import { ensureFirstKey } from '../auth/first-key.ts';
import { createKeyStore, type KeyStore } from '../auth/key-store.ts';
import { shoalDialect } from '../dialects/shoal/shoal-dialect.ts';
import { vectronDialect } from '../dialects/vectron/vectron-dialect.ts';
import { startGateway, type Gateway } from '../gateway/gateway.ts';
import { graphFactoryOf } from '../index/graph-factory.ts';
import { systemClock } from '../kernel/clock.ts';
import { isLoopback, type ServerConfig } from '../kernel/config.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { nodeFileSystem } from '../kernel/node-file-system.ts';
import { systemRandom } from '../kernel/random.ts';
import type { Shutdown } from '../kernel/shutdown.ts';
import { openPodLog } from '../log/pod-log.ts';
import { openLocalMetadata } from '../metadata/local-metadata.ts';
import { createRouter } from '../router/router.ts';
import { openDataDirectory } from '../service/data-directory.ts';
import type { DataPod } from '../service/data-pod.ts';
import { observePod } from '../service/pod-metrics.ts';
import { openRocksdbStore } from '../storage/rocksdb-store.ts';
import { noMetrics } from '../telemetry/metrics.ts';
import { openTracer } from '../telemetry/open-tracer.ts';
import { observeProcess } from '../telemetry/process-metrics.ts';
import { createPrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import { createClusterApi } from './cluster-api.ts';
import { startOnlyPod } from './only-pod.ts';

export interface StandaloneOptions {
  readonly config: ServerConfig;
  readonly version: string;
  /** A serialised FileDescriptorSet, for gRPC reflection. */
  readonly descriptors: Uint8Array;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  /** Nothing can be acknowledged any more: the process has to end. */
  readonly onFailure: (error: Error) => void;
  /** For the test of durability only: a log that is never synced. */
  readonly unsafeSkipSync?: boolean;
}

export interface Standalone {
  readonly gateway: Gateway;
  readonly dataDirectory: string;
  /** The key of the first start, to be shown once. */
  readonly firstKey: string | undefined;
}

export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const { config, version, logger, shutdown } = options;
  const clock = systemClock;
  const random = systemRandom;
  const fileSystem = nodeFileSystem;
  const metrics = config.metrics ? createPrometheusMetrics(logger) : { ...noMetrics, contentType: 'text/plain', scrape: () => '' };
  const tracer = await openTracer(config, version);
  const startedAtMs = clock.nowMs();

  const directory = await openDataDirectory(fileSystem, config.dataDirectory, version);
  // The store goes first: its lock keeps a second process off the log and the metadata too.
  const store = await openRocksdbStore({ directory: directory.store });
  const log = await openPodLog({
    directory: directory.log,
    fileSystem,
    clock,
    onRepair: (repair) => logger.warn({ ...repair }, 'cut the torn tail of the log: nothing of it had been acknowledged'),
    unsafeSkipSync: options.unsafeSkipSync ?? false,
  });
  const metadata = await openLocalMetadata({ directory: directory.metadata, fileSystem, clock, random });
  const only = await startOnlyPod({
    directory,
    fileSystem,
    log,
    store,
    graphFactory: graphFactoryOf(config, logger),
    metadata,
    clock,
    random,
    logger,
    diskReadOnlyAtFraction: config.diskReadOnlyAt,
    onFailure: options.onFailure,
  });
  const { pod, pods } = only;

  const router = createRouter({ metadata, pods, clock, random, logger, metrics, replicaCountMax: 1 });
  const keys = createKeyStore({ records: router.records, clock, random });
  const cluster = createClusterApi({ ports: { fileSystem, openStore: (path) => openRocksdbStore({ directory: path }), clock, random, version }, pod, metadata, startedAtMs });
  const firstKey = config.noAuth ? undefined : await firstKeyOf(config, keys);
  const gateway = await startGateway({
    config,
    api: router.api({ keys, cluster }),
    authenticator: config.noAuth ? openAuthenticator : createAuthenticator({ keys, givenKeys: config.apiKeys, clock, metrics }),
    dialects: [shoalDialect, vectronDialect],
    descriptors: options.descriptors,
    version,
    metrics,
    tracer,
    logger,
    clock,
    random,
    readiness: () => podReadiness(pod),
  });
  const processMetrics = observeProcess(metrics, version);
  observePod(metrics, pod, metadata);

  shutdown.add({ name: 'gateway', timeoutMs: config.shutdownGraceMs + limits.shutdownGraceMs, run: () => gateway.close() });
  shutdown.add({ name: 'data pod', timeoutMs: 3 * limits.shutdownGraceMs, run: () => only.close() });
  shutdown.add({
    name: 'telemetry',
    timeoutMs: limits.shutdownGraceMs,
    run: () => {
      processMetrics.close();
      return tracer.close();
    },
  });
  return { gateway, dataDirectory: config.dataDirectory, firstKey };
}

/** On loopback the first start makes a key; where others can reach the port, somebody must have chosen one. */
async function firstKeyOf(config: ServerConfig, keys: KeyStore): Promise<string | undefined> {
  const signal = AbortSignal.timeout(limits.requestTimeoutMsDefault);
  if (isLoopback(config.host)) return ensureFirstKey(keys, config.apiKeys, signal);
  if (config.apiKeys.length > 0 || (await keys.count()) > 0) return undefined;
  throw new ShoalError('INVALID_ARGUMENT', `there is no API key yet, and ${config.host} is not a loopback address: give keys in API_KEYS, or start once on 127.0.0.1 to make one`, {
    details: { field: 'host' },
  });
}

function podReadiness(pod: DataPod): { ready: boolean; reasons: string[] } {
  const reasons = pod.hosted().flatMap(({ replica, collection }) => (replica.notServing === undefined ? [] : [`collection "${collection}", shard ${replica.shardUID}: ${replica.notServing}`]));
  return { ready: reasons.length === 0, reasons };
}
