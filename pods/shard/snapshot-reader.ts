/**
 * One replica's state as it is now, as the contents of a transfer (rule A1):
 *
 *     begin · entries in key order · files of the newest checkpoint, the manifest first · end
 *
 * All of it belongs to one moment: the entries are of one view of the store, idempotency table included (rule T1). The
 * checkpoint is opened before that view, since one that is newer than the store is of no use (see checkpoint.ts), and its
 * files stay open, so that a newer checkpoint may remove them meanwhile.
 *
 * Left out is the space `meta`, which belongs to this replica alone: what the receiver needs of it is in `begin`. A value
 * that is longer than a part comes as pieces of a file named after its key.
 */

import { join } from 'node:path';
import { systemErrorCode, type FileHandle, type FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { SnapshotPart } from '../domain/pod-service.ts';
import type { ReplicaLog } from '../log/log.ts';
import type { KeyValue, KeyValueSnapshot, KeyValueStore } from '../storage/key-value-store.ts';
import { decodeKey, keySpace, replicaSpan, spaceOfKey, withoutReplica, type KeySpace } from '../storage/keys.ts';
import { CheckpointDirectory } from './checkpoint.ts';
import { checkpointParts, manifestName } from './checkpoint-parts.ts';
import { decodeReplicaState, newReplicaState, replicaStateKey, type ReplicaState } from './replica-state.ts';

export type SnapshotContent = SnapshotPart['content'];

export interface SnapshotOrigin {
  readonly localReplica: number;
  readonly store: KeyValueStore;
  readonly log: ReplicaLog;
  readonly fileSystem: FileSystem;
  readonly checkpointDirectory: string;
  readonly logger: Logger;
}

interface OpenFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly handle: FileHandle;
}

interface OpenCheckpoint {
  readonly seq: number;
  readonly files: readonly OpenFile[];
}

/** What a part takes beside its bytes, and an entry beside its key and value. */
const partOverheadBytes = 64;
const entryOverheadBytes = 16;
/** About an id with its state: only for the progress. */
const idEntryBytes = 64;
const valuePrefix = 'value/';
/** A newer checkpoint may take away the one that is being opened. */
const openAttemptCountMax = 3;

export function contentBytes(content: SnapshotContent): number {
  switch (content.kind) {
    case 'entries':
      return content.entries.reduce((total, entry) => total + entryBytes(entry), partOverheadBytes);
    case 'file':
      return partOverheadBytes + content.name.length + content.bytes.length;
    default:
      return partOverheadBytes;
  }
}

/** Name of the file as which a long value travels. */
export function valueName(key: Uint8Array): string {
  return valuePrefix + Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('hex');
}

/** The key, without the replica number, of a value that travels as a file; undefined for any other name. */
export function keyOfValueName(name: string): Uint8Array | undefined {
  return name.startsWith(valuePrefix) ? Buffer.from(name.slice(valuePrefix.length), 'hex') : undefined;
}

export class ReplicaSnapshot {
  readonly appliedSeq: number;
  readonly appliedTerm: number;
  /** About the size of all parts. */
  readonly expectedBytes: number;
  readonly #origin: SnapshotOrigin;
  readonly #view: KeyValueSnapshot;
  readonly #checkpoint: OpenCheckpoint | undefined;

  static async open(origin: SnapshotOrigin): Promise<ReplicaSnapshot> {
    const checkpoint = await openCheckpoint(origin);
    let view: KeyValueSnapshot | undefined;
    try {
      view = origin.store.snapshot();
      const stored = await view.get(replicaStateKey(origin.localReplica));
      const state = stored === undefined ? newReplicaState : decodeReplicaState(stored);
      const expectedBytes = await expectedEntryBytes(view, origin.localReplica);
      return new ReplicaSnapshot(origin, view, checkpoint, state, expectedBytes);
    } catch (error) {
      await view?.close();
      await closeFiles(checkpoint);
      throw error;
    }
  }

  private constructor(origin: SnapshotOrigin, view: KeyValueSnapshot, checkpoint: OpenCheckpoint | undefined, state: ReplicaState, entriesBytes: number) {
    this.appliedSeq = state.appliedSeq;
    this.appliedTerm = origin.log.termAt(state.appliedSeq) ?? state.term;
    this.expectedBytes = entriesBytes + (checkpoint?.files.reduce((total, { sizeBytes }) => total + sizeBytes, 0) ?? 0);
    this.#origin = origin;
    this.#view = view;
    this.#checkpoint = checkpoint;
  }

