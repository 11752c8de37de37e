/**
 * Fetches one replica's state from another pod and makes it durable here, under a local number that has never been used
 * (rules A1, F1). Nothing else looks at that number before this resolves, so a crash at any point leaves at most data that
 * nobody owns.
 *
 *     parts ─▶ store, checkpoint files                                  (while the next ones are asked for)
 *     end   ─▶ checkpoint durable ─▶ applied seq ─▶ store flushed ─▶ log continues after (seq, term)
 *
 * A lost answer is asked for again. When the sender has forgotten the transfer, it starts over from nothing.
 */

import assert from 'node:assert/strict';
import { sleep, type Clock } from '../kernel/clock.ts';
import { withTimeout } from '../kernel/deadline.ts';
import { asShoalError, hasCode, ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { PodService, SnapshotAnswer, SnapshotPart } from '../domain/pod-service.ts';
import type { ReplicaLog } from '../log/log.ts';
import type { KeyValueStore, WriteOperation } from '../storage/key-value-store.ts';
import { keyOfReplica, replicaSpan, spaceOfKey } from '../storage/keys.ts';
import { ReceivedCheckpoint } from './received-checkpoint.ts';
import { encodeReplicaState, replicaStateKey } from './replica-state.ts';
import { keyOfValueName } from './snapshot-reader.ts';

export interface SnapshotInstallation {
  readonly source: Pick<PodService, 'snapshot'>;
  readonly shardUID: string;
  /** The new one, that the data will belong to. */
  readonly incarnation: string;
  readonly localReplica: number;
  /** That the replica promised before (rule W2): it is kept. */
  readonly adoptedTerm: number;
  readonly store: KeyValueStore;
  readonly log: ReplicaLog;
  readonly fileSystem: FileSystem;
  /** Where the replica of that number keeps its checkpoints. */
  readonly checkpointDirectory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 to 1, as well as the sender knows it; begins anew when the transfer does. */
  readonly onProgress?: (progress: number) => void;
}

export interface InstalledSnapshot {
  readonly appliedSeq: number;
  readonly appliedTerm: number;
  /** Else the derived data will be rebuilt from the points. */
  readonly hasCheckpoint: boolean;
}

/**
 * Rejects with the signal's reason, with what the sender answered when asking again does not help, and with UNAVAILABLE
 * when it started over too often.
 */
export async function installSnapshot(installation: SnapshotInstallation, signal: AbortSignal): Promise<InstalledSnapshot> {
  const { store, log, localReplica, adoptedTerm } = installation;
  const installed = await receive(installation, signal);
  const { appliedSeq, appliedTerm } = installed;
  // What was committed above the seq is for the primary to say: the log here ends at it.
  const state = encodeReplicaState({ appliedSeq, commitSeq: appliedSeq, term: appliedTerm });
  await store.write([{ kind: 'put', key: replicaStateKey(localReplica), value: state }]);
  await store.flush();
  await log.reset(appliedSeq, appliedTerm);
  await log.adoptTerm(adoptedTerm);
  return installed;
}

async function receive(installation: SnapshotInstallation, signal: AbortSignal): Promise<InstalledSnapshot> {
  const { store, fileSystem, localReplica, checkpointDirectory, logger, shardUID } = installation;
  for (let attempt = 1; ; attempt++) {
    const transfer = new IncomingTransfer(installation, signal);
    try {
      return await transfer.run();
    } catch (error) {
      signal.throwIfAborted();
      if (!hasCode(error, 'TRANSFER_NOT_FOUND')) throw error;
      if (attempt > limits.transferRestartCountMax) {
        throw new ShoalError('UNAVAILABLE', `the snapshot of shard ${shardUID} was begun ${attempt} times and never came to its end`, { cause: error });
      }
      logger.warn({ error, shardUID }, 'the transfer of a snapshot starts over');
    } finally {
      await transfer.close();
    }
    await store.write([{ kind: 'delete-range', ...replicaSpan(localReplica) }]);
    await fileSystem.remove(checkpointDirectory);
  }
}

class IncomingTransfer {
  readonly #installation: SnapshotInstallation;
  readonly #signal: AbortSignal;
  /** What was asked for and nobody waits for any more goes. */
  readonly #ended = new AbortController();
  readonly #checkpoint: ReceivedCheckpoint;
  #begin: Extract<SnapshotPart['content'], { kind: 'begin' }> | undefined;
  #puts: WriteOperation[] = [];
  #longValue: { readonly name: string; readonly key: Uint8Array; readonly pieces: Uint8Array[]; sizeBytes: number } | undefined;

  constructor(installation: SnapshotInstallation, signal: AbortSignal) {
    const { fileSystem, checkpointDirectory, logger } = installation;
    this.#installation = installation;
    this.#signal = AbortSignal.any([signal, this.#ended.signal]);
    this.#checkpoint = new ReceivedCheckpoint(fileSystem, checkpointDirectory, logger);
  }

  async run(): Promise<InstalledSnapshot> {
    let asked = this.#ask('', 0);
    for (let offset = 0; ; ) {
      const { transfer, parts, progress } = await asked;
      if (parts.length === 0) throw outOfOrder('an answer without parts');
      const isLast = parts.at(-1)!.content.kind === 'end';
      if (!isLast) {
        asked = this.#ask(transfer, offset + parts.length);
        asked.catch(() => undefined);
      }
      for (const part of parts) {
        if (part.offset !== offset++) throw outOfOrder(`part ${part.offset} where ${offset - 1} belongs`);
        await this.#take(part.content);
      }
      await this.#writePuts();
      this.#installation.onProgress?.(progress);
      if (isLast) return this.#finish();
    }
  }

  async close(): Promise<void> {
    this.#ended.abort(new Error('the transfer has ended'));
    await this.#checkpoint.close();
  }

  /** Once more after a failure that a retry may help, a bounded number of times. */
  async #ask(transfer: string, offset: number): Promise<SnapshotAnswer> {
    const { source, shardUID, incarnation, clock } = this.#installation;
    for (let failureCount = 1; ; failureCount++) {
      try {
        return await withTimeout(clock, limits.requestTimeoutMsDefault, this.#signal, (signal) => source.snapshot({ shardUID, incarnation, transfer, offset }, signal));
      } catch (error) {
        this.#signal.throwIfAborted();
        if (asShoalError(error).class.retry !== 'after-backoff' || failureCount > limits.transferRetryCountMax) throw error;
      }
      await sleep(clock, failureCount * limits.transferRetryMs, this.#signal);
    }
  }

  async #take(content: SnapshotPart['content']): Promise<void> {
    if ((content.kind === 'begin') !== (this.#begin === undefined)) throw outOfOrder(`${content.kind} where it does not belong`);
    if (content.kind !== 'file' || content.name !== this.#longValue?.name) this.#endLongValue();
    switch (content.kind) {
      case 'begin':
        this.#begin = content;
        return;
      case 'entries':
        for (const { key, value } of content.entries) {
          this.#puts.push({ kind: 'put', key: this.#keyHere(key), value });
          // Making a batch takes the loop's time for each of its entries.
          if (this.#puts.length >= limits.storageSliceEntryCountMax) await this.#writePuts();
        }
        return;
      case 'file': {
        const { name, position, bytes } = content;
        const key = keyOfValueName(name);
        if (key === undefined) return this.#checkpoint.take(name, position, bytes);
        return this.#takeLongValue(name, key, position, bytes);
      }
      case 'end':
        return;
    }
  }

  #takeLongValue(name: string, key: Uint8Array, position: number, bytes: Uint8Array): void {
    const value = (this.#longValue ??= { name, key: this.#keyHere(key), pieces: [], sizeBytes: 0 });
    if (position !== value.sizeBytes) throw outOfOrder('a piece of a value out of order');
    value.pieces.push(bytes);
    value.sizeBytes += bytes.length;
    // Whatever is stored came in one record of the log.
    if (value.sizeBytes > limits.logRecordBytesMax) throw new ShoalError('CORRUPTION', `a snapshot has a value of more than ${limits.logRecordBytesMax} bytes`);
  }

  #endLongValue(): void {
    if (this.#longValue === undefined) return;
    const { key, pieces } = this.#longValue;
    this.#puts.push({ kind: 'put', key, value: Buffer.concat(pieces) });
    this.#longValue = undefined;
  }

  #keyHere(key: Uint8Array): Uint8Array {
    const here = keyOfReplica(this.#installation.localReplica, key);
    if (here === undefined || spaceOfKey(here) === 'meta') throw new ShoalError('CORRUPTION', 'a snapshot has a key of no space that belongs to it');
    return here;
  }

  async #writePuts(): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#puts.length > 0) await this.#installation.store.write(this.#puts);
    this.#puts = [];
  }

  async #finish(): Promise<InstalledSnapshot> {
    assert(this.#begin !== undefined);
    const { appliedSeq, appliedTerm } = this.#begin;
    return { appliedSeq, appliedTerm, hasCheckpoint: await this.#checkpoint.finish(appliedSeq) };
  }
}

/** What does not fit is forgotten: the transfer starts over. */
function outOfOrder(because: string): ShoalError {
  return new ShoalError('TRANSFER_NOT_FOUND', `the parts of a snapshot do not follow each other: ${because}`);
}
