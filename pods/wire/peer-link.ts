/**
 * What this process has with one pod: at most one connection, whichever side opened it, made when it is first wanted and
 * again after it was lost, with growing waits while that fails.
 *
 *     idle ──wanted──> opening ──greeted──> open ──lost──> idle (waits before the next attempt)
 *       ^                 │ failed                            requests fail at once meanwhile, messages are dropped
 *       └─────────────────┘
 */

import type { Message } from '../replication/messages.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { FrameStream } from './frame-stream.ts';
import { greet, type Greeted } from './handshake.ts';
import type { Operation } from './operation.ts';
import type { Asked } from './outgoing-requests.ts';
import type { PeerConnection } from './peer-connection.ts';
import type { Greeting, PeerIdentity, PresentConnection, ProtocolVersions } from './peer-identity.ts';

export interface PeerLinkOptions {
  readonly pod: string;
  readonly self: PeerIdentity;
  readonly versions: ProtocolVersions;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Begins to connect. UNAVAILABLE when the pod has no address. */
  openStream(): FrameStream;
  /** Throws what shall refuse the pod that answered on the stream. */
  admit(other: Greeting, stream: FrameStream): void;
  /** Takes the stream over. */
  connect(greeted: Greeted, openedBySelf: boolean, onClosed: (reason: string) => void): PeerConnection;
}

interface Waiter {
  resolve(connection: PeerConnection): void;
  reject(error: ShoalError): void;
}

