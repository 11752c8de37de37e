import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodService } from '../../../pods/domain/pod-service.ts';
import type { ShardService } from '../../../pods/domain/shard-service.ts';
import { bytesOfVector } from '../../../pods/domain/vector-bytes.ts';
import { hasCode, ShoalError } from '../../../pods/kernel/errors.ts';
import { seededRandom } from '../../../pods/kernel/random.ts';
import { noSpan } from '../../../pods/kernel/span.ts';
import type { Message } from '../../../pods/replication/messages.ts';
import { Gate } from './gate.ts';
import { goodQuality, partition, SimulatedNetwork, type LinkQuality, type NetworkPort } from './network.ts';
import { Scheduler } from './scheduler.ts';

const messageCount = 400;

interface Side {
  readonly gate: Gate;
  readonly port: NetworkPort;
  readonly received: number[];
}

interface World {
  readonly scheduler: Scheduler;
  readonly network: SimulatedNetwork;
  readonly a: Side;
  readonly b: Side;
}

function side(scheduler: Scheduler, network: SimulatedNetwork, name: string): Side {
  const gate = new Gate(name, (callback) => void scheduler.after(0, callback));
  const port = network.attach(name, gate);
  const received: number[] = [];
  port.onMessage(({ body }) => void (body.kind === 'stored' && received.push(body.throughSeq)));
  return { gate, port, received };
}

function world(quality: Partial<LinkQuality> = {}): World {
  const scheduler = new Scheduler();
  const network = new SimulatedNetwork({ scheduler, random: seededRandom(7), quality: { ...goodQuality, ...quality } });
  return { scheduler, network, a: side(scheduler, network, 'a'), b: side(scheduler, network, 'b') };
}

const address = (pod: string) => ({ pod, incarnation: '', session: '' });
const stored = (throughSeq: number): Message => ({ collectionUID: 'c', shardUID: 's', term: 1, from: address('a'), to: address('b'), body: { kind: 'stored', throughSeq, appliedSeq: 0 } });

async function sendAll({ scheduler, a }: World): Promise<void> {
  for (let i = 0; i < messageCount; i++) scheduler.after(i / 100, () => a.port.transport.send(stored(i)));
  await scheduler.run(() => false, 60_000);
}

const all = Array.from({ length: messageCount }, (_, i) => i);
const isAscending = (numbers: readonly number[]): boolean => numbers.every((number, i) => i === 0 || numbers[i - 1]! <= number);

test('a good network delivers everything, once, in order', async () => {
  const w = world();
  await sendAll(w);
  assert.deepEqual(w.b.received, all);
  assert.equal(w.a.port.transport.queuedBytes('b'), 0);
});

test('loss loses some, and keeps the order of the others', async () => {
  const w = world({ loss: 0.2 });
  await sendAll(w);
  assert(w.b.received.length > 200 && w.b.received.length < 390, `${w.b.received.length} arrived`);
  assert(isAscending(w.b.received));
  assert.equal(w.network.counts.lost, messageCount - w.b.received.length);
  assert.equal(w.a.port.transport.queuedBytes('b'), 0);
});

test('duplication delivers some twice', async () => {
  const w = world({ duplication: 0.2 });
  await sendAll(w);
  assert.deepEqual([...new Set(w.b.received)], all);
  assert(w.network.counts.doubled > 40);
  assert.equal(w.b.received.length, messageCount + w.network.counts.doubled);
});

test('reordering lets some overtake', async () => {
  const w = world({ reordering: 0.2 });
  await sendAll(w);
  assert.deepEqual([...w.b.received].sort((x, y) => x - y), all);
  assert(!isAscending(w.b.received));
});

test('a cut in one direction loses what goes that way, also what is on its way', async () => {
  const w = world({ delayMsMin: 1, delayMsMean: 1 });
  w.b.port.onMessage(() => w.b.port.transport.send({ ...stored(w.b.received.push(0)), from: address('b'), to: address('a') }));
  w.scheduler.after(0, () => w.a.port.transport.send(stored(1)));
  w.scheduler.after(0.5, () => w.network.cut('a', 'b'));
  w.scheduler.after(2, () => w.a.port.transport.send(stored(2)));
  w.scheduler.after(3, () => w.b.port.transport.send({ ...stored(3), from: address('b'), to: address('a') }));
  w.scheduler.after(4, () => w.network.heal('a', 'b'));
  w.scheduler.after(5, () => w.a.port.transport.send(stored(4)));
  await w.scheduler.run(() => false, 100);
  assert.deepEqual([w.b.received, w.a.received], [[0], [3, 1]]);
});

