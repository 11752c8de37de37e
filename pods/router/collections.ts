/** The collection part of `VectorApi`: writes what is wanted into the metadata, and waits until it is so. */

import { hasCode, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { changedSpec, collectionSpec, type CollectionSpec } from '../domain/collection.ts';
import type { RequestContext } from '../api/context.ts';
import type { CollectionApi, CollectionDescription, ShardDescription } from '../api/vector-api.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { collectionObjectName } from '../metadata/object-name.ts';
import { isDeleting, isUpToDate, systemCollectionName, type CollectionHosting, type VectorCollection } from '../metadata/objects.ts';
import { collectionNotFound } from './cluster-map.ts';
import type { RoutedCollection, RoutedShard } from './routed-collection.ts';
import { shardContext, type Routing } from './routing.ts';

/**
 * `replicaCountMax`: how many replicas of a shard there can be, 1 in one process. `hosting`: on which pods new collections
 * go, where that is a question.
 */
export function createCollectionApi(metadata: ClusterMetadata, routing: Routing, replicaCountMax: number, hosting: Partial<CollectionHosting> = {}): CollectionApi {
  const { map } = routing;

  async function describe(context: RequestContext, collection: RoutedCollection): Promise<CollectionDescription> {
    const shards = await Promise.all(collection.shards.map((shard) => describeShard(context, routing, shard)));
    const { object } = collection;
    return {
      spec: withoutHosting(object.spec),
      uid: object.metadata.uid,
      createdAtMs: object.metadata.creationTimestampMs,
      phase: phaseOf(object, shards),
      epoch: object.status.routing.epoch,
      pointCount: shards.reduce((count, shard) => count + shard.pointCount, 0),
      shards,
    };
  }

  /** Resolves when every shard of the collection serves. */
  async function whenReady(context: RequestContext, name: string): Promise<CollectionDescription> {
    for (;;) {
      const { object } = await map.collection(name);
      if (isUpToDate(object)) return describe(context, await routing.onCollection(context, name, (collection) => Promise.resolve(collection)));
      await map.objectChanged(object, context.signal);
    }
  }

  async function whenGone(context: RequestContext, name: string, uid: string): Promise<void> {
    for (;;) {
      const found = await map.find(name);
      if (found?.object.metadata.uid !== uid) return;
      await map.objectChanged(found.object, context.signal);
    }
  }

  /** Writes until nobody else was faster. */
  async function change(context: RequestContext, name: string, write: (object: VectorCollection) => Promise<void>): Promise<void> {
    for (;;) {
      context.signal.throwIfAborted();
      const collection = await map.collection(name);
      try {
        await write(collection.object);
        return;
      } catch (error) {
        if (!hasCode(error, 'CONFLICT')) throw error;
        await map.readCollection(collection.object.metadata.name);
      }
    }
  }

  return {
    async create(context, input) {
      const spec = collectionSpec(input);
      checkReplicas(spec, replicaCountMax);
      if (spec.name === systemCollectionName) throw new ShoalError('INVALID_NAME', `name "${systemCollectionName}" is the system's own`, { details: { field: 'name' } });
      for (;;) {
        const known = await map.find(spec.name);
        // Read anew, as the map may know one that has been deleted since.
        if (known !== undefined) await map.readCollection(known.object.metadata.name);
        const found = await map.find(spec.name);
        if (found !== undefined && isDeleting(found.object)) await whenGone(context, spec.name, found.object.metadata.uid);
        else if (found !== undefined) {
          if (!sameSpec(withoutHosting(found.object.spec), spec)) throw exists(spec, found.object.spec);
          return { created: false, collection: await whenReady(context, spec.name) };
        }
        if (map.size > limits.collectionCountMax) {
          throw new ShoalError('COLLECTION_LIMIT', `there are ${limits.collectionCountMax} collections, which is the limit`, { details: { limit: limits.collectionCountMax } });
        }
        try {
          const objectName = collectionObjectName(spec.name);
          await map.write(objectName, () => metadata.collections.create({ metadata: { name: objectName, labels: {} }, spec: { ...spec, ...hosting } }));
          return { created: true, collection: await whenReady(context, spec.name) };
        } catch (error) {
          // Somebody else was faster: look again what there is now, once that shows.
          if (!hasCode(error, 'CONFLICT')) throw error;
          await map.readCollection(collectionObjectName(spec.name));
          // Two names may give one object name; then no look helps.
          const taken = await metadata.collections.get(collectionObjectName(spec.name));
          if (taken !== undefined && taken.spec.name !== spec.name) {
            throw new ShoalError('INVALID_NAME', `"${spec.name}" cannot be told from the existing collection "${taken.spec.name}"; choose another name`, { details: { field: 'name' } });
          }
        }
      }
    },

    async list(context) {
      return Promise.all((await map.collections()).map((collection) => describe(context, collection)));
    },

    async get(context, name) {
      return describe(context, await map.collection(name));
    },

    async update(context, name, changes) {
      await change(context, name, async (object) => {
        const spec = { ...object.spec, ...changedSpec(object.spec, changes) };
        checkReplicas(spec, replicaCountMax);
        await map.write(object.metadata.name, () => metadata.collections.replace({ ...object, spec }));
      });
      return whenReady(context, name);
    },

    async delete(context, name) {
      const known = await map.collection(name);
      // Read anew, as the map may know one that was deleted before; and only this one is deleted, however often it is tried.
      await map.readCollection(known.object.metadata.name);
      const { object } = await map.collection(name);
      if (object.spec.name !== name) throw collectionNotFound(name);
      const { uid } = object.metadata;
      await change(context, name, async (present) => {
        if (present.metadata.uid === uid) await metadata.collections.delete(present.metadata.name, present.metadata.resourceVersion);
      });
      await whenGone(context, name, uid);
    },
  };
}

async function describeShard(context: RequestContext, routing: Routing, { object, route }: RoutedShard): Promise<ShardDescription> {
  const common = {
    index: object.spec.index,
    uid: object.metadata.uid,
    hashRange: object.spec.hashRange,
    primary: object.status.authority?.primary.pod ?? '',
    replicas: object.spec.replicas,
  };
  try {
    const { pointCount, term, notServing, statistics } = await routing.service({ object, route }).describe(shardContext(context));
    return { ...common, ready: notServing === undefined, ...(notServing === undefined ? {} : { because: notServing }), term, pointCount, statistics };
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
    context.signal.throwIfAborted();
    return { ...common, ready: false, because: error.message, term: object.status.authority?.term ?? 0, pointCount: 0, statistics: noStatistics };
  }
}

const noStatistics: ShardDescription['statistics'] = {
  lastSeq: 0,
  commitSeq: 0,
  appliedSeq: 0,
  checkpointSeq: 0,
  tailPointCount: 0,
  graphPointCount: 0,
  indexMemoryBytes: 0,
  indexKind: '',
};

function phaseOf(object: VectorCollection, shards: readonly ShardDescription[]): CollectionDescription['phase'] {
  if (isDeleting(object)) return 'deleting';
  if (object.status.phase === 'Pending') return 'creating';
  return object.status.phase === 'Ready' && shards.every((shard) => shard.ready) ? 'ready' : 'degraded';
}

/** What the APIs say of a collection. */
function withoutHosting({ placement: _placement, deletionPolicy: _deletionPolicy, ...spec }: VectorCollection['spec']): CollectionSpec {
  return spec;
}

function sameSpec(a: CollectionSpec, b: CollectionSpec): boolean {
  return JSON.stringify(sortedKeys(a)) === JSON.stringify(sortedKeys(b));
}

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sortedKeys(item)]));
}

function exists(wanted: CollectionSpec, present: CollectionSpec): ShoalError {
  const difference = (Object.keys(wanted) as (keyof CollectionSpec)[]).find((key) => JSON.stringify(sortedKeys(wanted[key])) !== JSON.stringify(sortedKeys(present[key])));
  return new ShoalError('COLLECTION_EXISTS', `collection "${wanted.name}" exists with another ${difference ?? 'spec'}`, { details: { field: difference ?? 'spec' } });
}

/** More replicas than there can be pods would leave the collection waiting for ever. */
function checkReplicas({ replication }: CollectionSpec, replicaCountMax: number): void {
  if (replication.replicas <= replicaCountMax) return;
  throw new ShoalError('INVALID_ARGUMENT', `replication.replicas is ${replication.replicas}; this server has room for ${replicaCountMax} of each shard`, {
    details: { field: 'replication.replicas', limit: replicaCountMax, found: replication.replicas },
  });
}
