/** Health and reflection, whose handlers are packages', over sockets: watching, calls that never begin or never end, many questions at once. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { connect, framedWith } from './grpc/server.fixture.ts';
import type { RawClient } from './grpc/server.fixture.ts';
import { startTestGateway } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

let gateway: TestGateway;
let client: RawClient;
before(async () => {
  gateway = await startTestGateway({ bounds: { headersTimeoutMs: 200 } });
  client = connect(gateway.grpcAddress.port);
});
after(async () => {
  client.session.destroy();
  await gateway.stop();
});

const reflectionPath = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
/** Messages by hand: field 1 of a HealthCheckRequest, field 7 of a ServerReflectionRequest, field 1 of a HealthCheckResponse. */
const ofService = (name: string): Buffer => framedWith(0, Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)]));
const listServices = framedWith(0, Buffer.from([0x3a, 1, 0x2a]));
const status = (value: number): Buffer => Buffer.from([0x08, value]);

test('Check knows the services, List lists them', async () => {
  assert.deepEqual((await client.call('/grpc.health.v1.Health/Check', ofService('test.v1.Test'))).messages, [status(1)]);
  const unknown = await client.call('/grpc.health.v1.Health/Check', ofService('no.Such'));
  assert.deepEqual([unknown.status, unknown.headers['grpc-message']], ['5', 'Health status unknown for service no.Such']);
  const { messages } = await client.call('/grpc.health.v1.Health/List', framedWith(0, ''));
  for (const name of ['test.v1.Test', 'alias.v1.Test']) assert.ok(messages[0]!.includes(name), name);
  assert.equal((await client.call('/grpc.health.v1.Health/Check', framedWith(0, Buffer.from([0xff])))).status, '3');
});

test('Watch tells each change, and ends with the server', async () => {
  const own = await startTestGateway();
  const watcher = connect(own.grpcAddress.port);
  const { stream, answer } = watcher.open('/grpc.health.v1.Health/Watch');
  stream.end(ofService('test.v1.Test'));
  await once(stream, 'data');
  own.readiness.ready = false;
  await once(stream, 'data');
  own.readiness.ready = true;
  await once(stream, 'data');
  const left = watcher.open('/grpc.health.v1.Health/Watch');
  left.stream.end(ofService('no.Such'));
  await once(left.stream, 'data');
  left.stream.close();
  assert.deepEqual((await left.answer).messages, [status(3)]);
  await own.stop();
  const { messages, trailers } = await answer;
  assert.deepEqual([messages.slice(0, 3), trailers['grpc-status'], trailers['grpc-message']], [[status(1), status(2), status(1)], '14', 'the server is shutting down']);
});

test('a call whose message does not come ends in time, and so does one with a deadline', async () => {
  assert.equal((await client.open('/grpc.health.v1.Health/Check').answer).status, '4');
  assert.equal((await client.open('/grpc.health.v1.Health/Watch').answer).status, '4');
  assert.equal((await client.open(reflectionPath, { 'grpc-timeout': '50m' }).answer).status, '4');
  const watched = client.open('/grpc.health.v1.Health/Watch', { 'grpc-timeout': '50m' });
  watched.stream.end(ofService(''));
  const { messages, trailers } = await watched.answer;
  assert.deepEqual([messages.length, trailers['grpc-status']], [1, '4']);
});

test('a thousand questions to reflection in one piece are answered one after the other, as the client reads', async () => {
  const { stream, answer } = client.open(reflectionPath);
  stream.pause();
  stream.end(Buffer.concat(Array.from({ length: 1_000 }, () => listServices)));
  await client.call('/grpc.health.v1.Health/Check', ofService(''));
  stream.resume();
  const { messages, trailers } = await answer;
  assert.deepEqual([messages.length, new Set(messages.map(String)).size, trailers['grpc-status']], [1_000, 1, '0']);
});
