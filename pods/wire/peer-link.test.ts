/** Aim: when a link opens a connection, which of two it keeps, and what becomes of what waits meanwhile; without a network. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { silentLogger } from '../kernel/logger.ts';
import type { Message } from '../replication/messages.ts';
import type { FrameHandlers, FrameStream } from './frame-stream.ts';
import { decodeFrame, decodeItem, encodeFrame, encodeItem } from './frame.ts';
import type { PeerConnection } from './peer-connection.ts';
import { greetingOf, helloMessage, incomingSurvives, protocolVersions, type Greeting } from './peer-identity.ts';
import { PeerLink } from './peer-link.ts';
import { nudgeOperation } from './pod-operations.ts';
import { context, message } from './wire.fixture.ts';

const greeting = (name: string, parts: Partial<Greeting> = {}): Greeting => ({
  identity: { role: 'pod', name, podUID: `uid-${name}`, session: `session-${name}` },
  versions: protocolVersions,
  to: 'pod-a',
  connection: 'theirs',
  previous: '',
  ...parts,
});

test('of two streams between two pods, both keep the one of the smaller name, unless the other cannot mean it any more', () => {
  const own = { id: 'ours', openedBySelf: true, session: 'session-pod-b' };
  const cases: readonly [string, boolean, Parameters<typeof incomingSurvives>][] = [
    ['none is there', true, ['pod-a', greeting('pod-b'), undefined]],
    ['ours is on its way, our name is smaller', false, ['pod-a', greeting('pod-b'), { ...own, session: undefined }]],
    ['ours is on its way, their name is smaller', true, ['pod-b', greeting('pod-a'), { ...own, session: undefined }]],
    ['ours is open, theirs was sent before they knew', false, ['pod-a', greeting('pod-b'), own]],
    ['they saw ours end', true, ['pod-a', greeting('pod-b', { previous: 'ours' }), own]],
    ['they saw an older one end', false, ['pod-a', greeting('pod-b', { previous: 'older' }), own]],
    ['they have started anew', true, ['pod-a', greeting('pod-b'), { ...own, session: 'session-before' }]],
    ['they opened the present one too', true, ['pod-a', greeting('pod-b'), { ...own, openedBySelf: false }]],
  ];
  for (const [name, survives, args] of cases) assert.equal(incomingSurvives(...args), survives, name);
});

class ScriptedStream implements FrameStream {
  readonly written: Uint8Array[] = [];
  closedBy: ShoalError | undefined;
  #handlers: FrameHandlers | undefined;

  handle(handlers: FrameHandlers): void {
    this.#handlers = handlers;
  }

  write(frame: Uint8Array): void {
    this.written.push(frame);
  }

  peerCertificate(): undefined {
    return undefined;
  }

  close(reason: ShoalError): void {
    this.closedBy ??= reason;
  }

  get greeting(): Greeting {
    const kind = decodeItem(decodeFrame(this.written[0]!).items[0]!);
    assert(kind?.$case === 'hello');
    return greetingOf(kind.hello);
  }

  /** The other side greets back. */
  answer(): void {
    const { connection, to } = this.greeting;
    this.#handlers!.frame(encodeFrame(1, [[encodeItem({ $case: 'hello', hello: helloMessage(greeting(to, { connection })) })]]));
  }

  fail(error: ShoalError): void {
    this.#handlers!.closed(error);
  }
}

