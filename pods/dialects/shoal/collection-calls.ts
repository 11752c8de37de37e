/** Collections in shoal.v1: gRPC service, HTTP routes. */

import { CollectionServiceDefinition } from '../../../proto/gen/shoal/v1/collection.ts';
import type * as wire from '../../../proto/gen/shoal/v1/collection.ts';
import type { RequestContext } from '../../api/context.ts';
import type { CollectionDescription, ShardDescription, VectorApi } from '../../api/vector-api.ts';
import { quantizations, type CollectionInput, type CollectionSpec, type IndexSpec } from '../../domain/collection.ts';
import { payloadIndexTypes, type PayloadIndexSpec, type PayloadIndexType } from '../../domain/filter.ts';
import { metrics, type Metric } from '../../domain/metric.ts';
import { limits } from '../../kernel/limits.ts';
import { unary, type GrpcService } from '../dialect.ts';
import { strictDefinition } from '../grpc-definition.ts';
import { anyObject, flag, integer, list, named, number, object, optional, required, text, uint32, words } from '../json-decoder.ts';
import { jsonRoute, nothing, type JsonRoute } from './json-route.ts';
import { present } from './message-parts.ts';

// ---------------------------------------------------------------------- calls

const create = (api: VectorApi, message: wire.CreateCollectionRequest, context: RequestContext): Promise<{ created: boolean; collection: CollectionDescription }> =>
  api.collections.create(context, collectionInput(message));

const update = (api: VectorApi, { name, efSearch, payloadIndexes, replication }: wire.UpdateCollectionRequest, context: RequestContext): Promise<CollectionDescription> =>
  api.collections.update(context, name, present({ efSearch, payloadIndexes: payloadIndexes && payloadIndexSpecs(payloadIndexes.payloadIndexes), replication: replication && replicationInput(replication) }));

/** Words are taken as they come: the collection's own checks refuse those that do not exist. */
function collectionInput({ name, dimension, metric, shards, replication, index, payloadIndexes }: wire.CreateCollectionRequest): CollectionInput {
  return {
    name,
    dimension,
    ...present({
      metric: metric as Metric | undefined,
      shards,
      replication: replication && replicationInput(replication),
      index: index && indexInput(index),
    }),
    payloadIndexes: payloadIndexSpecs(payloadIndexes),
  };
}

function indexInput({ type, m, efConstruction, efSearch, quantization }: wire.IndexSpec): Partial<IndexSpec> {
  return present({ type: type as IndexSpec['type'] | undefined, m, efConstruction, efSearch, quantization: quantization as IndexSpec['quantization'] | undefined });
}

function replicationInput({ replicas, minInSync }: wire.Replication): Partial<CollectionSpec['replication']> {
  return present({ replicas, minInSync });
}

function payloadIndexSpecs(messages: readonly wire.PayloadIndex[]): PayloadIndexSpec[] {
  return messages.map(({ field, type }) => ({ field, type: type as PayloadIndexType }));
}

// ----------------------------------------------------------------------- gRPC

export const collectionService: GrpcService = {
  definition: strictDefinition(CollectionServiceDefinition),
  methods: {
    createCollection: unary('admin', async (api, request: wire.CreateCollectionRequest, context): Promise<wire.CreateCollectionResponse> => {
      const { created, collection } = await create(api, request, context);
      return { created, collection: collectionMessage(collection) };
    }),
    listCollections: unary('read', async (api, _request: wire.ListCollectionsRequest, context): Promise<wire.ListCollectionsResponse> => ({
      collections: (await api.collections.list(context)).map(collectionMessage),
    })),
    getCollection: unary('read', async (api, { name }: wire.GetCollectionRequest, context): Promise<wire.GetCollectionResponse> => ({
      collection: collectionMessage(await api.collections.get(context, name)),
    })),
    updateCollection: unary('admin', async (api, request: wire.UpdateCollectionRequest, context): Promise<wire.UpdateCollectionResponse> => ({
      collection: collectionMessage(await update(api, request, context)),
    })),
    deleteCollection: unary('admin', async (api, { name }: wire.DeleteCollectionRequest, context): Promise<wire.DeleteCollectionResponse> => {
      await api.collections.delete(context, name);
      return {};
    }),
  },
};

function collectionMessage({ spec, uid, createdAtMs, phase, epoch, pointCount, shards }: CollectionDescription): wire.Collection {
  return {
    spec: { ...spec, replication: { ...spec.replication }, index: { ...spec.index }, payloadIndexes: spec.payloadIndexes.map((index) => ({ ...index })) },
    uid,
    createdAtMs: BigInt(createdAtMs),
    phase,
    epoch: BigInt(epoch),
    pointCount: BigInt(pointCount),
    shards: shards.map(shardMessage),
  };
}

