/**
 * Service definitions for the server, from what the generator says of a service. They are strict about text: the generated
 * code replaces bytes that are not UTF-8 by U+FFFD, so that two different ids could become one. Here such a message fails to decode.
 */

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { MethodDefinition } from '@grpc/grpc-js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const decodeUtf8 = (bytes: Uint8Array): string => utf8.decode(bytes);

/** The library makes an array of numbers of each text; most texts are ASCII. */
class StrictReader extends BinaryReader {
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    super(bytes, decodeUtf8);
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  override string(): string {
    const length = this.uint32();
    const start = this.pos;
    this.pos += length;
    if (this.pos > this.len) throw new RangeError('a text goes on after the end of the message');
    const bytes = this.#bytes;
    for (let i = start; i < this.pos; i++) if (bytes[i]! > 0x7f) return decodeUtf8(bytes.subarray(start, this.pos));
    return bytes.toString('latin1', start, this.pos);
  }
}

/** What the generator says of a message type. */
interface MessageType {
  encode(message: unknown, writer: BinaryWriter): BinaryWriter;
  decode(input: BinaryReader | Uint8Array): unknown;
}

interface GeneratedMethod {
  readonly name: string;
  readonly requestType: MessageType;
  readonly requestStream: boolean;
  readonly responseType: MessageType;
  readonly responseStream: boolean;
}

interface GeneratedService {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, GeneratedMethod>>;
}

export type StrictDefinition<Service extends GeneratedService> = { readonly [Name in keyof Service['methods']]: MethodDefinition<unknown, unknown> };

export function strictDefinition<Service extends GeneratedService>({ fullName, methods }: Service): StrictDefinition<Service> {
  const strict = Object.entries(methods).map(([key, { name, requestType, requestStream, responseType, responseStream }]): [string, MethodDefinition<unknown, unknown>] => [
    key,
    {
      path: `/${fullName}/${name}`,
      requestStream,
      responseStream,
      requestSerialize: (request) => encoded(requestType, request),
      requestDeserialize: (bytes) => requestType.decode(new StrictReader(bytes)),
      responseSerialize: (response) => encoded(responseType, response),
      responseDeserialize: (bytes) => responseType.decode(bytes),
    },
  ]);
  return Object.fromEntries(strict) as StrictDefinition<Service>;
}

const keptWriterBytes = 64 * 1024;
let writer: BinaryWriter | undefined;

/** With the writer of the message before: a new one begins with a small buffer, and makes larger ones until the message fits. */
function encoded({ encode }: MessageType, message: unknown): Buffer {
  const used = writer ?? new BinaryWriter();
  // One that throws halfway is not used again.
  writer = undefined;
  const bytes = encode(message, used).finish();
  if (bytes.length <= keptWriterBytes) writer = used;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
