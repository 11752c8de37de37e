/**
 * `ClusterMetadata` in a directory: one JSON file an object, replaced atomically and synced, so that it survives what
 * the log survives. One process owns the directory (RocksDB's lock beside it keeps a second one out).
 *
 *     <directory>/<kind>/<name>.json     kind: collections, pools or shards; each: JSON, newline, CRC-32C in hex
 */

import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { indexDefaults } from '../domain/collection.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import { systemErrorCode, type FileSystem } from '../kernel/file-system.ts';
import type { Random } from '../kernel/random.ts';
import { openSealedJson, sealJson } from '../kernel/sealed-json.ts';
import { checkAuthorityChange } from './authority-rules.ts';
import type { ClusterMetadata, NewObject, ObjectStore, StoredObject } from './cluster-metadata.ts';
import { collectionFinalizer, initialStatus, isDeleting, type ObjectMetadata, type VectorCollection, type VectorPool, type VectorShard } from './objects.ts';

export interface LocalMetadataOptions {
  readonly directory: string;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
}

export async function openLocalMetadata(options: LocalMetadataOptions): Promise<ClusterMetadata> {
  return {
    collections: await LocalObjectStore.open<VectorCollection>(options, 'collections'),
    pools: await LocalObjectStore.open<VectorPool>(options, 'pools'),
    shards: await LocalObjectStore.open<VectorShard>(options, 'shards', checkAuthorityChange),
  };
}

/** Puts the objects of `source` into an empty local directory, as they are; of a collection all that it has, or nothing. */
export async function copyObjects(source: ClusterMetadata, target: ClusterMetadata, isWanted: (shard: VectorShard) => boolean): Promise<void> {
  const shards = await source.shards.list();
  for (const collection of await source.collections.list()) {
    const own = shards.filter((shard) => shard.spec.collection.uid === collection.metadata.uid);
    if (!isDeleting(collection) && !own.every(isWanted)) continue;
    await (target.collections as LocalObjectStore<VectorCollection>).import(collection);
    for (const shard of own) await (target.shards as LocalObjectStore<VectorShard>).import(shard);
  }
}

type Kind = keyof ClusterMetadata;
/** Why a stored object must not be followed by this one: what the CRD's rules say on Kubernetes. */
type Refusal<T> = (stored: T, next: T) => string | undefined;

class LocalObjectStore<T extends StoredObject> implements ObjectStore<T> {
  readonly #options: LocalMetadataOptions;
  readonly #kind: Kind;
  readonly #directory: string;
  readonly #objects = new Map<string, T>();
  readonly #watchers = new Set<(name: string) => void>();
  readonly #refusal: Refusal<T>;
  /** Writes run one after another, so that a compare and its swap are one step. */
  #lastWrite: Promise<unknown> = Promise.resolve();

