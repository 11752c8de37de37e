/** A metadata store whose watch tells only when a test lets it, and which can be away. */

import type { ClusterMetadata, NewObject, ObjectStore, StoredObject } from '../metadata/cluster-metadata.ts';
import { shardObjectNames } from '../metadata/object-name.ts';
import { initialStatus, type ShardAuthority, type VectorCollection, type VectorPool, type VectorShard } from '../metadata/objects.ts';
import { collectionSpec, type CollectionInput } from '../domain/collection.ts';
import { splitHashSpace } from '../domain/hash-range.ts';
import { ShoalError } from '../kernel/errors.ts';

export class TestStore<T extends StoredObject> implements ObjectStore<T> {
  readonly stored = new Map<string, T>();
  readonly #seen = new Map<string, T>();
  readonly #watchers = new Set<(name: string) => void>();
  readonly #initialStatus: unknown;
  isAway = false;
  /** Names in the order of the reads; `*` is the list. */
  readonly reads: string[] = [];
  #version = 0;

  constructor(status: unknown) {
    this.#initialStatus = status;
  }

  /** Puts an object there, as somebody else's write. */
  put(object: T): T {
    const written = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    this.stored.set(object.metadata.name, written);
    return written;
  }

  /** The watch tells of these, or of everything. */
  tell(...names: string[]): void {
    for (const name of names.length > 0 ? names : new Set([...this.stored.keys(), ...this.#seen.keys()])) {
      const object = this.stored.get(name);
      if (object === undefined) this.#seen.delete(name);
      else this.#seen.set(name, object);
      for (const watcher of this.#watchers) watcher(name);
    }
  }

  /** The watch tells of a state that is no longer the newest. */
  tellOld(object: T): void {
    this.#seen.set(object.metadata.name, object);
    for (const watcher of this.#watchers) watcher(object.metadata.name);
  }

  get(name: string): Promise<T | undefined> {
    this.reads.push(name);
    return this.#answer(() => this.stored.get(name));
  }

  list(): Promise<readonly T[]> {
    this.reads.push('*');
    return this.#answer(() => [...this.stored.values()]);
  }

  peek(name: string): T | undefined {
    return this.#seen.get(name);
  }

  isFresh(): boolean {
    return !this.isAway;
  }

  create(object: NewObject<T>): Promise<T> {
    return this.#answer(() => {
      const { name } = object.metadata;
      if (this.stored.has(name)) throw new ShoalError('CONFLICT', `${name} exists`);
      return this.put({ ...object, metadata: testMetadata(name, object.metadata), status: this.#initialStatus } as unknown as T);
    });
  }

  replace(object: T): Promise<T> {
    return this.#answer(() => {
      const stored = this.#current(object.metadata.name, object.metadata.resourceVersion);
      return this.put({ ...stored, spec: object.spec, metadata: { ...stored.metadata, generation: stored.metadata.generation + 1 } });
    });
  }

  replaceStatus(object: T): Promise<T> {
    return this.#answer(() => this.put({ ...this.#current(object.metadata.name, object.metadata.resourceVersion), status: object.status }));
  }

  delete(name: string, resourceVersion: string): Promise<void> {
    return this.#answer(() => {
      const stored = this.#current(name, resourceVersion);
      this.put({ ...stored, metadata: { ...stored.metadata, generation: stored.metadata.generation + 1, deletionTimestampMs: 1 } });
    });
  }

  watch(onChange: (name: string) => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  #current(name: string, resourceVersion: string): T {
    const stored = this.stored.get(name);
    if (stored?.metadata.resourceVersion !== resourceVersion) throw new ShoalError('CONFLICT', `${name} has another version`);
    return stored;
  }

  async #answer<Answer>(answer: () => Answer): Promise<Answer> {
    await Promise.resolve();
    if (this.isAway) throw new ShoalError('UNAVAILABLE', 'the store is away');
    return answer();
  }
}

export class TestMetadata implements ClusterMetadata {
  readonly collections = new TestStore<VectorCollection>(initialStatus.collections);
  readonly pools = new TestStore<VectorPool>(initialStatus.pools);
  readonly shards = new TestStore<VectorShard>(initialStatus.shards);

  set isAway(isAway: boolean) {
    for (const store of [this.collections, this.shards]) store.isAway = isAway;
  }

  tell(): void {
    this.collections.tell();
    this.shards.tell();
  }

  get reads(): string[] {
    return [...this.collections.reads, ...this.shards.reads];
  }

  forgetReads(): void {
    this.collections.reads.length = 0;
    this.shards.reads.length = 0;
  }

  /** A collection that is ready, with its shards on `pods`, the first of which leads. */
  addCollection(input: CollectionInput, pods: readonly string[], { uid = `${input.name}-uid`, name = input.name, labels = {} } = {}): VectorCollection {
    const spec = collectionSpec(input);
    const collection: VectorCollection = {
      metadata: { ...testMetadata(name, { labels }), uid },
      spec,
      status: { ...initialStatus.collections, phase: 'Ready', observedGeneration: 1, routing: { epoch: 1, generation: 1 } },
    };
    splitHashSpace(spec.shards).forEach((hashRange, index) => {
      const shard = shardObjectNames(name, 1, spec.shards)[index]!;
      this.shards.put({
        metadata: { ...testMetadata(shard, {}), uid: `${uid}-${index}` },
        spec: { collection: { name: spec.name, uid }, generation: 1, index, hashRange, replicas: pods, minInSync: 1 },
        status: { phase: 'Ready', authority: testAuthority(1, pods, 1) },
      });
    });
    return this.collections.put(collection);
  }

  /** The shard gets another authority in the store; the watch has not told yet. */
  lead(shard: string, term: number, pods: readonly string[], configVersion = 1): VectorShard {
    const stored = this.shards.stored.get(shard)!;
    return this.shards.put({ ...stored, status: { ...stored.status, authority: testAuthority(term, pods, configVersion) } });
  }
}

function testMetadata(name: string, { labels = {}, finalizers = [] }: { readonly labels?: Readonly<Record<string, string>>; readonly finalizers?: readonly string[] }): VectorCollection['metadata'] {
  return { name, uid: `${name}-uid`, resourceVersion: '0', generation: 1, creationTimestampMs: 0, labels, finalizers };
}

function testAuthority(term: number, pods: readonly string[], configVersion: number): ShardAuthority {
  const inSync = pods.map((pod) => ({ pod, incarnation: `${pod}-1` }));
  return { term, primary: { pod: pods[0]!, podUID: `${pods[0]!}-uid`, incarnation: `${pods[0]!}-1`, session: 's' }, inSync, configVersion };
}
