import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { WorkQueue } from './work-queue.ts';

/** A queue whose runs end when they are told to. */
function open(inFlightMax: number): { queue: WorkQueue; clock: SimulatedClock; started: string[]; end: (key: string) => Promise<void> } {
  const clock = new SimulatedClock();
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (key: string): Promise<void> => {
    started.push(key);
    assert(!ends.has(key), 'never twice at a time');
    return new Promise((resolve) => ends.set(key, resolve));
  };
  const end = async (key: string): Promise<void> => {
    const resolve = ends.get(key)!;
    ends.delete(key);
    resolve();
    await new Promise(setImmediate);
  };
  return { queue: new WorkQueue({ clock, inFlightMax, run }), clock, started, end };
}

test('so many at once, urgent ones first, each once', async () => {
  const { queue, started, end } = open(2);
  for (const key of ['a', 'b', 'c', 'd', 'c']) queue.add(key);
  queue.add('e', 'urgent');
  queue.add('d', 'urgent');
  assert.deepEqual(started, ['a', 'b']);
  for (const key of ['a', 'b', 'e', 'd', 'c']) await end(key);
  assert.deepEqual(started, ['a', 'b', 'e', 'd', 'c']);
  assert(queue.isIdle);
});

test('a key that is added while it runs runs again', async () => {
  const { queue, started, end } = open(2);
  queue.add('a');
  queue.add('a');
  queue.add('b');
  assert.deepEqual(started, ['a', 'b']);
  await end('a');
  assert.deepEqual(started, ['a', 'b', 'a']);
});

test('later: the earliest of several times, and not any more once it was added', () => {
  const { queue, clock, started } = open(9);
  queue.addAfter('a', 50);
  queue.addAfter('a', 20);
  queue.addAfter('a', 90);
  clock.advance(19);
  assert.deepEqual([started, queue.isIdle], [[], true]);
  clock.advance(1);
  assert.deepEqual(started, ['a']);
  queue.addAfter('b', 10);
  queue.add('b');
  clock.advance(100);
  assert.deepEqual(started, ['a', 'b']);
});

test('closing waits for what runs and starts nothing', async () => {
  const { queue, clock, started, end } = open(1);
  queue.add('a');
  queue.add('b');
  queue.addAfter('c', 5);
  let isClosed = false;
  const closing = queue.close().then(() => (isClosed = true));
  await new Promise(setImmediate);
  assert(!isClosed);
  await end('a');
  await closing;
  clock.advance(10);
  queue.add('d');
  assert.deepEqual(started, ['a']);
});
