/**
 * Checkpoints of what a shard derives from its points: the graph and the payload indexes. Numbered directories, the
 * manifest written last, never overwritten:
 *
 *     <directory>/0000000012/
 *         labels.bin        f64 version per label, then f64 vector version per label, as they were when it began
 *         ids.bin           id per label, a little newer perhaps; see label-recovery.ts
 *         payload.bin       the payload indexes (when there are any)
 *         graph/…           the parts of the graph (when there is one)
 *         manifest.json     {seq, parts with sizes and CRC-32C} and a line with its own checksum
 *
 * A checkpoint may be older than the store, and its parts may be a little newer than `labels.bin`. That is harmless: a
 * label whose version differs from the store's is taken out and read again from the points, so recovery needs no log. With
 * the log it is faster: see label-recovery.ts.
 *
 * No part of it must be newer than the store. What the log replays gets labels anew, in another order, under the versions
 * it had before, so that a label and a version of such a checkpoint would name another vector. And a label that passed from
 * one point to another while the parts were written would be the earlier point's in the store and the later one's in the
 * graph, under a version that is not to be told from the one in labels.bin. So the store is flushed once all parts are
 * written, before the manifest is, and a checkpoint whose seq is newer (of a backup) is removed unread.
 */

import { crc32c } from '@node-rs/crc32';
import { join } from 'node:path';
import { ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { openSealedJson, sealJson } from '../kernel/sealed-json.ts';
import type { CheckpointPart, IndexParameters } from '../index/vector-index.ts';
import type { LabelVersions } from './label-table.ts';

export interface CheckpointManifest {
  readonly format: 1;
  readonly seq: number;
  readonly labels: CheckpointPart;
  /** Missing in the checkpoints of 0.1 before its release. */
  readonly ids?: CheckpointPart;
  /** The payload indexes; null when there were none. */
  readonly payload: CheckpointPart | null;
  readonly graph: { readonly parameters: IndexParameters; readonly parts: readonly CheckpointPart[] } | null;
}

export interface CheckpointContent {
  readonly seq: number;
  /** Writes the versions of all labels at `seq`, then the vector versions. */
  readonly writeVersions: WriteChunks;
  /** Writes the ids of the same labels. */
  readonly writeIds: WriteChunks;
  /** Writes the payload indexes chunk by chunk; undefined when there are none. */
  readonly writePayload: WriteChunks | undefined;
  /** Writes the parts of the graph into the directory, or resolves to undefined when there is no graph. */
  readonly writeGraph: (directory: string) => Promise<readonly CheckpointPart[] | undefined>;
  readonly parameters: IndexParameters;
  /** Resolves when the store keeps all that it has applied by now over a power loss. */
  readonly keepStore: () => Promise<void>;
}

/** Hands chunks of a file to `write`, each when the one before is written. */
export type WriteChunks = (write: (chunk: Uint8Array) => Promise<void>) => Promise<void>;

export interface StoredCheckpoint {
  readonly directory: string;
  readonly manifest: CheckpointManifest;
}

const manifestName = 'manifest.json';

export class CheckpointDirectory {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  #lastNumber = 0;

  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
  }

  graphDirectory(checkpoint: StoredCheckpoint): string {
    return join(checkpoint.directory, 'graph');
  }

  /**
   * The newest checkpoint with a whole manifest that is not newer than the store, which has applied `appliedSeq`.
   * Anything above it is removed, durably.
   */
  async newest(appliedSeq: number): Promise<StoredCheckpoint | undefined> {
    const names = (await this.#fileSystem.list(this.#directory)).filter((name) => /^\d{10}$/.test(name)).reverse();
    this.#lastNumber = Number(names[0] ?? 0);
    for (const name of names) {
      const directory = join(this.#directory, name);
      const manifest = await this.#readManifest(directory);
      if (manifest !== undefined && manifest.seq <= appliedSeq) return { directory, manifest };
      await this.#fileSystem.remove(directory);
      await this.#fileSystem.syncDirectory(this.#directory);
    }
    return undefined;
  }

  /** The newest whole checkpoint, changing nothing. */
  async peek(): Promise<StoredCheckpoint | undefined> {
    for (const name of (await this.#fileSystem.list(this.#directory)).reverse()) {
      const directory = join(this.#directory, name);
      const manifest = await this.#readManifest(directory);
      if (manifest !== undefined) return { directory, manifest };
    }
    return undefined;
  }

  /** Writes a checkpoint, makes it durable, and removes the older ones. */
  async write(content: CheckpointContent): Promise<StoredCheckpoint> {
    const name = String(++this.#lastNumber).padStart(10, '0');
    const directory = join(this.#directory, name);
    await this.#fileSystem.makeDirectory(join(directory, 'graph'));
    try {
      // The payload indexes go first: their checkpoint is of the moment in which its writing begins.
      const payloadWritten = content.writePayload === undefined ? undefined : await this.#writePart(directory, 'payload.bin', content.writePayload);
      const graphParts = await content.writeGraph(join(directory, 'graph'));
      const labels = await this.#writePart(directory, 'labels.bin', content.writeVersions);
      const ids = await this.#writePart(directory, 'ids.bin', content.writeIds);
      // Only now: the parts hold what was applied while they were written, up to this moment.
      await content.keepStore();
      const payload = payloadWritten ?? null;
      const graph = graphParts === undefined ? null : { parameters: content.parameters, parts: graphParts };
      const manifest: CheckpointManifest = { format: 1, seq: content.seq, labels, ids, payload, graph };
      await this.#writeManifest(directory, manifest);
      await this.#removeOlderThan(name);
      return { directory, manifest };
    } catch (error) {
      await this.#fileSystem.remove(directory).catch(() => undefined);
      throw error;
    }
  }

  async readVersions(checkpoint: StoredCheckpoint): Promise<LabelVersions> {
    const bytes = await this.readPart(checkpoint, checkpoint.manifest.labels);
    const both = new Float64Array(bytes.length / 8);
    new Uint8Array(both.buffer).set(bytes.subarray(0, both.byteLength));
    return { versions: both.subarray(0, both.length / 2), vectorVersions: both.subarray(both.length / 2) };
  }

  /** CORRUPTION when the part is missing or differs from its manifest. */
  async readPart(checkpoint: StoredCheckpoint, part: CheckpointPart): Promise<Uint8Array> {
    const path = join(checkpoint.directory, part.name);
    const bytes = await this.#fileSystem.readFile(path);
    if (bytes === undefined || bytes.length !== part.sizeBytes || crc32c(bytes) !== part.checksum) {
      throw new ShoalError('CORRUPTION', `${path} is missing or fails its checksum`, { details: { path } });
    }
    return bytes;
  }

  async removeAll(): Promise<void> {
    await this.#fileSystem.remove(this.#directory);
  }

  async #writePart(directory: string, name: string, writeChunks: WriteChunks): Promise<CheckpointPart> {
    const file = await this.#fileSystem.open(join(directory, name), 'create');
    try {
      let sizeBytes = 0;
      let checksum = 0;
      await writeChunks(async (chunk) => {
        checksum = crc32c(chunk, checksum);
        await file.write([chunk], sizeBytes);
        sizeBytes += chunk.length;
      });
      await file.sync();
      return { name, sizeBytes, checksum };
    } finally {
      await file.close();
    }
  }

  async #writeManifest(directory: string, manifest: CheckpointManifest): Promise<void> {
    await this.#writePart(directory, `${manifestName}.new`, inChunks([sealJson(manifest)]));
    await this.#fileSystem.rename(join(directory, `${manifestName}.new`), join(directory, manifestName));
    await this.#fileSystem.syncDirectory(directory);
    await this.#fileSystem.syncDirectory(this.#directory);
  }

  async #readManifest(directory: string): Promise<CheckpointManifest | undefined> {
    const bytes = await this.#fileSystem.readFile(join(directory, manifestName));
    return bytes === undefined ? undefined : (openSealedJson(bytes) as CheckpointManifest | undefined);
  }

  async #removeOlderThan(name: string): Promise<void> {
    for (const older of await this.#fileSystem.list(this.#directory)) {
      if (older < name) await this.#fileSystem.remove(join(this.#directory, older));
    }
  }
}

export function inChunks(all: Iterable<Uint8Array>): WriteChunks {
  return async (write) => {
    for (const chunk of all) await write(chunk);
  };
}
