/**
 * What the router knows of the cluster: collections by API name with the routes of their shards, as immutable
 * descriptions that are exchanged when the metadata changes.
 */

import { ShoalError } from '../kernel/errors.ts';
import { HashRing } from '../domain/hash-range.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { systemLabel, type VectorCollection, type VectorShard } from '../metadata/objects.ts';
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
  #byName = new Map<string, RoutedCollection>();
  #stale = true;
  #refreshing: Promise<void> | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(metadata: ClusterMetadata) {
    this.#metadata = metadata;
    const changed = (): void => {
      this.#stale = true;
      for (const wake of this.#waiters) wake();
    };
    metadata.collections.watch(changed);
    metadata.shards.watch(changed);
  }

  /** COLLECTION_NOT_FOUND when there is none, or it is being deleted, or it is the system's own. */
  async collection(name: string): Promise<RoutedCollection> {
    const collection = await this.find(name);
    if (collection === undefined || isSystem(collection) || collection.object.status.phase === 'Deleting') throw collectionNotFound(name);
    return collection;
  }

  /** The one with the system's own records. */
  async systemCollection(): Promise<RoutedCollection> {
    while (this.#stale) await this.refresh();
    for (const collection of this.#byName.values()) if (isSystem(collection)) return collection;
    throw new ShoalError('UNAVAILABLE', 'the system collection is not there yet');
  }

  async find(name: string): Promise<RoutedCollection | undefined> {
    while (this.#stale) await this.refresh();
    return this.#byName.get(name);
  }

  /** Those of users, by name. */
  async collections(): Promise<readonly RoutedCollection[]> {
    while (this.#stale) await this.refresh();
    return [...this.#byName.values()]
      .filter((collection) => !isSystem(collection) && collection.object.status.phase !== 'Deleting')
      .sort((a, b) => (a.object.spec.name < b.object.spec.name ? -1 : 1));
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
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

  async #read(): Promise<void> {
    this.#stale = false;
    try {
      const [collections, shards] = await Promise.all([this.#metadata.collections.list(), this.#metadata.shards.list()]);
      this.#byName = routeCollections(collections, shards);
    } catch (error) {
      this.#stale = true;
      throw error;
    }
  }
}

/** Pure: joins collections with their shards of the routed generation. */
export function routeCollections(collections: readonly VectorCollection[], shards: readonly VectorShard[]): Map<string, RoutedCollection> {
  const byCollection = new Map<string, VectorShard[]>();
  for (const shard of shards) {
    const siblings = byCollection.get(shard.spec.collection.uid);
    if (siblings === undefined) byCollection.set(shard.spec.collection.uid, [shard]);
    else siblings.push(shard);
  }
  const routed = new Map<string, RoutedCollection>();
  for (const object of collections) {
    const { epoch, generation } = object.status.routing;
    const members = (byCollection.get(object.metadata.uid) ?? [])
      .filter((shard) => shard.spec.generation === generation)
      .sort((a, b) => a.spec.index - b.spec.index)
      .map((shard) => ({ object: shard, route: routeTo(shard, epoch) }));
    routed.set(object.spec.name, { object, shards: members, ring: new HashRing(members.map((member) => member.object.spec.hashRange)) });
  }
  return routed;
}

function isSystem({ object }: RoutedCollection): boolean {
  return object.metadata.labels[systemLabel] !== undefined;
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
