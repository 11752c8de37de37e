/**
 * A frame: the protocol's version and some items, each encoded once, where it was made.
 *
 *     Frame  08 version   12 length Item   12 length Item   …
 *
 * The frame is put together from encoded items and taken apart into them by hand, which says how long each was and
 * copies nothing; the rest is the generated code's work.
 */

import assert from 'node:assert/strict';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { Item, Lane as LaneNumber, type Lane as LaneNumbers } from '../../proto/gen/shoal/shard/v1/peer.ts';
import { limits } from '../kernel/limits.ts';
import type { Lane } from './lanes.ts';
import { malformed } from './malformed.ts';

export type ItemKind = NonNullable<Item['kind']>;

const versionTag = 0x08;
const itemTag = 0x12;
/** A tag and the longest length. */
export const itemHeaderBytes = 1 + 4;
/** The version's field. */
export const frameHeaderBytes = 1 + 5;
/** At most what a fragment adds to its bytes: two tags with lengths, a lane, a flag. */
export const fragmentHeaderBytes = 1 + 5 + 2 + 2 + 1 + 5;

// Bytes that are not UTF-8 are refused: replaced by U+FFFD, two different ids could become one.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const decodeUtf8 = (bytes: Uint8Array): string => utf8.decode(bytes);

/** Its buffer stays for the next item; one that has grown large is let go. */
let writer = new BinaryWriter();
const keptBufferBytesMax = 1 << 20;

export function encodeItem(kind: ItemKind): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = Item.encode({ kind }, writer).finish();
    return bytes;
  } finally {
    if (bytes === undefined || bytes.length > keptBufferBytesMax) writer = new BinaryWriter();
  }
}

/** MALFORMED_BODY unless it is an Item; undefined for a kind that this version does not know. */
export function decodeItem(bytes: Uint8Array): ItemKind | undefined {
  try {
    return Item.decode(new BinaryReader(bytes, decodeUtf8)).kind;
  } catch (cause) {
    throw malformed('an item cannot be decoded', cause);
  }
}

/** An encoded item, perhaps in parts that lie one behind the other. */
export type ItemParts = readonly Uint8Array[];

export function partsBytes(parts: ItemParts): number {
  let size = 0;
  for (const part of parts) size += part.length;
  return size;
}

export function encodeFrame(version: number, items: readonly ItemParts[]): Uint8Array {
  let size = 1 + varintBytes(version);
  for (const parts of items) {
    const itemBytes = partsBytes(parts);
    size += 1 + varintBytes(itemBytes) + itemBytes;
  }
  assert(size <= limits.wireFrameBytesMax, 'a frame is larger than the limit');
  const frame = Buffer.allocUnsafe(size);
  frame[0] = versionTag;
  let offset = writeVarint(frame, version, 1);
  for (const parts of items) {
    frame[offset++] = itemTag;
    offset = writeVarint(frame, partsBytes(parts), offset);
    for (const part of parts) {
      frame.set(part, offset);
      offset += part.length;
    }
  }
  return frame;
}

/** MALFORMED_BODY unless the bytes are a frame. The items are views, and no Buffers: those compare and slice in ways of their own. */
export function decodeFrame(frame: Uint8Array): { readonly version: number; readonly items: readonly Uint8Array[] } {
  if (frame.length > limits.wireFrameBytesMax) throw malformed(`a frame has ${frame.length} bytes; the limit is ${limits.wireFrameBytesMax}`);
  const items: Uint8Array[] = [];
  let version = 0;
  try {
    const reader = new BinaryReader(new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength));
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === versionTag) version = reader.uint32();
      else if (tag === itemTag) items.push(reader.bytes());
      else reader.skip(tag & 7, tag >>> 3);
    }
  } catch (cause) {
    throw malformed('a frame cannot be decoded', cause);
  }
  if (items.length > limits.wireFrameItemCountMax) throw malformed(`a frame has ${items.length} items; the limit is ${limits.wireFrameItemCountMax}`);
  return { version, items };
}

// -------------------------------------------------------------- fragments

/** Field numbers of peer.proto with their wire types. */
const fragmentTags = { item: 0x3a, lane: 0x08, last: 0x10, bytes: 0x1a } as const;

const laneNumbers: Record<Lane, LaneNumbers> = {
  messages: LaneNumber.LANE_MESSAGES,
  requests: LaneNumber.LANE_REQUESTS,
  answers: LaneNumber.LANE_ANSWERS,
};

/** An Item that holds a Fragment, written by hand so that the bytes are not copied on their way into the frame. */
export function encodeFragment(lane: Lane, bytes: Uint8Array, last: boolean): ItemParts {
  const fields = Uint8Array.of(fragmentTags.lane, laneNumbers[lane], fragmentTags.last, last ? 1 : 0, fragmentTags.bytes);
  const fragmentBytes = fields.length + varintBytes(bytes.length) + bytes.length;
  const header = new Uint8Array(fragmentHeaderBytes);
  header[0] = fragmentTags.item;
  let offset = writeVarint(header, fragmentBytes, 1);
  header.set(fields, offset);
  offset = writeVarint(header, bytes.length, offset + fields.length);
  return [header.subarray(0, offset), bytes];
}

export function laneOf(number: LaneNumbers): Lane {
  switch (number) {
    case LaneNumber.LANE_MESSAGES:
      return 'messages';
    case LaneNumber.LANE_REQUESTS:
      return 'requests';
    case LaneNumber.LANE_ANSWERS:
      return 'answers';
    default:
      throw malformed('a fragment is of a lane that is not known');
  }
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) count++;
  return count;
}

function writeVarint(target: Uint8Array, value: number, offset: number): number {
  let rest = value;
  while (rest > 0x7f) {
    target[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[offset++] = rest;
  return offset;
}
