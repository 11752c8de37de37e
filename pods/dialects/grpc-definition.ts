/**
 * Generated service definitions, made strict about text: the generated code replaces bytes that are not UTF-8 by U+FFFD,
 * so that two different ids could become one. Here such a message fails to decode.
 */

import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

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

export function strictDefinition<Service extends ServiceDefinition>(service: Service): Service {
  const methods = Object.entries(service) as [string, MethodDefinition<unknown, unknown>][];
  return Object.fromEntries(methods.map(([name, method]) => [name, { ...method, requestDeserialize: strictly(method.requestDeserialize) }])) as Service;
}

/** The generated decoders take a reader in place of bytes. */
function strictly<Message>(decode: (bytes: Buffer) => Message): (bytes: Buffer) => Message {
  return (bytes) => decode(new StrictReader(bytes) as unknown as Buffer);
}
