/** The life of a connection: it must begin as HTTP/2 in time, is asked for a sign of life from time to time, and ends. */

import { constants } from 'node:http2';
import type { ServerHttp2Session } from 'node:http2';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { ignore } from './call.ts';

export interface ConnectionBounds {
  /** Time between two requests for a sign of life. */
  readonly keepAliveTimeoutMs: number;
  /** For the first settings of the client, and for each sign of life. */
  readonly headersTimeoutMs: number;
}

export class Connection {
  readonly #session: ServerHttp2Session;
  readonly #clock: Clock;
  readonly #bounds: ConnectionBounds;
  #timer: Timer;

  constructor(session: ServerHttp2Session, clock: Clock, bounds: ConnectionBounds, onClose: () => void) {
    this.#session = session;
    this.#clock = clock;
    this.#bounds = bounds;
    this.#timer = clock.after(bounds.headersTimeoutMs, () => this.destroy());
    session.once('remoteSettings', () => this.#rest());
    // What broke it does not matter: its calls are told, and 'close' follows.
    session.on('error', ignore);
    session.once('close', () => {
      this.#timer.cancel();
      onClose();
    });
  }

  /** GOAWAY: calls under way go on, further ones are refused; ends with the last. */
  close(): void {
    this.#session.close();
  }

  destroy(): void {
    this.#session.destroy(constants.NGHTTP2_CANCEL as unknown as Error);
  }

  #rest(): void {
    this.#timer.cancel();
    this.#timer = this.#clock.after(this.#bounds.keepAliveTimeoutMs, () => this.#ping());
  }

  #ping(): void {
    if (this.#session.destroyed) return;
    this.#timer = this.#clock.after(this.#bounds.headersTimeoutMs, () => this.destroy());
    const isSent = this.#session.ping((error) => (error === null ? this.#rest() : this.destroy()));
    if (!isSent) this.destroy();
  }
}
