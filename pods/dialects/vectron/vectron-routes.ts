/**
 * Vectron over HTTP: bodies and answers in the JSON form of proto3, as grpc-gateway has them. Path parameters fill the
 * fields of the same name; default values are present in answers; 64-bit integers are strings.
 */

import type * as wire from '../../../proto/gen/vectron/v1/apigateway.ts';
import type { Action, RequestContext } from '../../api/context.ts';
import type { VectorApi } from '../../api/vector-api.ts';
import type { HttpRoute } from '../dialect.ts';
import { shortFloat } from '../../domain/short-float.ts';
import { anyObject, flag, list, mapOf, named, number, object, optional, readJson, required, text, type Definitions, type JsonType } from '../json-decoder.ts';
import { floats, int32, message, uint32 } from './proto3-json.ts';
import {
  createCollection, deleteCollection, deletePoint, getCollectionStatus, getPoint, listCollections, search, submitFeedback, upsert,
} from './vectron-calls.ts';

export interface VectronRoute {
  readonly route: HttpRoute;
  readonly definitions: Definitions;
}

interface Declaration<Request, Response> {
  readonly method: HttpRoute['method'];
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly action: Action;
  /** Reads the body; a route without one reads `{}` with its path parameters. */
  readonly request: JsonType<Request>;
  readonly body: HttpRoute['body'];
  readonly reply: JsonType<unknown>;
  readonly example?: { readonly body: unknown };
  call(api: VectorApi, request: Request, context: RequestContext): Promise<Response>;
  /** The answer's JSON form. */
  encode(response: Response): unknown;
}

function route<Request, Response>({ request: type, reply, call, encode, ...declared }: Declaration<Request, Response>): VectronRoute {
  return {
    definitions: { ...(declared.body === 'json' ? type.definitions : {}), ...reply.definitions },
    route: {
      ...declared,
      ...(declared.body === 'json' ? { bodySchema: type.schema } : {}),
      replySchema: reply.schema,
      async handle(api, { params, body }, context) {
        const fields = declared.body === 'none' ? {} : readJson(anyObject, body);
        return { status: 200, body: encode(await call(api, readJson(type, { ...fields, ...params }), context)) };
      },
    },
  };
}

// -------------------------------------------------------------------- requests

const empty = (): string => '';
const textField = optional(text, empty);
const stringMap = optional(mapOf(text), () => new Map<string, string>());

const pointType = named('Point', message<wire.Point>({ id: textField, vector: optional(floats, () => []), payload: stringMap }));

const createType = named('CreateCollectionRequest', message<wire.CreateCollectionRequest>({ name: required(text), dimension: required(int32), distance: textField, quantization: textField }));

/** A request that only names a collection. */
const nameType = message<{ name: string }>({ name: required(text) });
const pointNameType = message<{ collection: string; id: string }>({ collection: required(text), id: required(text) });

const upsertType = named('UpsertRequest', message<wire.UpsertRequest>({ collection: textField, points: optional(list(pointType), () => []) }));

const searchType = named(
  'SearchRequest',
  message<wire.SearchRequest>({
    collection: textField,
    vector: required(floats),
    topK: optional(uint32, () => 0),
    query: textField,
    timeoutMs: optional(uint32, () => 0),
    includeVectors: optional(flag, () => false),
    includeMetadata: optional(flag),
    filter: optional(anyObject),
    ef: optional(uint32),
    consistency: textField,
    exact: optional(flag, () => false),
  }),
);

const feedbackItemType = named(
  'FeedbackItem',
  message<wire.FeedbackItem>({
    resultId: required(text),
    relevanceScore: optional(int32, () => 0),
    clicked: optional(flag, () => false),
    position: optional(int32, () => 0),
    comment: textField,
  }),
);

const feedbackType = named(
  'SubmitFeedbackRequest',
  message<wire.SubmitFeedbackRequest>({
    collection: required(text),
    query: textField,
    resultIds: required(list(text)),
    feedbackItems: required(list(feedbackItemType)),
    context: stringMap,
  }),
);

// --------------------------------------------------------------------- replies

const numbers = (floatValues: readonly number[]): number[] => floatValues.map(shortFloat);
const pointJson = ({ id, vector, payload }: wire.Point): unknown => ({ id, vector: numbers(vector), payload: Object.fromEntries(payload) });

const resultJson = ({ id, score, payload, vector }: wire.SearchResult): unknown => ({
  id,
  score: shortFloat(Math.fround(score)),
  payload: Object.fromEntries(payload),
  vector: numbers(vector),
});

