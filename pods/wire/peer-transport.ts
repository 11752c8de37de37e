/**
 * The way to other pods, and from other pods and gateways to here: one connection to each, whoever opened it. A gateway
 * has the same, and serves nothing.
 */

import type { PodClient, PodService } from '../domain/pod-service.ts';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { Message, MessageTransport } from '../replication/messages.ts';
import { noMetrics, type Counter, type Metrics } from '../telemetry/metrics.ts';
import { noTracer, type Tracer } from '../telemetry/tracer.ts';
import type { FrameStream } from './frame-stream.ts';
import { welcome, type Greeted } from './handshake.ts';
import { openStream, type KeepAlive } from './open-stream.ts';
import { PeerConnection } from './peer-connection.ts';
import { incomingSurvives, protocolVersions, type Greeting, type PeerIdentity, type ProtocolVersions } from './peer-identity.ts';
import { PeerLink } from './peer-link.ts';
import type { PeerTls } from './peer-tls.ts';
import { remotePod } from './remote-pod.ts';

export interface PeerTransportOptions {
  readonly self: PeerIdentity;
  /** `host:port` of a pod's internal listener; undefined when there is no such pod. Asked at every attempt to connect. */
  resolve(pod: string): string | undefined;
  /** Undefined: plaintext, to loopback addresses only. */
  readonly tls: PeerTls | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly tracer?: Tracer;
  readonly metrics?: Metrics;
  /** Others in tests. */
  readonly versions?: ProtocolVersions;
  readonly keepAlive?: KeepAlive;
  readonly windowBytes?: number;
}

export interface Served {
  readonly service: PodService;
  /** A message counts against its sender's window until the promise, if there is one, has settled. */
  onMessage(message: Message): void | Promise<void>;
}

export interface TransportStatistics {
  readonly connectionCount: number;
  readonly requestsInFlight: { readonly incoming: number; readonly outgoing: number };
  /** Replication messages that did not fit a queue, over the connections that are open. */
  readonly droppedMessageCount: number;
}

export class PeerTransport implements MessageTransport, PodClient {
  readonly keepAlive: KeepAlive;
  readonly tls: PeerTls | undefined;
  readonly #options: PeerTransportOptions;
  readonly #versions: ProtocolVersions;
  readonly #links = new Map<string, { readonly link: PeerLink; readonly service: PodService }>();
  readonly #connections = new Set<PeerConnection>();
  readonly #answerCounters = new Map<string, Counter>();
  #served: Served | undefined;
  #closedBecause: ShoalError | undefined;

  constructor(options: PeerTransportOptions) {
    this.#options = options;
    this.tls = options.tls;
    this.keepAlive = options.keepAlive ?? { intervalMs: limits.wireKeepAliveIntervalMs, timeoutMs: limits.wireKeepAliveTimeoutMs };
    this.#versions = options.versions ?? protocolVersions;
  }

  /** What answers others from now on. Until then they get UNAVAILABLE, and their messages are dropped. */
  serve(served: Served): void {
    this.#served = served;
  }

  /** New requests of others are refused with SHUTTING_DOWN; those under way go on. */
  stopServing(): void {
    this.#closedBecause ??= new ShoalError('SHUTTING_DOWN', `${this.#options.self.name} is shutting down`);
  }

