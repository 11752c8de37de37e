/**
 * The label table of a start. Reading every id from the store takes most of a start, so it is read from the checkpoint
 * where the log goes back that far:
 *
 *     ids and versions of the checkpoint, without the ids that entries above its seq name
 *   + what the store says of those ids
 *
 * An id that no entry has named since has the label and the versions that it had at the checkpoint's seq: only entries
 * change points, and the store is never older than a checkpoint. `ids.bin` is written after that seq, so a label may carry
 * a later id or none there; then both its earlier and its later point were named since, and are read from the store.
 *
 * Entries count to the log's end, not only as far as the store has applied: a store that was flushed before `ids.bin` was
 * written, as 0.1 did it, may be older than that after a power loss, and only the log still names what had changed by then.
 *
 * Where the log does not go back, or much was changed, the store is read from end to end.
 */

import { ShoalError } from '../kernel/errors.ts';
import type { ReplicaLog } from '../log/log.ts';
import type { CheckpointDirectory, StoredCheckpoint } from './checkpoint.ts';
import { decodeEntry } from './entry-codec.ts';
import { LabelTable, type LabelVersions } from './label-table.ts';
import type { StoredPoints } from './stored-points.ts';

export interface LabelRecovery {
  readonly points: StoredPoints;
  readonly log: ReplicaLog | undefined;
  /** Resolves to undefined, with a warning, when the checkpoint cannot be used. */
  readonly orRebuild: (load: () => Promise<LabelTable | undefined>) => Promise<LabelTable | undefined>;
}

export interface LabelSource {
  readonly checkpoints: CheckpointDirectory;
  readonly checkpoint: StoredCheckpoint;
  readonly versions: LabelVersions;
}

/** Labels taken up, or ids asked for, before others get their turn. */
const sliceCount = 4_096;
/** Above this part of the points the store is read in order instead, but never for fewer than a slice. */
const changedFractionMax = 0.25;

export async function recoverLabels(recovery: LabelRecovery, source: LabelSource | undefined): Promise<LabelTable> {
  const known = source === undefined ? undefined : await recovery.orRebuild(() => fromCheckpoint(recovery, source));
  return known ?? fromStore(recovery.points);
}

async function fromStore(points: StoredPoints): Promise<LabelTable> {
  const labels = new LabelTable();
  for await (const slice of points.scanStates(undefined)) {
    for (const { id, state } of slice) labels.set(state.label, id, state.version, state.vectorVersion);
  }
  return labels;
}

/** Undefined when the store has to be read. */
async function fromCheckpoint({ points, log }: LabelRecovery, { checkpoints, checkpoint, versions }: LabelSource): Promise<LabelTable | undefined> {
  const { ids, seq } = checkpoint.manifest;
  if (ids === undefined || log === undefined) return undefined;
  const changedCountMax = Math.max(sliceCount, versions.versions.length * changedFractionMax);
  const changed = await changedIds(log, seq + 1, changedCountMax);
  if (changed === undefined) return undefined;
  const labels = await unchangedLabels(await checkpoints.readPart(checkpoint, ids), versions, changed);
  const list = [...changed];
  for (let start = 0; start < list.length; start += sliceCount) {
    const slice = list.slice(start, start + sliceCount);
    (await points.states(slice)).forEach((state, i) => {
      if (state === undefined) return;
      if (labels.isLive(state.label)) throw new ShoalError('CORRUPTION', `point "${slice[i]!}" has a label that the checkpoint gives to another`);
      labels.set(state.label, slice[i]!, state.version, state.vectorVersion);
    });
  }
  return labels;
}

/** Ids that entries from `fromSeq` on name; undefined when the log lacks some, or they are too many. */
async function changedIds(log: ReplicaLog, fromSeq: number, countMax: number): Promise<Set<string> | undefined> {
  if (log.firstSeq > fromSeq || log.lastSeq < fromSeq - 1) return undefined;
  const changed = new Set<string>();
  if (log.lastSeq < fromSeq) return changed;
  for await (const { payload } of log.read(fromSeq, log.lastSeq)) {
    for (const operation of decodeEntry(payload).operations) {
      if (operation.kind !== 'put-record' && operation.kind !== 'delete-record') changed.add(operation.id);
    }
    if (changed.size > countMax) return undefined;
  }
  return changed;
}

async function unchangedLabels(bytes: Uint8Array, { versions, vectorVersions }: LabelVersions, changed: ReadonlySet<string>): Promise<LabelTable> {
  const labels = new LabelTable();
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  labels.reserve(versions.length);
  let at = 0;
  for (let label = 0; label < versions.length; label++) {
    const start = at + 2;
    const end = start <= text.length ? start + text.readUInt16LE(at) : Infinity;
    if (end > text.length) throw malformed();
    at = end;
    // Without a version it was not live at the checkpoint's seq; without an id it died since.
    if (versions[label] !== 0 && end > start && !changed.has(text.toString('utf8', start, end))) {
      labels.set(label, text.subarray(start, end), versions[label]!, vectorVersions[label]!);
    }
    if (label % sliceCount === sliceCount - 1) await new Promise((resolve) => setImmediate(resolve));
  }
  if (at !== text.length) throw malformed();
  return labels;
}

function malformed(): ShoalError {
  return new ShoalError('CORRUPTION', 'the ids of a checkpoint do not agree with its labels');
}
