/**
 * The bytes of a log segment. All numbers are little-endian; everything begins at a multiple of 512 bytes, so that no
 * sector that was ever acknowledged is written again.
 *
 *   segment  = header (512 bytes) · base frame · group frame · group frame · …
 *
 *   header   0 magic "SHOALLOG" · 8 u32 format version · 12 u64 segment number · 20 u64 number of the first frame
 *            28 zeros · 508 u32 crc32c of bytes 0..508
 *
 *   frame    0 u32 magic · 4 u32 kind (1 base, 2 group) · 8 u32 frame bytes (a multiple of 512, padding included)
 *            12 u32 record bytes · 16 u64 frame number · 24 u64 segment number · 32 u32 record count · 36 u32 mask
 *            40 u32 crc32c of bytes 48..frame bytes as stored · 44 u32 crc32c of bytes 0..44
 *            48 records and padding of zeros, every word of it XORed with the mask
 *
 *   record   0 u32 length (these 36 bytes included) · 4 u32 crc32c of bytes 8..length · 8 u32 kind · 12 u32 replica
 *            16 u64 term · 24 u64 seq · 32 u32 crc32c of the same replica's record before it (0 for its first)
 *            36 payload
 *
 * The mask differs from frame to frame and has no zero byte. So a sector of zeros inside a frame, whatever its payload,
 * is one that never reached the disk: this is how a write torn by a power loss is told from a flipped bit.
 *
 * Record kinds:
 *   entry     an entry of the replica's history
 *   truncate  entries from `seq` on are dropped; `term` is that of the entry before
 *   reset     the history is empty and continues after (seq, term)
 *   forget    the replica is gone
 *   adopt     the replica adopted `term`, without an entry of it; seq is 0
 *   base      only in base frames: where the replica's history stood when the segment began. The crc field is that of
 *             its newest record, so that its chain can be checked although older segments are deleted. The payload is the
 *             u64 adopted term, or empty when that is the record's own.
 */

import assert from 'node:assert';
import { crc32c } from '@node-rs/crc32';

export const logFormatVersion = 1;
export const sectorBytes = 512;
export const segmentHeaderBytes = sectorBytes;
export const frameHeaderBytes = 48;
export const recordHeaderBytes = 36;

const segmentMagic = Buffer.from('SHOALLOG', 'latin1');
const frameMagic = 0x4d524653;

export type FrameKind = 'base' | 'group';
const frameKindCodes = { base: 1, group: 2 } as const satisfies Record<FrameKind, number>;

export type RecordKind = 'entry' | 'truncate' | 'reset' | 'forget' | 'base' | 'adopt';
const recordKindCodes = { entry: 1, truncate: 2, reset: 3, forget: 4, base: 5, adopt: 6 } as const satisfies Record<RecordKind, number>;
const recordKinds: readonly (RecordKind | undefined)[] = [undefined, 'entry', 'truncate', 'reset', 'forget', 'base', 'adopt'];

export interface SegmentHeader {
  readonly segment: number;
  readonly firstFrame: number;
}

export interface FrameHeader {
  readonly kind: FrameKind;
  readonly frameBytes: number;
  readonly recordBytes: number;
  readonly frame: number;
  readonly segment: number;
  readonly recordCount: number;
  readonly mask: number;
  readonly bodyCrc: number;
}

/** A record but for what the log itself adds: its crc and that of the one before. */
export interface RecordContent {
  readonly kind: RecordKind;
  readonly localReplica: number;
  readonly term: number;
  readonly seq: number;
  readonly payload: Uint8Array;
}

export interface LogRecord extends RecordContent {
  readonly previousCrc: number;
  readonly crc: number;
  /** Offset within the frame. */
  readonly offset: number;
}

const noPayload = new Uint8Array(0);

export const marker = (kind: Exclude<RecordKind, 'entry'>, localReplica: number, seq: number, term: number): RecordContent => ({
  kind,
  localReplica,
  term,
  seq,
  payload: noPayload,
});

const adoptedTermBytes = 8;

export function baseMarker(localReplica: number, seq: number, term: number, adoptedTerm: number): RecordContent {
  const base = marker('base', localReplica, seq, term);
  if (adoptedTerm === term) return base;
  const payload = Buffer.alloc(adoptedTermBytes);
  writeUInt64(payload, adoptedTerm, 0);
  return { ...base, payload };
}

/** The adopted term that a base record names; undefined when its payload is not one. */
export function adoptedTermOf({ term, payload }: RecordContent): number | undefined {
  if (payload.length === 0) return term;
  return payload.length === adoptedTermBytes ? readUInt64(Buffer.from(payload), 0) : undefined;
}

export function segmentName(segment: number): string {
  return `${String(segment).padStart(16, '0')}.log`;
}

/** The number in a segment's file name, or undefined when the name is not one of a segment. */
export function segmentOfName(name: string): number | undefined {
  return /^\d{16}\.log$/.test(name) ? Number(name.slice(0, 16)) : undefined;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(segmentHeaderBytes);
  segmentMagic.copy(bytes);
  bytes.writeUInt32LE(logFormatVersion, 8);
  writeUInt64(bytes, header.segment, 12);
  writeUInt64(bytes, header.firstFrame, 20);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, segmentHeaderBytes - 4)), segmentHeaderBytes - 4);
  return bytes;
}

