/** Aim: over real gRPC on loopback everything arrives as it was sent, and every way to fail has its error. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../kernel/clock.ts';
import { startDeadline } from '../kernel/deadline.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { silentLogger, type Logger } from '../kernel/logger.ts';
import { noSpan, type Span } from '../kernel/span.ts';
import { noMetrics, type Metrics } from '../telemetry/metrics.ts';
import { noTracer, type Tracer } from '../telemetry/tracer.ts';
import type { Served } from './peer-transport.ts';
import { appendOf, calls, context, message, messages, podAnswering, search, snapshot, startTestPod, target, testTransport, until, type Addresses, type TestPod, type TestPodOptions } from './wire.fixture.ts';

const timeout = 30_000;

interface Pair {
  readonly addresses: Addresses;
  readonly a: TestPod;
  readonly b: TestPod;
}

async function withPair(options: { a?: Partial<TestPodOptions>; b?: Partial<TestPodOptions> }, use: (pair: Pair) => Promise<void>): Promise<void> {
  const addresses: Addresses = new Map();
  const a = await startTestPod(addresses, { name: 'pod-a', ...options.a });
  const b = await startTestPod(addresses, { name: 'pod-b', ...options.b });
  try {
    await use({ addresses, a, b });
  } finally {
    a.stop();
    b.stop();
  }
}

const serving = (answer: Parameters<typeof podAnswering>[0]): Partial<Served> => ({ service: podAnswering(answer) });
const never = (_: unknown, signal: AbortSignal): Promise<never> => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

test('every message arrives as it was sent, in order, in both directions over one connection', { timeout }, async () => {
  await withPair({}, async ({ a, b }) => {
    for (const sent of messages) a.transport.send(sent);
    await until(() => b.received.length === messages.length);
    assert.deepEqual(b.received, messages);
    const back = messages.map(({ body }) => message(body, 'pod-b', 'pod-a'));
    for (const sent of back) b.transport.send(sent);
    await until(() => a.received.length === back.length);
    assert.deepEqual(a.received, back);
    assert.deepEqual([a.transport.statistics().connectionCount, b.transport.statistics().connectionCount], [1, 1]);
  });
});

test('every request reaches the service as it was made, and its answer comes back', { timeout }, async () => {
  const seen: (readonly unknown[])[] = [];
  let next = 0;
  const served = serving((asked) => {
    seen.push(asked);
    return calls[next++]!.answer;
  });
  await withPair({ b: { served } }, async ({ a }) => {
    for (const call of calls) assert.deepEqual(await call.run(a.transport.pod('pod-b')), call.answer, String(call.seen[0]));
    assert.deepEqual(seen, calls.map((call) => call.seen));
  });
});

test('a message in the name of another pod, or of a gateway, is not delivered', { timeout }, async () => {
  await withPair({}, async ({ a, b, addresses }) => {
    a.transport.send(message({ kind: 'hello' }, 'pod-c', 'pod-b'));
    a.transport.send(message({ kind: 'check', round: 1 }, 'pod-a', 'pod-b'));
    const gateway = testTransport(addresses, { name: 'gateway-1', role: 'gateway' });
    gateway.send(message({ kind: 'hello' }, 'gateway-1', 'pod-b'));
    await until(() => b.received.length > 0 && gateway.queuedBytes('pod-b') === 0 && b.transport.statistics().connectionCount === 2);
    assert.deepEqual(b.received.map(({ body }) => body.kind), ['check']);
    gateway.close();
  });
});

test('the trace goes on at the other side', { timeout }, async () => {
  const started: unknown[] = [];
  const tracer: Tracer = {
    ...noTracer,
    start: (...args) => {
      started.push(args);
      return noSpan;
    },
  };
  const span = (traceparent: string): Span => ({ ...noSpan, traceparent, child: (name, attributes) => span(`child of ${traceparent} ${name} ${attributes?.['pod']}`) });
  const served = serving(() => 3);
  await withPair({ b: { served, tracer } }, async ({ a }) => {
    await a.transport.pod('pod-b').shard(target).count({ ...context(), span: span('root') }, { filter: undefined, consistency: { level: 'eventual' } });
    assert.deepEqual(started, [['pod.count', 'child of root ask.count pod-b', { peer: 'pod-a' }]]);
  });
});

test('requests go both ways over the connection that one side opened; a gateway gets answers and serves nothing', { timeout }, async () => {
  const served = serving(() => snapshot);
  const asked = { shardUID: 's', incarnation: 'i', transfer: '', offset: 0 };
  await withPair({ a: { served }, b: { served } }, async ({ a, b, addresses }) => {
    const { signal } = context();
    assert.deepEqual(await a.transport.pod('pod-b').snapshot(asked, signal), snapshot);
    assert.deepEqual(await b.transport.pod('pod-a').snapshot(asked, signal), snapshot);
    assert.deepEqual(await a.transport.pod('pod-a').snapshot(asked, signal), snapshot);
    assert.deepEqual([a.transport.statistics().connectionCount, b.transport.statistics().connectionCount], [1, 1]);
    const gateway = testTransport(addresses, { name: 'gateway-1', role: 'gateway' });
    assert.deepEqual(await gateway.pod('pod-b').snapshot(asked, signal), snapshot);
    assert.equal(b.transport.statistics().connectionCount, 2);
    gateway.close();
  });
});

test('when both open at once one connection survives, and what waited for either goes over it', { timeout }, async () => {
  for (let round = 0; round < 5; round++) {
    const served = serving(() => ({ term: 1, lastSeq: 2 }));
    await withPair({ a: { served }, b: { served } }, async ({ a, b }) => {
      a.transport.send(message({ kind: 'hello' }, 'pod-a', 'pod-b'));
      b.transport.send(message({ kind: 'hello' }, 'pod-b', 'pod-a'));
      const { signal } = context();
      const answers = await Promise.all([a.transport.pod('pod-b').stopWrites('s', signal), b.transport.pod('pod-a').stopWrites('s', signal)]);
      assert.deepEqual(answers, [{ term: 1, lastSeq: 2 }, { term: 1, lastSeq: 2 }]);
      await until(() => a.received.length === 1 && b.received.length === 1);
      await until(() => a.transport.statistics().connectionCount === 1 && b.transport.statistics().connectionCount === 1);
    });
  }
});

test('an entry of 16 MiB arrives whole, and small messages of other shards do not wait for it', { timeout }, async () => {
  await withPair({}, async ({ a, b }) => {
    a.transport.send(messages[0]!);
    await until(() => b.received.length === 1);
    const large = appendOf(limits.logRecordBytesMax);
    a.transport.send(large);
    await until(() => a.transport.queuedBytes('pod-b') > limits.wireFrameBytesMax);
    a.transport.send({ ...messages[0]!, shardUID: 'shard-2' });
    a.transport.send(messages[0]!);
    await until(() => b.received.length === 4);
    assert.deepEqual(b.received.slice(1).map(({ shardUID, body }) => [shardUID, body.kind]), [['shard-2', 'fence'], ['shard-1', 'append'], ['shard-1', 'fence']]);
    assert(Buffer.from(payloadOf(b.received[2]!)).equals(payloadOf(large)));
    await until(() => a.transport.queuedBytes('pod-b') === 0);
  });
});

function payloadOf({ body }: (typeof messages)[number]): Uint8Array {
  assert(body.kind === 'append');
  return body.entries[0]!.payload;
}

test('a receiver that does not get on stops the sender: bytes are bounded, what is beyond is dropped, the rest arrives later', { timeout }, async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  let arrivedCount = 0;
  const onMessage = async (): Promise<void> => {
    arrivedCount++;
    await gate;
  };
  const windowBytes = 4 << 20;
  await withPair({ a: { windowBytes }, b: { windowBytes, served: { onMessage } } }, async ({ a }) => {
    const piece = appendOf(1 << 20);
    a.transport.send(piece);
    await until(() => arrivedCount === 1);
    const sentCount = 60;
    for (let count = 1; count < sentCount; count++) a.transport.send(piece);
    const { droppedMessageCount } = a.transport.statistics();
    const keptCount = sentCount - droppedMessageCount;
    assert(droppedMessageCount > 0);
    assert(a.transport.queuedBytes('pod-b') <= windowBytes + limits.wireQueueBytesMax);
    // Requests have a window of their own.
    await assert.rejects(a.transport.pod('pod-b').nudge('s', context().signal), { code: 'INTERNAL' });
    for (let before = 0; before < arrivedCount; ) {
      before = arrivedCount;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    assert(arrivedCount * (1 << 20) <= windowBytes, `${arrivedCount} arrived`);
    release();
    await until(() => arrivedCount === keptCount && a.transport.queuedBytes('pod-b') === 0);
  });
});

test('requests beyond the bound fail with OVERLOADED at once; those that wait go on when the other side does', { timeout }, async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const served = serving(async () => {
    await gate;
    return { results: [], token: { shardUID: 's', seq: 1 } };
  });
  const windowBytes = 2 << 20;
  await withPair({ a: { windowBytes }, b: { windowBytes, served } }, async ({ a }) => {
    const shard = a.transport.pod('pod-b').shard(target);
    const write = { kind: 'put-record', key: 'k', value: new Uint8Array(1 << 20), expectedVersion: undefined } as const;
    const outcomes = Array.from({ length: 50 }, () => shard.write(context(), write).then(() => 'written', (error: unknown) => (error as ShoalError).code));
    const first = await Promise.race(outcomes);
    assert.equal(first, 'OVERLOADED');
    release();
    const counts = Object.groupBy(await Promise.all(outcomes), (outcome) => outcome);
    assert.deepEqual(Object.keys(counts).sort(), ['OVERLOADED', 'written']);
    assert(counts['written']!.length * (1 << 20) <= windowBytes + limits.wireQueueBytesMax);
    assert(counts['written']!.length >= 30);
  });
});

test('far more than a window passes in each lane when the other side gets on', { timeout }, async () => {
  const value = new Uint8Array(100_000);
  const windowBytes = 300_000;
  const served = serving(([name]) => (name === 'getRecord' ? { key: 'k', value, version: 1 } : { results: [], token: { shardUID: 's', seq: 1 } }));
  await withPair({ a: { windowBytes }, b: { windowBytes, served } }, async ({ a, b }) => {
    const shard = a.transport.pod('pod-b').shard(target);
    await Promise.all(Array.from({ length: 20 }, () => shard.getRecord(context(), 'k')));
    await Promise.all(Array.from({ length: 20 }, () => shard.write(context(), { kind: 'put-record', key: 'k', value, expectedVersion: undefined })));
    for (let count = 0; count < 20; count++) a.transport.send(appendOf(value.length));
    await until(() => b.received.length === 20);
  });
});

test('an answer larger than the limit is RESPONSE_TOO_LARGE, a request BODY_TOO_LARGE', { timeout }, async () => {
  const served = serving(() => ({ key: 'k', value: new Uint8Array(limits.wireItemBytesMax), version: 1 }));
  await withPair({ b: { served } }, async ({ a }) => {
    const shard = a.transport.pod('pod-b').shard(target);
    await assert.rejects(shard.getRecord(context(), 'k'), { code: 'RESPONSE_TOO_LARGE' });
    const write = { kind: 'put-record', key: 'k', value: new Uint8Array(limits.wireItemBytesMax), expectedVersion: undefined } as const;
    await assert.rejects(shard.write(context(), write), { code: 'BODY_TOO_LARGE' });
  });
});

test("the other side's error arrives with its code, message and details; a defect there is INTERNAL and in its log", { timeout }, async () => {
  const logged: string[] = [];
  const logger: Logger = { ...silentLogger, error: (_, text) => void logged.push(text) };
  const errors = [new ShoalError('NOT_PRIMARY', 'pod-c leads', { details: { pod: 'pod-c', term: 4 } }), new TypeError('secret')];
  const served = serving(() => Promise.reject(errors.shift()!));
  await withPair({ b: { served, logger } }, async ({ a }) => {
    const shard = a.transport.pod('pod-b').shard(target);
    await assert.rejects(shard.search(context(), search), { code: 'NOT_PRIMARY', message: 'pod-c leads', details: { pod: 'pod-c', term: 4 } });
    await assert.rejects(shard.search(context(), search), { code: 'INTERNAL', message: 'internal error' });
    assert.deepEqual(logged, ['a request of another process met a defect']);
  });
});

test('requests that were answered are counted by operation and outcome', { timeout }, async () => {
  const counts = new Map<string, number>();
  const metrics: Metrics = {
    ...noMetrics,
    counter: (name, labels) => ({ add: (amount) => void counts.set(JSON.stringify([name, labels]), (counts.get(JSON.stringify([name, labels])) ?? 0) + amount) }),
  };
  let fails = false;
  const served = serving(() => {
    if (fails) throw new ShoalError('NOT_PRIMARY', 'another one leads');
    return [];
  });
  await withPair({ b: { served, metrics } }, async ({ a }) => {
    const get = (): Promise<unknown> => a.transport.pod('pod-b').shard(target).get(context(), { ids: [], consistency: { level: 'eventual' }, includeVector: false, includePayload: false });
    await get();
    await get();
    fails = true;
    await assert.rejects(get(), { code: 'NOT_PRIMARY' });
  });
  assert.deepEqual([...counts], [
    [JSON.stringify(['peerRequests', { operation: 'get', code: 'OK' }]), 2],
    [JSON.stringify(['peerRequests', { operation: 'get', code: 'NOT_PRIMARY' }]), 1],
  ]);
});

test('a signal that aborts ends the request here and there; the deadline travels', { timeout }, async () => {
  const reasons: unknown[] = [];
  const served = serving((asked, signal) => never(asked, signal).catch((error: unknown) => {
    reasons.push((error as ShoalError).code);
    throw error;
  }));
  await withPair({ b: { served } }, async ({ a, b }) => {
    const shard = a.transport.pod('pod-b').shard(target);
    const controller = new AbortController();
    const cancelled = shard.search(context(controller.signal), search);
    await until(() => b.transport.statistics().requestsInFlight.incoming === 1);
    controller.abort(new ShoalError('CANCELLED', 'the client went away'));
    await assert.rejects(cancelled, { code: 'CANCELLED' });
    await until(() => reasons.length === 1);

    // A clock of its own keeps the time here, so that only the one there can expire.
    const { signal } = startDeadline({ ...systemClock, after: () => ({ cancel: () => undefined }) }, 50);
    await assert.rejects(shard.search(context(signal), search), { code: 'DEADLINE_EXCEEDED' });
    assert.deepEqual(reasons, ['CANCELLED', 'DEADLINE_EXCEEDED']);
    assert.deepEqual(a.transport.statistics().requestsInFlight, { incoming: 0, outgoing: 0 });
    assert.deepEqual(b.transport.statistics().requestsInFlight, { incoming: 0, outgoing: 0 });
  });
});

test('a request whose signal has aborted while it waited is not sent', { timeout }, async () => {
  let servedCount = 0;
  const served = serving(() => {
    servedCount++;
    return { term: 1, lastSeq: 1 };
  });
  await withPair({ b: { served } }, async ({ a }) => {
    const pod = a.transport.pod('pod-b');
    const controller = new AbortController();
    const waiting = pod.stopWrites('s', controller.signal);
    controller.abort(new ShoalError('CANCELLED', 'too late'));
    await assert.rejects(waiting, { code: 'CANCELLED' });
    await pod.stopWrites('s', context().signal);
    const second = new AbortController();
    const inTheSameTurn = pod.stopWrites('s', second.signal);
    second.abort(new ShoalError('CANCELLED', 'too late'));
    await assert.rejects(inTheSameTurn, { code: 'CANCELLED' });
    await pod.stopWrites('s', context().signal);
    assert.equal(servedCount, 2);
  });
});

test('a connection that ends under way: OUTCOME_UNKNOWN for writes, UNAVAILABLE for reads; the next request connects again', { timeout }, async () => {
  const served = serving(never);
  const addresses: Addresses = new Map();
  const a = await startTestPod(addresses, { name: 'pod-a' });
  const b = await startTestPod(addresses, { name: 'pod-b', served });
  const pod = a.transport.pod('pod-b');
  const shard = pod.shard(target);
  const write = { kind: 'delete-record', key: 'k' } as const;
  const under = [shard.write(context(), write), shard.deleteMatching(context(), { kind: 'exists', field: 'x' }), pod.stopWrites('s', context().signal), shard.search(context(), search), pod.report(context().signal)];
  const codes = Promise.all(under.map((each) => each.catch((error: unknown) => (error as ShoalError).code)));
  await until(() => b.transport.statistics().requestsInFlight.incoming === under.length);
  b.stop();
  assert.deepEqual(await codes, ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN', 'UNAVAILABLE', 'UNAVAILABLE']);
  // Nobody listens there any more: nothing was done.
  await until(() => a.transport.statistics().connectionCount === 0);
  await assert.rejects(shard.write(context(), write), { code: 'UNAVAILABLE', message: /pod-b cannot be reached/ });
  const again = await startTestPod(addresses, { name: 'pod-b', served: serving(() => ({ term: 1, lastSeq: 1 })) });
  for (let answered = false; !answered; ) {
    answered = await pod.stopWrites('s', context().signal).then(() => true, () => new Promise<false>((resolve) => setTimeout(() => resolve(false), 20)));
  }
  a.stop();
  again.stop();
});

test('a pod without an address, another pod at the address, and one that serves nothing yet are UNAVAILABLE', { timeout }, async () => {
  await withPair({}, async ({ a, b, addresses }) => {
    const { signal } = context();
    await assert.rejects(a.transport.pod('pod-x').report(signal), { code: 'UNAVAILABLE', message: /pod-x cannot be reached: it has no address/ });
    addresses.set('pod-y', addresses.get('pod-b')!);
    await assert.rejects(a.transport.pod('pod-y').report(signal), { code: 'UNAVAILABLE', message: /this is pod-b, not pod-y/ });
    const silent = testTransport(addresses, { name: 'pod-c' });
    await assert.rejects(silent.pod('pod-z').report(signal), { code: 'UNAVAILABLE' });
    await assert.rejects(b.transport.pod('pod-a').report(signal), { code: 'INTERNAL' });
    silent.serve({ service: podAnswering(() => undefined), onMessage: () => undefined });
    assert.equal(await silent.pod('pod-b').nudge('s', signal).catch((error: unknown) => (error as ShoalError).code), 'INTERNAL');
    silent.close();
  });
});

test('a pod that shuts down refuses new requests and lets those under way end', { timeout }, async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const served = serving(async () => {
    await gate;
    return { term: 1, lastSeq: 1 };
  });
  await withPair({ b: { served } }, async ({ a, b }) => {
    const pod = a.transport.pod('pod-b');
    const running = pod.stopWrites('s', context().signal);
    await until(() => b.transport.statistics().requestsInFlight.incoming === 1);
    b.transport.stopServing();
    await assert.rejects(pod.stopWrites('s', context().signal), { code: 'SHUTTING_DOWN' });
    release();
    assert.deepEqual(await running, { term: 1, lastSeq: 1 });
  });
});

test('versions: N speaks with N-1 in the older one; without a common one both sides say why', { timeout }, async () => {
  const served = serving(() => ({ term: 1, lastSeq: 1 }));
  const newer = { newest: 2, oldest: 1 };
  await withPair({ a: { versions: newer }, b: { served } }, async ({ a }) => {
    assert.deepEqual(await a.transport.pod('pod-b').stopWrites('s', context().signal), { term: 1, lastSeq: 1 });
  });
  await withPair({ a: { versions: newer }, b: { served, versions: newer } }, async ({ a }) => {
    assert.deepEqual(await a.transport.pod('pod-b').stopWrites('s', context().signal), { term: 1, lastSeq: 1 });
  });
  const said: string[] = [];
  const logger: Logger = { ...silentLogger, info: ({ because }) => void said.push(String(because)) };
  await withPair({ a: { versions: { newest: 4, oldest: 3 } }, b: { served, logger } }, async ({ a }) => {
    const refused = { code: 'UNAVAILABLE', message: /pod-a speaks versions 3 to 4 of the internal protocol, this process version 1/ };
    await assert.rejects(a.transport.pod('pod-b').stopWrites('s', context().signal), refused);
    assert.match(said.join(), /pod-a speaks versions 3 to 4/);
  });
});
