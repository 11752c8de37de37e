/** HTTP and gRPC in front of one `VectorApi`: starts both, and ends them so that requests in flight get their answers. */

import type { VectorApi } from '../api/vector-api.ts';
import { authorizedApi } from '../auth/authorized-api.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { daysUntil, type Clock } from '../kernel/clock.ts';
import { checkBinding, isLoopback } from '../kernel/config.ts';
import type { ServerConfig } from '../kernel/config.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { PrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import type { Tracer } from '../telemetry/tracer.ts';
import { startGrpcServer } from './grpc-server.ts';
import { startHttpServer } from './http-server.ts';
import type { HttpBounds } from './http-server.ts';
import { createJsonBodies } from './json-bodies.ts';
import { createPipeline } from './pipeline.ts';
import type { Readiness } from './server-routes.ts';
import { openTlsFiles } from './tls-files.ts';

export interface GatewayOptions {
  readonly config: Pick<
    ServerConfig,
    'host' | 'httpPort' | 'grpcPort' | 'noAuth' | 'tlsCertificate' | 'tlsKey' | 'insecure' | 'metrics' | 'openMetrics' | 'requestTimeoutMs' | 'slowQueryMs' | 'shutdownGraceMs'
  >;
  /** Not yet guarded: authorisation is put around it here. */
  readonly api: VectorApi;
  readonly authenticator: Authenticator;
  /** The first answers for paths that belong to none. */
  readonly dialects: readonly [Dialect, ...Dialect[]];
  /** A serialised FileDescriptorSet of the dialects' services, for reflection. */
  readonly descriptors: Uint8Array;
  readonly version: string;
  readonly metrics: PrometheusMetrics;
  readonly tracer: Tracer;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly readiness: () => Readiness;
  /** Those of the table of limits unless given. */
  readonly bounds?: Partial<GatewayBounds>;
}

export interface GatewayBounds extends HttpBounds {
  readonly requestsInFlightMax: number;
  readonly certificateCheckIntervalMs: number;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Gateway {
  readonly httpAddress: Address;
  readonly grpcAddress: Address;
  /** Says NOT_SERVING, takes nothing new, waits for what is in flight at most the grace, aborts the rest. */
  close(): Promise<void>;
}

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, authenticator, dialects, metrics, tracer, logger, clock, random } = options;
  checkBinding(config);
  const api = authorizedApi(options.api);
  const { tlsCertificate, tlsKey } = config;
  const bounds: GatewayBounds = { ...limits, ...options.bounds };
  const tlsOptions = { clock, logger, checkIntervalMs: bounds.certificateCheckIntervalMs };
  const tls = tlsCertificate === undefined || tlsKey === undefined ? undefined : openTlsFiles({ certificate: tlsCertificate, key: tlsKey }, tlsOptions);
  const pipeline = createPipeline({
    authenticator,
    metrics,
    tracer,
    logger,
    clock,
    random,
    requestTimeoutMs: config.requestTimeoutMs,
    slowQueryMs: config.slowQueryMs,
    requestsInFlightMax: bounds.requestsInFlightMax,
  });
  const jsonBodies = createJsonBodies(logger);
  let closing: Promise<void> | undefined;
  const readiness = (): Readiness => (closing === undefined ? options.readiness() : { ready: false, reasons: ['the server is shutting down'] });
  if (tls !== undefined) metrics.observe('certificateDays', () => [{ labels: { certificate: 'public' }, value: daysUntil(tls.expiresAtMs, clock) }]);
  metrics.observe('ready', () => [{ labels: {}, value: readiness().ready ? 1 : 0 }]);

  const http = await startHttpServer({
    host: config.host,
    port: config.httpPort,
    tls,
    dialects,
    fallbackDialect: dialects[0],
    version: options.version,
    api,
    pipeline,
    jsonBodies,
    readiness,
    authenticator,
    exposedMetrics: config.metrics ? metrics : undefined,
    metricsAreOpen: isLoopback(config.host) || config.openMetrics || config.noAuth,
    bounds,
    logger,
    clock,
    random,
  });
  let grpc: Awaited<ReturnType<typeof startGrpcServer>>;
  try {
    grpc = await startGrpcServer({ host: config.host, port: config.grpcPort, tls, dialects, api, pipeline, clock, bounds, descriptors: options.descriptors });
  } catch (error) {
    await http.close();
    throw error;
  }

  // gRPC's health service is told, HTTP's asks: readiness is looked at from time to time.
  let served: boolean | undefined;
  const tell = (): void => {
    const { ready } = readiness();
    if (ready !== served) grpc.setServing((served = ready));
  };
  tell();
  let timer = clock.after(limits.readinessCheckIntervalMs, function again() {
    tell();
    timer = clock.after(limits.readinessCheckIntervalMs, again);
  });

  const close = async (): Promise<void> => {
    timer.cancel();
    tls?.close();
    tell();
    pipeline.stop();
    http.stopAccepting();
    const calls = grpc.stopAccepting();
    await pipeline.drain(config.shutdownGraceMs);
    // The last answers are still on their way to the sockets.
    const timeout = new Promise<void>((resolve) => clock.after(limits.shutdownAnswerMs, resolve));
    await Promise.race([calls, timeout]);
    grpc.close();
    await http.close();
    await jsonBodies.close();
  };
  return {
    httpAddress: http.address,
    grpcAddress: grpc.address,
    close: () => (closing ??= Promise.resolve().then(close)),
  };
}
