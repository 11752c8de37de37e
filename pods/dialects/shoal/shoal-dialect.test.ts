/** Each call of shoal.v1, over both transports: what reaches `VectorApi`, and what comes back, compared whole. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CreateCollectionRequest, UpdateCollectionRequest } from '../../../proto/gen/shoal/v1/collection.ts';
import { SubmitFeedbackRequest } from '../../../proto/gen/shoal/v1/feedback.ts';
import { CreateKeyRequest } from '../../../proto/gen/shoal/v1/key.ts';
import { CountPointsRequest, DeletePointsByFilterRequest, DeletePointsRequest, GetPointsRequest, ScrollPointsRequest, UpsertPointsRequest, ChangePayloadRequest } from '../../../proto/gen/shoal/v1/point.ts';
import { SearchBatchRequest, SearchRequest } from '../../../proto/gen/shoal/v1/search.ts';
import type { CollectionDescription, SearchAnswer } from '../../api/vector-api.ts';
import { assertReplyFits, dialectConformance } from '../dialect.conformance.ts';
import { overGrpc, overHttp } from '../exchange.ts';
import { recordingApi, type RecordedCall } from '../recording-api.ts';
import { shoalDialect } from './shoal-dialect.ts';

dialectConformance(shoalDialect);

interface Case {
  readonly name: string;
  readonly http?: { readonly route: string; readonly params?: Record<string, string>; readonly query?: Record<string, string>; readonly body?: unknown };
  readonly grpc?: { readonly method: string; readonly request: unknown };
  readonly call: RecordedCall;
  readonly answer: unknown;
  readonly reply?: unknown;
  readonly messages?: unknown;
}

const collections = '/shoal/v1/collections';
const one = `${collections}/{collection}`;
const docs = { collection: 'docs' };
const floats = (...components: number[]): Float32Array => Float32Array.from(components);
const packed = (...components: number[]): Uint8Array => new Uint8Array(floats(...components).buffer);
const empty = new Uint8Array(0);

const description: CollectionDescription = {
  spec: {
    name: 'docs',
    dimension: 3,
    metric: 'dot',
    shards: 1,
    replication: { replicas: 1, minInSync: 1 },
    index: { type: 'hnsw', m: 16, efConstruction: 128, efSearch: 256, quantization: 'int8' },
    payloadIndexes: [{ field: 'year', type: 'integer' }],
  },
  uid: 'uid-1',
  createdAtMs: 1_700_000_000_000,
  phase: 'ready',
  epoch: 2,
  pointCount: 5,
  shards: [
    {
      index: 0,
      uid: 'shard-1',
      hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' },
      ready: false,
      because: 'it is being loaded',
      term: 3,
      primary: 'pod-0',
      replicas: ['pod-0'],
      pointCount: 5,
      statistics: { lastSeq: 9, commitSeq: 8, appliedSeq: 7, checkpointSeq: 6, tailPointCount: 5, graphPointCount: 0, indexMemoryBytes: 1024, indexKind: 'hnsw' },
    },
  ],
};

const descriptionMessage = {
  ...description,
  createdAtMs: 1_700_000_000_000n,
  epoch: 2n,
  pointCount: 5n,
  shards: [
    {
      ...description.shards[0],
      term: 3n,
      pointCount: 5n,
      statistics: { lastSeq: 9n, commitSeq: 8n, appliedSeq: 7n, checkpointSeq: 6n, tailPointCount: 5n, graphPointCount: 0n, indexMemoryBytes: 1024n, indexKind: 'hnsw' },
    },
  ],
};

const written = { items: [{ id: 'a', outcome: 'created', version: 7 }], tokens: [{ shardUID: 's', seq: 12 }] };
const writtenReply = { items: [{ id: 'a', outcome: 'created', version: 7 }], tokens: [{ shardUid: 's', seq: 12 }] };
const writtenMessage = { items: [{ id: 'a', outcome: 'created', version: 7n }], tokens: [{ shardUid: 's', seq: 12n }] };

const payload = { title: 'x', nested: { list: [1, null, true, -0.5] } };
const found = { id: 'a', version: 7, vector: floats(0.1, 2, 3), payload, text: 'hello' };
const foundMessage = { id: 'a', version: 7n, vector: Array.from(floats(0.1, 2, 3)), packedVector: empty, payload, text: 'hello' };

const answer: SearchAnswer = {
  hits: [{ id: 'a', score: 0.5, version: 7, payload }],
  shards: [{ shardUID: 's', index: 0, answered: true, plan: 'graph', visitedCount: 40, tookMs: 1.5, seq: 12 }, { shardUID: 't', index: 1, answered: false, because: 'no answer within 20 ms', tookMs: 20, seq: 0 }],
  partial: true,
};
const answerReply = {
  hits: [{ id: 'a', score: 0.5, version: 7, payload }],
  shards: [{ shardUid: 's', index: 0, answered: true, plan: 'graph', visitedCount: 40, tookMs: 1.5, seq: 12 }, { shardUid: 't', index: 1, answered: false, because: 'no answer within 20 ms', tookMs: 20, seq: 0 }],
  partial: true,
};
const answerMessage = {
  hits: [{ id: 'a', score: 0.5, version: 7n, vector: [], packedVector: empty, payload, text: undefined }],
  shards: [
    { shardUid: 's', index: 0, answered: true, because: undefined, plan: 'graph', visitedCount: 40n, tookMs: 1.5, seq: 12n },
    { shardUid: 't', index: 1, answered: false, because: 'no answer within 20 ms', plan: undefined, visitedCount: undefined, tookMs: 20, seq: 0n },
  ],
  partial: true,
};

const filterJson = { and: [{ field: 'year', gte: 2020 }, { field: 'tag', equals: 'new' }] };
const filter = { kind: 'and', filters: [{ kind: 'range', field: 'year', gte: 2020 }, { kind: 'equals', field: 'tag', value: 'new' }] };
const seen = { includeVector: false, includePayload: true, consistency: { level: 'eventual' } };

const feedback = { query: 'q', resultIds: ['a'], items: [{ resultId: 'a', relevanceScore: 5, clicked: true, position: 0, comment: '' }], context: { page: '1' } };
const key = { prefix: 'sk_1', name: 'reader', actions: ['read'], createdAtMs: 5 };

const cases: readonly Case[] = [
  {
    name: 'create a collection by defaults',
    http: { route: `POST ${collections}`, body: { name: 'docs', dimension: 3 } },
    grpc: { method: 'createCollection', request: CreateCollectionRequest.fromPartial({ name: 'docs', dimension: 3 }) },
    call: { method: 'collections.create', args: [{ name: 'docs', dimension: 3, payloadIndexes: [] }] },
    answer: { created: true, collection: description },
    reply: { created: true, collection: description },
    messages: [{ created: true, collection: descriptionMessage }],
  },
  {
    name: 'create a collection with every setting',
    http: { route: `POST ${collections}`, body: { ...description.spec, replication: { replicas: 3 }, index: { type: 'hnsw', efSearch: 9, quantization: 'int8' } } },
    grpc: {
      method: 'createCollection',
      request: CreateCollectionRequest.fromPartial({ name: 'docs', dimension: 3, metric: 'dot', shards: 1, replication: { replicas: 3 }, index: { type: 'hnsw', efSearch: 9, quantization: 'int8' }, payloadIndexes: [{ field: 'year', type: 'integer' }] }),
    },
    call: {
      method: 'collections.create',
      args: [{ name: 'docs', dimension: 3, metric: 'dot', shards: 1, replication: { replicas: 3 }, index: { type: 'hnsw', efSearch: 9, quantization: 'int8' }, payloadIndexes: [{ field: 'year', type: 'integer' }] }],
    },
    answer: { created: false, collection: description },
    reply: { created: false, collection: description },
    messages: [{ created: false, collection: descriptionMessage }],
  },
  {
    name: 'list collections',
    http: { route: `GET ${collections}` },
    grpc: { method: 'listCollections', request: {} },
    call: { method: 'collections.list', args: [] },
    answer: [description],
    reply: { collections: [description] },
    messages: [{ collections: [descriptionMessage] }],
  },
  {
    name: 'get a collection',
    http: { route: `GET ${one}`, params: docs },
    grpc: { method: 'getCollection', request: { name: 'docs' } },
    call: { method: 'collections.get', args: ['docs'] },
    answer: description,
    reply: { collection: description },
    messages: [{ collection: descriptionMessage }],
  },
  {
    name: 'take all payload indexes away',
    http: { route: `PATCH ${one}`, params: docs, body: { efSearch: 9, payloadIndexes: [] } },
    grpc: { method: 'updateCollection', request: UpdateCollectionRequest.fromPartial({ name: 'docs', efSearch: 9, payloadIndexes: {} }) },
    call: { method: 'collections.update', args: ['docs', { efSearch: 9, payloadIndexes: [] }] },
    answer: description,
    reply: { collection: description },
    messages: [{ collection: descriptionMessage }],
  },
  {
    name: 'leave payload indexes alone',
    http: { route: `PATCH ${one}`, params: docs, body: { efSearch: 9 } },
    grpc: { method: 'updateCollection', request: UpdateCollectionRequest.fromPartial({ name: 'docs', efSearch: 9 }) },
    call: { method: 'collections.update', args: ['docs', { efSearch: 9 }] },
    answer: description,
    reply: { collection: description },
  },
  {
    name: 'change what replication is wanted',
    http: { route: `PATCH ${one}`, params: docs, body: { replication: { replicas: 3 } } },
    grpc: { method: 'updateCollection', request: UpdateCollectionRequest.fromPartial({ name: 'docs', replication: { replicas: 3 } }) },
    call: { method: 'collections.update', args: ['docs', { replication: { replicas: 3 } }] },
    answer: description,
    reply: { collection: description },
  },
  {
    name: 'delete a collection',
    http: { route: `DELETE ${one}`, params: docs },
    grpc: { method: 'deleteCollection', request: { name: 'docs' } },
    call: { method: 'collections.delete', args: ['docs'] },
    answer: undefined,
    reply: {},
    messages: [{}],
  },
  {
    name: 'upsert points, recognisably, under every condition',
    http: {
      route: `POST ${one}/points`,
      params: docs,
      body: {
        points: [
          { id: 'a', vector: [0.1, 2, 3], payload, text: 'hello' },
          { id: 'b', packedVector: Buffer.from(packed(1, 2)).toString('base64'), condition: { absent: true } },
          { id: 'c', vector: [1], condition: { present: true } },
          { id: 'd', vector: [1], condition: { version: 9 } },
          { id: 'e', vector: [1], condition: { matches: filterJson } },
        ],
        clientId: 'importer',
        requestNumber: 4,
      },
    },
    grpc: {
      method: 'upsertPoints',
      request: UpsertPointsRequest.fromPartial({
        collection: 'docs',
        points: [
          { id: 'a', vector: [0.1, 2, 3], payload, text: 'hello' },
          { id: 'b', packedVector: packed(1, 2), condition: { kind: { $case: 'absent', absent: true } } },
          { id: 'c', vector: [1], condition: { kind: { $case: 'present', present: true } } },
          { id: 'd', vector: [1], condition: { kind: { $case: 'version', version: 9n } } },
          { id: 'e', vector: [1], condition: { kind: { $case: 'matches', matches: filterJson } } },
        ],
        clientId: 'importer',
        requestNumber: 4n,
      }),
    },
    call: {
      method: 'points.upsert',
      args: [
        'docs',
        [
          { id: 'a', vector: floats(0.1, 2, 3), payload, text: 'hello' },
          { id: 'b', vector: Buffer.from(packed(1, 2)), payload: {}, condition: { kind: 'absent' } },
          { id: 'c', vector: floats(1), payload: {}, condition: { kind: 'present' } },
          { id: 'd', vector: floats(1), payload: {}, condition: { kind: 'version', version: 9 } },
          { id: 'e', vector: floats(1), payload: {}, condition: { kind: 'matches', filter } },
        ],
      ],
      idempotency: { clientId: 'importer', requestNumber: 4 },
    },
    answer: written,
    reply: writtenReply,
    messages: [writtenMessage],
  },
  {
    name: 'delete points',
    http: { route: `POST ${one}/points/delete`, params: docs, body: { points: [{ id: 'a' }, { id: 'b', condition: { version: 2 } }] } },
    grpc: { method: 'deletePoints', request: DeletePointsRequest.fromPartial({ collection: 'docs', points: [{ id: 'a' }, { id: 'b', condition: { kind: { $case: 'version', version: 2n } } }] }) },
    call: { method: 'points.delete', args: ['docs', [{ id: 'a' }, { id: 'b', condition: { kind: 'version', version: 2 } }]] },
    answer: written,
    reply: writtenReply,
    messages: [writtenMessage],
  },
  {
    name: 'delete points by filter',
    http: { route: `POST ${one}/points/delete-by-filter`, params: docs, body: { filter: filterJson } },
    grpc: { method: 'deletePointsByFilter', request: DeletePointsByFilterRequest.fromPartial({ collection: 'docs', filter: filterJson }) },
    call: { method: 'points.deleteByFilter', args: ['docs', filter] },
    answer: { deletedCount: 3, tokens: [{ shardUID: 's', seq: 12 }] },
    reply: { deletedCount: 3, tokens: [{ shardUid: 's', seq: 12 }] },
    messages: [{ deletedCount: 3n, tokens: [{ shardUid: 's', seq: 12n }] }],
  },
  {
    name: 'change payloads',
    http: { route: `POST ${one}/points/payload`, params: docs, body: { changes: [{ id: 'a', set: { n: 1 }, remove: ['m'] }, { id: 'b', set: {}, replace: true }] } },
    grpc: { method: 'changePayload', request: ChangePayloadRequest.fromPartial({ collection: 'docs', changes: [{ id: 'a', set: { n: 1 }, remove: ['m'] }, { id: 'b', set: {}, replace: true }] }) },
    call: { method: 'points.changePayload', args: ['docs', [{ id: 'a', set: { n: 1 }, remove: ['m'] }, { id: 'b', set: {}, replace: true }]] },
    answer: written,
    reply: writtenReply,
    messages: [writtenMessage],
  },
  {
    name: 'get points, one of them missing',
    http: { route: `POST ${one}/points/get`, params: docs, body: { ids: ['a', 'b'] } },
    grpc: { method: 'getPoints', request: GetPointsRequest.fromPartial({ collection: 'docs', ids: ['a', 'b'] }) },
    call: { method: 'points.get', args: ['docs', { ids: ['a', 'b'], ...seen, includeVector: true }] },
    answer: [found, undefined],
    reply: { points: [{ ...found, vector: [0.1, 2, 3] }], missingIds: ['b'] },
    messages: [{ points: [foundMessage], missingIds: ['b'] }],
  },
  {
    name: 'get points with packed vectors, at least as fresh as a token',
    http: {
      route: `POST ${one}/points/get`,
      params: docs,
      body: { ids: ['a'], packVectors: true, includePayload: false, consistency: { tokens: [{ shardUid: 's', seq: 12 }] } },
    },
    grpc: {
      method: 'getPoints',
      request: GetPointsRequest.fromPartial({ collection: 'docs', ids: ['a'], packVectors: true, includePayload: false, consistency: { tokens: [{ shardUid: 's', seq: 12n }] } }),
    },
    call: { method: 'points.get', args: ['docs', { ids: ['a'], includeVector: true, includePayload: false, consistency: { level: 'session', tokens: [{ shardUID: 's', seq: 12 }] } }] },
    answer: [{ id: 'a', version: 7, vector: floats(1, 2) }],
    reply: { points: [{ id: 'a', version: 7, packedVector: Buffer.from(packed(1, 2)).toString('base64') }], missingIds: [] },
    messages: [{ points: [{ id: 'a', version: 7n, vector: [], packedVector: Buffer.from(packed(1, 2)), payload: undefined, text: undefined }], missingIds: [] }],
  },
  {
    name: 'get one point',
    http: { route: `GET ${one}/points/{id}`, params: { collection: 'docs', id: 'a' }, query: { includeVector: 'false' } },
    call: { method: 'points.get', args: ['docs', { ids: ['a'], ...seen }] },
    answer: [{ id: 'a', version: 7, payload }],
    reply: { point: { id: 'a', version: 7, payload } },
  },
  {
    name: 'scroll from the beginning',
    http: { route: `POST ${one}/points/scroll`, params: docs, body: {} },
    grpc: { method: 'scrollPoints', request: ScrollPointsRequest.fromPartial({ collection: 'docs' }) },
    call: { method: 'points.scroll', args: ['docs', { limit: 100, ...seen }] },
    answer: { points: [found], nextCursor: 'next' },
    reply: { points: [{ ...found, vector: [0.1, 2, 3] }], nextCursor: 'next' },
    messages: [{ points: [foundMessage], nextCursor: 'next' }],
  },
  {
    name: 'scroll on, to the end',
    http: { route: `POST ${one}/points/scroll`, params: docs, body: { cursor: 'next', limit: 2, filter: filterJson, includeVector: true, consistency: { level: 'linearizable' } } },
    grpc: { method: 'scrollPoints', request: ScrollPointsRequest.fromPartial({ collection: 'docs', cursor: 'next', limit: 2, filter: filterJson, includeVector: true, consistency: { level: 'linearizable' } }) },
    call: { method: 'points.scroll', args: ['docs', { filter, cursor: 'next', limit: 2, includeVector: true, includePayload: true, consistency: { level: 'linearizable' } }] },
    answer: { points: [] },
    reply: { points: [] },
    messages: [{ points: [], nextCursor: undefined }],
  },
  {
    name: 'count',
    http: { route: `POST ${one}/points/count`, params: docs, body: { filter: filterJson } },
    grpc: { method: 'countPoints', request: CountPointsRequest.fromPartial({ collection: 'docs', filter: filterJson }) },
    call: { method: 'points.count', args: ['docs', { filter, consistency: { level: 'eventual' } }] },
    answer: 5,
    reply: { count: 5 },
    messages: [{ count: 5n }],
  },
  {
    name: 'search by defaults',
    http: { route: `POST ${one}/search`, params: docs, body: { vector: [1, 2] } },
    grpc: { method: 'search', request: SearchRequest.fromPartial({ collection: 'docs', query: { vector: [1, 2] } }) },
    call: { method: 'search.search', args: ['docs', { vector: floats(1, 2), topK: 10, ...seen }] },
    answer,
    reply: answerReply,
    messages: [answerMessage],
  },
  {
    name: 'search with everything',
    http: {
      route: `POST ${one}/search`,
      params: docs,
      body: { packedVector: Buffer.from(packed(1, 2)).toString('base64'), topK: 3, filter: filterJson, ef: 40, exact: true, scoreThreshold: 0, includeVector: true, includePayload: false, partialAfterMs: 5, countVisited: true, consistency: { level: 'session' } },
    },
    grpc: {
      method: 'search',
      request: SearchRequest.fromPartial({
        collection: 'docs',
        query: { packedVector: packed(1, 2), topK: 3, filter: filterJson, ef: 40, exact: true, scoreThreshold: 0, includeVector: true, includePayload: false, partialAfterMs: 5, countVisited: true, consistency: { level: 'session' } },
      }),
    },
    call: {
      method: 'search.search',
      args: [
        'docs',
        { vector: floats(1, 2), topK: 3, filter, ef: 40, exact: true, scoreThreshold: 0, includeVector: true, includePayload: false, partialAfterMs: 5, countVisited: true, consistency: { level: 'session', tokens: [] } },
      ],
    },
    answer: { hits: [{ id: 'a', score: 1, version: 7, vector: floats(0.1) }], shards: [], partial: false },
    reply: { hits: [{ id: 'a', score: 1, version: 7, vector: [0.1] }], shards: [], partial: false },
    messages: [{ hits: [{ id: 'a', score: 1, version: 7n, vector: Array.from(floats(0.1)), packedVector: empty, payload: undefined, text: undefined }], shards: [], partial: false }],
  },
  {
    name: 'search as a stream',
    grpc: { method: 'searchStream', request: SearchRequest.fromPartial({ collection: 'docs', query: { vector: [1, 2] } }) },
    call: { method: 'search.stream', args: ['docs', { vector: floats(1, 2), topK: 10, ...seen }] },
    answer: [{ hits: [], shards: [], partial: false }, answer],
    messages: [{ hits: [], shards: [], partial: false }, answerMessage],
  },
  {
    name: 'search in a batch',
    http: { route: `POST ${one}/search/batch`, params: docs, body: { queries: [{ vector: [1] }, { vector: [2], topK: 1 }] } },
    grpc: { method: 'searchBatch', request: SearchBatchRequest.fromPartial({ collection: 'docs', queries: [{ vector: [1] }, { vector: [2], topK: 1 }] }) },
    call: { method: 'search.batch', args: ['docs', [{ vector: floats(1), topK: 10, ...seen }, { vector: floats(2), topK: 1, ...seen }]] },
    answer: [answer, { hits: [], shards: [], partial: false }],
    reply: { answers: [answerReply, { hits: [], shards: [], partial: false }] },
    messages: [{ answers: [answerMessage, { hits: [], shards: [], partial: false }] }],
  },
  {
    name: 'submit feedback',
    http: { route: `POST ${one}/feedback`, params: docs, body: feedback },
    grpc: { method: 'submitFeedback', request: SubmitFeedbackRequest.fromPartial({ collection: 'docs', ...feedback, context: new Map([['page', '1']]) }) },
    call: { method: 'feedback.submit', args: [{ collection: 'docs', ...feedback }] },
    answer: { id: 'f1' },
    reply: { id: 'f1' },
    messages: [{ id: 'f1' }],
  },
  {
    name: 'list feedback',
    http: { route: `GET ${one}/feedback`, params: docs, query: { cursor: 'c', limit: '2' } },
    grpc: { method: 'listFeedback', request: { collection: 'docs', cursor: 'c', limit: 2 } },
    call: { method: 'feedback.list', args: ['docs', { cursor: 'c', limit: 2 }] },
    answer: { feedback: [{ id: 'f1', createdAtMs: 5, subject: 'sk_1', collection: 'docs', ...feedback }], nextCursor: 'd' },
    reply: { feedback: [{ id: 'f1', createdAtMs: 5, subject: 'sk_1', collection: 'docs', ...feedback }], nextCursor: 'd' },
    messages: [{ feedback: [{ id: 'f1', createdAtMs: 5n, subject: 'sk_1', collection: 'docs', ...feedback, context: new Map([['page', '1']]) }], nextCursor: 'd' }],
  },
  {
    name: 'make a key for some collections',
    http: { route: 'POST /shoal/v1/keys', body: { name: 'reader', actions: ['read'], collections: ['docs'], expiresAtMs: 99 } },
    grpc: { method: 'createKey', request: CreateKeyRequest.fromPartial({ name: 'reader', actions: ['read'], collections: ['docs'], expiresAtMs: 99n }) },
    call: { method: 'keys.create', args: [{ name: 'reader', actions: ['read'], collections: ['docs'], expiresAtMs: 99 }] },
    answer: { secret: 'sk_1_x', key: { ...key, collections: ['docs'], expiresAtMs: 99 } },
    reply: { secret: 'sk_1_x', key: { ...key, allCollections: false, collections: ['docs'], expiresAtMs: 99 } },
    messages: [{ secret: 'sk_1_x', key: { ...key, allCollections: false, collections: ['docs'], expiresAtMs: 99n, createdAtMs: 5n } }],
  },
  {
    name: 'make a key for all collections',
    http: { route: 'POST /shoal/v1/keys', body: { name: 'all', actions: ['read', 'write', 'admin'], allCollections: true } },
    grpc: { method: 'createKey', request: CreateKeyRequest.fromPartial({ name: 'all', actions: ['read', 'write', 'admin'], allCollections: true }) },
    call: { method: 'keys.create', args: [{ name: 'all', actions: ['read', 'write', 'admin'], collections: 'all' }] },
    answer: { secret: 's', key: { ...key, collections: 'all' } },
    reply: { secret: 's', key: { ...key, allCollections: true, collections: [] } },
    messages: [{ secret: 's', key: { ...key, allCollections: true, collections: [], expiresAtMs: undefined, createdAtMs: 5n } }],
  },
  {
    name: 'list keys',
    http: { route: 'GET /shoal/v1/keys' },
    grpc: { method: 'listKeys', request: {} },
    call: { method: 'keys.list', args: [] },
    answer: [{ ...key, collections: 'all' }],
    reply: { keys: [{ ...key, allCollections: true, collections: [] }] },
    messages: [{ keys: [{ ...key, allCollections: true, collections: [], expiresAtMs: undefined, createdAtMs: 5n }] }],
  },
  {
    name: 'delete a key',
    http: { route: 'DELETE /shoal/v1/keys/{prefix}', params: { prefix: 'sk_1' } },
    grpc: { method: 'deleteKey', request: { prefix: 'sk_1' } },
    call: { method: 'keys.delete', args: ['sk_1'] },
    answer: undefined,
    reply: {},
    messages: [{}],
  },
];

const pod = { name: 'pod-0', ready: true, dataDirectory: '/data', diskUsedFraction: 0.25, writable: true };
const podFigures = { memoryBytes: 1, logBytes: 2, logSegmentCount: 3, shardCount: 4, pointCount: 5 };
const podFigureMessages = { memoryBytes: 1n, logBytes: 2n, logSegmentCount: 3n, shardCount: 4n, pointCount: 5n };
const checked = { logRecords: 1, logBytes: 2, storeEntries: 3, storeBytes: 4 };

const clusterCases: readonly Case[] = [
  {
    name: 'status',
    http: { route: 'GET /shoal/v1/cluster' },
    grpc: { method: 'getStatus', request: {} },
    call: { method: 'cluster.status', args: [] },
    answer: { version: '1.2.3', mode: 'standalone', startedAtMs: 5, pods: [{ ...pod, ...podFigures }] },
    reply: { version: '1.2.3', mode: 'standalone', startedAtMs: 5, pods: [{ ...pod, ...podFigures }] },
    messages: [{ version: '1.2.3', mode: 'standalone', startedAtMs: 5n, pods: [{ ...pod, because: undefined, ...podFigureMessages }] }],
  },
  {
    name: 'backup',
    http: { route: 'POST /shoal/v1/cluster/backup', body: { directory: '/b' } },
    grpc: { method: 'backup', request: { directory: '/b' } },
    call: { method: 'cluster.backup', args: ['/b'] },
    answer: { directory: '/b', sizeBytes: 1, shardCount: 2, pointCount: 3 },
    reply: { directory: '/b', sizeBytes: 1, shardCount: 2, pointCount: 3 },
    messages: [{ directory: '/b', sizeBytes: 1n, shardCount: 2n, pointCount: 3n }],
  },
  {
    name: 'verify',
    http: { route: 'POST /shoal/v1/cluster/verify' },
    grpc: { method: 'verify', request: {} },
    call: { method: 'cluster.verify', args: [] },
    answer: { ok: false, faults: ['a flipped byte in 1.log'], checked },
    reply: { ok: false, faults: ['a flipped byte in 1.log'], checked },
    messages: [{ ok: false, faults: ['a flipped byte in 1.log'], checked: { logRecords: 1n, logBytes: 2n, storeEntries: 3n, storeBytes: 4n } }],
  },
];

for (const { name, http, grpc, call, answer: given, reply, messages } of [...cases, ...clusterCases]) {
  if (http !== undefined) {
    test(`${name}, over HTTP`, async () => {
      const { api, calls } = recordingApi(given);
      const { status, body } = await overHttp(shoalDialect, api, http);
      assert.deepEqual({ status, body, calls }, { status: 200, body: reply, calls: [call] });
      assertReplyFits(shoalDialect, http.route, body);
    });
  }
  if (grpc !== undefined) {
    test(`${name}, over gRPC`, async () => {
      const { api, calls } = recordingApi(given);
      const received = await overGrpc(shoalDialect, api, grpc.method, grpc.request);
      assert.deepEqual(calls, [call]);
      if (messages !== undefined) assert.deepEqual(plainBytes(received), plainBytes(messages));
    });
  }
}

test('every route and every method has a case', () => {
  const all = [...cases, ...clusterCases];
  const routes = shoalDialect.routes.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(routes.filter((route) => !all.some(({ http }) => http?.route === route)), []);
  const methods = shoalDialect.services.flatMap(({ methods: handlers }) => Object.keys(handlers));
  assert.deepEqual(methods.filter((method) => !all.some(({ grpc }) => grpc?.method === method)), []);
});

/** Buffer or Uint8Array: the same bytes. */
function plainBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(plainBytes);
  if (typeof value === 'object' && value !== null && !(value instanceof Map)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainBytes(item)]));
  return value;
}
