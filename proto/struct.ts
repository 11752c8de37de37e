/**
 * google.protobuf.Struct straight to and from plain JSON objects, with the interface that the generated code expects of
 * a message (see `Mgoogle/protobuf/struct.proto` in buf.gen.yaml).
 *
 * The generator's own code loses a key named `__proto__`, and makes several objects for every value. Wire format:
 *
 *     Struct    1: entry*            entry  1: key, 2: Value
 *     Value     1: null (varint)  2: double (fixed64)  3: string  4: bool (varint)  5: Struct  6: ListValue
 *     ListValue 1: Value*
 */

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';

/** A JSON object. Every number is a double: -0 and fractions survive, integers above 2^53 lose digits. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Struct = { [key: string]: any };

/** Tags, that is field number and wire type, as they stand in the bytes. */
const tags = {
  structEntry: 0x0a,
  entryKey: 0x0a,
  entryValue: 0x12,
  null: 0x08,
  number: 0x11,
  string: 0x1a,
  bool: 0x20,
  struct: 0x2a,
  list: 0x32,
  listValue: 0x0a,
} as const;

/** Structs and lists in one another. Far above what any limit allows, far below what the stack holds. */
const depthMax = 200;

export const Struct = {
  encode(object: Struct, writer: BinaryWriter = new BinaryWriter()): BinaryWriter {
    for (const key of Object.keys(object)) {
      if (object[key] === undefined) continue;
      writer.uint32(tags.structEntry).fork();
      writer.uint32(tags.entryKey).string(key);
      writer.uint32(tags.entryValue).fork();
      encodeValue(object[key], writer);
      writer.join().join();
    }
    return writer;
  },

  decode(input: BinaryReader | Uint8Array, length?: number): Struct {
    const reader = input instanceof BinaryReader ? input : new BinaryReader(input);
    return decodeObject(reader, length === undefined ? reader.len : reader.pos + length, 1);
  },

  /** A message of this type is the object itself. */
  wrap: (object: Struct | undefined): Struct => object ?? {},
  unwrap: (object: Struct): Struct => object,
};

function encodeValue(value: unknown, writer: BinaryWriter): void {
  switch (typeof value) {
    case 'string':
      writer.uint32(tags.string).string(value);
      return;
    case 'number':
      writer.uint32(tags.number).double(value);
      return;
    case 'boolean':
      writer.uint32(tags.bool).bool(value);
      return;
    case 'object':
      if (value === null) writer.uint32(tags.null).int32(0);
      else if (Array.isArray(value)) encodeList(value, writer.uint32(tags.list).fork()).join();
      else Struct.encode(value as Struct, writer.uint32(tags.struct).fork()).join();
      return;
    default:
      throw new TypeError(`a Struct holds JSON values, not a ${typeof value}`);
  }
}

function encodeList(list: readonly unknown[], writer: BinaryWriter): BinaryWriter {
  for (const value of list) {
    writer.uint32(tags.listValue).fork();
    encodeValue(value, writer);
    writer.join();
  }
  return writer;
}

function decodeObject(reader: BinaryReader, end: number, depth: number): Struct {
  if (depth > depthMax) throw new RangeError(`a Struct is nested more than ${depthMax} deep`);
  const object: Struct = {};
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === tags.structEntry) decodeEntry(reader, endOf(reader, end), object, depth);
    else skip(reader, tag);
  }
  return object;
}

function decodeEntry(reader: BinaryReader, end: number, object: Struct, depth: number): void {
  let key = '';
  let value: unknown = null;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === tags.entryKey) key = reader.string();
    else if (tag === tags.entryValue) value = decodeValue(reader, endOf(reader, end), depth);
    else skip(reader, tag);
  }
  expectEnd(reader, end);
  // An assignment would set the prototype.
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

/** A value without a kind, which the format calls invalid, is null. */
function decodeValue(reader: BinaryReader, end: number, depth: number): unknown {
  let value: unknown = null;
  while (reader.pos < end) {
    const tag = reader.uint32();
    switch (tag) {
      case tags.null:
        reader.int32();
        value = null;
        break;
      case tags.number:
        value = reader.double();
        break;
      case tags.string:
        value = reader.string();
        break;
      case tags.bool:
        value = reader.bool();
        break;
      case tags.struct:
        value = decodeObject(reader, endOf(reader, end), depth + 1);
        break;
      case tags.list:
        value = decodeList(reader, endOf(reader, end), depth + 1);
        break;
      default:
        skip(reader, tag);
    }
  }
  expectEnd(reader, end);
  return value;
}

function decodeList(reader: BinaryReader, end: number, depth: number): unknown[] {
  if (depth > depthMax) throw new RangeError(`a Struct is nested more than ${depthMax} deep`);
  const list: unknown[] = [];
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === tags.listValue) list.push(decodeValue(reader, endOf(reader, end), depth));
    else skip(reader, tag);
  }
  return list;
}

/** Passes over a field that this version of the format does not know. */
function skip(reader: BinaryReader, tag: number): void {
  reader.skip(tag & 7, tag >>> 3);
}

/** Where a length-delimited part ends; it must lie within the one around it. */
function endOf(reader: BinaryReader, outerEnd: number): number {
  const end = reader.uint32() + reader.pos;
  if (end > outerEnd) throw longerThanItsPlace();
  return end;
}

function expectEnd(reader: BinaryReader, end: number): void {
  if (reader.pos !== end) throw longerThanItsPlace();
}

function longerThanItsPlace(): RangeError {
  return new RangeError('a part of a Struct is longer than what holds it');
}
