/**
 * One call: what its method is told about the request, and the ways to answer it. Whatever is answered after the client
 * left, or after the call has ended, is dropped.
 */

import { constants } from 'node:http2';
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { MessageReader } from './message-reader.ts';
import type { MessageSink } from './message-reader.ts';
import { framed, okStatus, responseHeaders, timeoutMsOf, trailersOf, trailersOnly } from './protocol.ts';
import type { Trailers } from './protocol.ts';

/** A method that is served. */
export interface Method {
  /** False: a request has exactly one message. */
  readonly requestStream: boolean;
  /** The headers are there; messages follow, but for a request that is already refused. */
  start(call: Call): CallHandler;
}

/** The method's side of one call. */
export interface CallHandler {
  /** Of a request with one message it comes once, when the request has ended. */
  onMessage(bytes: Buffer): void;
  /** After all messages, where a request may have several. */
  onMessagesEnd(): void;
  /** The request is not one that can be read; to be answered with this error. */
  onBadRequest(error: ShoalError): void;
  /** The client left. */
  onCancel(): void;
}

export interface CallBounds {
  readonly messageBytesMax: number;
  /** What a client may take to receive the rest of an answer that cannot be sent at once. */
  readonly answerTimeoutMs: number;
}

const handled = Symbol('call');
type CallStream = ServerHttp2Stream & { [handled]?: Call | undefined };

const respondOptions = { waitForTrailers: true, sendDate: false };
const endOptions = { endStream: true, sendDate: false };
/** Of HTTP/2: so much may be sent before the client has allowed more. */
const firstWindowBytes = 65_535;

