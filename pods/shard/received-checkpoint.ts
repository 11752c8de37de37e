/**
 * The checkpoint that comes with a snapshot, on its way into this pod's directory: the manifest comes first and says
 * which files there are, and is written last (see checkpoint.ts). Whatever goes wrong with it, only the derived data is
 * lost: it is given up with a warning, and the replica builds its graph and payload indexes from the points.
 */

import { AssertionError } from 'node:assert/strict';
import { crc32c } from '@node-rs/crc32';
import { dirname, join } from 'node:path';
import { ShoalError } from '../kernel/errors.ts';
import type { FileHandle, FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { openSealedJson } from '../kernel/sealed-json.ts';
import type { CheckpointPart } from '../index/vector-index.ts';
import type { CheckpointManifest } from './checkpoint.ts';
import { checkpointParts, manifestName } from './checkpoint-parts.ts';

/** A manifest names a handful of files. */
const manifestBytesMax = limits.transferPartBytesMax;
const firstNumber = '0000000001';
const safeName = /^(graph\/)?[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/;

interface ReceivedFile {
  readonly handle: FileHandle;
  sizeBytes: number;
  checksum: number;
}

export class ReceivedCheckpoint {
  readonly #fileSystem: FileSystem;
  readonly #parent: string;
  readonly #directory: string;
  readonly #logger: Logger;
  #sealed = new Uint8Array(0);
  #parts: ReadonlyMap<string, CheckpointPart> | undefined;
  #seq = 0;
  readonly #files = new Map<string, ReceivedFile>();
  #givenUp = false;

  /** `directory` is where the replica will look for its checkpoints; it does not exist yet. */
  constructor(fileSystem: FileSystem, directory: string, logger: Logger) {
    this.#fileSystem = fileSystem;
    this.#parent = directory;
    this.#directory = join(directory, firstNumber);
    this.#logger = logger;
  }

  /** Takes the next piece of a file. */
  take(name: string, position: number, bytes: Uint8Array): Promise<void> {
    return this.#orGiveUp(() => (name === manifestName ? this.#takeManifest(position, bytes) : this.#takePiece(name, position, bytes)));
  }

  /** All has come: resolves to whether there is a checkpoint now, durable, that a store at `appliedSeq` can use. */
  async finish(appliedSeq: number): Promise<boolean> {
    let isThere = false;
    await this.#orGiveUp(async () => {
      if (this.#sealed.length === 0) return;
      const parts = this.#knownParts();
      if (this.#seq > appliedSeq) throw damaged('it is newer than the points');
      for (const part of parts.values()) {
        const file = this.#files.get(part.name) ?? (await this.#create(part.name));
        if (file.sizeBytes !== part.sizeBytes || file.checksum !== part.checksum) throw damaged(`${part.name} is incomplete or fails its checksum`);
        await file.handle.sync();
        await file.handle.close();
        this.#files.delete(part.name);
      }
      await this.#fileSystem.syncDirectory(join(this.#directory, 'graph'));
      await this.#writeManifest();
      isThere = true;
    });
    return isThere;
  }

  async close(): Promise<void> {
    for (const { handle } of this.#files.values()) await handle.close().catch(() => undefined);
    this.#files.clear();
  }

  async #takeManifest(position: number, bytes: Uint8Array): Promise<void> {
    if (position !== this.#sealed.length || position + bytes.length > manifestBytesMax) throw damaged('its manifest comes out of order or is too long');
    this.#sealed = Buffer.concat([this.#sealed, bytes]);
  }

  async #takePiece(name: string, position: number, bytes: Uint8Array): Promise<void> {
    const part = this.#knownParts().get(name);
    if (part === undefined) throw damaged(`its manifest does not name ${name}`);
    const file = this.#files.get(name) ?? (await this.#create(name));
    if (position !== file.sizeBytes || position + bytes.length > part.sizeBytes) throw damaged(`${name} comes out of order or is too long`);
    await file.handle.write([bytes], position);
    file.checksum = crc32c(bytes, file.checksum);
    file.sizeBytes += bytes.length;
  }

  #knownParts(): ReadonlyMap<string, CheckpointPart> {
    if (this.#parts !== undefined) return this.#parts;
    const manifest = openSealedJson(this.#sealed) as CheckpointManifest | undefined;
    if (manifest?.format !== 1) throw damaged('its manifest fails its checksum or is of another format');
    const parts = checkpointParts(manifest);
    if (!parts.every((part) => safeName.test(part.name))) throw damaged('its manifest names a file outside its directory');
    this.#parts = new Map(parts.map((part) => [part.name, part]));
    this.#seq = manifest.seq;
    return this.#parts;
  }

  async #create(name: string): Promise<ReceivedFile> {
    const path = join(this.#directory, name);
    await this.#fileSystem.makeDirectory(join(this.#directory, 'graph'));
    const file: ReceivedFile = { handle: await this.#fileSystem.open(path, 'create'), sizeBytes: 0, checksum: 0 };
    this.#files.set(name, file);
    return file;
  }

  async #writeManifest(): Promise<void> {
    const path = join(this.#directory, manifestName);
    const handle = await this.#fileSystem.open(`${path}.new`, 'create');
    try {
      await handle.write([this.#sealed], 0);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await this.#fileSystem.rename(`${path}.new`, path);
    await this.#fileSystem.syncDirectory(this.#directory);
    await this.#fileSystem.syncDirectory(dirname(this.#directory));
  }

  async #orGiveUp(work: () => Promise<void>): Promise<void> {
    if (this.#givenUp) return;
    try {
      await work();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.#givenUp = true;
      this.#logger.warn({ error }, 'the checkpoint of a snapshot cannot be used; rebuilding from the points');
      await this.close();
      // What is left of it has no manifest, and is removed when the replica looks for its checkpoints.
      await this.#fileSystem.remove(this.#parent).catch(() => undefined);
    }
  }
}

function damaged(because: string): ShoalError {
  return new ShoalError('CORRUPTION', `the checkpoint of a snapshot cannot be used: ${because}`);
}
