/**
 * Aim: whatever comes in, every door answers with the error that the table documents for it, and the process goes on:
 * after each case the server is healthy, still the same process, and does right what comes next.
 */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { errorTable, type ErrorCode } from '../../pods/kernel/errors.ts';
import { limits } from '../../pods/kernel/limits.ts';
import { KeyServiceService as keys } from '../../proto/gen/shoal/v1/key.ts';
import { PointServiceService as pointMethods, UpsertPointsRequest } from '../../proto/gen/shoal/v1/point.ts';
import { atEnd } from '../framework/cleanup.ts';
import { doorsTo, grpcRefusal, shoalRefusal, vectronRefusal, vectronStatus, type Door, type Refusal } from '../framework/doors.ts';
import { HttpConnection, type HttpAnswer, type HttpRequest } from '../framework/http-client.ts';
import { startServer, type ServerProcess } from '../framework/server-process.ts';
import { packVector, ShoalClient } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { pause } from '../framework/timeouts.ts';

const good = { id: 'good', vector: [1, 2, 3] };
const bytes = (count: number): string => 'x'.repeat(count);
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

/** Cases that every door can be given. */
const everywhere: readonly [what: string, code: ErrorCode, send: (door: Door) => Promise<Refusal | undefined>][] = [
  ['wrong dimension, upsert', 'DIMENSION_MISMATCH', (door) => door.upsert('docs', [{ id: 'a', vector: [1, 2] }])],
  ['wrong dimension, search', 'DIMENSION_MISMATCH', (door) => door.search('docs', [1, 2, 3, 4])],
  ['empty vector, upsert', 'VECTOR_EMPTY', (door) => door.upsert('docs', [{ id: 'a', vector: [] }])],
  ['empty vector, search', 'VECTOR_EMPTY', (door) => door.search('docs', [])],
  ['zero vector with cosine, upsert', 'VECTOR_ZERO', (door) => door.upsert('docs', [{ id: 'a', vector: [0, 0, 0] }])],
  ['zero vector with cosine, search', 'VECTOR_ZERO', (door) => door.search('docs', [0, 0, 0])],
  ['unknown collection, upsert', 'COLLECTION_NOT_FOUND', (door) => door.upsert('nowhere', [good])],
  ['unknown collection, search', 'COLLECTION_NOT_FOUND', (door) => door.search('nowhere', [1, 2, 3])],
  ['unknown collection, delete', 'COLLECTION_NOT_FOUND', (door) => door.delete('nowhere', 'a')],
  ['unknown collection, drop', 'COLLECTION_NOT_FOUND', (door) => door.drop('nowhere')],
  ['empty name', 'INVALID_NAME', (door) => door.create('', 3)],
  ['name with a slash', 'INVALID_NAME', (door) => door.create('a/b', 3)],
  ['name with a control character', 'INVALID_NAME', (door) => door.create('a\nb', 3)],
  ['name of 256 bytes', 'INVALID_NAME', (door) => door.create(bytes(limits.collectionNameBytesMax + 1), 3)],
  ['name that is a directory', 'INVALID_NAME', (door) => door.create('..', 3)],
  ['dimension 0', 'INVALID_ARGUMENT', (door) => door.create('new', 0)],
  ['dimension above the limit', 'INVALID_ARGUMENT', (door) => door.create('new', limits.dimensionMax + 1)],
  ['unknown metric', 'INVALID_ARGUMENT', (door) => door.create('new', 3, 'manhattan')],
  ['a collection of other settings', 'COLLECTION_EXISTS', (door) => door.create('docs', 4)],
  ['empty id', 'INVALID_ID', (door) => door.upsert('docs', [{ id: '', vector: [1, 2, 3] }])],
  ['id of 513 bytes', 'INVALID_ID', (door) => door.upsert('docs', [{ id: bytes(limits.pointIdBytesMax + 1), vector: [1, 2, 3] }])],
  ['id of 513 bytes, of fewer characters', 'INVALID_ID', (door) => door.upsert('docs', [{ id: `${'ü'.repeat(256)}x`, vector: [1, 2, 3] }])],
  ['id with U+0000', 'INVALID_ID', (door) => door.upsert('docs', [{ id: 'a\0b', vector: [1, 2, 3] }])],
  ['get by an id of 513 bytes', 'INVALID_ID', (door) => door.get('docs', bytes(limits.pointIdBytesMax + 1))],
  ['duplicate ids', 'DUPLICATE_ID', (door) => door.upsert('docs', [good, { id: 'b', vector: [1, 1, 1] }, good])],
  ['no points', 'INVALID_ARGUMENT', (door) => door.upsert('docs', [])],
  ['10,001 points', 'BATCH_TOO_LARGE', (door) => door.upsert('docs', Array.from({ length: limits.batchPointCountMax + 1 }, (_, i) => ({ id: `many-${i}`, vector: [1, 2, 3] })))],
  ['payload above its limit', 'PAYLOAD_TOO_LARGE', (door) => door.upsert('docs', [{ ...good, payload: { a: bytes(limits.payloadBytesMax) } }])],
  ['top_k above the limit', 'INVALID_ARGUMENT', (door) => door.search('docs', [1, 2, 3], { topK: limits.topKMax + 1 })],
  ['unknown filter', 'FILTER_INVALID', (door) => door.search('docs', [1, 2, 3], { filter: { field: 'a', like: 'b' } })],
  ['deep filter', 'FILTER_INVALID', (door) => door.search('docs', [1, 2, 3], { filter: deepFilter(limits.filterDepthMax + 1) })],
  ['an answer above 4 MiB', 'RESPONSE_TOO_LARGE', (door) => door.search('large', [1, 2, 3], { topK: 10 })],
];

