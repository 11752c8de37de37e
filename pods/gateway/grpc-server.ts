/**
 * The gRPC server. Messages pass the library as bytes: they are decoded after the credential was checked, answers are
 * encoded before they are handed over, so that both are counted, bounded, and their errors are ours.
 */

import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import type { MethodDefinition, ServerUnaryCall, ServerWritableStream, ServiceDefinition, UntypedServiceImplementation, handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { VectorApi } from '../api/vector-api.ts';
import { credentialFrom } from '../auth/authenticator.ts';
import type { Dialect, GrpcMethod } from '../dialects/dialect.ts';
import type { Clock } from '../kernel/clock.ts';
import { withSignal } from '../kernel/deadline.ts';
import { ShoalError, grpcStatus } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { cannotListen, responseTooLarge, retryAfterMs } from './http-errors.ts';
import type { Exchange, Pipeline } from './pipeline.ts';
import { addReflection, serviceName } from './reflection.ts';
import { RenewableCredentials } from './tls-files.ts';
import type { TlsSource } from './tls-files.ts';

export interface GrpcServerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsSource | undefined;
  readonly dialects: readonly Dialect[];
  readonly api: VectorApi;
  readonly pipeline: Pipeline;
  readonly clock: Clock;
  /** A connection that is silent for `keepAliveTimeoutMs` is asked for a sign of life, which must come within `headersTimeoutMs`. */
  readonly bounds: { readonly keepAliveTimeoutMs: number; readonly headersTimeoutMs: number };
  /** A serialised FileDescriptorSet of all services, for reflection. */
  readonly descriptors: Uint8Array;
}

export interface GrpcServer {
  readonly address: { readonly host: string; readonly port: number };
  setServing(serving: boolean): void;
  /** No new connections and calls; resolves when those that run have ended. */
  stopAccepting(): Promise<void>;
  close(): void;
}

type Definition = MethodDefinition<unknown, unknown>;

export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const server = new Server({
    'grpc.max_receive_message_length': limits.grpcMessageBytesMax,
    'grpc.max_concurrent_streams': limits.grpcStreamsPerConnectionMax,
    'grpc.keepalive_time_ms': options.bounds.keepAliveTimeoutMs,
    'grpc.keepalive_timeout_ms': options.bounds.headersTimeoutMs,
    'grpc.enable_channelz': 0,
  });
  const names = addServices(server, options);
  const health = new HealthImplementation();
  health.addToServer(server);
  addReflection(server, options.descriptors, options.dialects.flatMap(({ services }) => services));

  const serverCredentials = options.tls === undefined ? ServerCredentials.createInsecure() : new RenewableCredentials(options.tls);
  const port = await new Promise<number>((resolve, reject) => {
    const host = options.host.includes(':') && !options.host.startsWith('[') ? `[${options.host}]` : options.host;
    server.bindAsync(`${host}:${options.port}`, serverCredentials, (error, bound) => (error === null ? resolve(bound) : reject(cannotListen('gRPC', host, options.port, error))));
  });
  return {
    address: { host: options.host, port },
    setServing: (serving) => ['', ...names].forEach((name) => health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING')),
    stopAccepting: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
    close: () => server.forceShutdown(),
  };
}

/** Resolves to the full names that are served, aliases too. */
function addServices(server: Server, options: GrpcServerOptions): string[] {
  const names: string[] = [];
  for (const dialect of options.dialects) {
    for (const service of dialect.services) {
      const own = serviceName(service.definition);
      for (const name of [own, ...(service.aliases ?? [])]) {
        const definition: Record<string, Definition> = {};
        const implementation: UntypedServiceImplementation = {};
        for (const [method, original] of Object.entries(service.definition) as [string, Definition][]) {
          const handler = service.methods[method];
          if (handler === undefined) continue; // the library answers UNIMPLEMENTED
          definition[method] = { ...original, path: `/${name}/${original.path.split('/')[2]!}`, requestDeserialize: asBytes, responseSerialize: asBytes };
          implementation[method] = handlerFor(dialect, handler, original, options);
        }
        server.addService(definition as ServiceDefinition, implementation);
        names.push(name);
      }
    }
  }
  return names;
}


const asBytes = (bytes: unknown): Buffer => bytes as Buffer;