function shardMessage({ index, uid, hashRange, ready, because, term, primary, replicas, pointCount, statistics }: ShardDescription): wire.Shard {
  return {
    index,
    uid,
    hashRange: { ...hashRange },
    ready,
    because,
    term: BigInt(term),
    primary,
    replicas: [...replicas],
    pointCount: BigInt(pointCount),
    statistics: {
      lastSeq: BigInt(statistics.lastSeq),
      commitSeq: BigInt(statistics.commitSeq),
      appliedSeq: BigInt(statistics.appliedSeq),
      checkpointSeq: BigInt(statistics.checkpointSeq),
      tailPointCount: BigInt(statistics.tailPointCount),
      graphPointCount: BigInt(statistics.graphPointCount),
      indexMemoryBytes: BigInt(statistics.indexMemoryBytes),
      indexKind: statistics.indexKind,
    },
  };
}

// ----------------------------------------------------------------------- HTTP

const payloadIndexesType = list(named('PayloadIndex', object<wire.PayloadIndex>({ field: required(text), type: required(words(...payloadIndexTypes)) })));
const replicationType = named('Replication', object<wire.Replication>({ replicas: optional(uint32), minInSync: optional(uint32) }));
const indexType = named(
  'Index',
  object<wire.IndexSpec>({
    type: optional(words('hnsw', 'flat')),
    m: optional(uint32),
    efConstruction: optional(uint32),
    efSearch: optional(uint32),
    quantization: optional(words(...quantizations)),
  }),
);

const settings = {
  name: required(text),
  dimension: required(integer(1, limits.dimensionMax)),
  metric: optional(words(...metrics)),
  shards: optional(integer(1, limits.shardCountMax)),
  replication: optional(replicationType),
  index: optional(indexType),
  payloadIndexes: optional(payloadIndexesType, () => []),
};

const createBody = named('CreateCollection', object<wire.CreateCollectionRequest>(settings));

const updateBody = named(
  'UpdateCollection',
  object<{ efSearch: number | undefined; payloadIndexes: wire.PayloadIndex[] | undefined; replication: wire.Replication | undefined }>({
    efSearch: optional(uint32),
    payloadIndexes: optional(payloadIndexesType),
    replication: optional(replicationType),
  }),
);

/** An API description is its own JSON form. */
const collectionReply = named(
  'Collection',
  object({
    spec: required(object<wire.CollectionSpec>({ ...settings, metric: required(words(...metrics)), shards: required(uint32) })),
    uid: required(text),
    createdAtMs: required(number),
    phase: required(words('creating', 'ready', 'degraded', 'deleting')),
    epoch: required(number),
    pointCount: required(number),
    shards: required(
      list(
        named(
          'Shard',
          object({
            index: required(uint32),
            uid: required(text),
            hashRange: required(object({ start: required(text), end: required(text) })),
            ready: required(flag),
            because: optional(text),
            term: required(number),
            primary: required(text),
            replicas: required(list(text)),
            pointCount: required(number),
            statistics: required(anyObject),
          }),
        ),
      ),
    ),
  }),
);

export const collectionRoutes: readonly JsonRoute[] = [
  jsonRoute({
    method: 'POST',
    path: '/collections',
    operationId: 'createCollection',
    summary: 'Create a collection; the same settings again succeed with created = false',
    action: 'admin',
    body: createBody,
    reply: object({ created: required(flag), collection: required(collectionReply) }),
    example: { body: { name: 'docs', dimension: 3, metric: 'cosine', payloadIndexes: [{ field: 'year', type: 'integer' }] } },
    handle: (api, { body }, context) => create(api, body, context),
  }),
  jsonRoute({
    method: 'GET',
    path: '/collections',
    operationId: 'listCollections',
    summary: 'The collections that the key may see, by name',
    action: 'read',
    reply: object({ collections: required(list(collectionReply)) }),
    handle: async (api, _request, context) => ({ collections: await api.collections.list(context) }),
  }),
  jsonRoute({
    method: 'GET',
    path: '/collections/{collection}',
    operationId: 'getCollection',
    summary: 'Settings and state of a collection',
    action: 'read',
    reply: object({ collection: required(collectionReply) }),
    handle: async (api, { params }, context) => ({ collection: await api.collections.get(context, params['collection']!) }),
  }),
  jsonRoute({
    method: 'PATCH',
    path: '/collections/{collection}',
    operationId: 'updateCollection',
    summary: 'Change what may change: efSearch, payload indexes, replication',
    action: 'admin',
    body: updateBody,
    reply: object({ collection: required(collectionReply) }),
    example: { body: { efSearch: 400 } },
    handle: async (api, { params, body: { efSearch, payloadIndexes, replication } }, context) => ({
      collection: await update(api, { name: params['collection']!, efSearch, payloadIndexes: payloadIndexes && { payloadIndexes }, replication }, context),
    }),
  }),
  jsonRoute({
    method: 'DELETE',
    path: '/collections/{collection}',
    operationId: 'deleteCollection',
    summary: 'Delete a collection with all its points',
    action: 'admin',
    reply: nothing,
    handle: async (api, { params }, context) => {
      await api.collections.delete(context, params['collection']!);
      return {};
    },
  }),
];
