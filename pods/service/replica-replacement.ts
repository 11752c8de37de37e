/**
 * A replica of this pod takes its state from another pod (rule A1), under a new incarnation (rule F1):
 *
 *     fetchReplica    reserve a number ─▶ install the snapshot under it; the replica that is here goes on meanwhile
 *     takeOver        the shard's replica is the new one, durably; the old one must be closed before
 *     removeGarbage   what the old one, and whatever a crash or a failure left, holds is deleted
 *
 * A crash leaves the old replica or the new one, and numbers that `removeGarbage` clears at the next start.
 */

import { dirname } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import type { Logger } from '../kernel/logger.ts';
import type { PodService } from '../domain/pod-service.ts';
import type { PodLog } from '../log/log.ts';
import { installSnapshot, type InstalledSnapshot } from '../shard/snapshot-install.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { replicaSpan } from '../storage/keys.ts';
import type { DataDirectory } from './data-directory.ts';
import type { RegisteredReplica, ReplicaRegistry } from './replica-registry.ts';

export interface ReplacementParts {
  readonly registry: ReplicaRegistry;
  readonly log: PodLog;
  readonly store: KeyValueStore;
  readonly fileSystem: FileSystem;
  readonly directory: DataDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface FetchRequest {
  readonly shardUID: string;
  readonly collectionUID: string;
  /** The pod that has the state. */
  readonly source: Pick<PodService, 'snapshot'>;
  /** 0 to 1; begins anew when the transfer does. */
  readonly onProgress?: (progress: number) => void;
}

export interface FetchedReplica {
  readonly registered: RegisteredReplica;
  readonly installed: InstalledSnapshot;
}

/** All of it is durable when it resolves, but the shard's replica is still the one before. */
export async function fetchReplica(parts: ReplacementParts, request: FetchRequest, signal: AbortSignal): Promise<FetchedReplica> {
  const { registry, log, directory } = parts;
  const { shardUID, collectionUID, source, onProgress } = request;
  const before = registry.find(shardUID);
  const registered = await registry.reserve(shardUID, collectionUID);
  const { localReplica, incarnation } = registered;
  try {
    const installed = await installSnapshot(
      {
        ...parts,
        source,
        shardUID,
        incarnation,
        localReplica,
        adoptedTerm: before === undefined ? 0 : log.replica(before.localReplica).adoptedTerm,
        log: log.replica(localReplica),
        checkpointDirectory: directory.checkpoints(localReplica),
        ...(onProgress === undefined ? {} : { onProgress }),
      },
      signal,
    );
    return { registered, installed };
  } catch (error) {
    registry.giveUp(registered);
    throw error;
  }
}

/**
 * The old replica must be closed: what it promised last is kept (rule W2). OUTCOME_UNKNOWN means that the process has to
 * end (see `ReplicaRegistry.replace`).
 */
export async function takeOver({ registry, log }: Pick<ReplacementParts, 'registry' | 'log'>, { registered }: FetchedReplica): Promise<void> {
  const before = registry.find(registered.shardUID);
  if (before !== undefined) await log.replica(registered.localReplica).adoptTerm(log.replica(before.localReplica).adoptedTerm);
  await registry.replace(registered);
}

/** What was fetched is not wanted any more. */
export function abandon({ registry }: Pick<ReplacementParts, 'registry'>, { registered }: FetchedReplica): void {
  registry.giveUp(registered);
}

/** Deletes what belongs to nobody: at the start, and after each replacement. Fails when log or store do; then try again. */
export async function removeGarbage(parts: Pick<ReplacementParts, 'registry' | 'log' | 'store' | 'fileSystem' | 'directory'>): Promise<void> {
  const { registry, log, store, fileSystem, directory } = parts;
  for (const localReplica of registry.garbage()) {
    if (log.replicas().includes(localReplica)) await log.forget(localReplica);
    const checkpoints = directory.checkpoints(localReplica);
    await fileSystem.remove(checkpoints);
    await fileSystem.syncDirectory(dirname(checkpoints));
    // One after the other in the store, so that a crash never keeps the note's deletion without that of the data.
    const span = replicaSpan(localReplica);
    await store.write([{ kind: 'delete-range', ...span }]);
    await registry.cleaned(localReplica);
    await store.compact(span.start, span.end);
  }
}