function handlerFor(dialect: Dialect, method: GrpcMethod, definition: Definition, { api, pipeline, clock }: GrpcServerOptions): handleUnaryCall<Buffer, Buffer> | handleServerStreamingCall<Buffer, Buffer> {
  const operation = pipeline.operation({ transport: 'grpc', dialect: dialect.name, name: definition.path.split('/')[2]!, action: method.action });
  type Call = ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;

  const begin = (call: Call): Exchange => {
    const deadline = call.getDeadline();
    const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
    const exchange = operation.begin({
      requestId: header(call.metadata, 'x-request-id'),
      credential: credentialFrom(header(call.metadata, 'authorization'), header(call.metadata, 'x-api-key')),
      traceparent: header(call.metadata, 'traceparent'),
      timeoutMs: deadlineMs === Infinity ? undefined : deadlineMs - clock.nowMs(),
    });
    // The library's own timer for the client's deadline ends a call as cancelled too.
    call.once('cancelled', () => (clock.nowMs() >= deadlineMs ? exchange.deadline.expire() : exchange.deadline.cancel()));
    return exchange;
  };

  const request = (call: Call, exchange: Exchange): unknown => {
    exchange.addBytes(call.request.length, 0);
    try {
      return definition.requestDeserialize(call.request);
    } catch (cause) {
      throw new ShoalError('MALFORMED_BODY', 'the message could not be decoded', { cause });
    }
  };

  if (method.kind === 'unary') {
    return (call, callback) => {
      const exchange = begin(call);
      const run = async (): Promise<void> => {
        try {
          const wait = exchange.admit();
          if (wait !== undefined) await wait;
          const answer = await withSignal(method.handle(api, request(call, exchange), exchange.context), exchange.signal);
          const bytes = definition.responseSerialize(answer);
          if (bytes.length > limits.responseBytesMax) throw responseTooLarge(bytes.length);
          exchange.addBytes(0, bytes.length);
          callback(null, bytes, trailersOf(exchange));
        } catch (error) {
          callback(statusOf(exchange.fail(error), exchange));
        }
        exchange.finish();
      };
      void run();
    };
  }

  return (call: ServerWritableStream<Buffer, Buffer>) => {
    const exchange = begin(call);
    const run = async (): Promise<void> => {
      try {
        const wait = exchange.admit();
        if (wait !== undefined) await wait;
        await pump(method.handle(api, request(call, exchange), exchange.context), call, definition, exchange);
        call.end(trailersOf(exchange));
      } catch (error) {
        call.emit('error', statusOf(exchange.fail(error), exchange));
      }
      exchange.finish();
    };
    void run();
  };
}

/** Writes no faster than the client reads. Leaves the source closed, however it ends. */
async function pump(source: AsyncIterable<unknown>, call: ServerWritableStream<Buffer, Buffer>, definition: Definition, exchange: Exchange): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const next = await withSignal(iterator.next(), exchange.signal);
      if (next.done === true) {
        ended = true;
        return;
      }
      const bytes = definition.responseSerialize(next.value);
      if (bytes.length > limits.responseBytesMax) throw responseTooLarge(bytes.length);
      exchange.addBytes(0, bytes.length);
      if (!call.write(bytes)) await withSignal(new Promise<void>((resolve) => call.once('drain', resolve)), exchange.signal);
    }
  } finally {
    // Not awaited: a source that is busy ends when its present step does.
    if (!ended) iterator.return?.().catch(() => undefined);
  }
}

function header(metadata: Metadata, name: string): string | undefined {
  const value = metadata.get(name)[0];
  return typeof value === 'string' ? value : undefined;
}

function trailersOf(exchange: Exchange): Metadata {
  const trailers = new Metadata();
  trailers.set('x-request-id', exchange.requestId);
  return trailers;
}

function statusOf(error: ShoalError, exchange: Exchange): { code: number; details: string; message: string; name: string; metadata: Metadata } {
  const metadata = trailersOf(exchange);
  metadata.set('shoal-error-code', error.code);
  const retryMs = retryAfterMs(error);
  if (retryMs !== undefined) metadata.set('retry-after-ms', String(retryMs));
  return { code: grpcStatus[error.class.grpc], details: error.message, message: error.message, name: error.name, metadata };
}
