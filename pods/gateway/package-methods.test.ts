/** Health and reflection, whose handlers are packages', over sockets: watching, calls that never begin or never end, many questions at once. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { connect, framedWith } from './grpc/server.fixture.ts';
import type { RawClient } from './grpc/server.fixture.ts';
import { startTestGateway } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

let gateway: TestGateway;
let client: RawClient;
before(async () => {
  gateway = await startTestGateway();
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
  const clock = new SimulatedClock();
  const own = await startTestGateway({ clock, bounds: { headersTimeoutMs: 200 } });
  const waiting = connect(own.grpcAddress.port);
  const silent = [waiting.open('/grpc.health.v1.Health/Check'), waiting.open('/grpc.health.v1.Health/Watch'), waiting.open(reflectionPath, { 'grpc-timeout': '300m' })];
  const watched = waiting.open('/grpc.health.v1.Health/Watch', { 'grpc-timeout': '300m' });
  watched.stream.end(ofService(''));
  // It came last, so that the others have begun.
  await once(watched.stream, 'data');
  const statuses = async (): Promise<unknown[]> => Promise.all(silent.slice(0, 2).map(async ({ answer }) => (await answer).status));
  clock.advance(200);
  assert.deepEqual(await statuses(), ['4', '4']);
  assert.deepEqual([silent[2]!.stream.closed, watched.stream.closed], [false, false]);
  clock.advance(100);
  assert.equal((await silent[2]!.answer).status, '4');
  const { messages, trailers } = await watched.answer;
  assert.deepEqual([messages.length, trailers['grpc-status']], [1, '4']);
  waiting.session.destroy();
  await own.stop();
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
