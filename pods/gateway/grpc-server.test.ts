/** The same over gRPC: credentials, error statuses with their trailers, cancelling, streams that wait for their reader. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import type { Client, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { sleep, systemClock } from '../kernel/clock.ts';
import { givenKey, startTestGateway, testService } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

let gateway: TestGateway;
before(async () => {
  gateway = await startTestGateway({ bounds: { requestsInFlightMax: 3 } });
});
after(() => gateway.stop());

interface CallOptions {
  readonly key?: string | null;
  readonly headers?: Record<string, string>;
  readonly path?: string;
}

function metadataOf({ key = givenKey, headers = {} }: CallOptions): Metadata {
  const metadata = new Metadata();
  if (key !== null) metadata.set('authorization', `Bearer ${key}`);
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

interface Answer {
  readonly value?: unknown;
  readonly error?: ServiceError;
  readonly trailers: Metadata;
}

function start(client: Client, name: string, message: unknown, options: CallOptions = {}): { answer: Promise<Answer>; cancel(): void } {
  const method = testService[name] as MethodDefinition<unknown, unknown>;
  const answered = Promise.withResolvers<Answer>();
  let value: { error: ServiceError } | { value: unknown } | undefined;
  const call = client.makeUnaryRequest(options.path ?? method.path, (given) => (Buffer.isBuffer(given) ? given : method.requestSerialize(given)), method.responseDeserialize, message, metadataOf(options), (error, answer) => {
    value = error === null ? { value: answer } : { error };
  });
  call.on('status', ({ metadata }) => setImmediate(() => answered.resolve({ ...value, trailers: metadata })));
  return { answer: answered.promise, cancel: () => call.cancel() };
}

const bad: [name: string, method: string, message: unknown, options: CallOptions, code: keyof typeof status, errorCode: string, details: RegExp][] = [
  ['no key', 'Echo', 1, { key: null }, 'UNAUTHENTICATED', 'UNAUTHENTICATED', /API key/],
  ['wrong key', 'Echo', 1, { key: 'no' }, 'UNAUTHENTICATED', 'UNAUTHENTICATED', /API key/],
  ['undecodable message', 'Echo', Buffer.from('{'), {}, 'INVALID_ARGUMENT', 'MALFORMED_BODY', /could not be decoded/],
  ['a defect', 'Fail', 1, {}, 'INTERNAL', 'INTERNAL', /^internal error; the log/],
  ['an answer beyond the limit', 'Large', 1, {}, 'RESOURCE_EXHAUSTED', 'RESPONSE_TOO_LARGE', /ask for fewer results/],
];
for (const [name, method, message, options, code, errorCode, details] of bad) {
  test(`${name}: ${code}`, async () => {
    const { error, trailers } = await start(gateway.client, method, message, { ...options, headers: { 'x-request-id': 'id-1' } }).answer;
    assert.deepEqual([status[error!.code], trailers.get('shoal-error-code'), trailers.get('x-request-id')], [code, [errorCode], ['id-1']]);
    assert.match(error!.details, details);
  });
}

test('a method that is not served, or a service, is UNIMPLEMENTED', async () => {
  assert.equal((await start(gateway.client, 'Missing', 1).answer).error?.code, status.UNIMPLEMENTED);
  assert.equal((await start(gateway.client, 'Echo', 1, { path: '/no.Such/Method' }).answer).error?.code, status.UNIMPLEMENTED);
});

test('a message beyond the receive limit is refused', async () => {
  assert.equal((await start(gateway.client, 'Echo', 'x'.repeat(17 * 1024 * 1024)).answer).error?.code, status.RESOURCE_EXHAUSTED);
});

test('an answer carries the request id; an alias serves the same; either header carries the key', async () => {
  const { value, trailers } = await start(gateway.client, 'Echo', { a: 1 }, { headers: { 'x-request-id': 'id-2' } }).answer;
  assert.deepEqual([value, trailers.get('x-request-id')], [{ a: 1 }, ['id-2']]);
  assert.deepEqual((await start(gateway.client, 'Echo', 7, { path: '/alias.v1.Test/Echo' }).answer).value, 7);
  assert.deepEqual((await start(gateway.client, 'Echo', 7, { key: null, headers: { 'x-api-key': givenKey } }).answer).value, 7);
});

async function waitingHandlers(count: number): Promise<void> {
  while (gateway.probe.waiting !== count) await sleep(systemClock, 1);
}

test('cancelling, and the deadline, abort the handler with their reason', async () => {
  gateway.probe.aborted.length = 0;
  const cancelled = start(gateway.client, 'Wait', 1);
  await waitingHandlers(1);
  cancelled.cancel();
  assert.equal((await cancelled.answer).error?.code, status.CANCELLED);
  await waitingHandlers(0);
  // Long enough to reach the handler on a busy machine; a client with a deadline of its own might cancel before the server's has passed.
  const late = start(gateway.client, 'Wait', 1, { headers: { 'grpc-timeout': '2S' } });
  await waitingHandlers(1);
  assert.equal((await late.answer).error?.code, status.DEADLINE_EXCEEDED);
  await waitingHandlers(0);
  assert.deepEqual(gateway.probe.aborted, ['CANCELLED', 'DEADLINE_EXCEEDED']);
});

test('beyond the limit of requests in flight: OVERLOADED with the time to wait, over both transports', async () => {
  const waiting = [1, 2, 3].map(() => start(gateway.client, 'Wait', 1));
  await waitingHandlers(3);
  const { error, trailers } = await start(gateway.client, 'Echo', 1).answer;
  assert.deepEqual([status[error!.code], trailers.get('shoal-error-code'), trailers.get('retry-after-ms')], ['RESOURCE_EXHAUSTED', ['OVERLOADED'], ['1000']]);
  const response = await fetch(`${gateway.base}/test/items/1`, { headers: { 'x-api-key': givenKey } });
  assert.deepEqual([response.status, response.headers.get('retry-after')], [429, '1']);
  for (const call of waiting) call.cancel();
  await waitingHandlers(0);
  assert.deepEqual((await start(gateway.client, 'Echo', 1).answer).value, 1);
});

const countMethod = testService.Count as MethodDefinition<unknown, unknown>;

test('a stream sends everything, and waits for a reader that is slow', async () => {
  const produced = gateway.probe;
  produced.streamProduced = 0;
  const call = gateway.client.makeServerStreamRequest(countMethod.path, countMethod.requestSerialize, countMethod.responseDeserialize, 1_000, metadataOf({}));
  call.pause();
  await sleep(systemClock, 100);
  assert.ok(produced.streamProduced < 500, `${produced.streamProduced} messages of 100 kB were made for a reader that reads none`);
  let received = 0;
  for await (const message of call) received += (message as string).length > 0 ? 1 : 0;
  assert.equal(received, 1_000);
});

test('a stream that the client leaves, or that fails, is closed', async () => {
  gateway.probe.streamReturned = false;
  const call = gateway.client.makeServerStreamRequest(countMethod.path, countMethod.requestSerialize, countMethod.responseDeserialize, -1, metadataOf({}));
  call.on('error', () => undefined);
  await once(call, 'data');
  call.cancel();
  while (!gateway.probe.streamReturned) await sleep(systemClock, 1);
  const refused = gateway.client.makeServerStreamRequest(countMethod.path, countMethod.requestSerialize, countMethod.responseDeserialize, 1, metadataOf({ key: 'no' }));
  const error = await new Promise<ServiceError>((resolve) => refused.on('error', (reason) => resolve(reason as ServiceError)).resume());
  assert.deepEqual([error.code, error.metadata.get('shoal-error-code')], [status.UNAUTHENTICATED, ['UNAUTHENTICATED']]);
});

test('health follows readiness, for the server and for each service', async () => {
  const check = healthService as unknown as { Check: MethodDefinition<unknown, { status: string }> };
  const statusOf = (name: string): Promise<string> =>
    new Promise((resolve, reject) =>
      gateway.client.makeUnaryRequest(check.Check.path, check.Check.requestSerialize, check.Check.responseDeserialize, { service: name }, (error, answer) => (error === null ? resolve(answer!.status) : reject(error))),
    );
  assert.deepEqual([await statusOf(''), await statusOf('test.v1.Test'), await statusOf('alias.v1.Test')], ['SERVING', 'SERVING', 'SERVING']);
  gateway.readiness.ready = false;
  while ((await statusOf('')) === 'SERVING') await sleep(systemClock, 10);
  gateway.readiness.ready = true;
});
