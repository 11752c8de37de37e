/**
 * Generated service definitions, made strict about text: the generated code replaces bytes that are not UTF-8 by U+FFFD,
 * so that two different ids could become one. Here such a message fails to decode.
 */

import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const decodeUtf8 = (bytes: Uint8Array): string => utf8.decode(bytes);

export function strictDefinition<Service extends ServiceDefinition>(service: Service): Service {
  const methods = Object.entries(service) as [string, MethodDefinition<unknown, unknown>][];
  return Object.fromEntries(methods.map(([name, method]) => [name, { ...method, requestDeserialize: strictly(method.requestDeserialize) }])) as Service;
}

/** The generated decoders take a reader in place of bytes. */
function strictly<Message>(decode: (bytes: Buffer) => Message): (bytes: Buffer) => Message {
  return (bytes) => decode(new BinaryReader(bytes, decodeUtf8) as unknown as Buffer);
}
