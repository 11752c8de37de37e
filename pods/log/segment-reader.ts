/**
 * Reads the frames of one segment in order, each checked against its checksums. A frame that is not intact is handed
 * out as such, with where and why: what it means depends on where in the log it lies, which the caller knows.
 */

import { crc32c } from '@node-rs/crc32';
import type { FileHandle } from '../kernel/file-system.ts';
import {
  applyMask,
  decodeFrameHeader,
  decodeRecord,
  frameBytesFor,
  frameHeaderBytes,
  sectorBytes,
  segmentHeaderBytes,
  type FrameHeader,
  type LogRecord,
} from './format.ts';
import { inSlices } from './slices.ts';

export type FrameFound =
  | { readonly kind: 'frame'; readonly offset: number; readonly header: FrameHeader; readonly records: readonly LogRecord[] }
  | { readonly kind: 'bad'; readonly offset: number; readonly because: string; readonly header: FrameHeader | undefined }
  | { readonly kind: 'end'; readonly offset: number };

const chunkBytesMax = 256 * 1024;

export class SegmentReader {
  readonly #handle: FileHandle;
  readonly #segment: number;
  readonly #endOffset: number;
  readonly #chunkBytes: number;
  #chunk: Buffer;
  #chunkOffset = 0;
  #chunkFilled = 0;
  #offset: number;

  /** `endOffset`: what lies beyond is not looked at, perhaps because it is being written. */
  constructor(handle: FileHandle, segment: number, endOffset: number, offset = segmentHeaderBytes) {
    this.#handle = handle;
    this.#segment = segment;
    this.#endOffset = endOffset;
    this.#offset = offset;
    this.#chunkBytes = Math.max(sectorBytes, Math.min(chunkBytesMax, endOffset - offset));
    this.#chunk = Buffer.allocUnsafeSlow(this.#chunkBytes);
  }

  /** Where the next frame begins. */
  get offset(): number {
    return this.#offset;
  }

  /** Goes on at a later offset; frames already handed out cannot be read again, as they were unmasked in place. */
  skipTo(offset: number): void {
    if (offset > this.#offset) this.#offset = offset;
  }

  /** The next frame. Its payloads are views that the next call overwrites. */
  async next(): Promise<FrameFound> {
    const offset = this.#offset;
    if (offset >= this.#endOffset) return { kind: 'end', offset };
    const bad = (because: string, header?: FrameHeader): FrameFound => ({ kind: 'bad', offset, because, header });

    const start = await this.#bytesAt(offset, frameHeaderBytes);
    if (start.length < frameHeaderBytes) return bad('a frame header is cut short');
    const header = decodeFrameHeader(start);
    if (header === undefined) return bad('a frame header fails its checksum');
    if (header.segment !== this.#segment) return bad(`a frame belongs to segment ${header.segment}`, header);
    if (header.frameBytes !== frameBytesFor(header.recordBytes)) return bad('a frame header contradicts itself', header);
    if (offset + header.frameBytes > this.#endOffset) return bad('a frame is cut short', header);

    const bytes = await this.#bytesAt(offset, header.frameBytes);
    if (bytes.length < header.frameBytes) return bad('a frame is cut short', header);
    let bodyCrc = 0;
    await inSlices(frameHeaderBytes, header.frameBytes, (from, end) => {
      bodyCrc = crc32c(bytes.subarray(from, end), bodyCrc);
    });
    if (bodyCrc !== header.bodyCrc) return bad('a frame fails its checksum', header);
    await inSlices(frameHeaderBytes, header.frameBytes, (from, end) => applyMask(bytes, from, end, header.mask));
    this.#offset = offset + header.frameBytes;
    const records = recordsOf(bytes, header);
    return typeof records === 'string' ? bad(records, header) : { kind: 'frame', offset, header, records };
  }

  /** A view of up to `count` bytes at `offset`; fewer only at the end of the file. */
  async #bytesAt(offset: number, count: number): Promise<Buffer> {
    const from = offset - this.#chunkOffset;
    if (from >= 0 && from + count <= this.#chunkFilled) return this.#chunk.subarray(from, from + count);
    const kept = from >= 0 && from < this.#chunkFilled ? this.#chunk.subarray(from, this.#chunkFilled) : this.#chunk.subarray(0, 0);
    const target = this.#bufferFor(count);
    target.set(kept);
    const wanted = target.subarray(kept.length, Math.min(target.length, Math.max(0, this.#endOffset - offset)));
    const filled = await this.#handle.read(wanted, offset + kept.length);
    this.#chunk = target;
    this.#chunkOffset = offset;
    this.#chunkFilled = kept.length + filled;
    return target.subarray(0, Math.min(count, this.#chunkFilled));
  }

  /** The usual chunk, or one of its own for a frame that is larger; that one is dropped with the next frame. */
  #bufferFor(count: number): Buffer {
    if (count > this.#chunkBytes) return Buffer.allocUnsafeSlow(count);
    return this.#chunk.length === this.#chunkBytes ? this.#chunk : Buffer.allocUnsafeSlow(this.#chunkBytes);
  }
}

function recordsOf(bytes: Buffer, header: FrameHeader): LogRecord[] | string {
  const end = frameHeaderBytes + header.recordBytes;
  const records: LogRecord[] = [];
  let offset = frameHeaderBytes;
  while (offset < end) {
    const record = decodeRecord(bytes, offset, end);
    if (typeof record === 'string') return record;
    records.push(record);
    offset += bytes.readUInt32LE(offset);
  }
  return records.length === header.recordCount ? records : `a frame has ${records.length} records instead of ${header.recordCount}`;
}
