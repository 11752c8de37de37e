/**
 * Bad and odd requests over real sockets: every one gets the documented error in the form of the dialect that owns the
 * path, and the server goes on.
 */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { sleep, systemClock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import { givenKey, startTestGateway } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

let gateway: TestGateway;
before(async () => {
  gateway = await startTestGateway();
});
after(() => gateway.stop());

const authorized = { authorization: `Bearer ${givenKey}`, 'content-type': 'application/json' };
const deep = '['.repeat(1_000) + ']'.repeat(1_000);

const bad: [name: string, method: string, path: string, request: RequestInit, status: number, dialect: string, code: string][] = [
  ['no key', 'POST', '/test/echo', { headers: { 'content-type': 'application/json' }, body: '{}' }, 401, 'test', 'UNAUTHENTICATED'],
  ['wrong key', 'POST', '/test/echo', { headers: { ...authorized, authorization: 'Bearer no' }, body: '{}' }, 401, 'test', 'UNAUTHENTICATED'],
  ['wrong key and broken body: the key is looked at first', 'POST', '/test/echo', { headers: { ...authorized, authorization: 'Bearer no' }, body: '{' }, 401, 'test', 'UNAUTHENTICATED'],
  ['unknown route under a mount', 'GET', '/test/nowhere', { headers: authorized }, 404, 'test', 'ROUTE_NOT_FOUND'],
  ['unknown route under another mount', 'GET', '/main/nowhere', {}, 404, 'main', 'ROUTE_NOT_FOUND'],
  ['unknown route under no mount', 'GET', '/testing', {}, 404, 'main', 'ROUTE_NOT_FOUND'],
  ['wrong method', 'PUT', '/test/echo', { headers: authorized, body: '{}' }, 405, 'test', 'METHOD_NOT_ALLOWED'],
  ['malformed JSON', 'POST', '/test/echo', { headers: authorized, body: '{"a":' }, 400, 'test', 'MALFORMED_BODY'],
  ['no body', 'POST', '/test/echo', { headers: authorized }, 400, 'test', 'MALFORMED_BODY'],
  ['deep JSON', 'POST', '/test/echo', { headers: authorized, body: deep }, 400, 'test', 'MALFORMED_BODY'],
  ['__proto__', 'POST', '/test/echo', { headers: authorized, body: '{"__proto__":{}}' }, 400, 'test', 'MALFORMED_BODY'],
  ['too large by Content-Length', 'POST', '/test/small', { headers: authorized, body: `"${'x'.repeat(200)}"` }, 413, 'test', 'BODY_TOO_LARGE'],
  ['too large in chunks', 'POST', '/test/small', { headers: authorized, body: chunks(20, 50), duplex: 'half' } as RequestInit, 413, 'test', 'BODY_TOO_LARGE'],
  ['wrong content type', 'POST', '/test/echo', { headers: { ...authorized, 'content-type': 'text/plain' }, body: '{}' }, 415, 'test', 'UNSUPPORTED_MEDIA_TYPE'],
  ['a body where none is taken', 'DELETE', '/test/items/1', { headers: authorized, body: '{"a":1}' }, 400, 'test', 'MALFORMED_BODY'],
  ['unknown query parameter', 'GET', '/test/items/1?verbos=1', { headers: authorized }, 400, 'test', 'UNKNOWN_FIELD'],
  ['repeated query parameter', 'GET', '/test/items/1?verbose=1&verbose=2', { headers: authorized }, 400, 'test', 'INVALID_ARGUMENT'],
  ['broken percent-encoding', 'GET', '/test/items/%zz', { headers: authorized }, 400, 'test', 'INVALID_ARGUMENT'],
  ['a path parameter beyond any id', 'GET', `/test/items/${'x'.repeat(limits.pathParameterBytesMax + 1)}`, { headers: authorized }, 404, 'test', 'ROUTE_NOT_FOUND'],
  ['headers too large', 'GET', '/test/items/1', { headers: { ...authorized, 'x-filler': 'x'.repeat(limits.headerBytesMax) } }, 400, 'test', 'INVALID_ARGUMENT'],
  ['a bad timeout', 'POST', '/test/echo', { headers: { ...authorized, 'x-timeout-ms': '-1' }, body: '{}' }, 400, 'test', 'INVALID_ARGUMENT'],
  ['a deadline that passes', 'POST', '/test/wait', { headers: { ...authorized, 'x-timeout-ms': '20' }, body: '{}' }, 504, 'test', 'DEADLINE_EXCEEDED'],
  ['a defect in a handler', 'POST', '/test/fail', { headers: authorized, body: '{}' }, 500, 'test', 'INTERNAL'],
];
for (const [name, method, path, request, status, dialect, code] of bad) {
  test(`${name}: ${status} ${code}`, async () => {
    const response = await fetch(gateway.base + path, { method, ...request });
    const body = (await response.json()) as Record<string, string>;
    assert.deepEqual([response.status, body.dialect, body.code], [status, dialect, code]);
    assert.equal(body.requestId, response.headers.get('x-request-id'));
    assert.equal((await fetch(`${gateway.base}/health`)).status, 200);
  });
}

function chunks(count: number, bytes: number): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent++ === count) controller.close();
      else controller.enqueue(Buffer.alloc(bytes, '1'));
    },
  });
}