  /** Ends all connections at once. */
  close(): void {
    this.stopServing();
    const reason = this.#closedBecause!;
    for (const { link } of this.#links.values()) link.close(reason);
    for (const connection of [...this.#connections]) connection.close(reason);
  }

  send(message: Message): void {
    this.#peer(message.to.pod).link.send(message);
  }

  queuedBytes(pod: string): number {
    return this.#links.get(pod)?.link.connection?.queuedMessageBytes ?? 0;
  }

  pod(name: string): PodService {
    // A pod asks itself without a detour.
    return name === this.#options.self.name && this.#served !== undefined ? this.#served.service : this.#peer(name).service;
  }

  statistics(): TransportStatistics {
    const connections = [...this.#connections];
    const sum = (value: (connection: PeerConnection) => number): number => connections.reduce((total, connection) => total + value(connection), 0);
    return {
      connectionCount: connections.length,
      requestsInFlight: { incoming: sum(({ requestsInFlight }) => requestsInFlight.incoming), outgoing: sum(({ requestsInFlight }) => requestsInFlight.outgoing) },
      droppedMessageCount: sum(({ droppedMessageCount }) => droppedMessageCount),
    };
  }

  /** A stream that another process opened to the listener here. */
  accept(stream: FrameStream): void {
    const { self, clock, logger } = this.#options;
    welcome(stream, { identity: self, versions: this.#versions }, clock, (other) => this.#admit(other), {
      greeted: (greeted) => this.#take(greeted),
      failed: (error) => logger.info({ because: error.message }, 'a connection of another process was refused or lost before it began'),
    });
  }

  #admit(other: Greeting): void {
    if (this.#closedBecause !== undefined) throw this.#closedBecause;
    const { self } = this.#options;
    if (other.identity.name === self.name) throw new ShoalError('UNAVAILABLE', `${self.name} connects to itself, or two processes have its name`);
    if (other.identity.role === 'pod' && !incomingSurvives(self.name, other, this.#links.get(other.identity.name)?.link.present)) {
      throw new ShoalError('CONFLICT', `of two connections between ${self.name} and ${other.identity.name} the one that ${self.name} opened is kept`);
    }
  }

  #take(greeted: Greeted): void {
    if (greeted.other.identity.role === 'pod') this.#peer(greeted.other.identity.name).link.adopt(greeted);
    else this.#connect(greeted, () => undefined);
  }

  #service(): PodService {
    if (this.#closedBecause !== undefined) throw this.#closedBecause;
    if (this.#served === undefined) throw new ShoalError('UNAVAILABLE', `${this.#options.self.name} does not serve other processes, or not yet`);
    return this.#served.service;
  }

  #answerCounter(operation: string, code: string): Counter {
    const key = `${operation} ${code}`;
    let counter = this.#answerCounters.get(key);
    if (counter === undefined) {
      counter = (this.#options.metrics ?? noMetrics).counter('peerRequests', { operation, code });
      this.#answerCounters.set(key, counter);
    }
    return counter;
  }

  #peer(pod: string): { readonly link: PeerLink; readonly service: PodService } {
    const known = this.#links.get(pod);
    if (known !== undefined) return known;
    const { self, clock, random, logger, resolve } = this.#options;
    const link = new PeerLink({
      pod,
      self,
      versions: this.#versions,
      clock,
      random,
      logger,
      openStream: () => {
        const address = resolve(pod);
        if (address === undefined) throw new ShoalError('UNAVAILABLE', 'it has no address');
        return openStream(address, this.tls, this.keepAlive);
      },
      connect: (greeted, onClosed) => this.#connect(greeted, onClosed),
    });
    const peer = { link, service: remotePod(link) };
    this.#links.set(pod, peer);
    return peer;
  }

  #connect({ stream, other, version }: Greeted, onClosed: (reason: string) => void): PeerConnection {
    const { clock, logger, tracer, windowBytes } = this.#options;
    const { name: peer, session, role } = other.identity;
    logger.info({ peer, role, session, version }, 'connected');
    const connection: PeerConnection = new PeerConnection({
      stream,
      version,
      peer,
      handlers: {
        service: () => this.#service(),
        // A pod speaks for itself only, and a gateway is nobody's replica.
        onMessage: (message) => (role === 'pod' && message.from.pod === peer ? this.#served?.onMessage(message) : undefined),
        answered: (operation, code) => this.#answerCounter(operation, code).add(1),
      },
      clock,
      tracer: tracer ?? noTracer,
      logger,
      ...(windowBytes === undefined ? {} : { windowBytes }),
      onClosed: (reason) => {
        this.#connections.delete(connection);
        logger.info({ peer, role, session, because: reason }, 'disconnected');
        onClosed(reason);
      },
    });
    this.#connections.add(connection);
    return connection;
  }
}
