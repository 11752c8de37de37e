import assert from 'node:assert/strict';
import { test } from 'node:test';

import { limits } from '../kernel/limits.ts';
import type { WriteOperation } from './key-value-store.ts';
import { writeQueue } from './write-queue.ts';

const batch = (name: string, count = 1): WriteOperation[] => Array.from({ length: count }, () => ({ kind: 'delete', key: Buffer.from(name) }));
const nameOf = (operations: readonly WriteOperation[]): string => {
  const [first] = operations;
  return first?.kind === 'delete' ? Buffer.from(first.key).toString() : '';
};

/** A queue over a writer that waits to be told how each write ends. */
function controlledQueue() {
  const writes: { names: string[]; done: PromiseWithResolvers<void> }[] = [];
  const queue = writeQueue((batches) => {
    const done = Promise.withResolvers<void>();
    writes.push({ names: batches.map(nameOf), done });
    return done.promise;
  });
  return { queue, writes, names: () => writes.map((write) => write.names) };
}

test('one write at a time; what arrives meanwhile goes out together, in order', async () => {
  const { queue, writes, names } = controlledQueue();
  const first = queue.write(batch('a'), 1);
  const others = ['b', 'c', 'd'].map((name) => queue.write(batch(name), 1));
  assert.deepEqual(names(), [['a']]);
  writes[0]?.done.resolve();
  await first;
  await new Promise(setImmediate);
  assert.deepEqual(names(), [['a'], ['b', 'c', 'd']]);
  writes[1]?.done.resolve();
  await Promise.all(others);
});

test('a group stays within its bounds, but one batch always fits', async () => {
  const { queue, writes, names } = controlledQueue();
  const half = limits.storageWriteGroupOperationCountMax / 2;
  const all = [
    queue.write(batch('running'), 1),
    queue.write(batch('half', half), 1),
    queue.write(batch('other half', half), 1),
    queue.write(batch('one more'), 1),
    queue.write(batch('large'), limits.storageWriteGroupBytesMax + 1),
    queue.write(batch('last'), 1),
  ];
  for (let index = 0; index < 4; index += 1) {
    writes[index]?.done.resolve();
    await new Promise(setImmediate);
  }
  assert.deepEqual(names(), [['running'], ['half', 'other half'], ['one more'], ['large'], ['last']]);
  writes[4]?.done.resolve();
  await Promise.all(all);
});

test('a failed write fails its batches alone, and drained waits for all that came before', async () => {
  const { queue, writes } = controlledQueue();
  const failure = new Error('disk');
  const first = assert.rejects(queue.write(batch('a'), 1), failure);
  const second = queue.write(batch('b'), 1);
  let drained = false;
  const waiting = queue.drained().then(() => (drained = true));
  writes[0]?.done.reject(failure);
  await first;
  await new Promise(setImmediate);
  assert.equal(drained, false);
  writes[1]?.done.resolve();
  await Promise.all([second, waiting]);
});