test('a 401 names the scheme, a 405 the methods, and OPTIONS too', async () => {
  assert.equal((await fetch(`${gateway.base}/test/items/1`)).headers.get('www-authenticate'), 'Bearer');
  for (const method of ['PATCH', 'OPTIONS']) {
    const response = await fetch(`${gateway.base}/test/items/1`, { method });
    assert.deepEqual([response.status, response.headers.get('allow')], [method === 'PATCH' ? 405 : 204, 'GET, DELETE, HEAD, OPTIONS']);
  }
  assert.equal((await fetch(`${gateway.base}/test/echo`, { method: 'HEAD' })).status, 405);
  const head = await fetch(`${gateway.base}/test/items/1`, { method: 'HEAD', headers: authorized });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  assert.equal(head.headers.get('access-control-allow-origin'), null);
});

test('good requests: parameters are decoded, either header carries the key, ids at their limit pass', async () => {
  const id = 'ä/?'.repeat(128);
  const response = await fetch(`${gateway.base}/test/items/${encodeURIComponent(id)}?verbose=a%20b`, { headers: { 'x-api-key': givenKey } });
  assert.deepEqual(await response.json(), { params: { id }, query: { verbose: 'a b' }, subject: 'given-1' });
  const touched = await fetch(`${gateway.base}/test/items/7:touch`, { method: 'POST', headers: { 'x-api-key': givenKey } });
  assert.deepEqual(await touched.json(), { id: '7' });
  assert.equal((await fetch(`${gateway.base}/test/items/1`, { method: 'DELETE', headers: { 'x-api-key': givenKey } })).status, 204);
  assert.deepEqual(await (await fetch(`${gateway.base}/test/open`)).text(), 'open');
});

test('a key without the action is refused before the body is read, an expired one is as good as none', async () => {
  const context = { requestId: 't', identity: { subject: 't', actions: [], collections: 'all' }, signal: new AbortController().signal, span: undefined as never } as const;
  const reader = await gateway.keys.create(context, { name: 'reader', actions: ['read'], collections: 'all' });
  const expiresAtMs = systemClock.nowMs() + 300;
  const expiring = await gateway.keys.create(context, { name: 'short', actions: ['read'], collections: 'all', expiresAtMs });
  const call = (key: string, method: string): Promise<Response> => fetch(`${gateway.base}/test/items/1`, { method, headers: { 'x-api-key': key } });
  assert.deepEqual([(await call(reader.secret, 'GET')).status, (await call(reader.secret, 'DELETE')).status], [200, 403]);
  while (systemClock.nowMs() < expiresAtMs) await sleep(systemClock, 10);
  assert.equal((await call(expiring.secret, 'GET')).status, 401);
});

test('a request id that is fit is kept, another is replaced', async () => {
  const idOf = async (given?: string): Promise<string | null> => (await fetch(`${gateway.base}/test/open`, given === undefined ? {} : { headers: { 'x-request-id': given } })).headers.get('x-request-id');
  assert.equal(await idOf('my-request-7'), 'my-request-7');
  const made = await idOf('x'.repeat(limits.requestIdBytesMax + 1));
  assert.match(made ?? '', /^[0-9a-f-]{36}$/);
  assert.notEqual(await idOf(), made);
});

test('a defect is logged under its request id and shows nothing of itself', async () => {
  const response = await fetch(`${gateway.base}/test/fail`, { method: 'POST', headers: { ...authorized, 'x-request-id': 'find-me' }, body: '{}' });
  assert.doesNotMatch(await response.text(), /inner detail/);
  const line = gateway.logs.find(({ fields }) => fields.requestId === 'find-me');
  assert.match(String(line?.fields.error), /an inner detail/);
});

test('a client that leaves aborts its handler', async () => {
  const leave = new AbortController();
  const request = fetch(`${gateway.base}/test/wait`, { method: 'POST', headers: authorized, body: '{}', signal: leave.signal });
  while (gateway.probe.waiting === 0) await sleep(systemClock, 1);
  gateway.probe.aborted.length = 0;
  leave.abort();
  await assert.rejects(request);
  while (gateway.probe.waiting > 0) await sleep(systemClock, 1);
  assert.deepEqual(gateway.probe.aborted, ['CANCELLED']);
});