export class PeerLink {
  readonly pod: string;
  readonly #options: PeerLinkOptions;
  #open: { readonly connection: PeerConnection; readonly present: PresentConnection; readonly sinceMs: number } | undefined;
  #opening: { readonly id: string; readonly stream: FrameStream } | undefined;
  /** The pod keeps a stream of its own, which is on its way here. */
  #isExpecting = false;
  #waiters = new Set<Waiter>();
  #messages: Message[] = [];
  /** The last connection that was open and ended. */
  #previous = '';
  #failureCount = 0;
  #lastFailure: ShoalError | undefined;
  #notBeforeMs = 0;
  #retryTimer: Timer | undefined;
  #isClosed = false;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    this.pod = options.pod;
  }

  get connection(): PeerConnection | undefined {
    return this.#open?.connection;
  }

  /** For the choice between two streams. */
  get present(): PresentConnection | undefined {
    if (this.#open !== undefined) return this.#open.present;
    return this.#opening && { id: this.#opening.id, openedBySelf: true, session: undefined };
  }

  send(message: Message): void {
    if (this.#open !== undefined) return this.#open.connection.sendMessage(message);
    this.#want();
    if (this.#isComing && this.#messages.length < limits.wireOpeningMessageCountMax) this.#messages.push(message);
  }

  ask<Input, Output>(operation: Operation<Input, Output>, asked: Asked<Input>): Promise<Output> {
    if (this.#open !== undefined) return this.#open.connection.ask(operation, asked);
    return this.#connected(asked.signal).then((connection) => connection.ask(operation, asked));
  }

  /** A stream that the pod opened, and that survives. */
  adopt(greeted: Greeted): void {
    const replaced = new ShoalError('UNAVAILABLE', `${this.pod} opened another connection`);
    this.#open?.connection.close(replaced);
    this.#abandonOpening(replaced);
    this.#establish(greeted, false);
  }

  /** Opens another connection in the place of the present one, which ends when what is under way on it has its answers. */
  renew(): void {
    if (this.#open?.present.openedBySelf !== true || this.#opening !== undefined || this.#isClosed) return;
    if (this.#notBeforeMs <= this.#options.clock.monotonicMs()) this.#begin();
  }

  close(reason: ShoalError): void {
    this.#isClosed = true;
    this.#isExpecting = false;
    this.#retryTimer?.cancel();
    this.#open?.connection.close(reason);
    this.#abandonOpening(reason);
    this.#fail(reason);
  }

  #connected(signal: AbortSignal): Promise<PeerConnection> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    this.#want();
    if (!this.#isComing) return Promise.reject(this.#unreachable());
    if (this.#waiters.size >= limits.wireRequestsInFlightMax) return Promise.reject(new ShoalError('OVERLOADED', `${this.#waiters.size} requests wait for the connection to ${this.pod}`));
    return new Promise((resolve, reject) => {
      const onAbort = (): void => waiter.reject(signal.reason as ShoalError);
      const settle = (): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        resolve(connection) {
          settle();
          resolve(connection);
        },
        reject(error) {
          settle();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  get #isComing(): boolean {
    return this.#opening !== undefined || this.#isExpecting;
  }

  /** Somebody would use a connection. */
  #want(): void {
    if (this.#open !== undefined || this.#opening !== undefined || this.#isClosed) return;
    const waitMs = this.#notBeforeMs - this.#options.clock.monotonicMs();
    if (waitMs <= 0) return this.#begin();
    this.#retryTimer ??= this.#options.clock.after(waitMs, () => {
      this.#retryTimer = undefined;
      this.#want();
    });
  }

  #begin(): void {
    const { self, versions, clock, random, pod } = this.#options;
    const id = random.uuid();
    this.#isExpecting = false;
    let stream: FrameStream;
    try {
      stream = this.#options.openStream();
    } catch (error) {
      this.#openingFailed(asShoalError(error));
      return;
    }
    this.#opening = { id, stream };
    greet(stream, { identity: self, versions, to: pod, connection: id, previous: this.#previous }, clock, (other) => this.#options.admit(other, stream), {
      greeted: (greeted) => {
        this.#opening = undefined;
        this.#establish(greeted, true);
      },
      failed: (error) => {
        if (this.#opening?.stream !== stream) return; // abandoned
        this.#opening = undefined;
        if (error.code === 'CONFLICT') this.#expect(error);
        else this.#openingFailed(error);
      },
    });
  }

  #abandonOpening(reason: ShoalError): void {
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.stream.close(reason);
  }

  #establish(greeted: Greeted, openedBySelf: boolean): void {
    const { clock } = this.#options;
    const { other } = greeted;
    const replaced = this.#open?.connection;
    const connection = this.#options.connect(greeted, openedBySelf, (reason) => {
      this.#previous = other.connection;
      if (this.#open?.connection !== connection) return; // replaced
      const wasBrief = clock.monotonicMs() - this.#open.sinceMs < limits.wireReconnectDelayMsMax;
      this.#open = undefined;
      this.#failureCount = wasBrief ? this.#failureCount + 1 : 0;
      this.#waitBeforeNext(new ShoalError('UNAVAILABLE', reason));
    });
    this.#open = { connection, present: { id: other.connection, openedBySelf, session: other.identity.session }, sinceMs: clock.monotonicMs() };
    replaced?.retire(new ShoalError('UNAVAILABLE', 'a newer connection has taken its place'), limits.wireRetireMsMax);
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    this.#isExpecting = false;
    this.#lastFailure = undefined;
    const messages = this.#messages;
    this.#messages = [];
    for (const message of messages) connection.sendMessage(message);
    for (const waiter of [...this.#waiters]) waiter.resolve(connection);
  }

  #openingFailed(error: ShoalError): void {
    this.#failureCount++;
    this.#waitBeforeNext(error);
    const { logger } = this.#options;
    // The first, second, fourth, … in a row.
    if ((this.#failureCount & (this.#failureCount - 1)) === 0) logger.info({ pod: this.pod, because: error.message, attempts: this.#failureCount }, 'a pod cannot be reached');
    this.#fail(this.#unreachable());
  }

  /** What waits goes on waiting, for the pod's stream or, should that fail, for the next attempt here. */
  #expect(conflict: ShoalError): void {
    this.#isExpecting = true;
    this.#waitBeforeNext(conflict);
    this.#want();
  }

  #waitBeforeNext(failure: ShoalError): void {
    const { clock, random } = this.#options;
    this.#lastFailure = failure;
    const longestMs = Math.min(limits.wireReconnectDelayMsMax, limits.wireReconnectDelayMs * 2 ** Math.min(this.#failureCount, 16));
    this.#notBeforeMs = clock.monotonicMs() + longestMs * (0.5 + random.fraction() / 2);
  }

  #fail(error: ShoalError): void {
    this.#messages = [];
    for (const waiter of [...this.#waiters]) waiter.reject(error);
  }

  #unreachable(): ShoalError {
    const because = this.#isClosed ? 'this process is shutting down' : (this.#lastFailure?.message ?? 'no connection');
    return new ShoalError('UNAVAILABLE', `pod ${this.pod} cannot be reached: ${because}`, { details: { pod: this.pod, ...this.#lastFailure?.details } });
  }
}