  async *contents(signal: AbortSignal): AsyncGenerator<SnapshotContent, void, undefined> {
    yield { kind: 'begin', appliedSeq: this.appliedSeq, appliedTerm: this.appliedTerm };
    yield* this.#entries(signal);
    if (this.#checkpoint !== undefined && this.#checkpoint.seq <= this.appliedSeq) yield* this.#files(this.#checkpoint, signal);
    yield { kind: 'end' };
  }

  async close(): Promise<void> {
    await this.#view.close();
    await closeFiles(this.#checkpoint);
  }

  async *#entries(signal: AbortSignal): AsyncGenerator<SnapshotContent, void, undefined> {
    let entries: KeyValue[] = [];
    let sizeBytes = partOverheadBytes;
    for await (const slice of this.#view.scan(replicaSpan(this.#origin.localReplica), signal)) {
      for (const stored of slice) {
        if (spaceOfKey(stored.key) === 'meta') continue;
        const entry = { key: withoutReplica(stored.key), value: stored.value };
        const addedBytes = entryBytes(entry);
        const isLong = partOverheadBytes + addedBytes > limits.transferPartBytesMax;
        if (entries.length > 0 && (isLong || sizeBytes + addedBytes > limits.transferPartBytesMax)) {
          yield { kind: 'entries', entries };
          entries = [];
          sizeBytes = partOverheadBytes;
        }
        if (isLong) {
          yield* pieces(valueName(entry.key), entry.value);
          continue;
        }
        entries.push(entry);
        sizeBytes += addedBytes;
      }
    }
    if (entries.length > 0) yield { kind: 'entries', entries };
  }

  /** A file that cannot be read leaves the checkpoint unfinished, and the receiver does without it. */
  async *#files(checkpoint: OpenCheckpoint, signal: AbortSignal): AsyncGenerator<SnapshotContent, void, undefined> {
    const { logger } = this.#origin;
    for (const { name, sizeBytes, handle } of checkpoint.files) {
      for (let position = 0; position < sizeBytes; ) {
        signal.throwIfAborted();
        const bytes = Buffer.allocUnsafeSlow(Math.min(pieceBytes(name), sizeBytes - position));
        const filled = await handle.read(bytes, position).catch((error: unknown) => {
          logger.warn({ error, file: name }, 'a file of the checkpoint cannot be read; the transfer goes on without the rest of it');
          return 0;
        });
        if (filled === 0) return;
        yield { kind: 'file', name, position, bytes: bytes.subarray(0, filled) };
        position += filled;
      }
    }
  }
}

function* pieces(name: string, value: Uint8Array): Generator<SnapshotContent> {
  for (let position = 0; position < value.length; position += pieceBytes(name)) {
    yield { kind: 'file', name, position, bytes: value.subarray(position, position + pieceBytes(name)) };
  }
}

function pieceBytes(name: string): number {
  return limits.transferPartBytesMax - partOverheadBytes - name.length;
}

function entryBytes({ key, value }: KeyValue): number {
  return entryOverheadBytes + key.length + value.length;
}

/** Labels are handed out in order, so the last one says about how many points there are; it stands for the size of all. */
async function expectedEntryBytes(view: KeyValueSnapshot, localReplica: number): Promise<number> {
  const vector = await lastOf(view, localReplica, 'vector');
  const payload = await lastOf(view, localReplica, 'payload');
  if (vector === undefined || payload === undefined) return 0;
  const labelCount = Buffer.from(decodeKey(vector.key).suffix).readUInt32BE(0) + 1;
  return labelCount * (idEntryBytes + entryBytes(vector) + entryBytes(payload));
}

async function lastOf(view: KeyValueSnapshot, localReplica: number, space: KeySpace): Promise<KeyValue | undefined> {
  for await (const slice of view.scan({ ...keySpace(localReplica, space).span, reverse: true, limit: 1 })) return slice[0];
  return undefined;
}

/** The newest checkpoint with all its files open, or undefined when there is none that can be opened. */
async function openCheckpoint({ fileSystem, checkpointDirectory, logger }: SnapshotOrigin): Promise<OpenCheckpoint | undefined> {
  for (let attempt = 1; ; attempt++) {
    const files: OpenFile[] = [];
    try {
      const checkpoint = await new CheckpointDirectory(fileSystem, checkpointDirectory).peek();
      if (checkpoint === undefined) return undefined;
      const { directory, manifest } = checkpoint;
      for (const name of [manifestName, ...checkpointParts(manifest).map((part) => part.name)]) {
        const file = { name, handle: await fileSystem.open(join(directory, name), 'read'), sizeBytes: 0 };
        files.push(file);
        file.sizeBytes = await file.handle.sizeBytes();
      }
      return { seq: manifest.seq, files };
    } catch (error) {
      await closeFiles({ seq: 0, files });
      if (systemErrorCode(error) === 'ENOENT' && attempt < openAttemptCountMax) continue;
      logger.warn({ error }, 'the checkpoint cannot be opened; the transfer goes without it');
      return undefined;
    }
  }
}

async function closeFiles(checkpoint: OpenCheckpoint | undefined): Promise<void> {
  for (const { handle } of checkpoint?.files ?? []) await handle.close().catch(() => undefined);
}
