/** The server over real sockets, against a client that is no gRPC library: what is no call, what is a broken one, streams, connections and their ends. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants } from 'node:http2';
import type { OutgoingHttpHeaders } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { SimulatedClock } from '../../../e2e/sim/simulated-clock.ts';
import { sleep, systemClock } from '../../kernel/clock.ts';
import { connect, framedWith, startTestServer } from './server.fixture.ts';
import type { RawClient, TestServer } from './server.fixture.ts';

let shared: TestServer;
let client: RawClient;
before(async () => {
  shared = await startTestServer();
  client = connect(shared.port);
});
after(() => {
  client.session.destroy();
  shared.server.close();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(systemClock, 1);
}

const { NGHTTP2_NO_ERROR, NGHTTP2_CANCEL } = constants;

test('a call is answered by headers, its message and trailers', async () => {
  const { headers, trailers, messages, isTrailersOnly } = await client.call('/t.T/Echo', framedWith(0, 'hello'));
  const { ':status': httpStatus, 'content-type': type, 'grpc-accept-encoding': accepted, date } = headers;
  assert.deepEqual([httpStatus, type, accepted, date], [200, 'application/grpc+proto', 'identity,deflate,gzip', undefined]);
  assert.deepEqual([messages.map(String), isTrailersOnly, trailers['grpc-status'], trailers['grpc-message'], trailers['x-of']], [['hello'], false, '0', undefined, 'echo']);
});

test('an error is trailers alone, its text as the protocol encodes it', async () => {
  const { headers, status, isTrailersOnly, messages } = await client.call('/t.T/Fail', framedWith(0, '100 % für\nall'));
  assert.deepEqual([headers[':status'], status, headers['grpc-message'], headers['x-of'], isTrailersOnly, messages], [200, '5', '100 %25 f%C3%BCr%0Aall', 'fail', true, []]);
});

const noCalls: [name: string, path: string, headers: OutgoingHttpHeaders, httpStatus: number, status: string | undefined][] = [
  ['GET', '/t.T/Echo', { ':method': 'GET' }, 405, undefined],
  ['HEAD', '/t.T/Echo', { ':method': 'HEAD' }, 405, undefined],
  ['JSON', '/t.T/Echo', { 'content-type': 'application/json' }, 415, undefined],
  ['gRPC-Web', '/t.T/Echo', { 'content-type': 'application/grpc-web+proto' }, 415, undefined],
  ['messages in JSON', '/t.T/Echo', { 'content-type': 'application/grpc+json' }, 415, undefined],
  ['no content type', '/t.T/Echo', { 'content-type': undefined }, 415, undefined],
  ['an unknown method', '/t.T/Echoes', {}, 200, '12'],
  ['a path of one part', '/', {}, 200, '12'],
  ['a path that is a property of objects', '/constructor', {}, 200, '12'],
];
for (const [name, path, headers, httpStatus, status] of noCalls) {
  test(`${name}: ${httpStatus}, ${status ?? 'no status of gRPC'}; its body is not waited for`, async () => {
    const { stream, answer } = client.open(path, headers);
    const given = await answer;
    assert.deepEqual([given.headers[':status'], given.status, given.isTrailersOnly, stream.rstCode], [httpStatus, status, true, NGHTTP2_NO_ERROR]);
  });
}

const broken: [name: string, body: Buffer, headers: OutgoingHttpHeaders, status: string, message: string][] = [
  ['no message', Buffer.alloc(0), {}, '12', '/t.T/Echo takes one message, and the request has none'],
  ['two messages', Buffer.concat([framedWith(0, 'a'), framedWith(0, 'b')]), {}, '12', '/t.T/Echo takes one message, and the request has more'],
  ['half a prefix', Buffer.alloc(3), {}, '3', 'the request ends within a message'],
  ['a message and half a prefix', Buffer.concat([framedWith(0, 'a'), Buffer.alloc(3)]), {}, '3', 'the request ends within a message'],
  ['an encoding that there is not', framedWith(1, 'a'), { 'grpc-encoding': 'snappy' }, '12', 'grpc-encoding names a compression that the server does not have; it has gzip and deflate'],
  ['a deadline that is none', framedWith(0, 'a'), { 'grpc-timeout': '1 second' }, '3', 'grpc-timeout must be up to 8 digits and one of the units H, M, S, m, u, n'],
];
for (const [name, body, headers, status, message] of broken) {
  test(`${name}: status ${status}, once`, async () => {
    const given = await client.call('/t.T/Echo', body, headers);
    assert.deepEqual([given.status, given.headers['grpc-message'], given.messages, given.headers['grpc-accept-encoding']], [status, message, [], 'identity,deflate,gzip']);
  });
}

test('a message in many frames, an empty one, a compressed one', async () => {
  const { stream, answer } = client.open('/t.T/Echo');
  for (const byte of framedWith(0, 'slowly')) {
    stream.write(Buffer.from([byte]));
    await sleep(systemClock, 1);
  }
  stream.end();
  assert.deepEqual((await answer).messages.map(String), ['slowly']);
  assert.deepEqual((await client.call('/t.T/Echo', framedWith(0, ''))).messages.map(String), ['']);
  assert.deepEqual((await client.call('/t.T/Echo', framedWith(1, gzipSync('small')), { 'grpc-encoding': 'gzip' })).messages.map(String), ['small']);
});

test('a message beyond the limit is refused by its prefix, while the client still sends', async () => {
  const { stream, answer } = client.open('/t.T/Echo');
  stream.write(framedWith(0, Buffer.alloc(1_000_001)).subarray(0, 5));
  const given = await answer;
  assert.deepEqual([given.status, given.headers['shoal-error-code'], given.headers['grpc-message'], given.resetCode], ['8', 'BODY_TOO_LARGE', 'the message has 1000001 bytes; the limit is 1000000; send smaller batches', NGHTTP2_NO_ERROR]);
});

test('many messages go in and out while both sides stream, compressed ones among them in their order', async () => {
  const sent = Array.from({ length: 500 }, (_, at) => `message ${at}`);
  const body = Buffer.concat(sent.map((message, at) => (at % 7 === 0 ? framedWith(1, gzipSync(message)) : framedWith(0, message))));
  const { messages, status } = await client.call('/t.T/Each', body, { 'grpc-encoding': 'gzip' });
  assert.deepEqual([messages.map(String), status], [sent, '0']);
});

test('an end in the middle of a request reaches the client before its call is closed', async () => {
  const { stream, answer } = client.open('/t.T/Enough');
  stream.write(framedWith(0, 'one'));
  const { messages, trailers, resetCode } = await answer;
  assert.deepEqual([messages.map(String), trailers['grpc-status'], trailers['grpc-message'], resetCode], [['one'], '9', 'enough', NGHTTP2_NO_ERROR]);
});

test('a client that resets its call, or whose connection breaks, cancels at once', async () => {
  shared.seen.cancelled = 0;
  const { stream } = client.open('/t.T/Hold');
  stream.end(framedWith(0, 'a'));
  await until(() => shared.held.length === 1);
  stream.close(NGHTTP2_CANCEL);
  await until(() => shared.seen.cancelled === 1);
  const other = connect(shared.port);
  void other.call('/t.T/Hold', framedWith(0, 'a'));
  void other.open('/t.T/Hold');
  await until(() => shared.held.length === 2);
  other.session.socket.destroy();
  await until(() => shared.seen.cancelled === 3);
  for (const call of shared.held.splice(0)) call.answer(Buffer.alloc(1));
  assert.equal((await client.call('/t.T/Echo', framedWith(0, 'still'))).status, '0');
});

test('the first message of a stream goes out while the rest is being made', async () => {
  const { stream, answer } = client.open('/t.T/First');
  stream.end(framedWith(0, 'first'));
  await once(stream, 'data');
  assert.equal(stream.closed, false);
  shared.held.pop()!.end(14, 'later');
  const given = await answer;
  assert.deepEqual([given.trailers['grpc-status'], given.trailers['grpc-message'], given.isTrailersOnly], ['14', 'later', false]);
});

test('a stream waits for a client that reads slowly, and then sends everything', async () => {
  shared.seen.written = 0;
  const { stream, answer } = client.open('/t.T/Flood');
  stream.end(framedWith(0, '1000'));
  stream.pause();
  await sleep(systemClock, 100);
  assert.ok(shared.seen.written < 100, `${shared.seen.written} messages of 10 kB were written for a client that reads none`);
  stream.resume();
  assert.equal((await answer).messages.length, 1_000);
});

test('an answer that the client does not take is given up in time', async () => {
  const clock = new SimulatedClock();
  const server = await startTestServer({ answerTimeoutMs: 100 }, { clock });
  const slow = connect(server.port);
  const { stream, answer } = slow.open('/t.T/Large');
  stream.pause();
  stream.end(framedWith(0, '500000'));
  await once(stream, 'response');
  clock.advance(99);
  await sleep(systemClock, 10);
  assert.equal(stream.closed, false);
  clock.advance(1);
  assert.equal((await answer).resetCode, NGHTTP2_CANCEL);
  assert.equal((await slow.call('/t.T/Large', framedWith(0, '500000'))).messages[0]?.length, 500_000);
  slow.session.destroy();
  server.server.close();
});

test('a connection that holds too much for its client gets no more calls until the client reads', async () => {
  const server = await startTestServer({ connectionMebibytesMax: 1 });
  const slow = connect(server.port);
  const { stream, answer } = slow.open('/t.T/Large');
  stream.pause();
  stream.end(framedWith(0, '3000000'));
  await once(stream, 'response');
  assert.deepEqual((await slow.call('/t.T/Echo', framedWith(0, 'a'))).resetCode, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  stream.resume();
  assert.equal((await answer).messages[0]?.length, 3_000_000);
  assert.equal((await slow.call('/t.T/Echo', framedWith(0, 'a'))).status, '0');
  slow.session.destroy();
  server.server.close();
});

test('a connection that does not speak HTTP/2 is closed in time, and so is one that gives no sign of life', async () => {
  const clock = new SimulatedClock();
  const server = await startTestServer({ headersTimeoutMs: 100, keepAliveTimeoutMs: 100 }, { clock });
  // So slowly that whoever lives can give a sign of it in time.
  let hasEnded = false;
  const time = (async () => {
    for (; !hasEnded; clock.advance(5)) await sleep(systemClock, 1);
  })();
  const silent = connectTcp(server.port, '127.0.0.1');
  await once(silent.on('error', () => undefined).resume(), 'close');
  const mute = connectTcp(server.port, '127.0.0.1');
  // The preface and empty settings; nothing that the server sends is ever answered.
  mute.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]));
  await once(mute.on('error', () => undefined).resume(), 'close');
  const alive = connect(server.port);
  assert.equal((await alive.call('/t.T/Echo', framedWith(0, 'a'))).status, '0');
  for (const untilMs = clock.monotonicMs() + 500; clock.monotonicMs() < untilMs; ) await sleep(systemClock, 1);
  assert.equal(alive.session.closed, false);
  hasEnded = true;
  await time;
  alive.session.destroy();
  server.server.close();
});

test('the bounds of a connection are told, and held', async () => {
  const { remoteSettings } = client.session;
  assert.deepEqual([remoteSettings.maxConcurrentStreams, remoteSettings.maxHeaderListSize, remoteSettings.initialWindowSize], [50, 16 * 1024, 100_000]);
  assert.equal((await client.call('/t.T/Echo', framedWith(0, Buffer.alloc(900_000)))).messages[0]?.length, 900_000);
  assert.ok(client.session.state.remoteWindowSize! > 65_535, `${client.session.state.remoteWindowSize}`);
  const large = await client.call('/t.T/Echo', framedWith(0, 'a'), { 'x-large': 'x'.repeat(17 * 1024) });
  assert.deepEqual([large.status, large.resetCode === NGHTTP2_NO_ERROR], [undefined, false]);
  assert.equal((await client.call('/t.T/Echo', framedWith(0, 'a'), { 'x-large': 'x'.repeat(10 * 1024) })).status, '0');
});

test('a client that does nothing but open calls and reset them loses its connection, nobody else does', async () => {
  const hostile = connect(shared.port);
  await once(hostile.session, 'remoteSettings');
  for (let round = 0; round < 200 && !hostile.session.destroyed; round++) {
    for (let at = 0; at < 40 && !hostile.session.destroyed; at++) {
      const { stream } = hostile.open('/t.T/Hold');
      stream.close(NGHTTP2_CANCEL);
    }
    await sleep(systemClock, 1);
  }
  await until(() => hostile.session.destroyed);
  assert.equal((await client.call('/t.T/Echo', framedWith(0, 'a'))).status, '0');
  shared.held.length = 0;
});

test('stopping: what runs ends, idle connections close at once, nothing new is taken', async () => {
  const server = await startTestServer();
  const [busy, idle] = [connect(server.port), connect(server.port)];
  const running = busy.call('/t.T/Hold', framedWith(0, 'a'));
  await once(idle.session, 'remoteSettings');
  await until(() => server.held.length === 1);
  let hasStopped = false;
  const stopped = server.server.stopAccepting().then(() => void (hasStopped = true));
  await once(idle.session, 'close');
  if (!busy.session.closed) await once(busy.session, 'goaway');
  await assert.rejects(once(connectTcp(server.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });
  assert.equal(hasStopped, false);
  server.held[0]!.answer(Buffer.from('done'));
  assert.deepEqual((await running).messages.map(String), ['done']);
  await stopped;
});

test('a call that ends while its request is held back, and one whose client leaves meanwhile, keep nobody from stopping', async () => {
  const server = await startTestServer();
  const raw = connect(server.port);
  const calls = [1, 2, 3].map(() => raw.open('/t.T/Stuck'));
  for (const { stream } of calls) stream.write(Buffer.concat([framedWith(0, 'a'), framedWith(0, 'b')]));
  await until(() => server.held.length >= 3);
  for (const { stream } of calls) stream.write(framedWith(0, 'c'));
  calls[2]!.stream.end();
  await raw.call('/t.T/Echo', framedWith(0, 'after them'));
  server.held[0]!.end(9, 'enough');
  calls[1]!.stream.close(NGHTTP2_NO_ERROR);
  server.held.at(-1)!.end(9, 'enough');
  assert.equal((await calls[0]!.answer).status, '9');
  await server.server.stopAccepting();
  assert.equal(server.seen.cancelled, 1);
});

test('closing ends calls and connections', async () => {
  const server = await startTestServer();
  const raw = connect(server.port);
  const running = raw.call('/t.T/Hold', framedWith(0, 'a'));
  await until(() => server.held.length === 1);
  const stopped = server.server.stopAccepting();
  server.server.close();
  assert.equal((await running).status, undefined);
  await stopped;
  assert.equal(server.seen.cancelled, 1);
});

test('a host name, IPv6, and a port that is in use', async (context) => {
  const local = await startTestServer({}, { host: 'localhost' });
  const named = connect(local.port);
  assert.equal((await named.call('/t.T/Echo', framedWith(0, 'a'))).status, '0');
  named.session.destroy();
  await assert.rejects(startTestServer({}, { port: local.port }), { code: 'EADDRINUSE' });
  local.server.close();
  for (const host of ['::1', '[::1]']) {
    try {
      (await startTestServer({}, { host })).server.close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') return context.skip('there is no IPv6');
      throw error;
    }
  }
});