test('what was cut twice is healed when both have healed it', async () => {
  const w = world({ delayMsMin: 1, delayMsMean: 1 });
  w.b.port.onMessage(() => void w.b.received.push(0));
  const steps: (() => void)[] = [() => w.network.cut('a', 'b'), () => w.network.cut('a', 'b'), () => w.network.heal('a', 'b'), () => w.network.heal('a', 'b'), () => w.network.heal('a', 'b')];
  const arrived: number[] = [];
  for (const step of steps) {
    step();
    w.b.received.length = 0;
    w.a.port.transport.send(stored(1));
    await w.scheduler.run(() => false, 10);
    arrived.push(w.b.received.length);
  }
  assert.deepEqual(arrived, [0, 0, 0, 1, 1]);
});

test('the receiver has bytes of its own', async () => {
  const w = world();
  const payload = new Uint8Array([1, 2, 3]);
  const entries = [{ term: 1, seq: 1, payload }];
  let received: Uint8Array | undefined;
  w.b.port.onMessage(({ body }) => (received = body.kind === 'append' ? body.entries[0]!.payload : undefined));
  w.a.port.transport.send({ ...stored(0), body: { kind: 'append', prevSeq: 0, prevTerm: 0, entries, commitSeq: 0 } });
  payload.fill(9);
  await w.scheduler.run(() => false, 100);
  assert.deepEqual(received, new Uint8Array([1, 2, 3]));
});

test('what is above the window is dropped, and a paused receiver keeps it full', async () => {
  const w = world({ windowBytes: 200 });
  w.b.gate.pause();
  await sendAll(w);
  const queuedBytes = w.a.port.transport.queuedBytes('b');
  assert(queuedBytes > 0 && queuedBytes <= 200, `${queuedBytes} bytes`);
  w.b.gate.resume();
  await w.scheduler.run(() => false, 100);
  assert.equal(w.a.port.transport.queuedBytes('b'), 0);
  assert(w.b.received.length > 0 && w.b.received.length < 10);
});

test('a process that ended sends nothing, and the next of its name does', async () => {
  const w = world();
  w.a.gate.close();
  w.a.port.detach();
  w.a.port.transport.send(stored(1));
  const next = side(w.scheduler, w.network, 'a');
  next.port.transport.send(stored(2));
  await w.scheduler.run(() => false, 100);
  assert.deepEqual(w.b.received, [2]);
});

// ---------------------------------------------------------------- calls

const unused = (): never => assert.fail('not called here');

function service(report: PodService['report'], shard: PodService['shard'] = unused): PodService {
  return { report, nudge: unused, stopWrites: unused, snapshot: unused, shard };
}

const empty = { pod: 'b', podUID: 'u', session: 's', freeBytes: 2 ** 30, replicas: [] };

/** The outcome of one call from a to b, and when it came. */
async function outcomeOf(w: World, signal = new AbortController().signal): Promise<string> {
  let outcome = 'nothing';
  w.a.port.pods.pod('b').report(signal).then(
    (answer) => (outcome = `answer of ${answer.pod}`),
    (error: unknown) => (outcome = `${(error as ShoalError).code} after ${Math.ceil(w.scheduler.elapsedMs / 1_000)} s`),
  );
  await w.scheduler.run(() => outcome !== 'nothing', 60_000);
  return outcome;
}

/** Of many worlds, how the call ended in each kind of way. */
async function outcomes(prepare: (w: World) => void, quality: Partial<LinkQuality> = {}): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let seed = 0; seed < 40; seed++) {
    const scheduler = new Scheduler();
    const network = new SimulatedNetwork({ scheduler, random: seededRandom(seed), quality: { ...goodQuality, keepaliveMs: 2_000, ...quality } });
    const w = { scheduler, network, a: side(scheduler, network, 'a'), b: side(scheduler, network, 'b') };
    w.b.port.serve(service(async () => empty));
    prepare(w);
    const outcome = (await outcomeOf(w)).replace(/[12] s/, 'a while');
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}