/** Cases of HTTP alone. The path goes to shoal.v1 and, where there is one, another to Vectron. */
const overHttp: readonly [what: string, code: ErrorCode, shoal: HttpCase | undefined, vectron: HttpCase | undefined][] = [
  ['malformed JSON', 'MALFORMED_BODY', upsertCase('{"points": [', 'docs'), vectronUpsertCase('{"points": [', 'docs')],
  ['a literal NaN', 'MALFORMED_BODY', upsertCase('{"points":[{"id":"a","vector":[NaN,0,0]}]}'), vectronUpsertCase('{"points":[{"id":"a","vector":[NaN,0,0]}]}')],
  ['a component beyond 32 bits, upsert', 'VECTOR_NOT_FINITE', upsertCase('{"points":[{"id":"a","vector":[1,1e39,0]}]}'), vectronUpsertCase('{"points":[{"id":"a","vector":[1,1e39,0]}]}')],
  ['a component beyond 32 bits, search', 'VECTOR_NOT_FINITE', ['/shoal/v1/collections/docs/search', { body: { vector: [1, -1e39, 0] } }], ['/v1/collections/docs/points/search', { body: { vector: [1, -1e39, 0] } }]],
  ['"NaN" as proto3 JSON has it', 'VECTOR_NOT_FINITE', undefined, vectronUpsertCase('{"points":[{"id":"a","vector":["NaN",0,0]}]}')],
  ['"Infinity" as proto3 JSON has it', 'VECTOR_NOT_FINITE', undefined, vectronUpsertCase('{"points":[{"id":"a","vector":["Infinity",0,0]}]}')],
  ['NaN in a packed vector', 'VECTOR_NOT_FINITE', upsertCase(JSON.stringify({ points: [{ id: 'a', packedVector: packedBase64([NaN, 0, 0]) }] })), undefined],
  ['half a float in a packed vector', 'INVALID_ARGUMENT', upsertCase(JSON.stringify({ points: [{ id: 'a', packedVector: Buffer.alloc(11).toString('base64') }] })), undefined],
  ['payload nested too deeply', 'PAYLOAD_TOO_DEEP', upsertCase(`{"points":[{"id":"a","vector":[1,2,3],"payload":${nested(limits.payloadDepthMax + 1)}}]}`), undefined],
  ['JSON nested 100,000 deep', 'MALFORMED_BODY', upsertCase(nested(100_000)), vectronUpsertCase(nested(100_000))],
  ['JSON nested 100,000 deep in a large body', 'MALFORMED_BODY', upsertCase(`${nested(100_000)}${' '.repeat(2 ** 20)}`), vectronUpsertCase(`${'['.repeat(2 ** 21)}`)],
  ['wrong types: a text for a vector', 'INVALID_ARGUMENT', upsertCase('{"points":[{"id":"a","vector":"abc"}]}'), vectronUpsertCase('{"points":[{"id":"a","vector":"abc"}]}')],
  ['wrong types: an object for a list', 'INVALID_ARGUMENT', upsertCase('{"points":{"id":"a"}}'), vectronUpsertCase('{"points":{"id":"a"}}')],
  ['wrong types: a number for an id', 'INVALID_ARGUMENT', upsertCase('{"points":[{"id":7,"vector":[1,2,3]}]}'), vectronUpsertCase('{"points":[{"id":7,"vector":[1,2,3]}]}')],
  ['wrong types: a list for a body', 'INVALID_ARGUMENT', upsertCase('[]'), vectronUpsertCase('[]')],
  ['wrong types: a nested list in a vector', 'INVALID_ARGUMENT', upsertCase('{"points":[{"id":"a","vector":[[1],2,3]}]}'), vectronUpsertCase('{"points":[{"id":"a","vector":[[1],2,3]}]}')],
  ['unknown field', 'UNKNOWN_FIELD', upsertCase('{"points":[],"pionts":[]}'), vectronUpsertCase('{"points":[],"pionts":[]}')],
  ['a field of JavaScript objects', 'UNKNOWN_FIELD', upsertCase('{"points":[],"toString":{}}'), vectronUpsertCase('{"points":[],"constructor":{}}')],
  ['a field that changes JavaScript objects', 'MALFORMED_BODY', upsertCase('{"points":[],"__proto__":{}}'), vectronUpsertCase('{"points":[],"__proto__":{}}')],
  ['an id that is half a surrogate pair', 'INVALID_ID', upsertCase('{"points":[{"id":"\\ud800","vector":[1,2,3]}]}'), vectronUpsertCase('{"points":[{"id":"\\ud800","vector":[1,2,3]}]}')],
  ['no content type', 'UNSUPPORTED_MEDIA_TYPE', upsertCase('{}', 'docs', { 'content-type': 'text/plain' }), vectronUpsertCase('{}', 'docs', { 'content-type': 'text/plain' })],
  ['wrong method', 'METHOD_NOT_ALLOWED', ['/shoal/v1/collections/docs/search', { method: 'GET' }], ['/v1/collections/docs/points', { method: 'GET' }]],
  ['unknown route', 'ROUTE_NOT_FOUND', ['/shoal/v1/nothing', {}], ['/v1/nothing', {}]],
  ['a broken escape in the path', 'INVALID_ARGUMENT', ['/shoal/v1/collections/%zz', {}], ['/v1/collections/%zz/status', {}]],
  ['top_k 0', 'INVALID_ARGUMENT', ['/shoal/v1/collections/docs/search', { body: { vector: [1, 2, 3], topK: 0 } }], undefined],
  ['a cursor that is none', 'INVALID_ARGUMENT', ['/shoal/v1/collections/docs/points/scroll', { body: { cursor: 'abc' } }], undefined],
  ['a deadline that is none', 'INVALID_ARGUMENT', ['/shoal/v1/collections', { headers: { 'x-timeout-ms': 'soon' } }], ['/v1/collections', { headers: { 'x-timeout-ms': '-1' } }]],
  ['an expired deadline', 'DEADLINE_EXCEEDED', lateCase('/shoal/v1/collections/docs/points'), lateCase('/v1/collections/docs/points')],
];

