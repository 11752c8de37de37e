/** What the protocol says about headers, as tables. */

import assert from 'node:assert/strict';
import { sensitiveHeaders } from 'node:http2';
import { test } from 'node:test';
import { encodeMessage, framed, isGrpc, timeoutMsOf, trailersOf } from './protocol.ts';

test('grpc-timeout has six units and at most eight digits', () => {
  const read = ['1H', '2M', '30S', '250m', '5000u', '1000000n', '99999999H', '0m'].map(timeoutMsOf);
  assert.deepEqual(read, [3_600_000, 120_000, 30_000, 250, 5, 1, 99_999_999 * 3_600_000, 0]);
  for (const malformed of ['', '1', 'S', '1s', '-1S', '1.5S', '123456789S', ' 1S', '1S ', '1SS', '1e3S', '1h', '+1S', '1S\n']) assert.ok(Number.isNaN(timeoutMsOf(malformed)), JSON.stringify(malformed));
});

test('the content type is that of gRPC with protobuf', () => {
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc; charset=utf-8', 'application/grpc+proto;a=b', 'Application/grpc ;a=b']) assert.ok(isGrpc(type), type);
  for (const type of [undefined, '', 'application/json', 'application/grpc+json', 'application/grpc-web', 'application/grpc-web+proto', 'application/grpcx', 'text/application/grpc']) assert.ok(!isGrpc(type), type);
});

test('a message is percent-encoded but for printable ASCII, so that decoding gives it back', () => {
  const messages: [string, string][] = [
    ['', ''],
    ['plain text, with = and ~', 'plain text, with = and ~'],
    ['100 % of ü', '100 %25 of %C3%BC'],
    ['two\nlines\t', 'two%0Alines%09'],
    ['\u{1F600}', '%F0%9F%98%80'],
    ['half \ud83d', 'half %EF%BF%BD'],
  ];
  for (const [message, encoded] of messages) assert.equal(encodeMessage(message), encoded);
  for (const [message] of messages.slice(0, -1)) assert.equal(decodeURIComponent(encodeMessage(message)), message);
});

test('trailers name the status, a message where there is one, and metadata, which is not indexed', () => {
  assert.deepEqual(trailersOf(0, '', { 'x-request-id': 'a' }), { 'grpc-status': 0, 'x-request-id': 'a', [sensitiveHeaders]: ['x-request-id'] });
  assert.deepEqual(trailersOf(5, 'no', undefined), { 'grpc-status': 5, 'grpc-message': 'no', [sensitiveHeaders]: [] });
});

test('a frame is the flag, the length, the bytes', () => {
  assert.deepEqual(framed(Buffer.from([1, 2, 3])), Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]));
  assert.deepEqual(framed(new Uint8Array(0)), Buffer.alloc(5));
});
