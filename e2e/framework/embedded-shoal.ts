/**
 * The parts of one process put together inside a test, for what cannot be reached from outside: opening many damaged
 * directories quickly, and shards that answer late. Everything is real, but the gateway is started only when asked for.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestContext } from '../../pods/api/context.ts';
import type { VectorApi } from '../../pods/api/vector-api.ts';
import { openAuthenticator } from '../../pods/auth/authenticator.ts';
import { createKeyStore } from '../../pods/auth/key-store.ts';
import { shoalDialect } from '../../pods/dialects/shoal/shoal-dialect.ts';
import { vectronDialect } from '../../pods/dialects/vectron/vectron-dialect.ts';
import { startGateway, type Gateway } from '../../pods/gateway/gateway.ts';
import type { ShardService } from '../../pods/domain/shard-service.ts';
import { graphFactoryOf, type IndexImplementation } from '../../pods/index/graph-factory.ts';
import { systemClock } from '../../pods/kernel/clock.ts';
import { readServerConfig } from '../../pods/kernel/config.ts';
import { silentLogger } from '../../pods/kernel/logger.ts';
import { nodeFileSystem } from '../../pods/kernel/node-file-system.ts';
import { systemRandom } from '../../pods/kernel/random.ts';
import { noSpan } from '../../pods/kernel/span.ts';
import { openPodLog } from '../../pods/log/pod-log.ts';
import { openLocalMetadata } from '../../pods/metadata/local-metadata.ts';
import { createRouter } from '../../pods/router/router.ts';
import { openDataDirectory } from '../../pods/service/data-directory.ts';
import type { DataPod } from '../../pods/service/data-pod.ts';
import { createClusterApi } from '../../pods/standalone/cluster-api.ts';
import { startOnlyPod } from '../../pods/standalone/only-pod.ts';
import { openRocksdbStore } from '../../pods/storage/rocksdb-store.ts';
import { noMetrics } from '../../pods/telemetry/metrics.ts';
import { createPrometheusMetrics } from '../../pods/telemetry/prometheus-metrics.ts';
import { noTracer } from '../../pods/telemetry/tracer.ts';
import { checkout } from './server-process.ts';
import { timeoutsMs } from './timeouts.ts';

export interface EmbeddedOptions {
  readonly dataDirectory: string;
  /** Stands between the router and a shard. */
  readonly aroundShard?: (shard: ShardService, shardUID: string) => ShardService;
  readonly indexImplementation?: IndexImplementation;
  /** Makes a graph of fewer points than the limits ask for. */
  readonly flatFloatsMax?: number;
}

export interface EmbeddedShoal {
  readonly api: VectorApi;
  readonly pod: DataPod;
  /** Serves `api` on free ports of the loopback address, without credentials. */
  serve(): Promise<Gateway>;
  close(): Promise<void>;
}

/** Closes what it had opened when it fails, so that the directory can be opened again. */
export async function openEmbeddedShoal({ dataDirectory, aroundShard = (shard) => shard, flatFloatsMax, indexImplementation = 'native' }: EmbeddedOptions): Promise<EmbeddedShoal> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const common = { fileSystem: nodeFileSystem, clock: systemClock, random: systemRandom };
    const directory = await openDataDirectory(nodeFileSystem, dataDirectory, 'e2e');
    const store = await openRocksdbStore({ directory: directory.store });
    closers.push(() => store.close());
    const log = await openPodLog({ ...common, directory: directory.log });
    closers.push(() => log.close());
    const metadata = await openLocalMetadata({ ...common, directory: directory.metadata });
    const only = await startOnlyPod({
      ...common,
      metadata,
      directory,
      log,
      store,
      graphFactory: graphFactoryOf({ indexImplementation, indexThreads: 0, dataDirectory }, silentLogger),
      logger: silentLogger,
      diskReadOnlyAtFraction: 1,
      onFailure: () => undefined,
      ...(flatFloatsMax === undefined ? {} : { flatFloatsMax }),
    });
    // It closes its log and store itself.
    closers.splice(0, closers.length, () => only.close());
    const { pod } = only;
    const router = createRouter({ ...common, metadata, pods: { pod: () => ({ shard: (target) => aroundShard(only.service.shard(target), target.shardUID) }) }, logger: silentLogger, metrics: noMetrics, replicaCountMax: 1 });
    const keys = createKeyStore({ records: router.records, clock: systemClock, random: systemRandom });
    const ports = { ...common, openStore: (path: string) => openRocksdbStore({ directory: path }), version: 'e2e' };
    const api = router.api({ keys, cluster: createClusterApi({ ports, pod, metadata, startedAtMs: systemClock.nowMs() }) });
    return {
      api,
      pod,
      async serve() {
        const gateway = await startGateway({
          config: readServerConfig({ argv: ['--http-port', '0', '--grpc-port', '0', '--no-auth'], environment: {}, readFile: () => '' }),
          api,
          authenticator: openAuthenticator,
          dialects: [shoalDialect, vectronDialect],
          descriptors: readFileSync(join(checkout, 'proto', 'gen', 'descriptors.binpb')),
          version: 'e2e',
          metrics: createPrometheusMetrics(silentLogger),
          tracer: noTracer,
          logger: silentLogger,
          clock: systemClock,
          random: systemRandom,
          readiness: () => ({ ready: true, reasons: [] }),
        });
        closers.push(() => gateway.close());
        return gateway;
      },
      close,
    };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** A context of somebody who may do everything. */
export function requestContext(): RequestContext {
  return {
    requestId: 'e2e',
    identity: { subject: 'e2e', actions: ['read', 'write', 'admin'], collections: 'all' },
    signal: AbortSignal.timeout(timeoutsMs.request),
    span: noSpan,
  };
}