type HttpCase = readonly [path: string, request: HttpRequest];

test('bad input: the documented error at every door, and the process goes on', async (t) => {
  const server = await startServer(t, { dataDirectory: join(await temporaryDirectory(t), 'data') });
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  const doors = doorsTo(server, server.key);
  atEnd(t, () => doors.forEach((door) => door.close()));
  await client.createCollection({ name: 'docs', dimension: 3 });
  await client.createCollection({ name: 'large', dimension: 3 });
  await client.upsert({ collection: 'docs', points: [good] });
  for (let i = 0; i < 6; i++) await client.upsert({ collection: 'large', points: [{ id: `l${i}`, vector: [1, 2, 3], payload: { a: bytes(900_000) } }] });

  const goesOn = async (): Promise<void> => {
    const health = await new HttpConnection(server.httpUrl, undefined).send('/health');
    assert.equal(health.status, 200, health.text);
    const { hits } = await client.search('docs', { vector: [1, 2, 3], includeVector: true });
    assert.deepEqual(hits.map(({ id, vector }) => ({ id, vector })), [good]);
  };

  for (const [what, code, send] of everywhere) {
    await t.test(what, async () => {
      for (const door of doors) assert.deepEqual(await send(door), door.expected(code), door.name);
      await goesOn();
    });
  }
  const http = new HttpConnection(server.httpUrl, server.key);
  for (const [what, code, shoal, vectron] of overHttp) {
    await t.test(`over HTTP: ${what}`, async () => {
      if (shoal !== undefined) assert.deepEqual(shoalRefusal(await http.send(...shoal)), { code, status: errorTable[code].http }, 'shoal HTTP');
      if (vectron !== undefined) assert.deepEqual(vectronRefusal(await http.send(...vectron)), { code, status: vectronStatus(code) }, 'Vectron HTTP');
      await goesOn();
    });
  }
  await t.test('over HTTP: a body above 16 MiB', async () => {
    const cases: readonly [string, (answer: HttpAnswer) => Refusal | undefined, number][] = [
      ['/shoal/v1/collections/docs/points', shoalRefusal, errorTable.BODY_TOO_LARGE.http],
      ['/v1/collections/docs/points', vectronRefusal, vectronStatus('BODY_TOO_LARGE')],
    ];
    for (const [path, refusalOf, status] of cases) {
      for (const announced of [true, false]) {
        const answer = await sendHugeBody(server, path, announced);
        assert.deepEqual(refusalOf(answer), { code: 'BODY_TOO_LARGE', status }, `${path}, ${announced ? 'with its length' : 'in chunks'}`);
      }
    }
    await goesOn();
  });
  await t.test('over gRPC', (st) => overGrpc(st, client, goesOn));
  await t.test('credentials', (st) => credentials(st, server, client, goesOn));
  await t.test('bytes that are no request', (st) => noise(st, server, goesOn));

  const defects = server.stderr.split('\n').filter((line) => line.includes('"level":"error"') || line.includes('"level":"fatal"'));
  assert.deepEqual(defects, [], 'errors in the log');
  assert.deepEqual(await server.end('SIGTERM'), { code: 0, signal: null });
});

