/**
 * What the router knows of the cluster: collections by API name with the routes of their shards, as immutable
 * descriptions that are exchanged when the metadata changes.
 */

import { ShoalError } from '../kernel/errors.ts';
import { HashRing } from '../domain/hash-range.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { collectionOfShard, shardObjectNames } from '../metadata/object-name.ts';
import { isDeleting, systemCollectionName, systemLabel, type VectorCollection, type VectorShard } from '../metadata/objects.ts';
import type { ShardRoute } from './shard-client.ts';

export interface RoutedShard {
  readonly object: VectorShard;
  readonly route: ShardRoute;
}

export interface RoutedCollection {
  readonly object: VectorCollection;
  /** By index; complete when the collection is ready. */
  readonly shards: readonly RoutedShard[];
  readonly ring: HashRing;
}

export class ClusterMap {
  readonly #metadata: ClusterMetadata;
  /** By object name; API names are looked up in the index beside it. */
  readonly #byObject = new Map<string, RoutedCollection>();
  readonly #objectOf = new Map<string, string>();
  /** Names of collection objects that have changed since they were read; undefined: everything has to be read. */
  #changed: Set<string> | undefined;
  #refreshing: Promise<void> | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(metadata: ClusterMetadata) {
    this.#metadata = metadata;
    const changed = (objectName: string): void => {
      this.#changed?.add(objectName);
      for (const wake of this.#waiters) wake();
    };
    metadata.collections.watch(changed);
    metadata.shards.watch((shardName) => changed(collectionOfShard(shardName)));
  }

  /** COLLECTION_NOT_FOUND when there is none, or it is being deleted. */
  async collection(name: string): Promise<RoutedCollection> {
    const collection = await this.find(name);
    if (collection === undefined || isDeleting(collection.object)) throw collectionNotFound(name);
    return collection;
  }

  /** The one with the system's own records. */
  async systemCollection(): Promise<RoutedCollection> {
    await this.#upToDate();
    const collection = this.#byObject.get(systemCollectionName);
    if (collection === undefined) throw new ShoalError('UNAVAILABLE', 'the system collection is not there yet');
    return collection;
  }

  /** A user's collection, also one that is being deleted; names of the system's own are as free as any other. */
  async find(name: string): Promise<RoutedCollection | undefined> {
    await this.#upToDate();
    const objectName = this.#objectOf.get(name);
    return objectName === undefined ? undefined : this.#byObject.get(objectName);
  }

  /** Those of users, by name. */
  async collections(): Promise<readonly RoutedCollection[]> {
    await this.#upToDate();
    return [...this.#byObject.values()]
      .filter((collection) => !isSystem(collection) && !isDeleting(collection.object))
      .sort((a, b) => (a.object.spec.name < b.object.spec.name ? -1 : 1));
  }

  /** How many there are, those of the system and those being deleted too. */
  get size(): number {
    return this.#byObject.size;
  }

  /** Reads a collection again, whether it is known to have changed or not. */
  refresh(collection: RoutedCollection): Promise<void> {
    this.#changed?.add(collection.object.metadata.name);
    return this.#upToDate();
  }

  /** Reads everything again. */
  refreshAll(): Promise<void> {
    this.#changed = undefined;
    return this.#upToDate();
  }

  /** Resolves at the next change of the metadata. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const wake = (): void => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiters.delete(wake);
        reject(signal.reason as Error);
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  async #upToDate(): Promise<void> {
    while (this.#changed?.size !== 0) {
      this.#refreshing ??= this.#readChanged().finally(() => (this.#refreshing = undefined));
      await this.#refreshing;
    }
  }

  async #readChanged(): Promise<void> {
    const names = this.#changed ?? new Set((await this.#metadata.collections.list()).map((object) => object.metadata.name));
    this.#changed = new Set();
    try {
      for (const name of names) {
        this.#take(name, await this.#route(name));
        names.delete(name);
      }
    } catch (error) {
      for (const name of names) this.#changed.add(name);
      throw error;
    }
  }

  #take(objectName: string, routed: RoutedCollection | undefined): void {
    const before = this.#byObject.get(objectName);
    if (before !== undefined && !isSystem(before)) this.#objectOf.delete(before.object.spec.name);
    this.#byObject.delete(objectName);
    if (routed === undefined) return;
    this.#byObject.set(objectName, routed);
    if (!isSystem(routed)) this.#objectOf.set(routed.object.spec.name, objectName);
  }

  async #route(objectName: string): Promise<RoutedCollection | undefined> {
    const object = await this.#metadata.collections.get(objectName);
    if (object === undefined) return undefined;
    const names = shardObjectNames(objectName, object.status.routing.generation, object.spec.shards);
    const shards = await Promise.all(names.map((name) => this.#metadata.shards.get(name)));
    return routeCollection(
      object,
      shards.filter((shard) => shard !== undefined),
    );
  }
}

function isSystem({ object }: RoutedCollection): boolean {
  return object.metadata.labels[systemLabel] !== undefined;
}

/** Pure: joins a collection with its shards of the routed generation, by index. */
export function routeCollection(object: VectorCollection, shards: readonly VectorShard[]): RoutedCollection {
  const { epoch } = object.status.routing;
  const members = shards
    .filter((shard) => shard.spec.collection.uid === object.metadata.uid)
    .map((shard) => ({ object: shard, route: routeTo(shard, epoch) }));
  return { object, shards: members, ring: new HashRing(members.map((member) => member.object.spec.hashRange)) };
}

function routeTo(shard: VectorShard, epoch: number): ShardRoute {
  const { authority } = shard.status;
  const primary = authority?.primary.pod;
  const others = (authority?.inSync ?? []).map((member) => member.pod).filter((pod) => pod !== primary);
  return {
    collectionUID: shard.spec.collection.uid,
    shardUID: shard.metadata.uid,
    index: shard.spec.index,
    epoch,
    pods: primary === undefined ? others : [primary, ...others],
  };
}

export function collectionNotFound(name: string): ShoalError {
  return new ShoalError('COLLECTION_NOT_FOUND', `no collection is named "${name}"`, { details: { collection: name } });
}
