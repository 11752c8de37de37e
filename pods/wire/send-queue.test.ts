import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../kernel/limits.ts';
import { below, seededRandom } from '../kernel/random.ts';
import { decodeFrame, encodeItem } from './frame.ts';
import { lanes, pieceCost, type Lane } from './lanes.ts';
import { ReceiveQueue } from './receive-queue.ts';
import { SendQueue } from './send-queue.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? Date.now() % 2 ** 32);

/** An item of its lane that can be told from others by its number, and has about so many bytes. */
function itemOf(lane: Lane, number: number, sizeBytes = 0): Uint8Array {
  const filler = '.'.repeat(sizeBytes);
  switch (lane) {
    case 'messages':
      return encodeItem({ $case: 'message', message: { collectionUid: filler, shardUid: '', term: number, from: undefined, to: undefined, body: undefined } });
    case 'requests':
      return encodeItem({ $case: 'request', request: { id: number, timeoutMs: 0, traceparent: filler, target: undefined, body: undefined } });
    case 'answers':
      return encodeItem({ $case: 'answer', answer: { id: number, body: { $case: 'error', error: { code: '', message: filler, details: [] } } } });
  }
}

interface Arrived {
  readonly lane: Lane;
  readonly number: number;
  readonly cost: number;
}

function* arrivals(received: ReceiveQueue, frame: Uint8Array): Generator<Arrived> {
  for (const { kind, cost } of received.take(frame)) {
    if (kind.$case === 'message') yield { lane: 'messages', number: kind.message.term, cost };
    else if (kind.$case === 'request') yield { lane: 'requests', number: kind.request.id, cost };
    else if (kind.$case === 'answer') yield { lane: 'answers', number: kind.answer.id, cost };
  }
}

function numbersOf(received: ReceiveQueue, frame: Uint8Array | undefined): string[] {
  assert(frame !== undefined);
  return [...arrivals(received, frame)].map(({ lane, number }) => `${lane} ${number}`);
}

test('all that waits goes out in one frame', () => {
  const queue = new SendQueue(1);
  for (const lane of lanes) for (const number of [1, 2]) queue.push(lane, { bytes: itemOf(lane, number) });
  queue.pushControl(encodeItem({ $case: 'cancel', cancel: { id: 9 } }));
  const frame = queue.nextFrame();
  assert.deepEqual(numbersOf(new ReceiveQueue(1), frame).sort(), lanes.flatMap((lane) => [`${lane} 1`, `${lane} 2`]).sort());
  assert.equal(queue.nextFrame(), undefined);
  assert.equal(queue.hasItems, false);
});

test('a large answer holds up neither messages nor small answers', () => {
  const queue = new SendQueue(1);
  const received = new ReceiveQueue(1);
  queue.push('answers', { bytes: itemOf('answers', 1, 4 << 20) });
  queue.nextFrame();
  queue.push('messages', { bytes: itemOf('messages', 2) });
  queue.push('answers', { bytes: itemOf('answers', 3) });
  assert.deepEqual(numbersOf(received, queue.nextFrame()).sort(), ['answers 3', 'messages 2']);
});

test('behind a large message, messages of its shard keep their order and those of others do not wait', () => {
  const queue = new SendQueue(1);
  const received = new ReceiveQueue(1);
  queue.push('messages', { bytes: itemOf('messages', 1, 1 << 20), orderKey: 'shard-1' });
  queue.push('messages', { bytes: itemOf('messages', 2), orderKey: 'shard-1' });
  queue.push('messages', { bytes: itemOf('messages', 3), orderKey: 'shard-2' });
  const order: string[] = [];
  for (let frame = queue.nextFrame(); frame !== undefined; frame = queue.nextFrame()) order.push(...numbersOf(received, frame));
  assert.deepEqual(order, ['messages 3', 'messages 1', 'messages 2']);
});

test('a lane stops where its window is used up, the others go on, and credit lets it go on', () => {
  const item = itemOf('requests', 1);
  const queue = new SendQueue(1, 2 * pieceCost(item.length));
  const received = new ReceiveQueue(1);
  for (const number of [1, 2, 3]) queue.push('requests', { bytes: itemOf('requests', number) });
  assert.deepEqual(numbersOf(received, queue.nextFrame()), ['requests 1', 'requests 2']);
  assert.equal(queue.nextFrame(), undefined);
  assert.equal(queue.unacknowledgedBytes('requests'), 2 * pieceCost(item.length));
  queue.push('answers', { bytes: itemOf('answers', 4) });
  assert.deepEqual(numbersOf(received, queue.nextFrame()), ['answers 4']);
  queue.credit('requests', pieceCost(item.length));
  assert.deepEqual(numbersOf(received, queue.nextFrame()), ['requests 3']);
});