async function overGrpc(t: TestContext, client: ShoalClient, goesOn: () => Promise<void>): Promise<void> {
  const { connection } = client;
  const upsertPath = pointMethods.upsertPoints.path;
  const encoded = (id: string): Buffer => pointMethods.upsertPoints.requestSerialize(UpsertPointsRequest.fromPartial({ collection: 'docs', points: [{ id, vector: [1, 2, 3] }] }));
  const notUtf8 = encoded('abcd');
  notUtf8[notUtf8.indexOf('abcd')] = 0xff;
  const payload = { points: [{ id: 'a', vector: [1, 2, 3], payload: JSON.parse(nested(limits.payloadDepthMax + 1)) as Record<string, unknown> }] };
  const cases: readonly [string, () => Promise<unknown>, Refusal][] = [
    ['NaN', () => client.upsert({ collection: 'docs', points: [{ id: 'a', vector: [NaN, 0, 0] }] }), { code: 'VECTOR_NOT_FINITE', status: 'INVALID_ARGUMENT' }],
    ['infinity', () => client.search('docs', { vector: [Infinity, 0, 0] }), { code: 'VECTOR_NOT_FINITE', status: 'INVALID_ARGUMENT' }],
    ['NaN, packed', () => client.upsert({ collection: 'docs', points: [{ id: 'a', packedVector: packVector(Float32Array.of(0, NaN, 0)) }] }), { code: 'VECTOR_NOT_FINITE', status: 'INVALID_ARGUMENT' }],
    ['both forms of a vector', () => client.search('docs', { vector: [1, 2, 3], packedVector: packVector(Float32Array.of(1, 2, 3)) }), { code: 'INVALID_ARGUMENT', status: 'INVALID_ARGUMENT' }],
    ['payload nested too deeply', () => client.upsert({ collection: 'docs', ...payload }), { code: 'PAYLOAD_TOO_DEEP', status: 'INVALID_ARGUMENT' }],
    ['an id that is not UTF-8', () => connection.callBytes(upsertPath, notUtf8), { code: 'MALFORMED_BODY', status: 'INVALID_ARGUMENT' }],
    ['bytes that are no message', () => connection.callBytes(upsertPath, Buffer.from('not a message at all')), { code: 'MALFORMED_BODY', status: 'INVALID_ARGUMENT' }],
    ['a message cut short', () => connection.callBytes(upsertPath, encoded('abcd').subarray(0, -3)), { code: 'MALFORMED_BODY', status: 'INVALID_ARGUMENT' }],
    ['wrong method', () => connection.callBytes('/shoal.v1.PointService/Nothing', Buffer.alloc(0)), { code: undefined, status: 'UNIMPLEMENTED' }],
    ['unknown service', () => connection.callBytes('/shoal.v9.PointService/UpsertPoints', Buffer.alloc(0)), { code: undefined, status: 'UNIMPLEMENTED' }],
    ['an expired deadline', () => client.upsert({ collection: 'docs', points: [{ id: 'late', vector: [1, 2, 3] }] }, { timeoutMs: -1 }), { code: undefined, status: 'DEADLINE_EXCEEDED' }],
    ['a request number without a client', () => client.upsert({ collection: 'docs', points: [good], requestNumber: 1n }), { code: 'INVALID_ARGUMENT', status: 'INVALID_ARGUMENT' }],
  ];
  for (const [what, call, expected] of cases) await t.test(what, async () => assert.deepEqual(await grpcRefusal(call()), expected));
  await t.test('a message above 16 MiB', async () => {
    const refusal = await grpcRefusal(connection.callBytes(upsertPath, Buffer.alloc(limits.grpcMessageBytesMax + 1)));
    assert.equal(refusal?.status, 'RESOURCE_EXHAUSTED');
  });
  await goesOn();
}

