/** Bytes of a file from an offset on, and their lines. Offsets count bytes, so that a reader can go on from any line. */

import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { limits } from '../../kernel/limits.ts';
import { ShoalError } from '../../kernel/errors.ts';
import type { Position } from './point-file.ts';

const chunkBytes = 1 << 18;
const newline = 0x0a;
const carriageReturn = 0x0d;

/** A stream stands for standard input, which can be read once and only from its beginning. */
export type ByteOrigin = string | Readable;

export function originName(origin: ByteOrigin): string {
  return typeof origin === 'string' ? origin : 'standard input';
}

export async function* readChunks(origin: ByteOrigin, fromOffset: number, signal: AbortSignal): AsyncIterable<Buffer> {
  const stream = typeof origin === 'string' ? createReadStream(origin, { start: fromOffset, highWaterMark: chunkBytes }) : origin;
  const onAbort = (): void => void stream.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    for await (const chunk of stream) yield chunk as Buffer;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

export interface Line {
  /** Without its end; undefined when it is not valid UTF-8. */
  readonly text: string | undefined;
  readonly at: Position;
  readonly after: Position;
}

/** The lines of each chunk. A line longer than one request may be is MALFORMED_BODY. */
export async function* readLines(origin: ByteOrigin, from: Position, signal: AbortSignal): AsyncIterable<readonly Line[]> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let at = from;
  const take = (bytes: Buffer, endBytes: number): Line => {
    const after: Position = { row: at.row + 1, offset: at.offset + bytes.length + endBytes, line: at.line + 1 };
    const end = bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length;
    const content = bytes.subarray(at.offset === 0 && startsWithMark(bytes) ? 3 : 0, end);
    const line: Line = { text: isUtf8(content) ? content.toString('utf8') : undefined, at, after };
    at = after;
    return line;
  };
  for await (const chunk of readChunks(origin, from.offset, signal)) {
    const lines: Line[] = [];
    let begin = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, begin)) {
      const rest = chunk.subarray(begin, end);
      lines.push(take(pending.length === 0 ? rest : Buffer.concat([...pending, rest]), 1));
      pending = [];
      pendingBytes = 0;
      begin = end + 1;
    }
    if (begin < chunk.length) {
      pending.push(chunk.subarray(begin));
      pendingBytes += chunk.length - begin;
    }
    if (pendingBytes > limits.grpcMessageBytesMax) {
      throw new ShoalError('MALFORMED_BODY', `${originName(origin)}: line ${at.line}: is longer than ${limits.grpcMessageBytesMax} bytes`, {
        details: { file: originName(origin), line: at.line, limit: limits.grpcMessageBytesMax },
      });
    }
    if (lines.length > 0) yield lines;
  }
  if (pendingBytes > 0) yield [take(Buffer.concat(pending), 0)];
}

/** A byte order mark, which some editors put before UTF-8. */
function startsWithMark(bytes: Buffer): boolean {
  return bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}
