/**
 * Reads and checks everything a data directory holds: each record of the log, each block of the store, the objects of
 * the metadata, each part of the newest checkpoints, and that every point has its vector and payload.
 */

import { join } from 'node:path';
import { asShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { openSealedJson } from '../kernel/sealed-json.ts';
import type { PodLog } from '../log/log.ts';
import { checkpointParts } from '../shard/checkpoint-parts.ts';
import { CheckpointDirectory } from '../shard/checkpoint.ts';
import { StoredPoints } from '../shard/stored-points.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import type { DataDirectory } from './data-directory.ts';
import type { RegisteredReplica } from './replica-registry.ts';

export interface VerifyParts {
  readonly fileSystem: FileSystem;
  readonly directory: DataDirectory;
  readonly log: PodLog;
  readonly store: KeyValueStore;
  readonly replicas: readonly RegisteredReplica[];
}

export interface Verification {
  readonly ok: boolean;
  /** Each fault as a sentence. */
  readonly faults: readonly string[];
  readonly checked: { readonly logRecords: number; readonly logBytes: number; readonly storeEntries: number; readonly storeBytes: number };
}

const sliceCount = 256;

export async function verifyParts(parts: VerifyParts, signal: AbortSignal): Promise<Verification> {
  const faults: string[] = [];
  /** A fault is a finding, not a failure of the check; the rest is still looked at. */
  const check = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      faults.push(`${what}: ${asShoalError(error).message}`);
      return undefined;
    }
  };
  const log = await check('log', () => parts.log.verify(signal));
  const store = await check('store', () => parts.store.verify(signal));
  await check('metadata', () => verifyObjects(parts, faults));
  for (const replica of parts.replicas) {
    await check(`shard ${replica.shardUID}, points`, () => verifyPoints(parts.store, replica, faults, signal));
    await check(`shard ${replica.shardUID}, checkpoint`, () => verifyCheckpoint(parts, replica, faults));
  }
  return {
    ok: faults.length === 0,
    faults,
    checked: { logRecords: log?.records ?? 0, logBytes: log?.bytes ?? 0, storeEntries: store?.entries ?? 0, storeBytes: store?.bytes ?? 0 },
  };
}

async function verifyPoints(store: KeyValueStore, { localReplica, shardUID }: RegisteredReplica, faults: string[], signal: AbortSignal): Promise<void> {
  const points = new StoredPoints(store, localReplica);
  for await (const slice of points.scanStates(undefined, signal)) {
    for (let start = 0; start < slice.length; start += sliceCount) {
      const part = slice.slice(start, start + sliceCount);
      const labels = part.map(({ state }) => state.label);
      const [payloads, vectors] = await Promise.all([points.payloads(labels), points.vectors(labels)]);
      const suspects = part.filter(({ id }, i) => payloads[i]?.id !== id || vectors[i] === undefined);
      // A point that changed while it was read is no fault: its state is another by now.
      const now = await points.states(suspects.map(({ id }) => id));
      suspects.forEach(({ id, state }, i) => {
        if (now[i]?.version === state.version) faults.push(`shard ${shardUID}: point "${id}" lacks its vector or payload`);
      });
    }
  }
}

async function verifyObjects({ fileSystem, directory }: VerifyParts, faults: string[]): Promise<void> {
  for (const kind of await fileSystem.list(directory.metadata)) {
    for (const name of await fileSystem.list(join(directory.metadata, kind))) {
      if (!name.endsWith('.json')) continue;
      const path = join(directory.metadata, kind, name);
      const bytes = await fileSystem.readFile(path);
      if (bytes !== undefined && openSealedJson(bytes) === undefined) faults.push(`${path} fails its checksum`);
    }
  }
}

async function verifyCheckpoint({ fileSystem, directory }: VerifyParts, { localReplica }: RegisteredReplica, faults: string[]): Promise<void> {
  const checkpoints = new CheckpointDirectory(fileSystem, directory.checkpoints(localReplica));
  const newest = await checkpoints.peek();
  if (newest === undefined) return;
  for (const part of checkpointParts(newest.manifest)) {
    try {
      await checkpoints.readPart(newest, part);
    } catch (error) {
      // Written anew meanwhile: then another checkpoint is the newest.
      if ((await checkpoints.peek())?.directory === newest.directory) faults.push(asShoalError(error).message);
    }
  }
}