  static async open<T extends StoredObject>(options: LocalMetadataOptions, kind: Kind, refusal: Refusal<T> = () => undefined): Promise<ObjectStore<T>> {
    const store = new LocalObjectStore<T>(options, kind, refusal);
    await options.fileSystem.makeDirectory(store.#directory);
    await options.fileSystem.syncDirectory(options.directory);
    // A name may be in the page cache alone after a kill; what is acted upon must not be taken back by a power loss.
    await options.fileSystem.syncDirectory(store.#directory);
    for (const file of await options.fileSystem.list(store.#directory)) {
      if (file.endsWith('.json')) await store.#load(join(store.#directory, file));
    }
    return store;
  }

  private constructor(options: LocalMetadataOptions, kind: Kind, refusal: Refusal<T>) {
    this.#options = options;
    this.#refusal = refusal;
    this.#kind = kind;
    this.#directory = join(options.directory, kind);
  }

  get(name: string): Promise<T | undefined> {
    return Promise.resolve(this.#objects.get(name));
  }

  peek(name: string): T | undefined {
    return this.#objects.get(name);
  }

  isFresh(): boolean {
    return true;
  }

  list(): Promise<readonly T[]> {
    return Promise.resolve([...this.#objects.values()]);
  }

  create(object: NewObject<T>): Promise<T> {
    return this.#inOrder(async () => {
      const { name } = object.metadata;
      if (this.#objects.has(name)) throw new ShoalError('CONFLICT', `an object named "${name}" exists`);
      const metadata: ObjectMetadata = {
        finalizers: [],
        ...object.metadata,
        uid: this.#options.random.uuid(),
        resourceVersion: '1',
        generation: 1,
        creationTimestampMs: this.#options.clock.nowMs(),
      };
      return this.#store({ ...object, metadata, status: initialStatus[this.#kind] } as unknown as T);
    });
  }

  replace(object: T): Promise<T> {
    return this.#inOrder(async () => {
      const stored = this.#current(object.metadata.name, object.metadata.resourceVersion, object.metadata.uid);
      const generation = stored.metadata.generation + (isDeepStrictEqual(object.spec, stored.spec) ? 0 : 1);
      const next = { ...stored, spec: object.spec, metadata: { ...writtenOver(stored.metadata, object.metadata), generation } };
      this.#checkChange(stored, next);
      if (!isDeleting(stored) || next.metadata.finalizers.length > 0) return this.#store(next);
      await this.#remove(next.metadata.name);
      return next;
    });
  }

  replaceStatus(object: T): Promise<T> {
    return this.#inOrder(() => {
      const stored = this.#current(object.metadata.name, object.metadata.resourceVersion, object.metadata.uid);
      const next = { ...stored, status: object.status, metadata: nextVersion(stored.metadata) };
      this.#checkChange(stored, next);
      return this.#store(next);
    });
  }

  /** Takes over an object with its identity. */
  import(object: T): Promise<T> {
    return this.#inOrder(() => this.#store(object));
  }

  delete(name: string, resourceVersion: string): Promise<void> {
    return this.#inOrder(async () => {
      const stored = this.#current(name, resourceVersion);
      if (stored.metadata.finalizers.length === 0) return this.#remove(name);
      if (isDeleting(stored)) return;
      const generation = stored.metadata.generation + 1;
      await this.#store({ ...stored, metadata: { ...nextVersion(stored.metadata), generation, deletionTimestampMs: this.#options.clock.nowMs() } });
    });
  }

  watch(onChange: (name: string) => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  #current(name: string, resourceVersion: string, uid?: string): T {
    const stored = this.#objects.get(name);
    if (uid !== undefined && stored !== undefined && stored.metadata.uid !== uid) throw new ShoalError('CONFLICT', `"${name}" is another object than the one of this name before`);
    if (stored?.metadata.resourceVersion !== resourceVersion) {
      throw new ShoalError('CONFLICT', `"${name}" has resourceVersion ${stored?.metadata.resourceVersion ?? 'none'}, not ${resourceVersion}`);
    }
    return stored;
  }

  #checkChange(stored: T, next: T): void {
    const refusal = this.#refusal(stored, next);
    if (refusal !== undefined) throw new ShoalError('INVALID_ARGUMENT', `"${next.metadata.name}": ${refusal}`);
  }

  async #store(object: T): Promise<T> {
    const { fileSystem } = this.#options;
    const path = this.#path(object.metadata.name);
    await fileSystem.remove(`${path}.new`);
    const file = await fileSystem.open(`${path}.new`, 'create');
    try {
      await file.write([sealJson(object)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await fileSystem.rename(`${path}.new`, path);
    await fileSystem.syncDirectory(this.#directory);
    this.#objects.set(object.metadata.name, object);
    this.#notify(object.metadata.name);
    return object;
  }

  async #remove(name: string): Promise<void> {
    await this.#options.fileSystem.remove(this.#path(name));
    await this.#options.fileSystem.syncDirectory(this.#directory);
    this.#objects.delete(name);
    this.#notify(name);
  }

  async #load(path: string): Promise<void> {
    const bytes = await this.#options.fileSystem.readFile(path);
    const object = openSealedJson(bytes ?? new Uint8Array(0)) as T | undefined;
    if (object === undefined) throw new ShoalError('CORRUPTION', `${path} fails its checksum`, { details: { path } });
    const present = object.metadata.generation === undefined ? fromVersion01(object) : object;
    this.#objects.set(object.metadata.name, this.#kind === 'collections' ? withIndexDefaults(present) : present);
  }

  #path(name: string): string {
    return join(this.#directory, `${name}.json`);
  }

  #notify(name: string): void {
    for (const watcher of this.#watchers) watcher(name);
  }

  #inOrder<Result>(write: () => Promise<Result>): Promise<Result> {
    const result = this.#lastWrite.then(write).catch((error: unknown) => {
      if (error instanceof ShoalError) throw error;
      if (systemErrorCode(error) === 'ENOSPC') throw new ShoalError('STORAGE_READ_ONLY', 'the disk is full', { cause: error });
      throw new ShoalError('OUTCOME_UNKNOWN', `the metadata in ${this.#directory} cannot be written`, { cause: error });
    });
    this.#lastWrite = result.catch(() => undefined);
    return result;
  }
}

/** Labels, annotations, finalizers and owners are the writer's; the rest is the store's own. */
function writtenOver(stored: ObjectMetadata, { deletionTimestampMs: _, ...given }: ObjectMetadata): ObjectMetadata {
  const { uid, resourceVersion, creationTimestampMs, deletionTimestampMs } = nextVersion(stored);
  return { ...given, uid, resourceVersion, creationTimestampMs, ...(deletionTimestampMs === undefined ? {} : { deletionTimestampMs }) };
}

function nextVersion(metadata: ObjectMetadata): ObjectMetadata {
  return { ...metadata, resourceVersion: String(Number(metadata.resourceVersion) + 1) };
}

/** What can be said of an index since the collection was made has its default, as the API server fills it in. */
function withIndexDefaults<T extends StoredObject>(object: T): T {
  const { spec } = object as unknown as VectorCollection;
  return { ...object, spec: { ...spec, index: { ...indexDefaults, ...spec.index } } };
}

/** Version 0.1 had no generations and no finalizers, and told a deletion and a changed spec by the phase. */
function fromVersion01<T extends StoredObject>(object: T): T {
  const metadata: ObjectMetadata = { ...object.metadata, generation: 1, finalizers: [] };
  const status = object.status as { readonly phase: string; readonly routing?: unknown };
  if (status.routing === undefined) return { ...object, metadata };
  const observedGeneration = status.phase === 'Ready' ? 1 : 0;
  if (status.phase !== 'Deleting') return { ...object, metadata, status: { ...status, observedGeneration } };
  const deleting: ObjectMetadata = { ...metadata, finalizers: [collectionFinalizer], deletionTimestampMs: metadata.creationTimestampMs };
  return { ...object, metadata: deleting, status: { ...status, phase: 'Ready', observedGeneration } };
}