/** A link from pod-a to pod-b, whose connections only note what they are given. */
function scene() {
  const clock = new SimulatedClock();
  const streams: ScriptedStream[] = [];
  const sent: Message[] = [];
  const lose: ((reason: string) => void)[] = [];
  let lastId = 0;
  const link = new PeerLink({
    pod: 'pod-b',
    self: greeting('pod-a').identity,
    versions: protocolVersions,
    clock,
    random: { uint32: () => 0, fraction: () => 1, uuid: () => `connection-${++lastId}` },
    logger: silentLogger,
    openStream() {
      const stream = new ScriptedStream();
      streams.push(stream);
      return stream;
    },
    admit: () => undefined,
    connect(_greeted, _openedBySelf, onClosed) {
      lose.push(onClosed);
      return {
        sendMessage: (given: Message) => void sent.push(given),
        ask: () => Promise.resolve('answered'),
        close: ({ message: reason }: ShoalError) => onClosed(reason),
      } as unknown as PeerConnection;
    },
  });
  const outcomes: string[] = [];
  const ask = (): void => void link.ask(nudgeOperation, { target: undefined, input: 's', signal: context().signal, traceparent: undefined }).then(() => outcomes.push('answered'), (error: unknown) => outcomes.push((error as ShoalError).code));
  return { clock, streams, sent, lose, link, outcomes, ask };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const unreachable = new ShoalError('UNAVAILABLE', 'nobody listens');
const conflict = new ShoalError('CONFLICT', 'the other one is kept');
const hello = message({ kind: 'hello' });

test('what comes while the connection is being opened goes over it, in order', async () => {
  const { streams, sent, link, outcomes, ask } = scene();
  link.send(hello);
  ask();
  link.send(message({ kind: 'check', round: 2 }));
  assert.equal(streams.length, 1);
  assert.deepEqual(streams[0]!.greeting, { ...greeting('pod-a'), to: 'pod-b', connection: 'connection-1' });
  streams[0]!.answer();
  await turn();
  assert.deepEqual([sent.map(({ body }) => body.kind), outcomes], [['hello', 'check'], ['answered']]);
});

test('failed attempts are further and further apart; meanwhile requests fail at once and messages are dropped', async () => {
  const { clock, streams, sent, link, outcomes, ask } = scene();
  const waitsMs: number[] = [];
  link.send(hello);
  for (let attempt = 1; attempt <= 8; attempt++) {
    ask();
    streams.at(-1)!.fail(unreachable);
    await turn();
    const failedAtMs = clock.monotonicMs();
    link.send(hello); // wants the next attempt
    while (streams.length === attempt) clock.advance(1);
    waitsMs.push(clock.monotonicMs() - failedAtMs);
  }
  assert.deepEqual(waitsMs, [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]);
  assert.deepEqual(outcomes, Array.from({ length: 8 }, () => 'UNAVAILABLE'));
  streams.at(-1)!.fail(unreachable);
  ask();
  await turn();
  assert.equal(outcomes.length, 9);
  assert.deepEqual(sent, []);
});

test('nobody connects who has nothing to say', () => {
  const { clock, streams, link, lose } = scene();
  link.send(hello);
  streams[0]!.answer();
  lose[0]!('gone');
  clock.advance(60_000);
  assert.equal(streams.length, 1);
  link.send(hello);
  assert.equal(streams.length, 2);
  assert.equal(streams[1]!.greeting.previous, 'connection-1');
});

test('refused because the pod keeps a stream of its own: what waits goes over that, or over the next attempt', async () => {
  for (const comes of [true, false]) {
    const { clock, streams, sent, link, outcomes, ask } = scene();
    link.send(hello);
    ask();
    streams[0]!.fail(conflict);
    ask();
    await turn();
    assert.deepEqual(outcomes, []);
    if (comes) {
      link.adopt({ stream: new ScriptedStream(), other: greeting('pod-b'), version: 1 });
      clock.advance(10_000);
      assert.equal(streams.length, 1);
    } else {
      clock.advance(limits.wireReconnectDelayMs);
      streams[1]!.answer();
    }
    await turn();
    assert.deepEqual([sent, outcomes], [[hello], ['answered', 'answered']], String(comes));
  }
});

test('a stream that the pod opened takes the place of one that is on its way, and of an open one', async () => {
  const { streams, sent, link, outcomes, ask, lose } = scene();
  ask();
  link.adopt({ stream: new ScriptedStream(), other: greeting('pod-b'), version: 1 });
  await turn();
  assert.deepEqual([outcomes, streams[0]!.closedBy?.code], [['answered'], 'UNAVAILABLE']);
  streams[0]!.fail(unreachable); // too late to matter
  link.adopt({ stream: new ScriptedStream(), other: greeting('pod-b', { connection: 'second' }), version: 1 });
  lose[0]!('too late to matter');
  assert.equal(link.present?.id, 'second');
  link.send(hello);
  assert.deepEqual(sent, [hello]);
});

test('another pod, or silence, at the address', async () => {
  const { clock, streams, outcomes, ask } = scene();
  ask();
  clock.advance(limits.wireConnectTimeoutMs);
  await turn();
  assert.deepEqual([outcomes, streams[0]!.closedBy?.message], [['UNAVAILABLE'], 'no greeting within 5000 ms']);
});

test('a link that is closed fails what waits and opens nothing more', async () => {
  const { clock, streams, outcomes, ask, link } = scene();
  ask();
  link.close(new ShoalError('SHUTTING_DOWN', 'the end'));
  ask();
  link.send(hello);
  clock.advance(10_000);
  await turn();
  assert.deepEqual([outcomes, streams.length], [['SHUTTING_DOWN', 'UNAVAILABLE'], 1]);
});
