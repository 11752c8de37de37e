/** Reads segments from the oldest to the newest into a `LogState`, refusing whatever does not continue what came before. */

import type { FileHandle } from '../kernel/file-system.ts';
import { ShoalError } from '../kernel/errors.ts';
import { decodeSegmentHeader, logFormatVersion, segmentHeaderBytes, type SegmentHeader } from './format.ts';
import { corruption } from './faults.ts';
import { SegmentReader, type FrameFound } from './segment-reader.ts';
import type { LogState } from './state.ts';

export interface SegmentToReplay {
  readonly handle: FileHandle;
  readonly path: string;
  readonly segment: number;
  /** What lies beyond is not looked at. */
  readonly endOffset: number;
  /** The oldest segment gives the state its base; every other one must agree with it. */
  readonly isOldest: boolean;
}

export interface Replayed {
  readonly recordCount: number;
  /** Where the last intact frame begins; undefined when there is none. */
  readonly lastFrameOffset: number | undefined;
  /** The first frame that is not intact; nothing behind it was read. */
  readonly bad: Extract<FrameFound, { kind: 'bad' }> | undefined;
}

/** The header of a segment file; undefined when it is not intact. */
export async function readSegmentHeader(handle: FileHandle, path: string): Promise<SegmentHeader | undefined> {
  const bytes = Buffer.alloc(segmentHeaderBytes);
  const filled = await handle.read(bytes, 0);
  const header = decodeSegmentHeader(bytes.subarray(0, filled));
  if (header !== undefined && header.formatVersion > logFormatVersion) {
    throw new ShoalError('FORMAT_TOO_NEW', `${path} has log format ${header.formatVersion}; this version reads up to ${logFormatVersion}`);
  }
  return header;
}

export async function replaySegment(target: SegmentToReplay, state: LogState, signal?: AbortSignal): Promise<Replayed> {
  const { handle, path, segment, isOldest } = target;
  const segmentHeader = await readSegmentHeader(handle, path);
  if (segmentHeader === undefined) throw corruption(path, 0, 'the segment header fails its checksum');
  if (segmentHeader.segment !== segment) throw corruption(path, 0, `the segment header is that of segment ${segmentHeader.segment}`);
  if (isOldest) state.nextFrame = segmentHeader.firstFrame;
  if (segmentHeader.firstFrame !== state.nextFrame) {
    throw corruption(path, 0, `the segment begins with frame ${segmentHeader.firstFrame}, but frame ${state.nextFrame} is next`);
  }

  const reader = new SegmentReader(handle, segment, target.endOffset);
  let recordCount = 0;
  let lastFrameOffset: number | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const found = await reader.next();
    if (found.kind === 'end') return { recordCount, lastFrameOffset, bad: undefined };
    if (found.kind === 'bad') return { recordCount, lastFrameOffset, bad: found };
    const refusal = lastFrameOffset === undefined ? takeBase(found, state, isOldest) : takeGroup(found, state, segment);
    if (refusal !== undefined) throw corruption(path, found.offset, refusal);
    state.nextFrame++;
    recordCount += found.records.length;
    lastFrameOffset = found.offset;
  }
}

type Frame = Extract<FrameFound, { kind: 'frame' }>;

function takeBase({ header, records }: Frame, state: LogState, isOldest: boolean): string | undefined {
  if (header.frame !== state.nextFrame) return `frame ${header.frame} is where frame ${state.nextFrame} belongs`;
  if (header.kind !== 'base' || records.some((record) => record.kind !== 'base')) return 'the segment does not begin with a base frame';
  if (!isOldest) return state.disagreement(records);
  return state.startFrom(records);
}

function takeGroup({ header, records, offset }: Frame, state: LogState, segment: number): string | undefined {
  if (header.frame !== state.nextFrame) return `frame ${header.frame} is where frame ${state.nextFrame} belongs`;
  if (header.kind !== 'group') return 'a second base frame';
  for (const record of records) {
    const refusal = state.apply(record, segment, offset);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}