export class Call implements MessageSink {
  readonly path: string;
  /** Undefined where the client sets no deadline. */
  readonly timeoutMs: number | undefined;
  readonly #stream: CallStream;
  readonly #headers: IncomingHttpHeaders;
  readonly #method: Method;
  readonly #handler: CallHandler;
  readonly #reader: MessageReader;
  readonly #clock: Clock;
  readonly #bounds: CallBounds;
  #onlyMessage: Buffer | undefined;
  #state: 'open' | 'responding' | 'ended' = 'open';
  #requestHasEnded = false;
  #isHeldBack = false;
  #trailers: OutgoingHttpHeaders | undefined;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, method: Method, clock: Clock, bounds: CallBounds) {
    this.#stream = stream;
    this.#headers = headers;
    this.#method = method;
    this.#clock = clock;
    this.#bounds = bounds;
    this.path = headers[':path']!;
    this.#reader = new MessageReader(this, this.header('grpc-encoding') ?? 'identity', bounds.messageBytesMax);
    const timeout = this.header('grpc-timeout');
    const timeoutMs = timeout === undefined ? undefined : timeoutMsOf(timeout);
    this.timeoutMs = Number.isNaN(timeoutMs) ? undefined : timeoutMs;
    this.#stream[handled] = this;
    this.#handler = method.start(this);
    if (this.timeoutMs !== timeoutMs) this.onUnreadable(new ShoalError('INVALID_ARGUMENT', 'grpc-timeout must be up to 8 digits and one of the units H, M, S, m, u, n', { details: { field: 'grpc-timeout' } }));
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('aborted', onAborted);
    stream.on('error', ignore);
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** The one message of an answer, and its end. */
  answer(message: Uint8Array, metadata?: Trailers): void {
    if (!this.#respond()) return;
    this.#end(okStatus, '', metadata, framed(message));
  }

  /** False: more shall wait until `onceDrained`. */
  write(message: Uint8Array): boolean {
    return this.#respond() ? this.#stream.write(framed(message)) : true;
  }

  onceDrained(listener: () => void): void {
    this.#stream.once('drain', listener);
  }

  /** After the messages; or, before any, instead of them. */
  end(status: number, message: string, metadata?: Trailers): void {
    if (this.#isGone()) return;
    if (this.#state === 'responding') return this.#end(status, message, metadata, undefined);
    this.#state = 'ended';
    refuse(this.#stream, trailersOnly(status, message, metadata), this.#requestHasEnded);
    this.#readNoMore();
    this.#leave();
  }

  holdBack(): void {
    if (this.#state === 'ended') return;
    this.#isHeldBack = true;
    this.#stream.pause();
  }

  goOn(): void {
    this.#stream.resume();
  }

  onMessage(bytes: Buffer): void {
    if (this.#method.requestStream) this.#handler.onMessage(bytes);
    else if (this.#onlyMessage === undefined) this.#onlyMessage = bytes;
    else {
      this.#reader.stop();
      this.onUnreadable(new ShoalError('UNIMPLEMENTED', `${this.path} takes one message, and the request has more`));
    }
  }

  onMessagesEnd(): void {
    if (this.#method.requestStream) return this.#handler.onMessagesEnd();
    const message = this.#onlyMessage;
    if (message === undefined) return this.onUnreadable(new ShoalError('UNIMPLEMENTED', `${this.path} takes one message, and the request has none`));
    this.#onlyMessage = undefined;
    this.#handler.onMessage(message);
  }

  onUnreadable(error: ShoalError): void {
    if (this.#state !== 'ended') this.#handler.onBadRequest(error);
  }

  received(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  receivedEnd(): void {
    this.#requestHasEnded = true;
    this.#reader.end();
  }

  aborted(): void {
    this.#readNoMore();
    if (this.#state !== 'ended') this.#handler.onCancel();
    this.#state = 'ended';
    this.#leave();
  }

  sendTrailers(): void {
    if (this.#trailers === undefined) return;
    this.#stream.sendTrailers(this.#trailers);
    this.#leave();
    // Node sends them with the next turn of its loop, so what still comes of the request is refused after that.
    if (!this.#requestHasEnded) setImmediate(() => this.#stream.close(constants.NGHTTP2_NO_ERROR));
  }

  /** Sends the headers of an answer, once; false where nothing can be sent any more. */
  #respond(): boolean {
    if (this.#isGone()) return false;
    if (this.#state === 'responding') return true;
    this.#state = 'responding';
    this.#stream.on('wantTrailers', onWantTrailers);
    this.#stream.respond(responseHeaders, respondOptions);
    return true;
  }

  #end(status: number, message: string, metadata: Trailers | undefined, last: Buffer | undefined): void {
    const stream = this.#stream;
    this.#state = 'ended';
    this.#trailers = trailersOf(status, message, metadata);
    this.#readNoMore();
    if (last === undefined) stream.end();
    else stream.end(last);
    if (stream.writableLength > (last === undefined ? 0 : firstWindowBytes)) this.#expectToBeTaken();
  }

  /** What the stream still tells is of no concern. It may outlive several collections of garbage, and the request shall not. */
  #leave(): void {
    this.#stream[handled] = undefined;
  }

  /** What still comes is dropped; held back, it would keep the stream, and with it the connection, from ending. */
  #readNoMore(): void {
    this.#reader.stop();
    if (this.#isHeldBack) this.#stream.resume();
  }

  #expectToBeTaken(): void {
    const timer: Timer = this.#clock.after(this.#bounds.answerTimeoutMs, () => this.#stream.close(constants.NGHTTP2_CANCEL));
    this.#stream.once('close', () => timer.cancel());
  }

  #isGone(): boolean {
    return this.#state === 'ended' || this.#stream.destroyed || this.#stream.closed;
  }
}

/** An answer of headers alone; what still comes of the request is not wanted. */
export function refuse(stream: ServerHttp2Stream, headers: OutgoingHttpHeaders, requestHasEnded: boolean): void {
  stream.respond(headers, endOptions);
  // Waits until the answer is out.
  if (!requestHasEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}

// One function for all calls each: a listener that is made for every call costs more than finding the call.
function onData(this: CallStream, chunk: Buffer): void {
  this[handled]?.received(chunk);
}

function onEnd(this: CallStream): void {
  this[handled]?.receivedEnd();
}

function onAborted(this: CallStream): void {
  this[handled]?.aborted();
}

function onWantTrailers(this: CallStream): void {
  this[handled]?.sendTrailers();
}

/** Of a connection or a stream that broke: the call learns it from 'aborted'. */
export function ignore(): void {}