async function credentials(t: TestContext, server: ServerProcess, client: ShoalClient, goesOn: () => Promise<void>): Promise<void> {
  const make = async (request: { actions: string[]; collections?: string[]; expiresAtMs?: bigint }): Promise<string> =>
    (await client.connection.call(keys.createKey, { name: 'k', allCollections: request.collections === undefined, collections: request.collections ?? [], actions: request.actions, expiresAtMs: request.expiresAtMs })).secret;
  const brief = await make({ actions: ['read'], expiresAtMs: BigInt(Date.now() + 400) });
  const reader = await make({ actions: ['read'] });
  const elsewhere = await make({ actions: ['read', 'write'], collections: ['other'] });
  const revoked = await make({ actions: ['read'] });
  await client.connection.call(keys.deleteKey, { prefix: revoked.split('_')[1]! });
  await pause(450);
  const cases: readonly [string, string | undefined, ErrorCode, (door: Door) => Promise<Refusal | undefined>][] = [
    ['no key', undefined, 'UNAUTHENTICATED', (door) => door.search('docs', [1, 2, 3])],
    ['a key that is none', 'nonsense', 'UNAUTHENTICATED', (door) => door.search('docs', [1, 2, 3])],
    ['a key of the right form', `shoal_${'a'.repeat(10)}_${'b'.repeat(43)}`, 'UNAUTHENTICATED', (door) => door.search('docs', [1, 2, 3])],
    ['the prefix of a key with another secret', `${reader.slice(0, -1)}${reader.endsWith('x') ? 'y' : 'x'}`, 'UNAUTHENTICATED', (door) => door.search('docs', [1, 2, 3])],
    ['a key of 10,000 characters', bytes(10_000), 'UNAUTHENTICATED', (door) => door.search('docs', [1, 2, 3])],
    ['an expired key', brief, 'UNAUTHENTICATED', (door) => door.search('docs', [1, 2, 3])],
    ['a revoked key', revoked, 'UNAUTHENTICATED', (door) => door.search('docs', [1, 2, 3])],
    ['a key that may only read', reader, 'PERMISSION_DENIED', (door) => door.upsert('docs', [good])],
    ['a key that may not make collections', elsewhere, 'PERMISSION_DENIED', (door) => door.create('new', 3)],
    ['a key for another collection', elsewhere, 'PERMISSION_DENIED', (door) => door.search('docs', [1, 2, 3])],
  ];
  for (const [what, key, code, send] of cases) {
    await t.test(what, async () => {
      const doors = doorsTo(server, key);
      try {
        for (const door of doors) assert.deepEqual(await send(door), door.expected(code), door.name);
      } finally {
        doors.forEach((door) => door.close());
      }
      await goesOn();
    });
  }
}

