/** Turns records into the bytes of a frame. Nothing here waits for a disk; large frames are built in slices. */

import { crc32c } from '@node-rs/crc32';
import {
  applyMask,
  encodeFrameHeader,
  encodeRecord,
  frameBytesFor,
  frameHeaderBytes,
  maskOf,
  recordHeaderBytes,
  type FrameKind,
  type LogRecord,
  type RecordContent,
} from './format.ts';
import type { LocalReplica } from './log.ts';
import { inSlices } from './slices.ts';

export interface BuiltFrame {
  /** Valid until the next frame is built. */
  readonly bytes: Buffer;
  readonly records: readonly LogRecord[];
}

export interface FrameContent {
  readonly kind: FrameKind;
  readonly segment: number;
  readonly frame: number;
  readonly records: readonly RecordContent[];
  /** Crc of a replica's newest record before this frame. */
  readonly chainCrc: (localReplica: LocalReplica) => number;
}

/** A larger frame gets a buffer of its own, which is dropped with it. */
const reusedBytesMax = 1024 * 1024;

export class FrameBuilder {
  #reused = Buffer.allocUnsafeSlow(16 * 1024);

  async build(content: FrameContent): Promise<BuiltFrame> {
    const recordBytes = recordBytesOf(content.records);
    const frameBytes = frameBytesFor(recordBytes);
    const bytes = this.#bufferOf(frameBytes);
    const records: LogRecord[] = [];
    const chain = new Map<LocalReplica, number>();
    let offset = frameHeaderBytes;
    for (const record of content.records) {
      const previousCrc = chain.get(record.localReplica) ?? content.chainCrc(record.localReplica);
      const crc = encodeRecord(record, previousCrc, bytes, offset);
      records.push({ ...record, previousCrc, crc, offset });
      chain.set(record.localReplica, crc);
      offset += recordHeaderBytes + record.payload.length;
    }
    bytes.fill(0, offset);

    const { kind, segment, frame } = content;
    const mask = maskOf(frame);
    let bodyCrc = 0;
    await inSlices(frameHeaderBytes, frameBytes, (from, end) => {
      applyMask(bytes, from, end, mask);
      bodyCrc = crc32c(bytes.subarray(from, end), bodyCrc);
    });
    encodeFrameHeader({ kind, frameBytes, recordBytes, frame, segment, recordCount: records.length, mask, bodyCrc }, bytes);
    return { bytes, records };
  }

  #bufferOf(byteCount: number): Buffer {
    if (byteCount > reusedBytesMax) return Buffer.allocUnsafeSlow(byteCount);
    if (byteCount > this.#reused.length) this.#reused = Buffer.allocUnsafeSlow(Math.min(reusedBytesMax, 2 * byteCount));
    return this.#reused.subarray(0, byteCount);
  }
}

export function recordBytesOf(records: readonly RecordContent[]): number {
  let total = 0;
  for (const { payload } of records) total += recordHeaderBytes + payload.length;
  return total;
}
