/** What the objects of a collection say about where its shards are; pure. */

import { HashRing } from '../domain/hash-range.ts';
import { systemLabel, type VectorCollection, type VectorShard } from '../metadata/objects.ts';

/** Where a shard is, as of one routing epoch of its collection. */
export interface ShardRoute {
  /** Name of the collection's object. */
  readonly collectionObject: string;
  readonly collectionUID: string;
  readonly shardUID: string;
  readonly index: number;
  readonly epoch: number;
  /** Undefined until the shard was bootstrapped. */
  readonly primary: string | undefined;
  /** Pods that hold a replica in sync; the primary first. */
  readonly inSync: readonly string[];
  /** Another one whenever anything above is another. */
  readonly version: string;
}

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

/** Joins a collection with its shards of the routed generation, which come by index. */
export function routeCollection(object: VectorCollection, shards: readonly VectorShard[]): RoutedCollection {
  const members = shards.filter((shard) => shard.spec.collection.uid === object.metadata.uid).map((shard) => ({ object: shard, route: routeTo(object, shard) }));
  return { object, shards: members, ring: new HashRing(members.map((member) => member.object.spec.hashRange)) };
}

export function isComplete({ object, shards }: RoutedCollection): boolean {
  return shards.length === object.spec.shards;
}

export function isSystem(object: VectorCollection): boolean {
  return object.metadata.labels[systemLabel] !== undefined;
}

function routeTo(collection: VectorCollection, shard: VectorShard): ShardRoute {
  const { epoch, generation } = collection.status.routing;
  const { authority } = shard.status;
  const primary = authority?.primary.pod;
  const others = (authority?.inSync ?? []).map((member) => member.pod).filter((pod) => pod !== primary);
  return {
    collectionObject: collection.metadata.name,
    collectionUID: collection.metadata.uid,
    shardUID: shard.metadata.uid,
    index: shard.spec.index,
    epoch,
    primary,
    inSync: primary === undefined ? [] : [primary, ...others],
    version: [shard.metadata.uid, generation, epoch, authority?.term ?? 0, authority?.configVersion ?? 0].join('/'),
  };
}

/**
 * Whether `found` was written before `known`: of a watch and a read either may be late. Versions of objects
 * cannot be ordered, but what matters here only grows. Of two objects with one name these say nothing.
 */
export function isOlderCollection(found: VectorCollection, known: VectorCollection): boolean {
  if (found.metadata.uid !== known.metadata.uid) return false;
  return (
    found.metadata.generation < known.metadata.generation ||
    found.status.observedGeneration < known.status.observedGeneration ||
    found.status.routing.epoch < known.status.routing.epoch
  );
}

export function isOlderShard(found: VectorShard, known: VectorShard): boolean {
  if (found.metadata.uid !== known.metadata.uid) return false;
  const [a, b] = [found.status.authority, known.status.authority];
  if (a === undefined || b === undefined) return b !== undefined;
  return a.term === b.term ? a.configVersion < b.configVersion : a.term < b.term;
}