/** Raw bytes on both ports: nothing of it may reach beyond its own connection. */
async function noise(t: TestContext, server: ServerProcess, goesOn: () => Promise<void>): Promise<void> {
  const ports = { HTTP: Number(new URL(server.httpUrl).port), gRPC: Number(server.grpcAddress.split(':').at(-1)) };
  const messages: readonly [string, Buffer][] = [
    ['random bytes', Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * 7_919) % 256))],
    ['half a request', Buffer.from('POST /v1/collections HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n\r\n{"na')],
    ['a header of 20 KiB', Buffer.from(`GET /health HTTP/1.1\r\nHost: a\r\nX-Long: ${bytes(20_480)}\r\n\r\n`)],
    ['two lengths', Buffer.from('POST /v1/collections HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}')],
    ['a chunk of a size that is none', Buffer.from('POST /v1/collections HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n')],
    ['the preface of HTTP/2 and rubbish', Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(200, 0xee)])],
    ['nothing', Buffer.alloc(0)],
  ];
  for (const [what, message] of messages) {
    for (const [name, port] of Object.entries(ports)) {
      await t.test(`${what} on the port of ${name}`, async () => {
        await new Promise<void>((resolve) => {
          const socket = connect(port, '127.0.0.1', () => socket.write(message, () => setTimeout(() => socket.destroy(), 20)));
          socket.on('error', () => undefined);
          socket.on('close', () => resolve());
          socket.resume();
        });
        await goesOn();
      });
    }
  }
}

function upsertCase(body: string, collection = 'docs', headers: Record<string, string> = {}): HttpCase {
  return [`/shoal/v1/collections/${collection}/points`, { body, headers }];
}

function vectronUpsertCase(body: string, collection = 'docs', headers: Record<string, string> = {}): HttpCase {
  return [`/v1/collections/${collection}/points`, { body, headers }];
}

/** Writes on whatever comes back, as a client does that reads its answer when it has sent everything or can send no more. */
function sendHugeBody(server: ServerProcess, path: string, announced: boolean): Promise<HttpAnswer> {
  const length = limits.httpBodyBytesMax + 1;
  return new Promise((resolve, reject) => {
    const outgoing = request(`${server.httpUrl}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json', ...(announced ? { 'content-length': length } : {}) },
    });
    let failure: Error | undefined;
    outgoing.on('error', (error) => (failure = error)).on('close', () => reject(failure ?? new Error('the connection closed without an answer')));
    outgoing.on('response', (response) => {
      response.toArray().then((chunks: Buffer[]) => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode!, headers: new Headers(), text, json: JSON.parse(text) });
      }, reject);
    });
    const chunk = Buffer.alloc(1 << 20, 0x20);
    let left = length;
    const more = (): void => {
      while (left > 0 && !outgoing.destroyed) {
        const part = chunk.subarray(0, left);
        left -= part.length;
        if (!outgoing.write(part)) return void outgoing.once('drain', more);
      }
      outgoing.end();
    };
    more();
  });
}

/** A batch whose reading alone takes longer than the deadline. */
function lateCase(path: string): HttpCase {
  const points = Array.from({ length: limits.batchPointCountMax }, (_, i) => ({ id: `late-${i}`, vector: [1, 2, 3], payload: { text: bytes(300) } }));
  return [path, { body: { points }, headers: { 'x-timeout-ms': '1' } }];
}

function packedBase64(vector: readonly number[]): string {
  return Buffer.from(packVector(Float32Array.from(vector))).toString('base64');
}

function deepFilter(depth: number): Record<string, unknown> {
  return depth === 0 ? { field: 'a', equals: 1 } : { not: deepFilter(depth - 1) };
}
