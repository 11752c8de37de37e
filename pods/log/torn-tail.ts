/**
 * Decides what a bad frame at the end of the newest segment is. Getting this wrong in one direction loses acknowledged
 * entries in silence, in the other it quarantines a replica after a harmless power loss.
 *
 * Only one frame is ever on its way to the disk, and nothing follows it. So a frame is *torn*, never acknowledged and
 * safe to cut, when bytes of it are missing: the file ends within it, or one of its sectors is all zeros, which no
 * written sector is (see the mask in format.ts). And nothing intact may follow. Every other bad frame is corruption: it
 * was written whole, may have been acknowledged, and was damaged afterwards.
 */

import type { FileHandle } from '../kernel/file-system.ts';
import { decodeFrameHeader, frameHeaderBytes, sectorBytes, type FrameHeader } from './format.ts';

export type TailVerdict =
  | { readonly verdict: 'torn'; readonly because: string }
  | { readonly verdict: 'corrupt'; readonly because: string };

export interface BadFrame {
  readonly offset: number;
  readonly because: string;
  /** Set when the header is intact. */
  readonly header: FrameHeader | undefined;
}

export async function judgeTail(handle: FileHandle, segment: number, sizeBytes: number, bad: BadFrame): Promise<TailVerdict> {
  const torn = (because: string): TailVerdict => ({ verdict: 'torn', because });
  const corrupt = (because: string): TailVerdict => ({ verdict: 'corrupt', because });

  const scan = await scanSectors(handle, segment, bad.offset, sizeBytes);
  if (scan.groupFrameOffset !== undefined) {
    return corrupt(`${bad.because}, and an intact frame follows at offset ${scan.groupFrameOffset}`);
  }
  if (sizeBytes - bad.offset < sectorBytes) return torn('the file ends within the first sector of the frame');
  if (bad.header === undefined) {
    return scan.zeroSectors[0] === bad.offset ? torn('the sector with the frame header never reached the disk') : corrupt(bad.because);
  }
  const end = bad.offset + bad.header.frameBytes;
  if (end > sizeBytes) return torn('the file ends within the frame');
  if (end < sizeBytes) return corrupt(`${bad.because}, and more bytes follow it`);
  return scan.zeroSectors.length > 0 ? torn(`the sector at offset ${scan.zeroSectors[0]} never reached the disk`) : corrupt(bad.because);
}

/** Whether the file of the newest segment is what a crash while it was made leaves: nothing acknowledged can be in it. */
export async function isUnfinishedSegment(handle: FileHandle, segment: number, sizeBytes: number): Promise<boolean> {
  const scan = await scanSectors(handle, segment, 0, sizeBytes);
  if (scan.groupFrameOffset !== undefined) return false;
  return sizeBytes < sectorBytes || scan.zeroSectors[0] === 0;
}

interface Scan {
  /** Where the first intact header of a group frame lies, not counting the one at the very start of the scan. */
  readonly groupFrameOffset: number | undefined;
  /** Offsets of whole sectors of zeros; the first few are enough. */
  readonly zeroSectors: readonly number[];
}

const chunkBytesMax = 1024 * 1024;

async function scanSectors(handle: FileHandle, segment: number, from: number, sizeBytes: number): Promise<Scan> {
  const chunkBytes = Math.min(chunkBytesMax, Math.ceil((sizeBytes - from) / sectorBytes) * sectorBytes);
  const chunk = Buffer.allocUnsafeSlow(chunkBytes);
  const zeroSectors: number[] = [];
  for (let chunkOffset = from; chunkOffset < sizeBytes; chunkOffset += chunkBytes) {
    const filled = await handle.read(chunk.subarray(0, Math.min(chunkBytes, sizeBytes - chunkOffset)), chunkOffset);
    for (let start = 0; start < filled; start += sectorBytes) {
      const offset = chunkOffset + start;
      const sector = chunk.subarray(start, Math.min(start + sectorBytes, filled));
      const header = offset === from ? undefined : decodeFrameHeader(sector.subarray(0, frameHeaderBytes));
      if (header?.kind === 'group' && header.segment === segment) return { groupFrameOffset: offset, zeroSectors };
      if (sector.length === sectorBytes && zeroSectors.length === 0 && sector.every((byte) => byte === 0)) zeroSectors.push(offset);
    }
  }
  return { groupFrameOffset: undefined, zeroSectors };
}