test('how calls end', async () => {
  const kinds = (counts: Record<string, number>): string[] => Object.keys(counts).sort();
  const cases: [string, string[], Record<string, number>][] = [
    ['good network', ['answer of b'], await outcomes(() => undefined)],
    ['lossy network', ['OUTCOME_UNKNOWN after a while', 'answer of b'], await outcomes(() => undefined, { loss: 0.3 })],
    ['cut there', ['OUTCOME_UNKNOWN after a while', 'UNAVAILABLE after a while'], await outcomes(({ network }) => network.cut('a', 'b'))],
    ['cut back', ['OUTCOME_UNKNOWN after a while', 'UNAVAILABLE after a while'], await outcomes(({ network }) => network.cut('b', 'a'))],
    ['cut both ways', ['OUTCOME_UNKNOWN after a while', 'UNAVAILABLE after a while'], await outcomes(({ network }) => partition(network, ['a'], ['b']))],
    ['nobody there', ['OUTCOME_UNKNOWN after a while', 'UNAVAILABLE after a while'], await outcomes(({ b }) => (b.gate.close(), b.port.detach()))],
    ['not serving yet', ['UNAVAILABLE after a while'], await outcomes(({ scheduler, network, b }) => (b.port.detach(), void side(scheduler, network, 'b')))],
    ['paused', ['OUTCOME_UNKNOWN after a while'], await outcomes(({ b }) => b.gate.pause())],
    ['crash under way', ['OUTCOME_UNKNOWN after a while'], await outcomes(({ b }) => b.port.serve(service(() => (b.gate.close(), b.port.detach(), new Promise(() => undefined)))))],
    ['refused', ['NOT_PRIMARY after a while'], await outcomes(({ b }) => b.port.serve(service(() => Promise.reject(new ShoalError('NOT_PRIMARY', 'no')))))],
    ['defect', ['INTERNAL after a while'], await outcomes(({ b }) => b.port.serve(service(() => { throw new TypeError('oops'); })))],
  ];
  for (const [name, expected, counts] of cases) assert.deepEqual(kinds(counts), expected, `${name}: ${JSON.stringify(counts)}`);
});

test('a caller that gives up is heard of by the server, and gets its own reason', async () => {
  const w = world();
  let heard: unknown;
  w.b.port.serve(service((signal) => new Promise(() => signal.addEventListener('abort', () => (heard = signal.reason)))));
  const controller = new AbortController();
  w.scheduler.after(50, () => controller.abort(new ShoalError('DEADLINE_EXCEEDED', 'too late')));
  assert.equal(await outcomeOf(w, controller.signal), 'DEADLINE_EXCEEDED after 1 s');
  await w.scheduler.run(() => heard !== undefined, 1_000);
  assert(hasCode(heard, 'CANCELLED'));
});

test('a caller that died gets nothing', async () => {
  const w = world();
  w.b.port.serve(service(async () => (w.a.gate.close(), empty)));
  assert.equal(await outcomeOf(w), 'nothing');
});

test('requests of a shard arrive with all they carry', async () => {
  const w = world();
  const vector = Float32Array.of(1, 2);
  const seen: unknown[] = [];
  const shard = { write: async (_, write, idempotency) => (seen.push(write, idempotency), { results: [], token: { shardUID: 's', seq: 3 } }) } as Pick<ShardService, 'write'> as ShardService;
  w.b.port.serve(service(unused, (target) => (seen.push(target), shard)));
  const target = { collectionUID: 'c', shardUID: 's', epoch: 2 };
  const points = [{ id: 'p', vector: bytesOfVector(vector), payload: new Uint8Array([7]) }];
  let answer: unknown;
  const context = { signal: new AbortController().signal, span: noSpan };
  void w.a.port.pods.pod('b').shard(target).write(context, { kind: 'upsert', points }, { clientId: 'c', requestNumber: 1 }).then((value) => (answer = value));
  vector.fill(9);
  await w.scheduler.run(() => answer !== undefined, 1_000);
  assert.deepEqual(seen, [target, { kind: 'upsert', points: [{ id: 'p', vector: bytesOfVector(Float32Array.of(1, 2)), payload: new Uint8Array([7]) }] }, { clientId: 'c', requestNumber: 1 }]);
  assert.deepEqual(answer, { results: [], token: { shardUID: 's', seq: 3 } });
});
