/** Aim: messages come out whole and in order however the bytes are cut, and nothing is kept for what a prefix only promises. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { sleep, systemClock } from '../../kernel/clock.ts';
import { below, seededRandom } from '../../kernel/random.ts';
import { MessageReader } from './message-reader.ts';
import type { MessageSink } from './message-reader.ts';
import { framedWith } from './server.fixture.ts';

const bytesMax = 300_000;

interface Recorded extends MessageSink {
  readonly events: (Buffer | string)[];
  isHeldBack: boolean;
}

function recorded(): Recorded {
  const events: (Buffer | string)[] = [];
  return {
    events,
    isHeldBack: false,
    onMessage: (bytes) => void events.push(Buffer.from(bytes)),
    onMessagesEnd: () => void events.push('end'),
    onUnreadable: (error) => void events.push(`${error.code}: ${error.message}`),
    holdBack() {
      this.isHeldBack = true;
    },
    goOn() {
      this.isHeldBack = false;
    },
  };
}

const seed = Number(process.env['SHOAL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`SHOAL_SEED=${seed}`);

test('any cut gives the same messages, compressed or not', async () => {
  const random = seededRandom(seed);
  const upTo = (bound: number): number => below(random, bound);
  for (let round = 0; round < 60; round++) {
    const messages = Array.from({ length: 1 + upTo(6) }, () => Buffer.alloc(upTo(10) === 0 ? upTo(bytesMax) : upTo(40), upTo(256)));
    const encoding = upTo(2) === 0 ? 'gzip' : 'deflate';
    const compress = encoding === 'gzip' ? gzipSync : deflateSync;
    const sent = Buffer.concat(messages.map((message) => (upTo(3) === 0 ? framedWith(1, compress(message)) : framedWith(0, message))));
    const sink = recorded();
    const reader = new MessageReader(sink, encoding, bytesMax);
    const pieceMax = 1 + upTo(upTo(2) === 0 ? 12 : 100_000);
    for (let at = 0; at < sent.length; ) {
      const end = Math.min(sent.length, at + 1 + upTo(pieceMax));
      reader.push(Buffer.from(sent.subarray(at, end)));
      at = end;
      while (sink.isHeldBack) await sleep(systemClock, 0);
    }
    reader.end();
    assert.deepEqual(sink.events, [...messages, 'end']);
  }
});

test('a message is refused by its prefix, and nothing follows', () => {
  const sink = recorded();
  const reader = new MessageReader(sink, 'identity', 10);
  const prefix = framedWith(0, Buffer.alloc(11)).subarray(0, 5);
  for (const byte of prefix) reader.push(Buffer.from([byte]));
  reader.push(framedWith(0, 'more'));
  reader.end();
  assert.deepEqual(sink.events, ['BODY_TOO_LARGE: the message has 11 bytes; the limit is 10; send smaller batches']);
});

const unreadable: [name: string, bytes: Buffer, encoding: string, error: string][] = [
  ['an end within the prefix', Buffer.alloc(3), 'identity', 'MALFORMED_BODY: the request ends within a message'],
  ['an end within a message', framedWith(0, 'abc').subarray(0, 7), 'identity', 'MALFORMED_BODY: the request ends within a message'],
  ['a flag that is none', framedWith(2, 'abc'), 'identity', 'MALFORMED_BODY: the flag before a message is neither 0 nor 1'],
  ['compressed without a compression', framedWith(1, gzipSync('abc')), 'identity', 'MALFORMED_BODY: a message is marked as compressed, and grpc-encoding names no compression'],
  ['a compression that there is not', framedWith(1, 'abc'), 'snappy', 'UNIMPLEMENTED: grpc-encoding names a compression that the server does not have; it has gzip and deflate'],
  ['bytes that are not compressed', framedWith(1, 'abc'), 'gzip', 'MALFORMED_BODY: a compressed message could not be inflated'],
  ['a compressed message that is cut', framedWith(1, gzipSync('abcdef').subarray(0, 15)), 'gzip', 'MALFORMED_BODY: a compressed message could not be inflated'],
  ['little that inflates to much', framedWith(1, gzipSync(Buffer.alloc(bytesMax + 1))), 'gzip', `BODY_TOO_LARGE: the message has more than ${bytesMax} bytes once it is inflated; the limit is ${bytesMax}; send smaller batches`],
];
for (const [name, bytes, encoding, error] of unreadable) {
  test(`${name} is refused`, async () => {
    const sink = recorded();
    const reader = new MessageReader(sink, encoding, bytesMax);
    reader.push(bytes);
    reader.end();
    while (sink.events.length === 0) await sleep(systemClock, 1);
    assert.deepEqual(sink.events, [error]);
  });
}

test('an inflation that is no longer wanted says nothing', async () => {
  const sink = recorded();
  const reader = new MessageReader(sink, 'gzip', bytesMax);
  reader.push(framedWith(1, gzipSync('abc')));
  reader.stop();
  await sleep(systemClock, 50);
  assert.deepEqual(sink.events, []);
});