test('what was withdrawn does not go; what has begun to go cannot be withdrawn', () => {
  const queue = new SendQueue(1);
  const received = new ReceiveQueue(1);
  const first = queue.push('requests', { bytes: itemOf('requests', 1) });
  queue.push('requests', { bytes: itemOf('requests', 2) });
  const large = queue.push('requests', { bytes: itemOf('requests', 3, 1 << 20) });
  assert.deepEqual([first.withdraw(), first.withdraw()], [true, false]);
  const order = numbersOf(received, queue.nextFrame());
  assert.equal(large.withdraw(), false);
  for (let frame = queue.nextFrame(); frame !== undefined; frame = queue.nextFrame()) order.push(...numbersOf(received, frame));
  assert.deepEqual(order, ['requests 2', 'requests 3']);
});

test('many that were withdrawn while the window is shut are not kept', () => {
  const queue = new SendQueue(1, 0);
  for (let number = 1; number <= 10_000; number++) queue.push('requests', { bytes: itemOf('requests', number) }).withdraw();
  queue.push('requests', { bytes: itemOf('requests', 10_001) });
  assert.equal(queue.waitingBytes('requests'), itemOf('requests', 10_001).length);
  queue.credit('requests', 1 << 20);
  assert.equal(queue.nextFrame(), undefined); // the window is no larger than it was
});

test('onSent comes with the frame that has the last of an item', () => {
  const queue = new SendQueue(1);
  let sent = false;
  queue.push('requests', { bytes: itemOf('requests', 1, limits.wireFrameBytesTarget * 2), onSent: () => (sent = true) });
  const states: boolean[] = [];
  for (let frame = queue.nextFrame(); frame !== undefined; frame = queue.nextFrame()) states.push(sent);
  assert.deepEqual(states, [false, false, true]);
});

test('a frame of another version, an endless item, and a fragment of fragments are refused', () => {
  const queue = new SendQueue(2);
  queue.push('answers', { bytes: itemOf('answers', 1) });
  const frame = queue.nextFrame()!;
  assert.throws(() => [...new ReceiveQueue(1).take(frame)], { code: 'MALFORMED_BODY', message: /version 2 where 1/ });

  const endless = new ReceiveQueue(1);
  const large = new SendQueue(1, Infinity);
  large.push('answers', { bytes: new Uint8Array(limits.wireItemBytesMax + 1) });
  assert.throws(() => {
    for (let piece = large.nextFrame(); piece !== undefined; piece = large.nextFrame()) void [...endless.take(piece)];
  }, { code: 'MALFORMED_BODY', message: /an item has more than/ });

  const nested = encodeItem({ $case: 'fragment', fragment: { lane: 1, last: true, bytes: new Uint8Array(0) } });
  const outer = new SendQueue(1);
  outer.pushControl(encodeItem({ $case: 'fragment', fragment: { lane: 1, last: true, bytes: nested } }));
  assert.throws(() => [...new ReceiveQueue(1).take(outer.nextFrame()!)], { code: 'MALFORMED_BODY', message: /fragment of fragments/ });
});

test(`whatever is sent arrives once, in the order of its shard, within frames and windows (SHOAL_SEED=${seed})`, () => {
  const random = seededRandom(seed);
  const queue = new SendQueue(1, 3 << 20);
  const received = new ReceiveQueue(1);
  const sent = new Map<Lane, number[]>(lanes.map((lane) => [lane, []]));
  const arrived = new Map<Lane, number[]>(lanes.map((lane) => [lane, []]));
  let number = 0;
  for (let round = 0; round < 2_000; round++) {
    const lane = lanes[below(random, lanes.length)]!;
    const sizeBytes = below(random, 20) === 0 ? below(random, 1 << 20) : below(random, 2_000);
    if (round < 1_000) {
      queue.push(lane, { bytes: itemOf(lane, ++number, sizeBytes), orderKey: `shard-${number % 3}` });
      sent.get(lane)!.push(number);
    }
    if (below(random, 3) > 0 && round < 1_000) continue;
    const frame = queue.nextFrame();
    if (frame === undefined) continue;
    assert(frame.length <= limits.wireFrameBytesMax && decodeFrame(frame).items.length <= limits.wireFrameItemCountMax);
    for (const { lane: of, number: which, cost } of arrivals(received, frame)) {
      arrived.get(of)!.push(which);
      queue.credit(of, cost);
    }
    for (const of of lanes) assert(queue.unacknowledgedBytes(of) <= 3 << 20);
  }
  const byShard = (numbers: readonly number[]): number[][] => [0, 1, 2].map((shard) => numbers.filter((which) => which % 3 === shard));
  for (const lane of lanes) assert.deepEqual(byShard(arrived.get(lane)!), byShard(sent.get(lane)!), `SHOAL_SEED=${seed}`);
});
