/**
 * The rules of gRPC over HTTP/2 that need no connection: a call is one HTTP/2 stream,
 *
 *   request   HEADERS  :method POST  :path /service/method  content-type application/grpc  [grpc-timeout] [grpc-encoding]
 *             DATA     messages, END_STREAM
 *   answer    HEADERS  :status 200   DATA  messages   HEADERS  grpc-status [grpc-message], END_STREAM
 *   failure   HEADERS  :status 200  grpc-status [grpc-message], END_STREAM
 *
 * and a message is a byte (1: compressed), its length in 4 bytes, big-endian, and its bytes. DATA frames end anywhere.
 */

import { sensitiveHeaders, type OutgoingHttpHeaders } from 'node:http2';

export const prefixBytes = 5;

/** The codes that the protocol itself gives; all others come from the handlers. */
export const okStatus = 0;
export const unimplementedStatus = 12;

/** What the server can read. */
export const acceptedEncodings = 'identity,deflate,gzip';

/** Names and values in turns, which Node takes as they are; an object it copies for every answer. */
export const responseHeaders: readonly string[] = [':status', '200', 'content-type', 'application/grpc+proto', 'grpc-accept-encoding', acceptedEncodings, 'grpc-encoding', 'identity'];

/** Trailing metadata, and where nothing was sent before, leading at the same time. */
export type Trailers = Readonly<Record<string, string>>;

/** Metadata differs from call to call: in HPACK's table it would only push out what does not, on both sides. */
export function trailersOf(status: number, message: string, metadata: Trailers | undefined): OutgoingHttpHeaders {
  const trailers: OutgoingHttpHeaders = { 'grpc-status': status, ...metadata, [sensitiveHeaders]: Object.keys(metadata ?? {}) };
  if (message !== '') trailers['grpc-message'] = encodeMessage(message);
  return trailers;
}

/** An answer without messages. */
export function trailersOnly(status: number, message: string, metadata: Trailers | undefined): OutgoingHttpHeaders {
  return { ':status': 200, 'content-type': 'application/grpc+proto', 'grpc-accept-encoding': acceptedEncodings, ...trailersOf(status, message, metadata) };
}

/** Whether messages of this type are protobuf messages of gRPC. Parameters are ignored. */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType === 'application/grpc' || contentType === 'application/grpc+proto' || (contentType !== undefined && /^application\/grpc(\+proto)?\s*;/i.test(contentType));
}

const unitMs = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 } as const;

/** Milliseconds; NaN where the header is not of the form that the protocol gives it. */
export function timeoutMsOf(header: string): number {
  const match = /^([0-9]{1,8})([HMSmun])$/.exec(header);
  return match === null ? NaN : Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}

/** Text of grpc-message: UTF-8, percent-encoded but for what ASCII can print; a percent sign is encoded too. */
export function encodeMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message;
  let encoded = '';
  for (const byte of Buffer.from(message)) {
    encoded += byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** A message as it goes into DATA frames, in one piece so that it is one write. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}