/** The header and its format version, or undefined when it is not intact. */
export function decodeSegmentHeader(bytes: Buffer): (SegmentHeader & { readonly formatVersion: number }) | undefined {
  if (bytes.length < segmentHeaderBytes || !bytes.subarray(0, 8).equals(segmentMagic)) return undefined;
  if (crc32c(bytes.subarray(0, segmentHeaderBytes - 4)) !== bytes.readUInt32LE(segmentHeaderBytes - 4)) return undefined;
  return { formatVersion: bytes.readUInt32LE(8), segment: readUInt64(bytes, 12), firstFrame: readUInt64(bytes, 20) };
}

export function frameBytesFor(recordBytes: number): number {
  return Math.ceil((frameHeaderBytes + recordBytes) / sectorBytes) * sectorBytes;
}

export function encodeFrameHeader(header: FrameHeader, bytes: Buffer): void {
  bytes.writeUInt32LE(frameMagic, 0);
  bytes.writeUInt32LE(frameKindCodes[header.kind], 4);
  bytes.writeUInt32LE(header.frameBytes, 8);
  bytes.writeUInt32LE(header.recordBytes, 12);
  writeUInt64(bytes, header.frame, 16);
  writeUInt64(bytes, header.segment, 24);
  bytes.writeUInt32LE(header.recordCount, 32);
  bytes.writeUInt32LE(header.mask, 36);
  bytes.writeUInt32LE(header.bodyCrc, 40);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, 44)), 44);
}

/** The frame header at the start of `bytes`, or undefined when it is not intact. */
export function decodeFrameHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < frameHeaderBytes || bytes.readUInt32LE(0) !== frameMagic) return undefined;
  if (crc32c(bytes.subarray(0, 44)) !== bytes.readUInt32LE(44)) return undefined;
  const kindCode = bytes.readUInt32LE(4);
  return {
    kind: kindCode === frameKindCodes.base ? 'base' : 'group',
    frameBytes: bytes.readUInt32LE(8),
    recordBytes: bytes.readUInt32LE(12),
    frame: readUInt64(bytes, 16),
    segment: readUInt64(bytes, 24),
    recordCount: bytes.readUInt32LE(32),
    mask: bytes.readUInt32LE(36),
    bodyCrc: bytes.readUInt32LE(40),
  };
}

/** Writes one record at `offset` and returns its crc. */
export function encodeRecord(record: RecordContent, previousCrc: number, bytes: Buffer, offset: number): number {
  const length = recordHeaderBytes + record.payload.length;
  bytes.writeUInt32LE(length, offset);
  bytes.writeUInt32LE(recordKindCodes[record.kind], offset + 8);
  bytes.writeUInt32LE(record.localReplica, offset + 12);
  writeUInt64(bytes, record.term, offset + 16);
  writeUInt64(bytes, record.seq, offset + 24);
  bytes.writeUInt32LE(previousCrc, offset + 32);
  bytes.set(record.payload, offset + recordHeaderBytes);
  const crc = crc32c(bytes.subarray(offset + 8, offset + length));
  bytes.writeUInt32LE(crc, offset + 4);
  return crc;
}

/** Decodes the record at `offset` of an unmasked frame; a string says what is wrong with it. The payload is a view. */
export function decodeRecord(bytes: Buffer, offset: number, end: number): LogRecord | string {
  if (end - offset < recordHeaderBytes) return 'a record is cut short';
  const length = bytes.readUInt32LE(offset);
  if (length < recordHeaderBytes || length > end - offset) return `a record has the impossible length ${length}`;
  const crc = bytes.readUInt32LE(offset + 4);
  if (crc32c(bytes.subarray(offset + 8, offset + length)) !== crc) return 'a record fails its checksum';
  const kind = recordKinds[bytes.readUInt32LE(offset + 8)];
  if (kind === undefined) return `a record is of the unknown kind ${bytes.readUInt32LE(offset + 8)}`;
  return {
    kind,
    localReplica: bytes.readUInt32LE(offset + 12),
    term: readUInt64(bytes, offset + 16),
    seq: readUInt64(bytes, offset + 24),
    previousCrc: bytes.readUInt32LE(offset + 32),
    payload: bytes.subarray(offset + recordHeaderBytes, offset + length),
    crc,
    offset,
  };
}

/** A word without a zero byte that differs from frame to frame. */
export function maskOf(frame: number): number {
  let mixed = Math.imul((frame >>> 0) ^ 0x9e3779b9, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) | 0x01010101) >>> 0;
}

/** XORs every word of bytes[from, end) with `mask`; done twice it gives back what was there. */
export function applyMask(bytes: Buffer, from: number, end: number, mask: number): void {
  assert((bytes.byteOffset + from) % 4 === 0 && (end - from) % 4 === 0, 'masking works on aligned words');
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, (end - from) / 4);
  for (let index = 0; index < words.length; index++) words[index]! ^= mask;
}

/** Numbers above 2^53 are never written, so two halves are enough. */
function writeUInt64(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32LE(value >>> 0, offset);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), offset + 4);
}

function readUInt64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32;
}
