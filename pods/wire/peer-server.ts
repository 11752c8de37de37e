/** The internal listener of a data pod: accepts streams of pods and gateways, and hands them to the transport. */

import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { isLoopback } from '../kernel/config.ts';
import { ShoalError } from '../kernel/errors.ts';
import { acceptedStream, channelOptions, connectMethod } from './frame-stream.ts';
import type { PeerTransport } from './peer-transport.ts';

export interface PeerServerOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Its TLS is that of the listener. */
  readonly transport: PeerTransport;
}

export interface PeerServer {
  readonly address: { readonly host: string; readonly port: number };
  /** Ends the listener and every stream that it accepted. */
  close(): void;
}

/** One stream is a connection; what else is opened on it is a mistake. */
const streamsPerConnectionMax = 4;

/** INVALID_ARGUMENT for plaintext on an address that is not loopback; UNAVAILABLE when it cannot listen. */
export async function startPeerServer({ host, port, transport }: PeerServerOptions): Promise<PeerServer> {
  const { tls, keepAlive } = transport;
  if (tls === undefined && !isLoopback(host)) {
    throw new ShoalError('INVALID_ARGUMENT', `--internal-host ${host} is open to others, so it needs --internal-tls-cert, --internal-tls-key and --internal-tls-ca`, {
      details: { field: 'internal-tls-cert' },
    });
  }
  const server = new Server({
    ...channelOptions,
    'grpc.keepalive_time_ms': keepAlive.intervalMs,
    'grpc.keepalive_timeout_ms': keepAlive.timeoutMs,
    'grpc.max_concurrent_streams': streamsPerConnectionMax,
  });
  server.addService(
    { connect: connectMethod },
    { connect: (call: ServerDuplexStream<Uint8Array, Uint8Array>) => transport.accept(acceptedStream(call)) },
  );
  const bound = await new Promise<number>((resolve, reject) => {
    const target = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
    server.bindAsync(target, tls === undefined ? ServerCredentials.createInsecure() : tls.serverCredentials(), (error, boundPort) => {
      if (error === null) resolve(boundPort);
      else reject(new ShoalError('UNAVAILABLE', `cannot listen for other pods on ${target}: ${error.message}`, { details: { field: 'internal-port' }, cause: error }));
    });
  });
  return { address: { host, port: bound }, close: () => server.forceShutdown() };
}
