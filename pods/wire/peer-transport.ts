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
import { assertGreetsAs, mayReplicate, operationRefusal, type PeerRole } from './peer-role.ts';
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
  readonly renewal?: RenewalTimes;
}

export interface RenewalTimes {
  /** Connections are made anew within so long after the certificate was renewed. */
  readonly spreadMs: number;
  /** Those whose authority is trusted no more end at the latest after so long. */
  readonly distrustedMs: number;
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

/** A connection, and what it was let in by. */
interface Held {
  readonly connection: PeerConnection;
  readonly peer: string;
  /** DER; undefined without TLS. */
  readonly certificate: Uint8Array | undefined;
  /** The certificate of this side that it was made with. */
  readonly ownFingerprint: string | undefined;
  /** Undefined where the other side opened it: to renew it is its business. */
  readonly renew: (() => void) | undefined;
  /** For which authorities the other side's certificate was found good. */
  trustedBy: string | undefined;
  distrustedSinceMs: number | undefined;
  isRenewing: boolean;
}

export class PeerTransport implements MessageTransport, PodClient {
  readonly keepAlive: KeepAlive;
  readonly tls: PeerTls | undefined;
  readonly #options: PeerTransportOptions;
  readonly #versions: ProtocolVersions;
  readonly #links = new Map<string, { readonly link: PeerLink; readonly service: PodService }>();
  readonly #connections = new Set<Held>();
  readonly #renewal: RenewalTimes;
  readonly #answerCounters = new Map<string, Counter>();
  #served: Served | undefined;
  #closedBecause: ShoalError | undefined;

  constructor(options: PeerTransportOptions) {
    this.#options = options;
    this.tls = options.tls;
    this.keepAlive = options.keepAlive ?? { intervalMs: limits.wireKeepAliveIntervalMs, timeoutMs: limits.wireKeepAliveTimeoutMs };
    this.#versions = options.versions ?? protocolVersions;
    this.#renewal = options.renewal ?? { spreadMs: limits.wireRenewalSpreadMs, distrustedMs: limits.wireDistrustedMsMax };
    this.tls?.onCheck(() => this.#lookAtCertificates(this.tls!));
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
    for (const { connection } of [...this.#connections]) connection.close(reason);
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
    const connections = [...this.#connections].map(({ connection }) => connection);
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
    welcome(stream, { identity: self, versions: this.#versions }, clock, (other) => this.#admit(other, stream), {
      greeted: (greeted) => this.#take(greeted),
      failed: (error) => logger.info({ because: error.message }, 'a connection of another process was refused or lost before it began'),
    });
  }

  #admit(other: Greeting, stream: FrameStream): void {
    if (this.#closedBecause !== undefined) throw this.#closedBecause;
    assertGreetsAs(this.#roleOf(stream), other.identity.role);
    const { self } = this.#options;
    if (other.identity.name === self.name) throw new ShoalError('UNAVAILABLE', `${self.name} connects to itself, or two processes have its name`);
    if (other.identity.role === 'pod' && !incomingSurvives(self.name, other, this.#links.get(other.identity.name)?.link.present)) {
      throw new ShoalError('CONFLICT', `of two connections between ${self.name} and ${other.identity.name} the one that ${self.name} opened is kept`);
    }
  }

  #take(greeted: Greeted): void {
    if (greeted.other.identity.role === 'pod') this.#peer(greeted.other.identity.name).link.adopt(greeted);
    else this.#connect(greeted, undefined, () => undefined);
  }

  /** What its certificate says; undefined where it says nothing, or where there are none. PERMISSION_DENIED: see `PeerTls.admit`. */
  #roleOf(stream: FrameStream): PeerRole | undefined {
    return this.tls?.admit(stream.peerCertificate());
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
    const link: PeerLink = new PeerLink({
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
      admit: (other, stream) => assertGreetsAs(this.#roleOf(stream), other.identity.role),
      connect: (greeted, openedBySelf, onClosed) => this.#connect(greeted, openedBySelf ? () => link.renew() : undefined, onClosed),
    });
    const peer = { link, service: remotePod(link) };
    this.#links.set(pod, peer);
    return peer;
  }

  #connect({ stream, other, version }: Greeted, renew: (() => void) | undefined, onClosed: (reason: string) => void): PeerConnection {
    const { clock, logger, tracer, windowBytes } = this.#options;
    const { name: peer, session, role } = other.identity;
    const certifiedRole = this.#roleOf(stream);
    logger.info({ peer, role, session, version }, 'connected');
    const held: Held = {
      peer,
      certificate: stream.peerCertificate(),
      ownFingerprint: this.tls?.fingerprint,
      renew,
      trustedBy: this.tls?.authoritiesKey,
      distrustedSinceMs: undefined,
      isRenewing: false,
      connection: new PeerConnection({
        stream,
        version,
        peer,
        handlers: {
          service: () => this.#service(),
          refusal: (operation) => operationRefusal(certifiedRole, operation),
          // A pod speaks for itself only, and a gateway is nobody's replica.
          onMessage: (message) => (role === 'pod' && mayReplicate(certifiedRole) && message.from.pod === peer ? this.#served?.onMessage(message) : undefined),
          answered: (operation, code) => this.#answerCounter(operation, code).add(1),
        },
        clock,
        tracer: tracer ?? noTracer,
        logger,
        ...(windowBytes === undefined ? {} : { windowBytes }),
        onClosed: (reason) => {
          this.#connections.delete(held);
          logger.info({ peer, role, session, because: reason }, 'disconnected');
          onClosed(reason);
        },
      }),
    };
    this.#connections.add(held);
    return held.connection;
  }

  /** From time to time: connections take up a renewed certificate, and end with the authority that let them in. */
  #lookAtCertificates(tls: PeerTls): void {
    const { clock, random, logger } = this.#options;
    for (const held of [...this.#connections]) {
      if (held.certificate === undefined) continue;
      if (held.trustedBy !== tls.authoritiesKey) {
        held.trustedBy = tls.authoritiesKey;
        held.distrustedSinceMs = tls.trusts(held.certificate) ? undefined : (held.distrustedSinceMs ?? clock.monotonicMs());
      }
      const { distrustedSinceMs, renew } = held;
      if (distrustedSinceMs !== undefined && clock.monotonicMs() - distrustedSinceMs >= this.#renewal.distrustedMs) {
        logger.warn({ peer: held.peer }, 'a connection ends: the authority of its certificate is trusted no more');
        held.connection.close(new ShoalError('UNAVAILABLE', 'the authority of its certificate is trusted no more'));
      } else if (renew !== undefined && !held.isRenewing && (distrustedSinceMs !== undefined || held.ownFingerprint !== tls.fingerprint)) {
        held.isRenewing = true;
        clock.after(random.fraction() * this.#renewal.spreadMs, () => {
          held.isRenewing = false; // until the next look, should it fail
          if (!held.connection.isClosed) renew();
        });
      }
    }
  }
}