/** Sends raw bytes and resolves to the raw answer when the server closes. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(gateway.httpAddress.port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}

test('what is not HTTP, and a bad Content-Length, is answered by the dialect of its path', async () => {
  for (const [text, dialect] of [
    ['POST /test/echo HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n', 'test'],
    ['POST /test/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', 'test'],
    ['hello\r\n\r\n', 'main'],
  ] as const) {
    const answer = await raw(text);
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, new RegExp(`"dialect":"${dialect}","code":"MALFORMED_BODY"`));
  }
});

test('a refused request with a body does not keep its connection', async () => {
  const answer = await raw(`POST /test/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{`);
  assert.match(answer, /^HTTP\/1\.1 401 /);
  assert.match(answer, /\r\nconnection: close\r\n/i);
});

test('an answer is measured: at the limit it is sent, above it is refused', async () => {
  const ask = (bytes: number): Promise<Response> => fetch(`${gateway.base}/test/large/${bytes}`, { headers: authorized });
  const fits = await ask(limits.responseBytesMax);
  assert.deepEqual([fits.status, (await fits.text()).length], [200, limits.responseBytesMax]);
  const refused = await ask(limits.responseBytesMax + 1);
  assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [400, 'RESPONSE_TOO_LARGE']);
});

test('a connection that sends its request too slowly is answered and ended', async (context) => {
  const impatient = await startTestGateway({ bounds: { headersTimeoutMs: 100, bodyTimeoutMs: 200 } });
  context.after(() => impatient.stop());
  const dripping = (head: string, drop: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(impatient.httpAddress.port, '127.0.0.1', () => socket.write(head));
      const timer = setInterval(() => socket.write(drop), 20);
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      socket.on('close', () => (clearInterval(timer), resolve(answer)));
      // A drop that is on its way when the server has closed.
      socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' || error.code === 'ECONNRESET' ? undefined : reject(error)));
    });
  const slow = [
    dripping('POST /test/echo HTTP/1.1\r\nHost: a\r\n', 'x-a: 1\r\n'),
    dripping(`POST /test/echo HTTP/1.1\r\nHost: a\r\nX-API-Key: ${givenKey}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n`, '1'),
  ];
  for (const answer of await Promise.all(slow)) {
    assert.match(answer, /^HTTP\/1\.1 504 /);
    assert.match(answer, /"code":"DEADLINE_EXCEEDED"/);
  }
  assert.equal((await fetch(`${impatient.base}/health`)).status, 200);
});

test('health, liveness, readiness', async () => {
  const read = async (path: string, accept = '*/*'): Promise<[number, string]> => {
    const response = await fetch(gateway.base + path, { headers: { accept } });
    return [response.status, await response.text()];
  };
  assert.deepEqual(await read('/health'), [200, 'OK']);
  assert.deepEqual(await read('/health', 'application/json'), [200, '{"status":"ok"}']);
  gateway.readiness.ready = false;
  gateway.readiness.reasons = ['shard docs/0 replays its log'];
  assert.deepEqual(await read('/health'), [503, 'UNAVAILABLE']);
  assert.deepEqual(await read('/health', 'application/json'), [503, '{"status":"unavailable","reasons":["shard docs/0 replays its log"]}']);
  assert.deepEqual(await read('/readyz'), [503, 'shard docs/0 replays its log\n']);
  assert.deepEqual(await read('/livez'), [200, 'OK']);
  gateway.readiness.ready = true;
  assert.deepEqual(await read('/readyz'), [200, 'OK\nshard docs/0 replays its log'], 'what is amiss while it serves');
  gateway.readiness.reasons = [];
  assert.deepEqual(await read('/readyz'), [200, 'OK']);
});

test('the documentation is served without any other host, the document names every route', async () => {
  const document = (await (await fetch(`${gateway.base}/openapi.json`)).json()) as { paths: Record<string, Record<string, { requestBody?: unknown }>> };
  assert.deepEqual(Object.keys(document.paths['/test/items/{id}']!), ['get', 'delete']);
  assert.deepEqual(document.paths['/test/echo']!.post!.requestBody, { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/test.Echo' } } } });
  const page = await fetch(`${gateway.base}/docs/`, { redirect: 'follow' });
  const html = await page.text();
  assert.equal(page.status, 200);
  assert.doesNotMatch(html, /(src|href)="(https?:)?\/\//);
  for (const [, path] of html.matchAll(/(?:src|href)="(\.\/?[^"]+\.(?:js|css))"/g)) assert.equal((await fetch(new URL(path!, `${gateway.base}/docs/`))).status, 200, path);
  assert.deepEqual(((await (await fetch(`${gateway.base}/docs/json`)).json()) as { paths: unknown }).paths, document.paths);
});

test('metrics count requests by code and parse line by line', async () => {
  const text = await (await fetch(`${gateway.base}/metrics`)).text();
  for (const line of text.trimEnd().split('\n')) assert.match(line, /^(# (HELP|TYPE|UNIT) \S+ .+|\w+(\{(\w+="([^"\\]|\\.)*",?)*\})? [-+.\deEInf]+|)$/);
  assert.match(text, /shoal_requests_total\{transport="http",dialect="test",operation="post_test_echo",code="MALFORMED_BODY"\} [1-9]/);
  assert.match(text, /shoal_requests_in_flight 0\n/);
});

test('no secret is in any log line or metric', async () => {
  assert.ok(gateway.logs.length > 0);
  assert.ok(!JSON.stringify(gateway.logs).includes(givenKey));
  assert.ok(!(await (await fetch(`${gateway.base}/metrics`)).text()).includes(givenKey));
});
