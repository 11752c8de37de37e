/**
 * The gRPC server: the dialects' services with their aliases, health, and reflection, on a server of our own
 * (pods/gateway/grpc). Messages pass it as bytes: they are decoded after the credential was checked, answers are encoded
 * before they are handed over, so that both are counted, bounded, and their errors are ours.
 */

import { HealthImplementation } from 'grpc-health-check';
import type { VectorApi } from '../api/vector-api.ts';
import type { Dialect } from '../dialects/dialect.ts';
import type { Clock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import { dialectMethods } from './dialect-methods.ts';
import { HttpGrpcServer } from './grpc/server.ts';
import { cannotListen } from './http-errors.ts';
import { PackageMethods } from './package-methods.ts';
import type { Pipeline } from './pipeline.ts';
import { addReflection } from './reflection.ts';
import type { TlsSource } from './tls-files.ts';

export interface GrpcServerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsSource | undefined;
  readonly dialects: readonly Dialect[];
  readonly api: VectorApi;
  readonly pipeline: Pipeline;
  readonly clock: Clock;
  readonly bounds: GrpcBounds;
  /** A serialised FileDescriptorSet of all services, for reflection. */
  readonly descriptors: Uint8Array;
}

export interface GrpcBounds {
  /** A connection is asked for a sign of life so often, which must come within `headersTimeoutMs`; so must its first frames. */
  readonly keepAliveTimeoutMs: number;
  readonly headersTimeoutMs: number;
  /** What a client may take to receive the rest of an answer. */
  readonly bodyTimeoutMs: number;
}

export interface GrpcServer {
  readonly address: { readonly host: string; readonly port: number };
  setServing(serving: boolean): void;
  /** No new connections and calls; resolves when those that run have ended. */
  stopAccepting(): Promise<void>;
  close(): void;
}

export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { host, tls, clock, bounds } = options;
  const { methods, services } = dialectMethods(options);
  const packages = new PackageMethods(clock, bounds.headersTimeoutMs);
  const health = new HealthImplementation();
  health.addToServer(packages as never);
  addReflection(packages, options.descriptors, options.dialects.flatMap((dialect) => dialect.services));

  const server = new HttpGrpcServer({
    host,
    port: options.port,
    tls: tls?.current,
    methods: new Map([...methods, ...packages.methods]),
    clock,
    bounds: {
      keepAliveTimeoutMs: bounds.keepAliveTimeoutMs,
      headersTimeoutMs: bounds.headersTimeoutMs,
      answerTimeoutMs: bounds.bodyTimeoutMs,
      messageBytesMax: limits.grpcMessageBytesMax,
      headerBytesMax: limits.headerBytesMax,
      streamWindowBytes: limits.grpcStreamWindowBytes,
      connectionWindowBytes: limits.grpcConnectionWindowBytes,
      connectionsMax: limits.connectionsMax,
      streamsPerConnectionMax: limits.grpcStreamsPerConnectionMax,
      connectionMebibytesMax: limits.grpcConnectionMebibytesMax,
    },
  });
  const port = await server.listen().catch((cause: unknown) => {
    throw cannotListen('gRPC', host.includes(':') && !host.startsWith('[') ? `[${host}]` : host, options.port, cause);
  });
  tls?.onRenewed((identity) => server.renew(identity));
  return {
    address: { host, port },
    setServing: (serving) => ['', ...services].forEach((name) => health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING')),
    stopAccepting() {
      packages.endCalls();
      return server.stopAccepting();
    },
    close: () => server.close(),
  };
}
