/**
 * Opens the segments of a log after whatever ended the process before.
 *
 *  1. Every segment but the newest must be intact to its last byte, numbered without a gap.
 *  2. The newest may be unfinished (a crash while it was made): then it is removed, and the one before it, which was
 *     complete before, must be intact like the others.
 *  3. The newest may end in a torn frame: then that is cut off. `torn-tail.ts` decides.
 *  4. Before anything is served, the last frame is written once more and synced, with the directory. It may be in the
 *     page cache alone: after a kill not yet synced, or after a failed sync never to be synced again.
 */

import type { FileHandle } from '../kernel/file-system.ts';
import { corruption } from './faults.ts';
import { segmentHeaderBytes } from './format.ts';
import type { FrameBuilder } from './frame-builder.ts';
import { readSegmentHeader, replaySegment } from './replay.ts';
import { SegmentReader } from './segment-reader.ts';
import type { SegmentStore } from './segment-store.ts';
import { LogState } from './state.ts';
import { isUnfinishedSegment, judgeTail } from './torn-tail.ts';

/** Something that open did beyond reading: worth a line in the process's log. */
export interface Repair {
  readonly file: string;
  readonly offset: number;
  readonly because: string;
}

export interface Recovered {
  readonly state: LogState;
  readonly repairs: readonly Repair[];
}

export async function recover(store: SegmentStore, builder: FrameBuilder): Promise<Recovered> {
  const repairs: Repair[] = [];
  await store.fileSystem.makeDirectory(store.directory);
  const found = await store.list();
  requireNoGap(store, found);
  await dropUnfinished(store, found, repairs);
  const state = new LogState();
  if (found.length === 0) {
    await store.begin(1, state, builder);
    return { state, repairs };
  }
  for (const [index, segment] of found.entries()) {
    const isLast = index === found.length - 1;
    const mayBeTorn = isLast && repairs.length === 0;
    await openSegment(store, { segment, isOldest: index === 0, isLast, mayBeTorn }, state, repairs);
  }
  return { state, repairs };
}

function requireNoGap(store: SegmentStore, found: readonly number[]): void {
  for (const [index, segment] of found.entries()) {
    const before = found[index - 1];
    if (before !== undefined && segment !== before + 1) {
      throw corruption(store.path(before + 1), 0, `the segment is missing, but segment ${segment} exists`);
    }
  }
}

/** Removes the newest file when it is what a crash in `SegmentStore.begin` leaves. */
async function dropUnfinished(store: SegmentStore, found: number[], repairs: Repair[]): Promise<void> {
  const segment = found.at(-1);
  if (segment === undefined) return;
  const file = store.path(segment);
  if (!(await isUnfinished(store, segment))) return;
  if (found.length === 1 && segment !== 1) throw corruption(file, 0, 'the only segment is empty, and it is not the first one');
  await store.remove(segment);
  found.pop();
  repairs.push({ file, offset: 0, because: 'the segment was never finished; it held nothing and was removed' });
}

async function isUnfinished(store: SegmentStore, segment: number): Promise<boolean> {
  const path = store.path(segment);
  const handle = await store.fileSystem.open(path, 'read');
  try {
    const sizeBytes = await handle.sizeBytes();
    if ((await readSegmentHeader(handle, path)) === undefined) return await isUnfinishedSegment(handle, segment, sizeBytes);
    if (sizeBytes === segmentHeaderBytes) return true;
    const first = await new SegmentReader(handle, segment, sizeBytes).next();
    return first.kind === 'bad' && (await judgeTail(handle, segment, sizeBytes, first)).verdict === 'torn';
  } finally {
    await handle.close();
  }
}

interface SegmentToOpen {
  readonly segment: number;
  readonly isOldest: boolean;
  /** It is the one to go on with. */
  readonly isLast: boolean;
  /** No later segment was ever begun, so that its last frame may not have been acknowledged. */
  readonly mayBeTorn: boolean;
}

async function openSegment(store: SegmentStore, target: SegmentToOpen, state: LogState, repairs: Repair[]): Promise<void> {
  const { segment, isOldest, isLast, mayBeTorn } = target;
  const path = store.path(segment);
  const handle = await store.fileSystem.open(path, isLast ? 'update' : 'read');
  try {
    let sizeBytes = await handle.sizeBytes();
    const replayed = await replaySegment({ handle, path, segment, endOffset: sizeBytes, isOldest }, state);
    if (replayed.bad !== undefined) {
      const { offset, because } = replayed.bad;
      if (!mayBeTorn) throw corruption(path, offset, because);
      const judged = await judgeTail(handle, segment, sizeBytes, replayed.bad);
      if (judged.verdict === 'corrupt') throw corruption(path, offset, judged.because);
      await handle.truncate(offset);
      sizeBytes = offset;
      repairs.push({ file: path, offset, because: `a torn frame, never acknowledged, was cut off: ${judged.because}` });
    }
    if (replayed.lastFrameOffset === undefined) throw corruption(path, segmentHeaderBytes, 'the segment has no base frame');
    if (isLast) await makeTailDurable(store, handle, replayed.lastFrameOffset, sizeBytes);
    if (isLast) await store.continueWith({ segment, sizeBytes }, handle);
    else store.segments.push({ segment, sizeBytes });
  } catch (error) {
    await handle.close().catch(() => undefined);
    throw error;
  }
  if (!isLast) await handle.close();
}

async function makeTailDurable(store: SegmentStore, handle: FileHandle, lastFrameOffset: number, sizeBytes: number): Promise<void> {
  const from = lastFrameOffset === segmentHeaderBytes ? 0 : lastFrameOffset;
  const bytes = Buffer.allocUnsafeSlow(sizeBytes - from);
  await handle.read(bytes, from);
  await handle.write([bytes], from);
  await store.sync(handle);
  await store.syncDirectory();
}
