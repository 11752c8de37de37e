/** Calls that go wrong before their message is there: each is an exchange with its request id, its error code and its end. */

import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import type { OutgoingHttpHeaders } from 'node:http2';
import { after, before, test } from 'node:test';
import { Client, Metadata, compressionAlgorithms, credentials } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/grpc-js';
import { sleep, systemClock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import { connect, framedWith } from './grpc/server.fixture.ts';
import type { RawAnswer, RawClient } from './grpc/server.fixture.ts';
import { givenKey, startTestGateway, testService } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

let gateway: TestGateway;
let client: RawClient;
before(async () => {
  gateway = await startTestGateway({ bounds: { requestsInFlightMax: 2 } });
  client = connect(gateway.grpcAddress.port);
});
after(async () => {
  client.session.destroy();
  await gateway.stop();
});

const headers = { authorization: `Bearer ${givenKey}`, 'x-request-id': 'id-1' };

function errorOf({ status, headers: given, messages }: RawAnswer): unknown[] {
  return [status, given['shoal-error-code'], given['x-request-id'], messages.length];
}

const unsent: [name: string, more: OutgoingHttpHeaders, expected: unknown[]][] = [
  ['without a key', { authorization: 'Bearer no' }, ['16', 'UNAUTHENTICATED', 'id-1', 0]],
  ['whose deadline has passed', { 'grpc-timeout': '0m' }, ['4', 'DEADLINE_EXCEEDED', 'id-1', 0]],
  ['whose deadline is none', { 'grpc-timeout': 'soon' }, ['3', 'INVALID_ARGUMENT', 'id-1', 0]],
  ['whose message does not come before its deadline', { 'grpc-timeout': '50000u' }, ['4', 'DEADLINE_EXCEEDED', 'id-1', 0]],
  ['whose message does not come, without a deadline', {}, ['4', 'DEADLINE_EXCEEDED', 'id-1', 0]],
];
test('a call is answered without its message', async (t) => {
  const impatient = await startTestGateway({ argv: ['--request-timeout-ms', '200'] });
  const waiting = connect(impatient.grpcAddress.port);
  for (const [name, more, expected] of unsent) {
    await t.test(name, async () => {
      assert.deepEqual(errorOf(await waiting.open('/test.v1.Test/Echo', { ...headers, ...more }).answer), expected);
      assert.deepEqual(errorOf(await waiting.open('/test.v1.Test/Count', { ...headers, ...more }).answer), expected);
    });
  }
  waiting.session.destroy();
  await impatient.stop();
});

test('a message beyond the limit is an error of ours', async () => {
  const { stream, answer } = client.open('/test.v1.Test/Echo', headers);
  const prefix = Buffer.from([0, 0, 0, 0, 0]);
  prefix.writeUInt32BE(limits.grpcMessageBytesMax + 1, 1);
  stream.write(prefix);
  assert.deepEqual(errorOf(await answer), ['8', 'BODY_TOO_LARGE', 'id-1', 0]);
});

test('calls that wait for their messages count as requests in flight, until the client leaves', async () => {
  const waiting = [1, 2].map(() => client.open('/test.v1.Test/Echo', headers));
  const overloaded = await client.call('/test.v1.Test/Echo', framedWith(0, '1'), headers);
  assert.deepEqual(errorOf(overloaded), ['8', 'OVERLOADED', 'id-1', 0]);
  for (const { stream } of waiting) stream.close(constants.NGHTTP2_CANCEL);
  let answer = overloaded;
  while (answer.status !== '0') {
    await sleep(systemClock, 1);
    answer = await client.call('/test.v1.Test/Echo', framedWith(0, '1'), headers);
  }
  assert.equal(answer.messages.length, 1);
});

test("a library's client that compresses is understood", async () => {
  const compressing = new Client(`127.0.0.1:${gateway.grpcAddress.port}`, credentials.createInsecure(), { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip });
  const echo = testService['Echo'] as MethodDefinition<unknown, unknown>;
  const metadata = new Metadata();
  metadata.set('x-api-key', givenKey);
  const sent = 'compressible '.repeat(100_000);
  const answer = await new Promise((resolve, reject) => compressing.makeUnaryRequest(echo.path, echo.requestSerialize, echo.responseDeserialize, sent, metadata, (error, value) => (error === null ? resolve(value) : reject(error))));
  assert.equal(answer, sent);
  compressing.close();
});