const shardJson = ({ shardId, replicas, leaderId, ready }: wire.ShardStatus): unknown => ({ shardId, replicas: replicas.map(String), leaderId: String(leaderId), ready });

const successReply = object({ success: required(flag) });
const resultReply = named('SearchResult', object({ id: required(text), score: required(number), payload: required(mapOf(text)), vector: required(floats) }));
const shardReply = named('ShardStatus', object({ shardId: required(uint32), replicas: required(list(text)), leaderId: required(text), ready: required(flag) }));

const same = (response: unknown): unknown => response;

// ---------------------------------------------------------------------- routes

export const vectronRoutes: readonly VectronRoute[] = [
  route({
    method: 'POST',
    path: '/v1/collections',
    operationId: 'CreateCollection',
    summary: 'Create a collection; one of this name must not exist',
    action: 'admin',
    body: 'json',
    request: createType,
    reply: successReply,
    example: { body: { name: 'docs', dimension: 3, distance: 'cosine' } },
    call: createCollection,
    encode: same,
  }),
  route({
    method: 'GET',
    path: '/v1/collections',
    operationId: 'ListCollections',
    summary: 'Names of all collections',
    action: 'read',
    body: 'none',
    request: message<object>({}),
    reply: object({ collections: required(list(text)) }),
    call: listCollections,
    encode: same,
  }),
  route({
    method: 'DELETE',
    path: '/v1/collections/{name}',
    operationId: 'DeleteCollection',
    summary: 'Delete a collection with all its points',
    action: 'admin',
    body: 'none',
    request: nameType,
    reply: successReply,
    call: deleteCollection,
    encode: same,
  }),
  route({
    method: 'GET',
    path: '/v1/collections/{name}/status',
    operationId: 'GetCollectionStatus',
    summary: 'Settings and shards of a collection',
    action: 'read',
    body: 'none',
    request: nameType,
    reply: object({ name: required(text), dimension: required(int32), distance: required(text), shards: required(list(shardReply)) }),
    call: getCollectionStatus,
    encode: ({ name, dimension, distance, shards }) => ({ name, dimension, distance, shards: shards.map(shardJson) }),
  }),
  route({
    method: 'POST',
    path: '/v1/collections/{collection}/points',
    operationId: 'Upsert',
    summary: 'Insert or replace points',
    action: 'write',
    body: 'json',
    request: upsertType,
    reply: object({ upserted: required(int32) }),
    example: { body: { points: [{ id: 'a', vector: [0.1, 0.2, 0.3], payload: { title: 'First' } }] } },
    call: upsert,
    encode: same,
  }),
  route({
    method: 'POST',
    path: '/v1/collections/{collection}/points/search',
    operationId: 'Search',
    summary: 'The nearest points to a vector, best first',
    action: 'read',
    body: 'json',
    request: searchType,
    reply: object({ results: required(list(resultReply)) }),
    example: { body: { vector: [0.1, 0.2, 0.3], topK: 5 } },
    call: (api, request, context) => search(api, request, context, 'json'),
    encode: ({ results }) => ({ results: results.map(resultJson) }),
  }),
  route({
    method: 'GET',
    path: '/v1/collections/{collection}/points/{id}',
    operationId: 'Get',
    summary: 'One point',
    action: 'read',
    body: 'none',
    request: pointNameType,
    reply: object({ point: required(pointType) }),
    call: getPoint,
    encode: ({ point }) => ({ point: pointJson(point!) }),
  }),
  route({
    method: 'DELETE',
    path: '/v1/collections/{collection}/points/{id}',
    operationId: 'Delete',
    summary: 'Delete one point; one that is not there is no error',
    action: 'write',
    body: 'none',
    request: pointNameType,
    reply: object({}),
    call: deletePoint,
    encode: same,
  }),
  route({
    method: 'POST',
    path: '/v1/feedback',
    operationId: 'SubmitFeedback',
    summary: 'Say how good the results of a search were',
    action: 'write',
    body: 'json',
    request: feedbackType,
    reply: object({ success: required(flag), feedbackId: required(text) }),
    example: { body: { collection: 'docs', query: 'red shoes', resultIds: ['a'], feedbackItems: [{ resultId: 'a', relevanceScore: 5, clicked: true, position: 0 }] } },
    call: submitFeedback,
    encode: same,
  }),
];
