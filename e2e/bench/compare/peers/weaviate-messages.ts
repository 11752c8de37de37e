/**
 * The few messages of weaviate.v1 that are needed, by field number as its published definitions have them. An id is a UUID whose
 * last digits are the number of the row.
 */

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { row, type Matrix } from '../peer.ts';

export function uuidOfRow(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}

export function rowOfUuid(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUIntBE(bytes.byteLength - 6, 6);
}

/** SearchRequest: collection 1, metadata 21 { uuid 1 }, limit 30, near_vector 43 { vectors 9 }, uses_127_api 102. */
export function encodeSearch(collection: string, query: Float32Array, limit: number): Buffer {
  const writer = new BinaryWriter();
  writer.uint32(tag(1)).string(collection);
  writer.uint32(tag(21)).fork().uint32(8).bool(true).join();
  writer.uint32(30 << 3).uint32(limit);
  writer.uint32(tag(43)).fork();
  // Vectors: vector_bytes 3, type 4 (1: single, 32-bit floats); without a name it is the collection's only vector.
  writer.uint32(tag(9)).fork().uint32(tag(3)).bytes(bytesOf(query)).uint32(4 << 3).int32(1).join();
  writer.join();
  writer.uint32(102 << 3).bool(true);
  return Buffer.from(writer.finish());
}

/** SearchReply: results 2 { metadata 2 { id 1, id_as_bytes 20 } }. */
export function decodeSearch(bytes: Uint8Array): number[] {
  const found: number[] = [];
  eachField(bytes, 2, (result) => eachField(result, 2, (metadata) => eachField(metadata, 20, (id) => found.push(rowOfUuid(id)))));
  return found;
}

/** BatchObjectsRequest: objects 1 { uuid 1, collection 4, vector_bytes 6 }. */
export function encodeBatch(collection: string, firstId: number, points: Matrix): Buffer {
  const writer = new BinaryWriter();
  for (let at = 0; at < points.count; at++) {
    writer.uint32(tag(1)).fork();
    writer.uint32(tag(1)).string(uuidOfRow(firstId + at));
    writer.uint32(tag(4)).string(collection);
    writer.uint32(tag(6)).bytes(bytesOf(row(points, at)));
    writer.join();
  }
  return Buffer.from(writer.finish());
}

/** BatchObjectsReply: errors 2 { error 2 }. */
export function decodeBatchErrors(bytes: Uint8Array): string[] {
  const errors: string[] = [];
  eachField(bytes, 2, (error) => eachField(error, 2, (text) => errors.push(Buffer.from(text).toString())));
  return errors;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function tag(field: number): number {
  return (field << 3) | 2;
}

function eachField(bytes: Uint8Array, field: number, visit: (value: Uint8Array) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field) visit(reader.bytes());
    else reader.skip(type);
  }
}
