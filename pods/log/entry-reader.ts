/** Reads a replica's durable entries back from the segments, through the landmarks that the state keeps. */

import { ShoalError } from '../kernel/errors.ts';
import { systemErrorCode, type FileHandle } from '../kernel/file-system.ts';
import { corruption, unavailable } from './faults.ts';
import type { LocalReplica, LogEntry } from './log.ts';
import { SegmentReader } from './segment-reader.ts';
import type { SegmentStore } from './segment-store.ts';
import type { Landmark, LogState } from './state.ts';

/** Entries in [firstSeq, lastSeq], all in one segment, found by reading on from `from`. */
interface Stretch {
  readonly from: Landmark;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Durable bytes of the segment when the reading began. */
  readonly endOffset: number;
}

export interface EntriesToRead {
  readonly localReplica: LocalReplica;
  readonly fromSeq: number;
  readonly throughSeq: number;
}

export async function* readEntries(
  store: SegmentStore,
  state: LogState,
  target: EntriesToRead,
  signal?: AbortSignal,
): AsyncGenerator<LogEntry, void, undefined> {
  const stretches = stretchesOf(store, state, target);
  let open: { segment: number; handle: FileHandle; reader: SegmentReader | undefined } | undefined;
  try {
    for (const stretch of stretches) {
      const { segment, frameOffset } = stretch.from;
      if (open?.segment !== segment) {
        await open?.handle.close();
        open = undefined;
        open = { segment, handle: await openSegment(store, segment), reader: undefined };
      }
      // Two stretches may begin in one frame: what the second needs of it has gone by.
      if (open.reader === undefined || open.reader.offset > frameOffset) {
        open.reader = new SegmentReader(open.handle, segment, stretch.endOffset, frameOffset);
      }
      open.reader.skipTo(frameOffset);
      yield* readStretch(store, open.reader, target.localReplica, stretch, signal);
    }
  } finally {
    await open?.handle.close();
  }
}

/** Splits the wanted seqs at the landmarks; a snapshot, so that appends and truncations meanwhile do not matter. */
function stretchesOf(store: SegmentStore, state: LogState, { localReplica, fromSeq, throughSeq }: EntriesToRead): Stretch[] {
  const replica = state.replicas.get(localReplica);
  const lastSeq = Math.min(throughSeq, replica?.history.lastSeq ?? 0);
  if (replica === undefined || fromSeq > lastSeq) return [];
  if (fromSeq < replica.history.firstSeq) throw trimmed(`entry ${fromSeq} of replica ${localReplica}`);
  const sizes = new Map(store.segments.map(({ segment, sizeBytes }) => [segment, sizeBytes]));
  const { landmarks } = replica;
  const stretches: Stretch[] = [];
  for (let index = landmarks.findLastIndex((landmark) => landmark.firstSeq <= fromSeq); index < landmarks.length; index++) {
    const from = landmarks[index];
    if (from === undefined || from.firstSeq > lastSeq) break;
    stretches.push({
      from,
      firstSeq: Math.max(fromSeq, from.firstSeq),
      lastSeq: Math.min(lastSeq, (landmarks[index + 1]?.firstSeq ?? Infinity) - 1),
      endOffset: sizes.get(from.segment) ?? 0,
    });
  }
  return stretches;
}

async function* readStretch(
  store: SegmentStore,
  reader: SegmentReader,
  localReplica: LocalReplica,
  stretch: Stretch,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogEntry, void, undefined> {
  const { from } = stretch;
  const path = store.path(from.segment);
  let nextSeq = stretch.firstSeq;
  while (nextSeq <= stretch.lastSeq) {
    signal?.throwIfAborted();
    const found = await reader.next().catch((error: unknown) => {
      throw unavailable(`${path} cannot be read`, error);
    });
    if (found.kind === 'bad') throw corruption(path, found.offset, found.because);
    if (found.kind === 'end') throw corruption(path, found.offset, `entry ${nextSeq} of replica ${localReplica} is missing`);
    const entries: LogEntry[] = [];
    for (const { kind, localReplica: owner, seq, term, payload, offset } of found.records) {
      if (kind !== 'entry' || owner !== localReplica || seq !== nextSeq || seq > stretch.lastSeq) continue;
      if (found.offset === from.frameOffset && offset < from.recordOffset) continue;
      entries.push({ term, seq, payload: Uint8Array.prototype.slice.call(payload) });
      nextSeq++;
    }
    yield* entries;
  }
}

async function openSegment(store: SegmentStore, segment: number): Promise<FileHandle> {
  try {
    return await store.fileSystem.open(store.path(segment), 'read');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') throw trimmed(`segment ${segment}`);
    throw unavailable(`${store.path(segment)} cannot be opened`, error);
  }
}

function trimmed(what: string): ShoalError {
  return new ShoalError('UNAVAILABLE', `${what} is not in the log any more`);
}
