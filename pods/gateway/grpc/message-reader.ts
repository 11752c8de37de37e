/**
 * Messages out of the DATA frames of one call, which may hold several, or a part of one. A message that lies whole in a
 * frame is a view of it; others are collected in a buffer that grows with what really came, never with what a prefix
 * promises, and is refused by its prefix when it is too large. Compressed messages are inflated off the event loop, in
 * order, while the caller holds back what follows.
 */

import { gunzip, inflate } from 'node:zlib';
import { ShoalError } from '../../kernel/errors.ts';
import { prefixBytes } from './protocol.ts';

export interface MessageSink {
  onMessage(bytes: Buffer): void;
  /** The request is complete: all its messages were given. */
  onMessagesEnd(): void;
  /** BODY_TOO_LARGE, MALFORMED_BODY or UNIMPLEMENTED; nothing follows. */
  onUnreadable(error: ShoalError): void;
  /** Nothing more shall be pushed until `goOn`. */
  holdBack(): void;
  goOn(): void;
}

const firstBufferBytes = 64 * 1024;

export class MessageReader {
  readonly #sink: MessageSink;
  readonly #encoding: string;
  readonly #bytesMax: number;
  /** A message that came in part: its prefix and what follows it. */
  #partial: Buffer | undefined;
  #partialBytes = 0;
  #state: 'open' | 'inflating' | 'ended' = 'open';
  /** What came with a message that is being inflated, after it. */
  #rest: Buffer | undefined;
  #endWaits = false;

  constructor(sink: MessageSink, encoding: string, bytesMax: number) {
    this.#sink = sink;
    this.#encoding = encoding;
    this.#bytesMax = bytesMax;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'ended') return;
      if (this.#state === 'inflating') {
        const rest = chunk.subarray(at);
        this.#rest = this.#rest === undefined ? rest : Buffer.concat([this.#rest, rest]);
        return;
      }
      const end = this.#partial === undefined ? this.#endOfMessage(chunk, at) : -1;
      if (end === undefined) return;
      if (end > 0 && end <= chunk.length) {
        this.#take(chunk[at]!, chunk.subarray(at + prefixBytes, end));
        at = end;
      } else {
        at += this.#collect(chunk, at);
      }
    }
  }

  /** The client has ended the request. */
  end(): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'inflating') {
      this.#endWaits = true;
      return;
    }
    if (this.#partialBytes > 0) return this.#refuse(new ShoalError('MALFORMED_BODY', 'the request ends within a message'));
    this.#state = 'ended';
    this.#sink.onMessagesEnd();
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.#state = 'ended';
    this.#partial = undefined;
    this.#rest = undefined;
  }

  /** -1 where even the prefix is not whole; undefined where the message was refused. */
  #endOfMessage(bytes: Buffer, at: number): number | undefined {
    if (bytes.length - at < prefixBytes) return -1;
    const size = bytes.readUInt32BE(at + 1);
    if (size <= this.#bytesMax) return at + prefixBytes + size;
    this.#refuse(tooLarge(`${size} bytes`, this.#bytesMax));
    return undefined;
  }

  /** Takes from the chunk what the message that came in part lacks, first its prefix; how many bytes those were. */
  #collect(chunk: Buffer, at: number): number {
    this.#partial ??= Buffer.allocUnsafe(firstBufferBytes);
    const wanted = this.#partialBytes < prefixBytes ? prefixBytes : prefixBytes + this.#partial.readUInt32BE(1);
    const taken = Math.min(wanted - this.#partialBytes, chunk.length - at);
    this.#reserve(this.#partialBytes + taken, wanted);
    chunk.copy(this.#partial, this.#partialBytes, at, at + taken);
    this.#partialBytes += taken;
    const end = this.#endOfMessage(this.#partial.subarray(0, this.#partialBytes), 0);
    if (end === this.#partialBytes) {
      const message = this.#partial.subarray(0, end);
      this.#partial = undefined;
      this.#partialBytes = 0;
      this.#take(message[0]!, message.subarray(prefixBytes));
    }
    return taken;
  }

  /** Doubles, so that each byte is copied about twice however small the frames are. */
  #reserve(bytes: number, wanted: number): void {
    const present = this.#partial!;
    if (bytes <= present.length) return;
    this.#partial = Buffer.allocUnsafe(Math.min(wanted, Math.max(bytes, 2 * present.length)));
    present.copy(this.#partial, 0, 0, this.#partialBytes);
  }

  #take(flag: number, bytes: Buffer): void {
    if (flag === 0) return this.#sink.onMessage(bytes);
    if (flag !== 1) return this.#refuse(new ShoalError('MALFORMED_BODY', 'the flag before a message is neither 0 nor 1'));
    const inflater = inflaters.get(this.#encoding);
    if (inflater === undefined) {
      return this.#refuse(
        this.#encoding === 'identity'
          ? new ShoalError('MALFORMED_BODY', 'a message is marked as compressed, and grpc-encoding names no compression')
          : new ShoalError('UNIMPLEMENTED', 'grpc-encoding names a compression that the server does not have; it has gzip and deflate'),
      );
    }
    this.#state = 'inflating';
    this.#sink.holdBack();
    inflater(bytes, { maxOutputLength: Math.max(1, this.#bytesMax) }, (error, inflated) => this.#inflated(error, inflated));
  }

  #inflated(error: NodeJS.ErrnoException | null, message: Buffer): void {
    if (this.#state === 'ended') return;
    if (error !== null) {
      const isLarge = error.code === 'ERR_BUFFER_TOO_LARGE';
      return this.#refuse(isLarge ? tooLarge(`more than ${this.#bytesMax} bytes once it is inflated`, this.#bytesMax) : new ShoalError('MALFORMED_BODY', 'a compressed message could not be inflated', { cause: error }));
    }
    this.#state = 'open';
    this.#sink.onMessage(message);
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) this.push(rest);
    if (this.#isInflating()) return;
    if (this.#endWaits) this.end();
    else this.#sink.goOn();
  }

  /** A method, because `push` changes the state. */
  #isInflating(): boolean {
    return this.#state === 'inflating';
  }

  #refuse(error: ShoalError): void {
    this.stop();
    this.#sink.onUnreadable(error);
  }
}

type Inflater = (bytes: Buffer, options: { maxOutputLength: number }, callback: (error: Error | null, inflated: Buffer) => void) => void;
const inflaters: ReadonlyMap<string, Inflater> = new Map<string, Inflater>([
  ['gzip', gunzip],
  ['deflate', inflate],
]);

function tooLarge(found: string, bytesMax: number): ShoalError {
  return new ShoalError('BODY_TOO_LARGE', `the message has ${found}; the limit is ${bytesMax}; send smaller batches`, { details: { limit: bytesMax } });
}
