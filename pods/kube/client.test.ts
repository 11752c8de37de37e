/** Aim: each way in which the API server may answer or not has its meaning, and a write is sent once whatever happens. */

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { fakeApiServer, sendJson, type Patience } from './api-server.fixture.ts';

const refusal = (reason: string, details?: object) => ({ kind: 'Status', status: 'Failure', reason, message: `because ${reason}`, ...(details === undefined ? {} : { details }) });

/** What the server does; what a write of it means; what a read means, and how often it is sent. */
const cases: readonly [name: string, answer: (response: ServerResponse, patience: Patience) => void, write: string, read: string, reads: number][] = [
  ['200', (response) => sendJson(response, 200, { kind: 'VectorShard' }), 'ok', 'ok', 1],
  ['200 without JSON', (response) => response.end('<html>'), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['400', (response) => sendJson(response, 400, refusal('BadRequest')), 'INVALID_ARGUMENT', 'INVALID_ARGUMENT', 1],
  ['401', (response) => sendJson(response, 401, refusal('Unauthorized')), 'UNAUTHENTICATED', 'UNAUTHENTICATED', 1],
  ['403', (response) => sendJson(response, 403, refusal('Forbidden')), 'PERMISSION_DENIED', 'PERMISSION_DENIED', 1],
  ['404 of an object', (response) => sendJson(response, 404, refusal('NotFound', { name: 'a' })), 'CONFLICT', 'undefined', 1],
  ['404 of the resource', (response) => sendJson(response, 404, refusal('NotFound')), 'UNAVAILABLE', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['404 page not found', (response) => response.writeHead(404).end('404 page not found'), 'UNAVAILABLE', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['409', (response) => sendJson(response, 409, refusal('Conflict')), 'CONFLICT', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['410', (response) => sendJson(response, 410, refusal('Expired')), 'OUTCOME_UNKNOWN', 'CONFLICT', 1],
  ['422', (response) => sendJson(response, 422, refusal('Invalid')), 'INVALID_ARGUMENT', 'INVALID_ARGUMENT', 1],
  ['429', (response) => sendJson(response, 429, refusal('TooManyRequests')), 'OVERLOADED', 'OVERLOADED', limits.kubeReadTriesMax],
  ['500', (response) => sendJson(response, 500, refusal('InternalError')), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['503', (response) => sendJson(response, 503, refusal('ServiceUnavailable')), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['503 with a time to come back', (response) => response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '1' }).end(JSON.stringify(refusal('ServiceUnavailable'))), 'UNAVAILABLE', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['503 of something in between', (response) => response.writeHead(503, { 'retry-after': '1' }).end('<html>'), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['504', (response) => sendJson(response, 504, refusal('Timeout')), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['no answer', (_, patience) => patience.ends(), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['a connection closed instead of an answer', (response) => response.destroy(), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['an answer that is cut', (response) => response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy()), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
  ['an answer that does not end', (response, patience) => (patience.endsNext(), response.writeHead(200, { 'content-length': '100' }).write('{')), 'OUTCOME_UNKNOWN', 'UNAVAILABLE', limits.kubeReadTriesMax],
];

for (const [name, answer, writeOutcome, readOutcome, reads] of cases) {
  test(`${name}: a write is ${writeOutcome}, a read ${readOutcome}`, async (t) => {
    const { client, requests } = await fakeApiServer(t, (_, response, _number, patience) => answer(response, patience));
    assert.equal(await outcomeOf(client.write({ method: 'PUT', path: '/a', body: {} })), writeOutcome);
    assert.deepEqual(requests, [`PUT /a?timeout=${limits.kubeRequestTimeoutMs / 1_000}s`]);
    requests.length = 0;
    assert.equal(await outcomeOf(client.read('/a')), readOutcome);
    assert.deepEqual(requests, Array.from({ length: reads }, () => 'GET /a'));
  });
}

test('a name that is taken is CONFLICT, a place where nothing can be made is UNAVAILABLE', async (t) => {
  const { client } = await fakeApiServer(t, (request, response) => (request.url!.startsWith('/taken') ? sendJson(response, 409, refusal('AlreadyExists')) : sendJson(response, 404, refusal('NotFound', { name: 'namespace' }))));
  assert.equal(await outcomeOf(client.write({ method: 'POST', path: '/taken', body: {} })), 'CONFLICT');
  assert.equal(await outcomeOf(client.write({ method: 'POST', path: '/nowhere', body: {} })), 'UNAVAILABLE');
});

test('where nobody listens a write was not sent', async (t) => {
  const { client, close, requests } = await fakeApiServer(t, () => undefined);
  await close();
  assert.equal(await outcomeOf(client.write({ method: 'DELETE', path: '/a' })), 'UNAVAILABLE');
  assert.equal(await outcomeOf(client.read('/a')), 'UNAVAILABLE');
  assert.deepEqual(requests, []);
});

test('a read that fails once is answered', async (t) => {
  const { client, requests } = await fakeApiServer(t, (_, response, number) => (number === 1 ? response.destroy() : sendJson(response, 200, { number })));
  assert.deepEqual(await client.read('/a', { limit: '5' }), { number: 2 });
  assert.deepEqual(requests, ['GET /a?limit=5', 'GET /a?limit=5']);
});

async function outcomeOf(request: Promise<unknown>): Promise<string> {
  try {
    return (await request) === undefined ? 'undefined' : 'ok';
  } catch (error) {
    return error instanceof ShoalError ? error.code : String(error);
  }
}
