/** Checks every byte of the log as it lies on the disk, while the log is in use. */

import { corruption, unavailable } from './faults.ts';
import { adoptedTermOf, type RecordContent } from './format.ts';
import { replaySegment } from './replay.ts';
import type { SegmentStore } from './segment-store.ts';
import { LogState } from './state.ts';

/**
 * Replays what was durable when it began, like open does but forgiving nothing, and compares the outcome with the state
 * that the log works with. No segment may be deleted meanwhile.
 */
export async function verifySegments(
  store: SegmentStore,
  live: LogState,
  signal: AbortSignal | undefined,
): Promise<{ segments: number; records: number; bytes: number }> {
  const targets = store.segments.map(({ segment, sizeBytes }) => ({ segment, endOffset: sizeBytes }));
  const expectedNextFrame = live.nextFrame;
  const expected = live.baseRecords();

  const state = new LogState();
  let records = 0;
  let bytes = 0;
  for (const [index, { segment, endOffset }] of targets.entries()) {
    const path = store.path(segment);
    const handle = await store.fileSystem.open(path, 'read').catch((error: unknown) => {
      throw unavailable(`${path} cannot be opened`, error);
    });
    try {
      const replayed = await replaySegment({ handle, path, segment, endOffset, isOldest: index === 0 }, state, signal);
      if (replayed.bad !== undefined) throw corruption(path, replayed.bad.offset, replayed.bad.because);
      records += replayed.recordCount;
      bytes += endOffset;
    } catch (error) {
      throw signal?.aborted ? error : unavailable(`${path} cannot be read`, error);
    } finally {
      await handle.close();
    }
  }

  const newest = targets.at(-1);
  const found = new Map(state.baseRecords().map((base) => [base.record.localReplica, base]));
  const same =
    state.nextFrame === expectedNextFrame &&
    found.size === expected.length &&
    expected.every(({ record, chainCrc }) => {
      const other = found.get(record.localReplica);
      return other?.chainCrc === chainCrc && sameBase(other.record, record);
    });
  if (newest !== undefined && !same) {
    throw corruption(store.path(newest.segment), newest.endOffset, 'the segments do not end where the log does');
  }
  return { segments: targets.length, records, bytes };
}

function sameBase(one: RecordContent, other: RecordContent): boolean {
  return one.seq === other.seq && one.term === other.term && adoptedTermOf(one) === adoptedTermOf(other);
}
