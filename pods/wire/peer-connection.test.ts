/** Two connections joined without a network, with a clock that is told to go on: what goes in which frame, and when. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { limits } from '../kernel/limits.ts';
import { noSpan } from '../kernel/span.ts';
import { silentLogger } from '../kernel/logger.ts';
import { noTracer } from '../telemetry/tracer.ts';
import { decodeFrame, decodeItem } from './frame.ts';
import type { FrameHandlers, FrameStream } from './frame-stream.ts';
import { PeerConnection } from './peer-connection.ts';
import { remotePod } from './remote-pod.ts';
import { message, podAnswering, search, target } from './wire.fixture.ts';

interface Side {
  readonly connection: PeerConnection;
  /** Kinds of the items in each frame that it sent. */
  readonly frames: string[][];
}

/** The right one answers searches, each after a turn of the loop. */
function pair(clock: SimulatedClock): { left: Side; right: Side } {
  const handlers: (FrameHandlers | undefined)[] = [undefined, undefined];
  const side = (own: 0 | 1): Side => {
    const frames: string[][] = [];
    const stream: FrameStream = {
      handle: (next) => void (handlers[own] = next),
      write(frame, gone) {
        frames.push(decodeFrame(frame).items.map((item) => decodeItem(item)!.$case));
        setImmediate(() => {
          handlers[1 - own]?.frame(frame);
          gone();
        });
      },
      peerCertificate: () => undefined,
      close: () => undefined,
    };
    const service = podAnswering(async () => {
      await turn();
      return { hits: [], plan: 'scan', visitedCount: undefined, seq: 1 };
    });
    const connection = new PeerConnection({
      stream,
      version: 1,
      peer: own === 0 ? 'right' : 'left',
      handlers: { service: () => service, refusal: () => undefined, onMessage: () => undefined, answered: () => undefined },
      clock,
      tracer: noTracer,
      logger: silentLogger,
      onClosed: () => undefined,
    });
    return { connection, frames };
  };
  return { left: side(0), right: side(1) };
}

async function searchOnce({ connection }: Side): Promise<void> {
  const pod = remotePod({ pod: 'right', ask: (operation, asked) => connection.ask(operation, asked) });
  await pod.shard(target).search({ signal: new AbortController().signal, span: noSpan }, search);
}

const turns = async (count: number): Promise<void> => {
  for (let passed = 0; passed < count; passed++) await turn();
};

test('what is asked in one turn of the loop goes in one frame, and so do the answers', async () => {
  const { left, right } = pair(new SimulatedClock());
  await Promise.all(Array.from({ length: 5 }, () => searchOnce(left)));
  assert.deepEqual([left.frames, right.frames], [[new Array(5).fill('request')], [new Array(5).fill('answer')]]);
});

test('credit for a few requests and answers comes once in a while, not with every frame, and a single time', async () => {
  const clock = new SimulatedClock();
  const { left, right } = pair(clock);
  for (let count = 0; count < 20; count++) await searchOnce(left);
  assert.deepEqual([left.frames, right.frames], [new Array(20).fill(['request']), new Array(20).fill(['answer'])]);
  for (let round = 0; round < 3; round++) {
    clock.advance(limits.wireCreditDelayMs);
    await turns(5);
  }
  assert.deepEqual([left.frames.slice(20), right.frames.slice(20)], [[['credit']], [['credit']]]);
});

test('credit for messages rides along with the next frame, and none goes after it', async () => {
  const clock = new SimulatedClock();
  const { left, right } = pair(clock);
  right.connection.sendMessage(message({ kind: 'append', prevSeq: 0, prevTerm: 0, commitSeq: 0, entries: [{ term: 5, seq: 1, payload: new Uint8Array(1_000) }] }));
  await turns(5);
  assert(right.connection.queuedMessageBytes > 1_000);
  await searchOnce(left);
  assert.deepEqual(left.frames, [['credit', 'request']]);
  assert.equal(right.connection.queuedMessageBytes, 0);
});
