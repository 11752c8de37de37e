/**
 * A gRPC server for methods that answer with one message or several (docs/adr/0020): finds the method of a call,
 * refuses what is no call, and keeps connections within their bounds. It knows nothing of what the methods do.
 */

import { lookup } from 'node:dns/promises';
import { createSecureServer, createServer } from 'node:http2';
import type { Http2SecureServer, Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../kernel/clock.ts';
import { Call, ignore, refuse } from './call.ts';
import type { CallBounds, Method } from './call.ts';
import { Connection } from './connection.ts';
import type { ConnectionBounds } from './connection.ts';
import { isGrpc, trailersOnly, unimplementedStatus } from './protocol.ts';

export interface ServerBounds extends CallBounds, ConnectionBounds {
  readonly connectionsMax: number;
  readonly streamsPerConnectionMax: number;
  readonly headerBytesMax: number;
  /** What a client may send of one call, and of all together, before the server has taken it in: small ones cost large messages many turns of the loop. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** What one connection may hold in memory, above all answers that its client does not take; then it gets no more calls. */
  readonly connectionMebibytesMax: number;
}

export interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface ServerOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly tls: TlsIdentity | undefined;
  /** By path: /service/method. */
  readonly methods: ReadonlyMap<string, Method>;
  readonly clock: Clock;
  readonly bounds: ServerBounds;
}

type Listener = Http2Server | Http2SecureServer;

export class HttpGrpcServer {
  readonly #options: ServerOptions;
  readonly #listeners: Listener[] = [];
  readonly #connections = new Set<Connection>();
  #isStopped = false;
  #whenEmpty: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Listens on every address that the host has; resolves to the port. */
  async listen(): Promise<number> {
    const { host } = this.#options;
    let { port } = this.#options;
    const addresses = await lookup(host.replace(/^\[(.*)\]$/, '$1'), { all: true });
    let missing: unknown;
    try {
      for (const { address } of addresses) {
        const listener = this.#createListener();
        try {
          port = await listenOn(listener, address, port);
          this.#listeners.push(listener);
        } catch (error) {
          // A name may stand for an address of a family that this machine does not have.
          if (addresses.length === 1 || (error as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw error;
          missing = error;
        }
      }
      if (this.#listeners.length === 0) throw missing;
    } catch (error) {
      for (const listener of this.#listeners) listener.close();
      throw error;
    }
    return port;
  }

  /** For connections from now on. */
  renew(identity: TlsIdentity): void {
    for (const listener of this.#listeners) (listener as Http2SecureServer).setSecureContext(identity);
  }

  /** No new connections and calls; resolves when the calls under way have ended. */
  stopAccepting(): Promise<void> {
    this.#isStopped = true;
    for (const listener of this.#listeners) listener.close();
    for (const connection of this.#connections) connection.close();
    return new Promise((resolve) => {
      if (this.#connections.size === 0) resolve();
      else this.#whenEmpty = resolve;
    });
  }

  /** Ends every connection, with the calls that it carries. */
  close(): void {
    this.#isStopped = true;
    for (const listener of this.#listeners) listener.close();
    for (const connection of this.#connections) connection.destroy();
  }

  #createListener(): Listener {
    const { tls, bounds } = this.#options;
    const options = {
      settings: { maxConcurrentStreams: bounds.streamsPerConnectionMax, maxHeaderListSize: bounds.headerBytesMax, enablePush: false, initialWindowSize: bounds.streamWindowBytes },
      maxSessionMemory: bounds.connectionMebibytesMax,
      unknownProtocolTimeout: bounds.headersTimeoutMs,
    };
    const listener = tls === undefined ? createServer(options) : createSecureServer({ ...options, ...tls, handshakeTimeout: bounds.headersTimeoutMs });
    listener.maxConnections = bounds.connectionsMax;
    listener.on('session', (session: ServerHttp2Session) => this.#accept(session));
    listener.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => this.#begin(stream, headers));
    return listener;
  }

  #accept(session: ServerHttp2Session): void {
    const { clock, bounds } = this.#options;
    session.setLocalWindowSize(bounds.connectionWindowBytes);
    const connection = new Connection(session, clock, bounds, () => {
      this.#connections.delete(connection);
      if (this.#connections.size === 0) this.#whenEmpty?.();
    });
    this.#connections.add(connection);
    // Its handshake took longer than the stop.
    if (this.#isStopped) connection.close();
  }

  #begin(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // Reset before it was looked at.
    if (stream.destroyed || stream.closed) return;
    const path = headers[':path'] ?? '';
    const method = this.#options.methods.get(path);
    if (method !== undefined && headers[':method'] === 'POST' && isGrpc(headers['content-type'])) {
      new Call(stream, headers, method, this.#options.clock, this.#options.bounds);
      return;
    }
    stream.on('error', ignore);
    stream.resume();
    if (headers[':method'] !== 'POST') refuse(stream, { ':status': 405, allow: 'POST' }, stream.endAfterHeaders);
    else if (!isGrpc(headers['content-type'])) refuse(stream, { ':status': 415 }, stream.endAfterHeaders);
    else refuse(stream, trailersOnly(unimplementedStatus, `The server does not implement the method ${path}`, undefined), stream.endAfterHeaders);
  }
}

function listenOn(listener: Listener, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen({ host, port }, () => {
      listener.removeListener('error', reject);
      resolve((listener.address() as AddressInfo).port);
    });
  });
}
