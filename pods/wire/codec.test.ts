import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import { decodeError, encodeError } from './error-codec.ts';
import { decodeItem, encodeFragment, encodeFrame, encodeItem, type ItemKind } from './frame.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { operations } from './operations.ts';
import { nudgeOperation, reportOperation } from './pod-operations.ts';
import { ReceiveQueue, type Received } from './receive-queue.ts';
import { searchOperation, writeOperation } from './shard-operations.ts';
import { context, messages, podAnswering, search, target } from './wire.fixture.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? Date.now() % 2 ** 32);

/** Through the bytes. */
function travelled(kind: ItemKind): ItemKind | undefined {
  return decodeItem(encodeItem(kind));
}

test('every replication message comes back as it was', () => {
  for (const sent of messages) {
    const arrived = travelled({ $case: 'message', message: encodeMessage(sent) });
    assert(arrived?.$case === 'message');
    assert.deepEqual(decodeMessage(arrived.message), sent);
  }
});

test('a message of a kind that a newer version has is none', () => {
  const { body: _, ...rest } = encodeMessage(messages[0]!);
  assert.equal(decodeMessage({ ...rest, body: undefined }), undefined);
});

test('entries of an append that do not follow each other are a defect of the sender', () => {
  const append = messages.find(({ body }) => body.kind === 'append')!;
  assert(append.body.kind === 'append');
  const gap = { ...append, body: { ...append.body, prevSeq: 4 } };
  assert.throws(() => encodeMessage(gap), { name: 'AssertionError' });
});

test('an error keeps its code, message and details; an unknown code becomes INTERNAL', () => {
  const error = new ShoalError('FILTER_INVALID', 'filter.x is not known', { details: { field: 'x', limit: 4.5, shown: false } });
  const arrived = decodeError(encodeError(error));
  assert.deepEqual([arrived.code, arrived.message, arrived.details], [error.code, error.message, error.details]);
  const unknown = decodeError({ code: 'FROM_THE_FUTURE', message: 'no idea', details: [] });
  assert.deepEqual([unknown.code, unknown.message, unknown.details], ['INTERNAL', 'no idea', { unknownCode: 'FROM_THE_FUTURE' }]);
});

test('an answer to another operation, and one with a word that is not known, are malformed', () => {
  const malformed = { code: 'MALFORMED_BODY' };
  assert.throws(() => reportOperation.decodeAnswer(nudgeOperation.encodeAnswer(undefined)), malformed);
  assert.throws(() => searchOperation.decodeAnswer({ $case: 'search', search: { hits: [], plan: 'guess', visitedCount: undefined, seq: 1 } }), malformed);
  assert.throws(() => writeOperation.decodeAnswer({ $case: 'write', write: { results: [{ outcome: 'lost', version: 1 }], token: { shardUid: 's', seq: 1 } } }), malformed);
});

test('text that is not UTF-8 is refused rather than mended', () => {
  const item = encodeItem({ $case: 'request', request: { id: 1, timeoutMs: 1, traceparent: 'XY', target: undefined, body: undefined } });
  const at = item.indexOf('X'.charCodeAt(0));
  item[at] = 0xff;
  assert.throws(() => decodeItem(item), { code: 'MALFORMED_BODY' });
});

test('a fragment written by hand is what the generated code reads', () => {
  for (const sizeBytes of [0, 127, 128, 70_000]) {
    const bytes = new Uint8Array(sizeBytes).fill(7);
    for (const [lane, number] of [['messages', 1], ['requests', 2], ['answers', 3]] as const) {
      for (const last of [false, true]) assert.deepEqual(decodeItem(Uint8Array.from(Buffer.concat(encodeFragment(lane, bytes, last)))), { $case: 'fragment', fragment: { lane: number, last, bytes } });
    }
  }
});

// --------------------------------------------------------------- fuzzing

/** Everything that a connection does with what it has received. */
async function handle({ kind }: Received): Promise<void> {
  switch (kind.$case) {
    case 'message':
      decodeMessage(kind.message);
      return;
    case 'request': {
      const { body } = kind.request;
      if (body !== undefined) await operations[body.$case].serve(podAnswering(() => Promise.reject(new ShoalError('UNAVAILABLE', 'reached'))), target, body, context());
      return;
    }
    case 'answer':
      if (kind.answer.body?.$case === 'error') throw decodeError(kind.answer.body.error);
      if (kind.answer.body !== undefined) searchOperation.decodeAnswer(kind.answer.body);
      return;
    default:
  }
}

async function takeAll(frame: Uint8Array): Promise<'taken' | 'refused'> {
  try {
    for (const received of new ReceiveQueue(1).take(frame)) await handle(received);
    return 'taken';
  } catch (error) {
    assert(error instanceof ShoalError, `${(error as Error).stack} (SHOAL_SEED=${seed})`);
    assert.notEqual(asShoalError(error).code, 'INTERNAL');
    return 'refused';
  }
}

function mutated(frame: Uint8Array, random: Random): Uint8Array {
  const bytes = Uint8Array.from(frame);
  const changeCount = 1 + below(random, 4);
  for (let change = 0; change < changeCount; change++) {
    const at = below(random, bytes.length);
    bytes[at] = below(random, 3) === 0 ? below(random, 256) : bytes[at]! ^ (1 << below(random, 8));
  }
  return below(random, 4) === 0 ? bytes.subarray(0, below(random, bytes.length)) : bytes;
}

test(`random bytes and mutated frames are refused cleanly, or mean something (SHOAL_SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  const item = (kind: ItemKind): Uint8Array => encodeItem(kind);
  const samples = [
    ...messages.map((sent) => item({ $case: 'message', message: encodeMessage(sent) })),
    item({ $case: 'request', request: { id: 7, timeoutMs: 100, traceparent: '', target: { collectionUid: 'c', shardUid: 's', epoch: 1 }, body: searchOperation.encodeRequest(search) } }),
    item({ $case: 'answer', answer: { id: 7, body: searchOperation.encodeAnswer({ hits: [{ id: 'a', version: 1, score: 1, payload: { a: 1 } }], plan: 'scan', visitedCount: 3, seq: 4 }) } }),
    item({ $case: 'fragment', fragment: { lane: 1, last: true, bytes: item({ $case: 'message', message: encodeMessage(messages[0]!) }) } }),
    item({ $case: 'credit', credit: { messageBytes: 1, requestBytes: 2, answerBytes: 3 } }),
  ];
  const outcomes = { taken: 0, refused: 0 };
  for (let round = 0; round < 4_000; round++) {
    const noise = Uint8Array.from({ length: below(random, 200) }, () => below(random, 256));
    outcomes[await takeAll(noise)]++;
    outcomes[await takeAll(encodeFrame(1, [[noise]]))]++;
    outcomes[await takeAll(mutated(encodeFrame(1, [[samples[below(random, samples.length)]!], [samples[below(random, samples.length)]!]]), random))]++;
  }
  assert(outcomes.taken > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
});
