/**
 * A consistent copy of a data pod while it serves, and the way back. The copy is itself a data directory:
 *
 *     <directory>/FORMAT store/ log/ metadata/ checkpoints/ …
 *     <directory>/backup.json      written last: every file with its size and CRC-32C, so that an unfinished copy shows
 *
 * Order, and why a write during it cannot make it wrong: first the newest checkpoints, since one that is newer than the
 * store is of no use (see pods/shard/checkpoint.ts); then one snapshot of the store, which holds everything acknowledged
 * by then; then a log that says "continue after the applied seq" for each replica; then the objects, but for
 * collections that were made since the snapshot.
 */

import { crc32c } from '@node-rs/crc32';
import { createReadStream } from 'node:fs';
import { cp, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { ShoalError } from '../kernel/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import type { Random } from '../kernel/random.ts';
import { openPodLog } from '../log/pod-log.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { copyObjects, openLocalMetadata } from '../metadata/local-metadata.ts';
import { decodeReplicaState, encodeReplicaState } from '../shard/replica-state.ts';
import { copyStore } from '../storage/copy-store.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { keyWithBytes } from '../storage/keys.ts';
import { openDataDirectory, type DataDirectory } from './data-directory.ts';
import type { DataPod } from './data-pod.ts';
import { ReplicaRegistry, type RegisteredReplica } from './replica-registry.ts';

export interface BackupPorts {
  readonly fileSystem: FileSystem;
  readonly openStore: (directory: string) => Promise<KeyValueStore>;
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
}

export interface BackupSummary {
  readonly directory: string;
  readonly sizeBytes: number;
  readonly shardCount: number;
  readonly pointCount: number;
}

interface BackupManifest {
  readonly format: 1;
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly shardCount: number;
  readonly pointCount: number;
  readonly files: readonly { readonly path: string; readonly sizeBytes: number; readonly checksum: number }[];
}

const manifestName = 'backup.json';
/** Every key of a store. */
const wholeStore = { start: new Uint8Array(1), end: new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff]) };

