/** Each call of Vectron, over both transports: what reaches `VectorApi`, and what comes back, compared whole. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { SearchRequest, UpsertRequest } from '../../../proto/gen/vectron/v1/apigateway.ts';
import type { VectorApi } from '../../api/vector-api.ts';
import { ShoalError, type ErrorCode } from '../../kernel/errors.ts';
import { assertReplyFits, dialectConformance } from '../dialect.conformance.ts';
import type { GrpcMethod } from '../dialect.ts';
import { overGrpc, overHttp } from '../exchange.ts';
import { recordingApi, testContext, type RecordedCall } from '../recording-api.ts';
import { authService } from './vectron-auth.ts';
import { vectronDialect } from './vectron-dialect.ts';
import { vectronService } from './vectron-service.ts';

dialectConformance(vectronDialect);

interface Case {
  readonly name: string;
  readonly http?: { readonly route: string; readonly params?: Record<string, string>; readonly body?: unknown };
  readonly grpc?: { readonly method: string; readonly request: unknown };
  readonly call: RecordedCall;
  readonly answer: unknown;
  readonly reply?: unknown;
  readonly messages?: unknown;
}

const floats = (...components: number[]): Float32Array => Float32Array.from(components);
const payload = { title: 'x', year: 2026, nested: { a: [1, null] }, yes: true, none: null };
const asStrings = { title: 'x', year: '2026', nested: '{"a":[1,null]}', yes: 'true', none: 'null' };
const shard = { index: 0, ready: true, primary: 'default-2', replicas: ['default-2', 'default-0', 'standalone'] };
const collection = { spec: { name: 'docs', dimension: 3, metric: 'cosine' }, shards: [shard, { ...shard, index: 1, ready: false, primary: '' }] };
const defaults = { topK: 10, includeVector: false, includePayload: true, consistency: { level: 'eventual' } };
const searchAnswer = { hits: [{ id: 'a', score: 0.1, version: 7, payload }, { id: 'b', score: 0, version: 7, payload: {}, vector: floats(0.1, 2) }], shards: [], partial: false };
const searchReply = { results: [{ id: 'a', score: 0.1, payload: asStrings, vector: [] }, { id: 'b', score: 0, payload: {}, vector: [0.1, 2] }] };
const searchMessage = {
  results: [
    { id: 'a', score: Math.fround(0.1), payload: new Map(Object.entries(asStrings)), vector: [] },
    { id: 'b', score: 0, payload: new Map(), vector: Array.from(floats(0.1, 2)) },
  ],
};
const filterJson = { field: 'year', gte: 2020 };
const filter = { kind: 'range', field: 'year', gte: 2020 };

const cases: readonly Case[] = [
  {
    name: 'create a collection, cosine unless named',
    http: { route: 'POST /v1/collections', body: { name: 'docs', dimension: 3 } },
    grpc: { method: 'createCollection', request: { name: 'docs', dimension: 3, distance: '', quantization: '' } },
    call: { method: 'collections.create', args: [{ name: 'docs', dimension: 3, metric: 'cosine' }] },
    answer: { created: true },
    reply: { success: true },
    messages: [{ success: true }],
  },
  {
    name: 'create a collection with a distance and quantisation, numbers as strings',
    http: { route: 'POST /v1/collections', body: { name: 'docs', dimension: '3', distance: 'euclidean', quantization: 'int8' } },
    grpc: { method: 'createCollection', request: { name: 'docs', dimension: 3, distance: 'euclidean', quantization: 'int8' } },
    call: { method: 'collections.create', args: [{ name: 'docs', dimension: 3, metric: 'euclidean', index: { quantization: 'int8' } }] },
    answer: { created: true },
    reply: { success: true },
    messages: [{ success: true }],
  },
  {
    name: 'delete a collection',
    http: { route: 'DELETE /v1/collections/{name}', params: { name: 'docs' } },
    grpc: { method: 'deleteCollection', request: { name: 'docs' } },
    call: { method: 'collections.delete', args: ['docs'] },
    answer: undefined,
    reply: { success: true },
    messages: [{ success: true }],
  },
  {
    name: 'list collections',
    http: { route: 'GET /v1/collections' },
    grpc: { method: 'listCollections', request: {} },
    call: { method: 'collections.list', args: [] },
    answer: [collection, { ...collection, spec: { ...collection.spec, name: 'more' } }],
    reply: { collections: ['docs', 'more'] },
    messages: [{ collections: ['docs', 'more'] }],
  },
  {
    name: 'the status of a collection: pods as numbers, 64-bit ones as strings',
    http: { route: 'GET /v1/collections/{name}/status', params: { name: 'docs' } },
    grpc: { method: 'getCollectionStatus', request: { name: 'docs' } },
    call: { method: 'collections.get', args: ['docs'] },
    answer: collection,
    reply: {
      name: 'docs',
      dimension: 3,
      distance: 'cosine',
      shards: [{ shardId: 0, replicas: ['3', '1', '1'], leaderId: '3', ready: true }, { shardId: 1, replicas: ['3', '1', '1'], leaderId: '0', ready: false }],
    },
    messages: [
      {
        name: 'docs',
        dimension: 3,
        distance: 'cosine',
        shards: [{ shardId: 0, replicas: [3n, 1n, 1n], leaderId: 3n, ready: true }, { shardId: 1, replicas: [3n, 1n, 1n], leaderId: 0n, ready: false }],
      },
    ],
  },
  {
    name: 'upsert points; the path names the collection',
    http: {
      route: 'POST /v1/collections/{collection}/points',
      params: { collection: 'docs' },
      body: { collection: 'another', points: [{ id: 'a', vector: [0.1, '2', 'NaN'], payload: { title: 'x' } }, { id: 'b', vector: [1], payload: null }] },
    },
    grpc: {
      method: 'upsert',
      request: UpsertRequest.fromPartial({ collection: 'docs', points: [{ id: 'a', vector: [0.1, 2, NaN], payload: new Map([['title', 'x']]) }, { id: 'b', vector: [1] }] }),
    },
    call: { method: 'points.upsert', args: ['docs', [{ id: 'a', vector: floats(0.1, 2, NaN), payload: { title: 'x' } }, { id: 'b', vector: floats(1), payload: {} }]] },
    answer: { items: [{ id: 'a', outcome: 'created', version: 1 }, { id: 'b', outcome: 'updated', version: 2 }], tokens: [] },
    reply: { upserted: 2 },
    messages: [{ upserted: 2 }],
  },
  {
    name: 'upsert nothing: the count is there although it is 0',
    http: { route: 'POST /v1/collections/{collection}/points', params: { collection: 'docs' }, body: {} },
    grpc: { method: 'upsert', request: UpsertRequest.fromPartial({ collection: 'docs' }) },
    call: { method: 'points.upsert', args: ['docs', []] },
    answer: { items: [], tokens: [] },
    reply: { upserted: 0 },
    messages: [{ upserted: 0 }],
  },
  {
    name: 'search by defaults',
    http: { route: 'POST /v1/collections/{collection}/points/search', params: { collection: 'docs' }, body: { vector: [1, 2] } },
    grpc: { method: 'search', request: SearchRequest.fromPartial({ collection: 'docs', vector: [1, 2] }) },
    call: { method: 'search.search', args: ['docs', { vector: floats(1, 2), ...defaults }] },
    answer: searchAnswer,
    reply: searchReply,
    messages: [searchMessage],
  },
  {
    name: 'search with everything, in the other spelling',
    http: {
      route: 'POST /v1/collections/{collection}/points/search',
      params: { collection: 'docs' },
      body: { vector: [1], top_k: 3, query: 'shoes', timeout_ms: 50, include_vectors: true, include_metadata: false, filter: filterJson, ef: 40, consistency: 'linearizable', exact: true },
    },
    grpc: {
      method: 'search',
      request: SearchRequest.fromPartial({
        collection: 'docs', vector: [1], topK: 3, query: 'shoes', timeoutMs: 50, includeVectors: true, includeMetadata: false, filter: filterJson, ef: 40, consistency: 'linearizable', exact: true,
      }),
    },
    call: {
      method: 'search.search',
      args: ['docs', { vector: floats(1), topK: 3, includeVector: true, includePayload: false, consistency: { level: 'linearizable' }, partialAfterMs: 50, filter, ef: 40, exact: true }],
    },
    answer: { hits: [], shards: [], partial: true },
    reply: { results: [] },
    messages: [{ results: [] }],
  },
  {
    name: 'search with top_k 0 and null fields: as if they were absent',
    http: { route: 'POST /v1/collections/{collection}/points/search', params: { collection: 'docs' }, body: { vector: [1, 2], topK: 0, timeoutMs: 0, includeMetadata: null, filter: null } },
    grpc: { method: 'search', request: SearchRequest.fromPartial({ collection: 'docs', vector: [1, 2], topK: 0 }) },
    call: { method: 'search.search', args: ['docs', { vector: floats(1, 2), ...defaults }] },
    answer: searchAnswer,
    reply: searchReply,
    messages: [searchMessage],
  },
  {
    name: 'search as a stream: each message is the whole so far',
    grpc: { method: 'searchStream', request: SearchRequest.fromPartial({ collection: 'docs', vector: [1, 2] }) },
    call: { method: 'search.stream', args: ['docs', { vector: floats(1, 2), ...defaults }] },
    answer: [{ hits: [], shards: [], partial: false }, searchAnswer],
    messages: [{ results: [] }, searchMessage],
  },
  {
    name: 'get a point',
    http: { route: 'GET /v1/collections/{collection}/points/{id}', params: { collection: 'docs', id: 'a' } },
    grpc: { method: 'get', request: { collection: 'docs', id: 'a' } },
    call: { method: 'points.get', args: ['docs', { ids: ['a'], includeVector: true, includePayload: true, consistency: { level: 'eventual' } }] },
    answer: [{ id: 'a', version: 7, vector: floats(0.1, 2), payload }],
    reply: { point: { id: 'a', vector: [0.1, 2], payload: asStrings } },
    messages: [{ point: { id: 'a', vector: Array.from(floats(0.1, 2)), payload: new Map(Object.entries(asStrings)) } }],
  },
  {
    name: 'delete a point that is not there',
    http: { route: 'DELETE /v1/collections/{collection}/points/{id}', params: { collection: 'docs', id: 'a' } },
    grpc: { method: 'delete', request: { collection: 'docs', id: 'a' } },
    call: { method: 'points.delete', args: ['docs', [{ id: 'a' }]] },
    answer: { items: [{ id: 'a', outcome: 'not-found', version: 0 }], tokens: [] },
    reply: {},
    messages: [{}],
  },
  {
    name: 'submit feedback',
    http: {
      route: 'POST /v1/feedback',
      body: { collection: 'docs', query: 'q', result_ids: ['a'], feedbackItems: [{ resultId: 'a', relevanceScore: 5, clicked: true }], context: { page: '1' } },
    },
    grpc: {
      method: 'submitFeedback',
      request: { collection: 'docs', query: 'q', resultIds: ['a'], feedbackItems: [{ resultId: 'a', relevanceScore: 5, clicked: true, position: 0, comment: '' }], context: new Map([['page', '1']]) },
    },
    call: {
      method: 'feedback.submit',
      args: [{ collection: 'docs', query: 'q', resultIds: ['a'], items: [{ resultId: 'a', relevanceScore: 5, clicked: true, position: 0, comment: '' }], context: { page: '1' } }],
    },
    answer: { id: 'f1' },
    reply: { success: true, feedbackId: 'f1' },
    messages: [{ success: true, feedbackId: 'f1' }],
  },
];

for (const { name, http, grpc, call, answer, reply, messages } of cases) {
  if (http !== undefined) {
    test(`${name}, over HTTP`, async () => {
      const { api, calls } = recordingApi(answer);
      const { status, body } = await overHttp(vectronDialect, api, http);
      assert.deepEqual({ status, body, calls }, { status: 200, body: reply, calls: [call] });
      assertReplyFits(vectronDialect, http.route, body);
    });
  }
  if (grpc !== undefined) {
    test(`${name}, over gRPC`, async () => {
      const { api, calls } = recordingApi(answer);
      assert.deepEqual(await overGrpc(vectronDialect, api, grpc.method, grpc.request), messages);
      assert.deepEqual(calls, [call]);
    });
  }
}

const noUsers = { code: 'UNIMPLEMENTED', message: 'users are not offered by this server; API keys are made through shoal.v1' };
const userRoutes = [
  'POST /v1/users/register', 'POST /v1/users/login', 'GET /v1/user/profile', 'PUT /v1/user/profile', 'POST /v1/user/delete', 'POST /v1/auth/refresh',
  'POST /v1/keys', 'GET /v1/keys', 'DELETE /v1/keys/{key_prefix}', 'POST /v1/keys/validate', 'POST /v1/sdk-jwt',
];
const userMethods = [
  'registerUser', 'login', 'getUserProfile', 'updateUserProfile', 'deleteUser', 'refreshToken', 'createAPIKey', 'listAPIKeys', 'deleteAPIKey', 'validateAPIKey', 'createSDKJWT', 'getAuthDetailsForSDK',
];

test('every route and every method has a case, but for users', () => {
  const routes = vectronDialect.routes.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(routes.filter((route) => !cases.some(({ http }) => http?.route === route)), userRoutes);
  const methods = vectronDialect.services.flatMap(({ methods: handlers }) => Object.keys(handlers));
  assert.deepEqual(methods.filter((method) => !cases.some(({ grpc }) => grpc?.method === method)), ['updateUserProfile', ...userMethods]);
});

for (const route of userRoutes) {
  test(`users are not offered: ${route}`, async () => {
    await assert.rejects(overHttp(vectronDialect, recordingApi(undefined).api, { route, params: { key_prefix: 'k' }, body: { email: 'a@b', plan: 'PAID' } }), noUsers);
  });
}
for (const [service, methods] of [[vectronService, ['updateUserProfile']], [authService, userMethods]] as const) {
  for (const method of methods) {
    test(`users are not offered: ${method}`, async () => {
      const { requestDeserialize } = (service.definition as ServiceDefinition)[method]!;
      const handler = service.methods[method] as Extract<GrpcMethod, { kind: 'unary' }>;
      await assert.rejects(handler.handle(recordingApi(undefined).api, requestDeserialize(Buffer.alloc(0)), testContext), noUsers);
    });
  }
}

test('only registering and logging in ask for no key', () => {
  assert.deepEqual(vectronDialect.routes.filter(({ action }) => action === 'none').map(({ path }) => path), ['/v1/users/register', '/v1/users/login']);
  assert.deepEqual(vectronDialect.services.flatMap(({ methods }) => Object.keys(methods).filter((name) => methods[name]!.action === 'none')), ['registerUser', 'login']);
});

const search = 'POST /v1/collections/{collection}/points/search';
const upsert = 'POST /v1/collections/{collection}/points';
const refused: readonly [route: string, body: unknown, code: ErrorCode, message: string][] = [
  ['POST /v1/collections', { name: 'docs', dimension: 3, distance: 'l2' }, 'INVALID_ARGUMENT', 'distance must be one of cosine, euclidean, dot'],
  ['POST /v1/collections', { name: 'docs', dimension: 'three' }, 'INVALID_ARGUMENT', 'dimension must be an integer from -2147483648 to 2147483647'],
  ['POST /v1/collections', { name: 'docs', dimension: 3, metric: 'dot' }, 'UNKNOWN_FIELD', 'metric is not known here; known are name, dimension, distance, quantization'],
  ['POST /v1/collections', { name: 'docs', dimension: 3, quantization: 'pq' }, 'INVALID_ARGUMENT', 'quantization must be one of none, int8'],
  ['POST /v1/collections', { dimension: 3 }, 'INVALID_ARGUMENT', 'name is required'],
  ['POST /v1/collections', 'docs', 'INVALID_ARGUMENT', 'the body must be a JSON object'],
  [search, { vector: 'x' }, 'INVALID_ARGUMENT', 'vector must be an array of numbers'],
  [search, { vector: [1, 'one'] }, 'INVALID_ARGUMENT', 'vector[1] must be a number'],
  [search, {}, 'INVALID_ARGUMENT', 'vector is required'],
  [search, { vector: [1], topK: -1 }, 'INVALID_ARGUMENT', 'topK must be an integer from 0 to 4294967295'],
  [search, { vector: [1], topK: 5, top_k: 5 }, 'INVALID_ARGUMENT', 'top_k is given twice, as topK and under another spelling'],
  [search, { vector: [1], consistency: 'session' }, 'INVALID_ARGUMENT', 'consistency must be eventual or linearizable'],
  [search, { vector: [1], filter: { year: 1 } }, 'FILTER_INVALID', 'filter must have one of "and", "or", "not", "field"'],
  [upsert, { points: [{ id: 'a', vector: [1], payload: { year: 2026 } }] }, 'INVALID_ARGUMENT', 'points[0].payload.year must be a string'],
  [upsert, { points: {} }, 'INVALID_ARGUMENT', 'points must be an array'],
  ['POST /v1/feedback', { collection: 'docs', resultIds: ['a'] }, 'INVALID_ARGUMENT', 'feedbackItems is required'],
];

for (const [route, body, code, message] of refused) {
  test(`refused: ${route} ${message}`, async () => {
    const { api, calls } = recordingApi(undefined);
    await assert.rejects(overHttp(vectronDialect, api, { route, params: route.includes('{') ? { collection: 'docs' } : {}, body }), { code, message });
    assert.deepEqual(calls, []);
  });
}

test('a collection that exists is an error, also with the same settings', async () => {
  const request = { name: 'docs', dimension: 3, distance: '', quantization: '' };
  await assert.rejects(overGrpc(vectronDialect, recordingApi({ created: false }).api, 'createCollection', request), { code: 'COLLECTION_EXISTS' });
});

test('a point that is not there is not found', async () => {
  await assert.rejects(overGrpc(vectronDialect, recordingApi([undefined]).api, 'get', { collection: 'docs', id: 'a' }), { code: 'POINT_NOT_FOUND' });
});

test('an answer that would be too large names top_k and include_vectors', async () => {
  const hits = Array.from({ length: 2_000 }, (_, index) => ({ id: String(index), version: 1, score: 1, vector: new Float32Array(1_000) }));
  await assert.rejects(overGrpc(vectronDialect, recordingApi({ hits, shards: [], partial: false }).api, 'search', SearchRequest.fromPartial({ vector: [1] })), {
    code: 'RESPONSE_TOO_LARGE',
    message: 'the answer would be larger than 4128768 bytes; lower top_k, or leave out vectors (include_vectors) or payloads (include_metadata)',
  });
});

/** Errors of `VectorApi` in the names that Vectron's clients know. */
const renamedFields: readonly [method: string, request: unknown, field: string, expected: string][] = [
  ['search', SearchRequest.fromPartial({ vector: [1] }), 'partialAfterMs', 'timeoutMs'],
  ['search', SearchRequest.fromPartial({ vector: [1] }), 'topK', 'topK'],
  ['searchStream', SearchRequest.fromPartial({ vector: [1] }), 'partialAfterMs', 'timeoutMs'],
  ['submitFeedback', { collection: 'docs', query: '', resultIds: [], feedbackItems: [], context: new Map() }, 'items[0].position', 'feedbackItems[0].position'],
  ['get', { collection: 'docs', id: '' }, 'ids[0]', 'id'],
  ['delete', { collection: 'docs', id: '' }, 'points[0].id', 'id'],
];
for (const [method, request, field, expected] of renamedFields) {
  test(`${method}: an error about ${field} names ${expected}`, async () => {
    const failing = new Proxy({}, { get: () => new Proxy({}, { get: () => () => failure(new ShoalError('INVALID_ARGUMENT', `${field} is wrong`, { details: { field } })) }) });
    await assert.rejects(overGrpc(vectronDialect, failing as VectorApi, method, request), { message: `${expected} is wrong`, details: { field: expected } });
  });
}

