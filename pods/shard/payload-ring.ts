/**
 * Values that were read from the store, kept outside V8's heap in a bounded number of segments. The oldest segment is
 * emptied for the newest values:
 *
 *     segment   entry, entry, …                                        256 KiB, made when the one before is full
 *     entry     u32 owner | u32 label | u32 length | value | up to three bytes, so that the next begins at a multiple of 4
 *
 * A place says where an entry lies, and is good until the owner hears that it was evicted. So no place is ever looked at
 * that does not begin an entry of this owner and label, whatever bytes values hold.
 */

import assert from 'node:assert/strict';
import { limits } from '../kernel/limits.ts';

export interface RingOwner {
  /** What was at the place is about to be overwritten. Only places that `add` gave to this owner are named. */
  evicted(label: number, place: number): void;
}

interface Segment {
  readonly bytes: Buffer;
  /** The same memory. */
  readonly words: Uint32Array;
  usedBytes: number;
}

const segmentBytes = 1 << 18;
const headerBytes = 12;
/** Larger values would leave much of a segment unused, and cost little more to read than to copy. */
const valueBytesMax = segmentBytes / 16;

export class PayloadRing {
  readonly #segmentCountMax: number;
  readonly #segments: Segment[] = [];
  #current = 0;
  readonly #owners = new Map<number, RingOwner>();
  #lastOwner = 0;
  #evictionCount = 0;

  constructor(bytesMax: number = limits.payloadCacheBytesMax) {
    this.#segmentCountMax = Math.max(1, Math.floor(bytesMax / segmentBytes));
  }

  /** A number that no owner had before. */
  join(owner: RingOwner): number {
    this.#owners.set(++this.#lastOwner, owner);
    return this.#lastOwner;
  }

  /** It hears of nothing more. */
  leave(owner: number): void {
    this.#owners.delete(owner);
  }

  /** How often a segment was emptied: while it stays, no place has come to mean another entry. */
  get evictionCount(): number {
    return this.#evictionCount;
  }

  memoryBytes(): number {
    return this.#segments.length * segmentBytes;
  }

  /** Keeps a copy; returns its place, which is above 0 and below 2^31, or 0 when the value is too large to be kept. */
  add(owner: number, label: number, value: Uint8Array): number {
    if (value.length > valueBytesMax) return 0;
    const sizeBytes = entryBytes(value.length);
    const segment = this.#segmentFor(sizeBytes);
    const start = segment.usedBytes;
    const word = start / 4;
    segment.words[word] = owner;
    segment.words[word + 1] = label;
    segment.words[word + 2] = value.length;
    segment.bytes.set(value, start + headerBytes);
    segment.usedBytes += sizeBytes;
    return placeOf(this.#current, start);
  }

  /** A copy, since the place may be overwritten. */
  copy(place: number): Uint8Array {
    const position = (place - 1) * 4;
    const { bytes, words } = this.#segments[Math.floor(position / segmentBytes)]!;
    const start = (position % segmentBytes) + headerBytes;
    const value = Buffer.allocUnsafe(words[start / 4 - 1]!);
    bytes.copy(value, 0, start, start + value.length);
    return value;
  }

  #segmentFor(sizeBytes: number): Segment {
    const current = this.#segments[this.#current];
    if (current !== undefined && current.usedBytes + sizeBytes <= segmentBytes) return current;
    if (this.#segments.length < this.#segmentCountMax) {
      const bytes = Buffer.allocUnsafeSlow(segmentBytes);
      const segment = { bytes, words: new Uint32Array(bytes.buffer), usedBytes: 0 };
      this.#current = this.#segments.push(segment) - 1;
      return segment;
    }
    this.#current = (this.#current + 1) % this.#segments.length;
    const oldest = this.#segments[this.#current]!;
    this.#empty(oldest);
    return oldest;
  }

  #empty(segment: Segment): void {
    this.#evictionCount += 1;
    const { words, usedBytes } = segment;
    let start = 0;
    while (start < usedBytes) {
      const word = start / 4;
      this.#owners.get(words[word]!)?.evicted(words[word + 1]!, placeOf(this.#current, start));
      start += entryBytes(words[word + 2]!);
    }
    assert(start === usedBytes, 'entries of a segment end where it says');
    segment.usedBytes = 0;
  }
}

function placeOf(segment: number, start: number): number {
  return (segment * segmentBytes + start) / 4 + 1;
}

function entryBytes(valueBytes: number): number {
  return (headerBytes + valueBytes + 3) & ~3;
}