export async function writeBackup(ports: BackupPorts, pod: DataPod, metadata: ClusterMetadata, directory: string, signal: AbortSignal): Promise<BackupSummary> {
  if (!isAbsolute(directory)) {
    throw new ShoalError('INVALID_ARGUMENT', `directory must be an absolute path on the server, not "${directory}"`, { details: { field: 'directory' } });
  }
  try {
    await mkdir(dirname(directory), { recursive: true });
    await mkdir(directory);
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new ShoalError('INVALID_ARGUMENT', exists ? `directory "${directory}" exists; a backup is written to a new one` : `directory "${directory}" cannot be made`, {
      details: { field: 'directory' },
      cause,
    });
  }
  try {
    return await copyPod(ports, pod, metadata, directory, signal);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

async function copyPod(ports: BackupPorts, pod: DataPod, metadata: ClusterMetadata, root: string, signal: AbortSignal): Promise<BackupSummary> {
  const target = await openDataDirectory(ports.fileSystem, root, ports.version);
  const pointCount = pod.hosted().reduce((count, { replica }) => count + replica.pointCount, 0);
  for (const { registered } of pod.hosted()) {
    const copy = target.checkpoints(registered.localReplica);
    // A newer checkpoint may remove the one being copied; then the restored replica builds its graph anew.
    await cp(pod.options.directory.checkpoints(registered.localReplica), copy, { recursive: true }).catch(() => rm(copy, { recursive: true, force: true }));
    signal.throwIfAborted();
  }
  const copied = await copyStoreAndLog(ports, pod.options.store, target, signal);
  const held = new Set(copied.map(({ shardUID }) => shardUID));
  await copyObjects(metadata, await openLocalMetadata({ ...ports, directory: target.metadata }), (shard) => shard.status.authority === undefined || held.has(shard.metadata.uid));
  const files = [];
  for (const path of await filesUnder(root)) files.push({ path: relative(root, path), ...(await checksumOf(path)) });
  const manifest: BackupManifest = {
    format: 1,
    createdAtMs: ports.clock.nowMs(),
    createdBy: ports.version,
    shardCount: pod.hosted().length,
    pointCount,
    files,
  };
  await writeSynced(join(root, manifestName), `${JSON.stringify(manifest, null, 1)}\n`);
  return { directory: root, sizeBytes: files.reduce((size, file) => size + file.sizeBytes, 0), shardCount: manifest.shardCount, pointCount };
}

async function copyStoreAndLog(ports: BackupPorts, source: KeyValueStore, target: DataDirectory, signal: AbortSignal): Promise<readonly RegisteredReplica[]> {
  const snapshot = source.snapshot();
  const store = await ports.openStore(target.store);
  try {
    await copyStore(snapshot, store, wholeStore, signal);
    const registry = await ReplicaRegistry.open(store, ports.random);
    const log = await openPodLog({ directory: target.log, fileSystem: ports.fileSystem, clock: ports.clock });
    try {
      for (const { localReplica } of registry.all()) {
        const state = await store.get(keyWithBytes(localReplica, 'meta', new TextEncoder().encode('state')));
        if (state === undefined) continue;
        const { appliedSeq, term } = decodeReplicaState(state);
        // What was committed and not applied yet is not in the copy, so the copy must not say that it was committed.
        const copied = encodeReplicaState({ appliedSeq, term, commitSeq: appliedSeq });
        await store.write([{ kind: 'put', key: keyWithBytes(localReplica, 'meta', new TextEncoder().encode('state')), value: copied }]);
        await log.replica(localReplica).reset(appliedSeq, term);
      }
    } finally {
      await log.close();
    }
    return registry.all();
  } finally {
    await snapshot.close();
    await store.close();
  }
}

/** Checks every file of a backup against its manifest, and copies it to where `to` shall be. */
export async function restoreBackup({ from, to }: { readonly from: string; readonly to: string }): Promise<{ files: number; sizeBytes: number; pointCount: number }> {
  const manifest = await readManifest(from);
  if ((await readdir(to).catch(() => [])).length > 0) {
    throw new ShoalError('INVALID_ARGUMENT', `${to} is not empty; a backup is restored into a new directory`, { details: { field: 'data-dir' } });
  }
  for (const file of manifest.files) {
    const found = await checksumOf(join(from, file.path)).catch(() => undefined);
    if (found?.sizeBytes !== file.sizeBytes || found.checksum !== file.checksum) {
      throw new ShoalError('CORRUPTION', `${join(from, file.path)} is missing or differs from the backup's manifest`, { details: { path: file.path } });
    }
  }
  const staging = `${to}.restoring`;
  await rm(staging, { recursive: true, force: true });
  await cp(from, staging, { recursive: true, filter: (path) => path !== join(from, manifestName) });
  for (const path of await filesUnder(staging)) await syncPath(path);
  await rm(to, { recursive: true, force: true });
  await rename(staging, to);
  await syncPath(dirname(to));
  return { files: manifest.files.length, sizeBytes: manifest.files.reduce((size, file) => size + file.sizeBytes, 0), pointCount: manifest.pointCount };
}

async function readManifest(from: string): Promise<BackupManifest> {
  const path = join(from, manifestName);
  try {
    const manifest = JSON.parse(await readFile(path, 'utf8')) as BackupManifest;
    if (manifest.format === 1) return manifest;
  } catch (cause) {
    throw new ShoalError('INVALID_ARGUMENT', `${from} is not a finished backup: ${manifestName} is missing or unreadable`, { details: { field: 'from' }, cause });
  }
  throw new ShoalError('FORMAT_TOO_NEW', `${path} was written by a newer version`);
}

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function checksumOf(path: string): Promise<{ sizeBytes: number; checksum: number }> {
  let checksum = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) checksum = crc32c(chunk as Buffer, checksum);
  return { sizeBytes: (await stat(path)).size, checksum };
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncPath(dirname(path));
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