/** Fails as a promise and as a stream. */
function failure(error: ShoalError): unknown {
  const rejected = Promise.reject(error);
  rejected.catch(() => undefined);
  return Object.assign(rejected, { [Symbol.asyncIterator]: () => ({ next: () => rejected }) });
}

const statuses: readonly [code: ErrorCode, http: number, grpc: number][] = [
  ['DIMENSION_MISMATCH', 400, 3],
  ['COLLECTION_NOT_FOUND', 404, 5],
  ['COLLECTION_EXISTS', 409, 6],
  ['CONDITION_FAILED', 400, 9],
  ['CONFLICT', 409, 10],
  ['UNAUTHENTICATED', 401, 16],
  ['PERMISSION_DENIED', 403, 7],
  ['OVERLOADED', 429, 8],
  ['UNAVAILABLE', 503, 14],
  ['DEADLINE_EXCEEDED', 504, 4],
  ['UNIMPLEMENTED', 501, 12],
  ['CORRUPTION', 500, 15],
  ['METHOD_NOT_ALLOWED', 405, 12],
  ['BODY_TOO_LARGE', 413, 8],
  ['UNSUPPORTED_MEDIA_TYPE', 415, 3],
];
for (const [code, http, grpc] of statuses) {
  test(`${code} is HTTP ${http}, gRPC ${grpc}`, () => {
    assert.deepEqual(vectronDialect.encodeError(new ShoalError(code, 'why', { details: { field: 'vector', limit: 3 } }), 'r1'), {
      status: http,
      body: {
        code: grpc,
        message: 'why',
        details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code, domain: 'shoal', metadata: { field: 'vector', limit: '3', requestId: 'r1' } }],
      },
    });
  });
}
