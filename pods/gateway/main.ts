/** `shoal gateway`: the public doors of a cluster. It holds no data, so any number may run: all state is in the pods. */

import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { createAuthenticator, openAuthenticator } from '../auth/authenticator.ts';
import { createKeyStore } from '../auth/key-store.ts';
import { replicaCountMax } from '../domain/collection.ts';
import { shoalDialect } from '../dialects/shoal/shoal-dialect.ts';
import { vectronDialect } from '../dialects/vectron/vectron-dialect.ts';
import { sleep, systemClock } from '../kernel/clock.ts';
import { gatewayOptions, readGatewayConfig, type GatewayConfig } from '../kernel/config.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { printableOptions } from '../kernel/options.ts';
import { systemRandom } from '../kernel/random.ts';
import { beginServer, startFailed } from '../kernel/server-process.ts';
import type { Shutdown } from '../kernel/shutdown.ts';
import { programVersion } from '../kernel/version.ts';
import { kubeEndpoint } from '../kube/endpoint.ts';
import { openKubeMetadata } from '../metadata/kube-metadata.ts';
import type { ClusterMap } from '../router/cluster-map.ts';
import { createRouter } from '../router/router.ts';
import { noMetrics } from '../telemetry/metrics.ts';
import { openTracer } from '../telemetry/open-tracer.ts';
import { observeProcess } from '../telemetry/process-metrics.ts';
import { createPrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import { openPeers } from '../wire/open-peers.ts';
import { createClusterApi } from './cluster-api.ts';
import { startGateway, type Gateway } from './gateway.ts';

const command = 'shoal gateway';
const loadRetryMs = 500;

/** Exit codes: 0 ended as asked, 1 failed, 2 wrong usage. Does not return while it serves. */
export async function main(argv: readonly string[]): Promise<number> {
  const begun = beginServer(command, argv, gatewayOptions, readGatewayConfig);
  if (typeof begun === 'number') return begun;
  const { config, logger, shutdown } = begun;
  const version = programVersion();
  logger.info({ version, options: printableOptions(gatewayOptions, config) }, 'starting');
  try {
    const gateway = await start(config, version, logger, shutdown);
    flushCompileCache();
    process.stdout.write(greeting(version, config, gateway));
    return await new Promise<number>(() => undefined);
  } catch (error) {
    return await startFailed(command, error, begun);
  }
}

/** Serves at once; it is ready when the objects of the cluster were read. */
async function start(config: GatewayConfig, version: string, logger: Logger, shutdown: Shutdown): Promise<Gateway> {
  const parts = { clock: systemClock, random: systemRandom, logger };
  const metrics = config.metrics ? createPrometheusMetrics(logger) : { ...noMetrics, contentType: 'text/plain', scrape: () => '' };
  const tracer = await openTracer(config, version);
  const endpoint = await kubeEndpoint(config.kubeconfig === undefined ? 'in-cluster' : { kubeconfig: config.kubeconfig }).catch((cause: unknown) => {
    throw new ShoalError('INVALID_ARGUMENT', `--kubeconfig does not lead to a cluster: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  const metadata = openKubeMetadata({ ...parts, endpoint, namespace: config.namespace });
  const session = parts.random.uuid();
  const pods = openPeers(config, { role: 'gateway', name: `gateway-${session.slice(0, 8)}`, podUID: '', session }, { ...parts, metrics });
  const router = createRouter({ ...parts, metadata, pods, metrics, replicaCountMax, hosting: { placement: { pool: config.pool } } });
  const keys = createKeyStore({ ...parts, records: router.records });
  const cluster = createClusterApi({ ...parts, map: router.map, pods, version, startedAtMs: parts.clock.nowMs() });
  const gateway = await startGateway({
    ...parts,
    config,
    api: router.api({ keys, cluster }),
    authenticator: config.noAuth ? openAuthenticator : createAuthenticator({ keys, givenKeys: config.apiKeys, clock: parts.clock, metrics }),
    dialects: [shoalDialect, vectronDialect],
    descriptors: readFileSync(new URL('../../proto/gen/descriptors.binpb', import.meta.url)),
    version,
    metrics,
    tracer,
    readiness: () => router.map.readiness(),
  });
  const processMetrics = observeProcess(metrics, version);
  const stop = new AbortController();
  void readObjects(router.map, stop.signal, logger);
  if (!config.noAuth && config.apiKeys.length === 0) logger.info({}, 'no API key was given: those that the cluster stores are taken');

  shutdown.add({ name: 'gateway', timeoutMs: config.shutdownGraceMs + limits.shutdownGraceMs, run: () => gateway.close() });
  shutdown.add({
    name: 'connections',
    timeoutMs: limits.shutdownGraceMs,
    run: async () => {
      stop.abort(new Error('shutting down'));
      router.close();
      pods.close();
      pods.tls?.close();
      metadata.close();
      processMetrics.close();
      await tracer.close();
    },
  });
  return gateway;
}

/** Before anybody asks, so that it gets ready. */
async function readObjects(map: ClusterMap, signal: AbortSignal, logger: Logger): Promise<void> {
  while (!signal.aborted) {
    try {
      const collections = await map.collections();
      logger.info({ collections: collections.length }, 'the objects of the cluster were read');
      return;
    } catch (error) {
      logger.warn({ error }, 'the objects of the cluster cannot be read yet; trying again');
      await sleep(systemClock, loadRetryMs, signal).catch(() => undefined);
    }
  }
}

function greeting(version: string, config: GatewayConfig, { httpAddress, grpcAddress }: Gateway): string {
  const scheme = config.tlsCertificate === undefined ? 'http' : 'https';
  const host = httpAddress.host.includes(':') ? `[${httpAddress.host}]` : httpAddress.host;
  return [
    `Shoal ${version}, gateway of namespace ${config.namespace}`,
    `  HTTP   ${scheme}://${host}:${httpAddress.port}  (documentation at ${scheme}://${host}:${httpAddress.port}/docs)`,
    `  gRPC   ${host}:${grpcAddress.port}`,
    '',
  ].join('\n');
}
