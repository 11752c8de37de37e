/** Requests that shoal.v1 refuses before anything is called: the code, the message, the field. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GetPointsRequest, UpsertPointsRequest } from '../../../proto/gen/shoal/v1/point.ts';
import { CreateKeyRequest } from '../../../proto/gen/shoal/v1/key.ts';
import { SearchRequest } from '../../../proto/gen/shoal/v1/search.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { overGrpc, overHttp } from '../exchange.ts';
import { recordingApi } from '../recording-api.ts';
import { shoalDialect } from './shoal-dialect.ts';

const one = '/shoal/v1/collections/{collection}';
const params = { collection: 'docs', id: 'a' };
const point = { id: 'a', vector: [1] };

const overBoth: readonly [message: string, code: string, body: object, request: Parameters<typeof UpsertPointsRequest.fromPartial>[0]][] = [
  [
    'points[1].packedVector must hold whole 32-bit floats, not 3 bytes',
    'INVALID_ARGUMENT',
    { points: [point, { id: 'b', packedVector: 'AAAA' }] },
    { points: [point, { id: 'b', packedVector: new Uint8Array(3) }] },
  ],
  [
    'points[0].packedVector must not be given together with vector',
    'INVALID_ARGUMENT',
    { points: [{ ...point, packedVector: 'AAAAAA==' }] },
    { points: [{ ...point, packedVector: new Uint8Array(4) }] },
  ],
  ['clientId is required together with requestNumber', 'INVALID_ARGUMENT', { points: [point], requestNumber: 1 }, { points: [point], requestNumber: 1n }],
  ['requestNumber must be positive where clientId is given', 'INVALID_ARGUMENT', { points: [point], clientId: 'c' }, { points: [point], clientId: 'c' }],
  ['clientId has 130 bytes; the limit is 128', 'INVALID_ARGUMENT', { points: [point], clientId: 'é'.repeat(65), requestNumber: 1 }, { points: [point], clientId: 'é'.repeat(65), requestNumber: 1n }],
  [
    'points[0].condition.absent must be true where it is given',
    'INVALID_ARGUMENT',
    { points: [{ ...point, condition: { absent: false } }] },
    { points: [{ ...point, condition: { kind: { $case: 'absent', absent: false } } }] },
  ],
  [
    'points[0].condition.matches must have one of "and", "or", "not", "field"',
    'FILTER_INVALID',
    { points: [{ ...point, condition: { matches: { year: 1 } } }] },
    { points: [{ ...point, condition: { kind: { $case: 'matches', matches: { year: 1 } } } }] },
  ],
];

const overHttpOnly: readonly [route: string, body: unknown, code: string, message: string][] = [
  [`POST ${one}/points`, { points: [{ ...point, vectors: [1] }] }, 'UNKNOWN_FIELD', 'points[0].vectors is not known here; known are id, vector, packedVector, payload, text, condition'],
  [`POST ${one}/points`, { points: [point], collection: 'other' }, 'UNKNOWN_FIELD', 'collection is not known here; known are points, clientId, requestNumber'],
  [`POST ${one}/points/delete-by-filter`, { filter: {}, clientId: 'c', requestNumber: 1 }, 'UNKNOWN_FIELD', 'clientId is not known here; known are filter'],
  [`POST ${one}/points`, { points: [{ ...point, payload: [] }] }, 'INVALID_ARGUMENT', 'points[0].payload must be a JSON object'],
  [`POST ${one}/points`, { points: [{ id: 7, vector: [1] }] }, 'INVALID_ARGUMENT', 'points[0].id must be a string'],
  [`POST ${one}/points`, { points: [{ id: 'a', vector: [null] }] }, 'INVALID_ARGUMENT', 'points[0].vector[0] must be a number'],
  [`POST ${one}/points`, [point], 'INVALID_ARGUMENT', 'the body must be a JSON object'],
  ['POST /shoal/v1/collections', { name: 'a', dimension: 0 }, 'INVALID_ARGUMENT', 'dimension must be an integer from 1 to 16384'],
  ['POST /shoal/v1/collections', { name: 'a', dimension: 1, metric: 'l2' }, 'INVALID_ARGUMENT', 'metric must be one of cosine, euclidean, dot'],
  ['POST /shoal/v1/collections', { name: 'a', dimension: 1, index: { quantization: 'binary' } }, 'INVALID_ARGUMENT', 'index.quantization must be one of none, int8'],
  ['POST /shoal/v1/collections', { dimension: 1 }, 'INVALID_ARGUMENT', 'name is required'],
  [`POST ${one}/search`, { vector: [1], topK: 0 }, 'INVALID_ARGUMENT', 'topK must be an integer from 1 to 10000'],
  [`POST ${one}/search`, { vector: [1], top_k: 5 }, 'UNKNOWN_FIELD', 'top_k is not known here; known are vector, packedVector, topK, filter, ef, exact, scoreThreshold, includeVector, includePayload, packVectors, consistency, partialAfterMs, countVisited'],
  [`POST ${one}/search`, { vector: [1], consistency: { level: 'strong' } }, 'INVALID_ARGUMENT', 'consistency.level must be one of eventual, session, linearizable'],
  [`POST ${one}/search/batch`, { queries: [{ vector: [1] }, { packedVector: 'AA' }] }, 'INVALID_ARGUMENT', 'queries[1].packedVector must hold whole 32-bit floats, not 1 bytes'],
  [`POST ${one}/points/delete-by-filter`, {}, 'INVALID_ARGUMENT', 'filter is required'],
  ['POST /shoal/v1/keys', { name: 'k', actions: ['own'], allCollections: true }, 'INVALID_ARGUMENT', 'actions[0] must be one of read, write, admin'],
];

const overGrpcOnly: readonly [method: string, request: unknown, code: string, message: string][] = [
  ['search', SearchRequest.fromPartial({ collection: 'docs' }), 'INVALID_ARGUMENT', 'query is required'],
  ['deletePointsByFilter', { collection: 'docs', filter: undefined }, 'INVALID_ARGUMENT', 'filter is required'],
  ['getPoints', GetPointsRequest.fromPartial({ consistency: { level: 'strong' } }), 'INVALID_ARGUMENT', 'consistency.level must be one of eventual, session, linearizable'],
  ['getPoints', GetPointsRequest.fromPartial({ consistency: { tokens: [{ shardUid: 's', seq: 2n ** 53n }] } }), 'INVALID_ARGUMENT', 'consistency.tokens[0].seq must be at most 9007199254740991'],
  ['getPoints', GetPointsRequest.fromPartial({ consistency: { level: 'eventual', tokens: [{}] } }), 'INVALID_ARGUMENT', 'consistency.tokens go with the level session only'],
  ['upsertPoints', UpsertPointsRequest.fromPartial({ points: [{ id: 'a', condition: {} }] }), 'INVALID_ARGUMENT', 'points[0].condition must have one of absent, present, version, matches'],
  ['upsertPoints', UpsertPointsRequest.fromPartial({ clientId: 'c', requestNumber: 2n ** 64n - 1n }), 'INVALID_ARGUMENT', 'requestNumber must be at most 9007199254740991'],
  ['createKey', CreateKeyRequest.fromPartial({ name: 'k', actions: ['read'] }), 'INVALID_ARGUMENT', 'collections must name collections, unless allCollections is true'],
  ['createKey', CreateKeyRequest.fromPartial({ name: 'k', actions: ['read'], allCollections: true, collections: ['a'] }), 'INVALID_ARGUMENT', 'collections must not be given together with allCollections'],
  ['createKey', CreateKeyRequest.fromPartial({ name: 'k', actions: ['own'], allCollections: true }), 'INVALID_ARGUMENT', 'actions[0] must be one of read, write, admin'],
];

async function assertRefused(send: (api: ReturnType<typeof recordingApi>['api']) => Promise<unknown>, code: string, message: string): Promise<void> {
  const { api, calls } = recordingApi(undefined);
  await assert.rejects(send(api), (error) => {
    assert.ok(error instanceof ShoalError, String(error));
    assert.deepEqual([error.code, error.message], [code, message]);
    assert.ok(typeof error.details['field'] === 'string');
    return true;
  });
  assert.deepEqual(calls, []);
}

for (const [message, code, body, request] of overBoth) {
  test(`over both: ${message}`, async () => {
    await assertRefused((api) => overHttp(shoalDialect, api, { route: `POST ${one}/points`, params, body }), code, message);
    await assertRefused((api) => overGrpc(shoalDialect, api, 'upsertPoints', UpsertPointsRequest.fromPartial({ collection: 'docs', ...request })), code, message);
  });
}

for (const [route, body, code, message] of overHttpOnly) {
  test(`over HTTP: ${message.slice(0, 80)}`, () => assertRefused((api) => overHttp(shoalDialect, api, { route, params, body }), code, message));
}

for (const [method, request, code, message] of overGrpcOnly) {
  test(`over gRPC: ${method}: ${message}`, () => assertRefused((api) => overGrpc(shoalDialect, api, method, request), code, message));
}

test('a query parameter that is no flag is refused', () =>
  assertRefused((api) => overHttp(shoalDialect, api, { route: `GET ${one}/points/{id}`, params, query: { includeVector: 'yes' } }), 'INVALID_ARGUMENT', 'includeVector must be true or false'));

test('a limit that is no number is refused', () =>
  assertRefused((api) => overHttp(shoalDialect, api, { route: `GET ${one}/feedback`, params, query: { limit: '1e9' } }), 'INVALID_ARGUMENT', 'limit must be an integer from 1 to 10000'));

test('a point that is not there is not found', async () => {
  await assert.rejects(overHttp(shoalDialect, recordingApi([undefined]).api, { route: `GET ${one}/points/{id}`, params }), { code: 'POINT_NOT_FOUND' });
});

test('an answer that would be too large is refused before it is encoded', async () => {
  const vector = new Float32Array(1_000);
  const hits = Array.from({ length: 2_000 }, (_, index) => ({ id: String(index), version: 1, score: 1, vector }));
  const { api } = recordingApi({ hits, shards: [], partial: false });
  const refusal = { code: 'RESPONSE_TOO_LARGE', message: 'the answer would be larger than 4128768 bytes; lower topK, or leave out vectors (includeVector) or payloads (includePayload)' };
  await assert.rejects(overHttp(shoalDialect, api, { route: `POST ${one}/search`, params, body: { vector: [1], includeVector: true } }), refusal);
  await assert.rejects(overGrpc(shoalDialect, api, 'search', SearchRequest.fromPartial({ query: { vector: [1] } })), refusal);
});

test('an error is answered with all that the table says of it', () => {
  assert.deepEqual(shoalDialect.encodeError(new ShoalError('DIMENSION_MISMATCH', 'vector has 2 components', { details: { field: 'vector', limit: 3 } }), 'r1'), {
    status: 400,
    body: { error: { code: 'DIMENSION_MISMATCH', message: 'vector has 2 components', retry: 'never', details: { field: 'vector', limit: 3 }, requestId: 'r1' } },
  });
});
