/**
 * The key space of a pod's store:
 *
 *   +----------------------+--------+------------------------------+
 *   | local replica u32 BE | space  | suffix                       |
 *   | 4 bytes              | 1 byte | label u32 BE, or any bytes   |
 *   +----------------------+--------+------------------------------+
 *
 * The replica comes first, so that one range deletion drops a replica and one scan copies it. Numbers are big-endian,
 * so that keys order as their numbers do: labels are read in the order in which they were handed out.
 */

import assert from 'node:assert/strict';

/** The tag bytes are part of the on-disk format: never change or reuse one. */
const spaceTags = {
  /** Incarnation, term, commit seq, applied seq, checkpoint seqs. */
  meta: 0x01,
  /** Point id → {label, version}. */
  id: 0x02,
  /** Label → original f32 little-endian. */
  vector: 0x03,
  /** Label → {id, version, payload, text}. */
  payload: 0x04,
  /** Bitmaps by field and value. */
  'payload-index': 0x05,
  /** Index checkpoints. */
  graph: 0x06,
  /** Remembered requests (rule D1). */
  session: 0x07,
  /** Records of other state machines on the same log. */
  record: 0x08,
} as const;

export type KeySpace = keyof typeof spaceTags;
export const keySpaces = Object.keys(spaceTags) as readonly KeySpace[];

const spaceByTag: ReadonlyMap<number, KeySpace> = new Map(keySpaces.map((space) => [spaceTags[space], space]));
const replicaBytes = 4;
const prefixBytes = replicaBytes + 1;
const labelBytes = 4;

/** Every key with start ≤ key < end. */
export interface KeySpan {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

export interface DecodedKey {
  readonly replica: number;
  readonly space: KeySpace;
  /** A view into the key, not a copy. */
  readonly suffix: Uint8Array;
}

function keyPrefix(replica: number, space: KeySpace, suffixBytes: number): Buffer {
  assertUint32(replica, 'replica');
  const key = Buffer.allocUnsafe(prefixBytes + suffixBytes);
  key.writeUInt32BE(replica, 0);
  key[replicaBytes] = spaceTags[space];
  return key;
}

/** The prefix of a space, which is also its first possible key, and the span of all its keys. */
export function keySpace(replica: number, space: KeySpace): { readonly prefix: Uint8Array; readonly span: KeySpan } {
  const prefix = keyPrefix(replica, space, 0);
  return { prefix, span: prefixSpan(prefix) };
}

/** All keys of one replica. */
export function replicaSpan(replica: number): KeySpan {
  assertUint32(replica, 'replica');
  const start = Buffer.allocUnsafe(replicaBytes);
  start.writeUInt32BE(replica, 0);
  return prefixSpan(start);
}

export function keyWithLabel(replica: number, space: KeySpace, label: number): Uint8Array {
  assertUint32(label, 'label');
  const key = keyPrefix(replica, space, labelBytes);
  key.writeUInt32BE(label, prefixBytes);
  return key;
}

export function keyWithBytes(replica: number, space: KeySpace, suffix: Uint8Array): Uint8Array {
  const key = keyPrefix(replica, space, suffix.length);
  key.set(suffix, prefixBytes);
  return key;
}

/** The same of a suffix that is text, in UTF-8. */
export function keyWithText(replica: number, space: KeySpace, text: string): Uint8Array {
  const key = keyPrefix(replica, space, Buffer.byteLength(text));
  key.write(text, prefixBytes);
  return key;
}

/** The key but for its replica number: how it travels to a replica with another number. A view, not a copy. */
export function withoutReplica(key: Uint8Array): Uint8Array {
  return key.subarray(replicaBytes);
}

/** The way back from `withoutReplica`, under the number `replica`; undefined when `rest` is no such key. */
export function keyOfReplica(replica: number, rest: Uint8Array): Uint8Array | undefined {
  if (rest.length === 0 || !spaceByTag.has(rest[0] as number)) return undefined;
  assertUint32(replica, 'replica');
  const key = Buffer.allocUnsafe(replicaBytes + rest.length);
  key.writeUInt32BE(replica, 0);
  key.set(rest, replicaBytes);
  return key;
}

/** The same as `decodeKey` says, without anything made for it: for those who look at every key. */
export function spaceOfKey(key: Uint8Array): KeySpace {
  const space = spaceByTag.get(key[replicaBytes] as number);
  assert(space !== undefined, `no key space has the tag ${key[replicaBytes]}`);
  return space;
}

export function decodeKey(key: Uint8Array): DecodedKey {
  assert(key.length >= prefixBytes, `a key has at least ${prefixBytes} bytes, not ${key.length}`);
  const space = spaceByTag.get(key[replicaBytes] as number);
  assert(space !== undefined, `no key space has the tag ${key[replicaBytes]}`);
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return { replica: view.getUint32(0), space, suffix: key.subarray(prefixBytes) };
}

/** The label of a key made by `keyWithLabel`. */
export function labelOfKey(key: Uint8Array): number {
  assert(key.length === prefixBytes + labelBytes, `a key with a label has ${prefixBytes + labelBytes} bytes, not ${key.length}`);
  return new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(prefixBytes);
}

/** Every key that begins with `prefix`. */
export function prefixSpan(prefix: Uint8Array): KeySpan {
  return { start: prefix, end: afterPrefix(prefix) };
}

/** The first key that is greater than every key beginning with `prefix`: its last byte below 0xff, plus one. */
function afterPrefix(prefix: Uint8Array): Uint8Array {
  let last = prefix.length - 1;
  while (last >= 0 && prefix[last] === 0xff) last -= 1;
  // Only a prefix of nothing but 0xff has no such key; a space's tag is never 0xff, and no replica has that number.
  assert(last >= 0, 'a prefix of nothing but 0xff bytes has no upper bound');
  const end = Uint8Array.from(prefix.subarray(0, last + 1));
  end[last] = (end[last] as number) + 1;
  return end;
}

function assertUint32(value: number, name: string): void {
  assert(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff, `${name} is a u32, not ${value}`);
}
