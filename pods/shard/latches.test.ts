import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Latches } from './latches.ts';

/** Lets every waiter that can go on do so. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

/** Takes the latches of each request in turn and writes down who holds them. */
function run(requests: Readonly<Record<string, readonly string[]>>): { order: string[]; release: Map<string, () => void>; latches: Latches } {
  const latches = new Latches();
  const order: string[] = [];
  const release = new Map<string, () => void>();
  for (const [name, keys] of Object.entries(requests)) {
    void latches.acquire(keys).then((give) => {
      order.push(name);
      release.set(name, give);
    });
  }
  return { order, release, latches };
}

test('first come, first served on each key; others do not wait', async () => {
  const { order, release, latches } = run({ first: ['a', 'b'], second: ['b', 'c'], third: ['c'], other: ['d'] });
  await settle();
  assert.deepEqual(order, ['first', 'other']);
  release.get('first')!();
  await settle();
  assert.deepEqual(order, ['first', 'other', 'second']);
  release.get('second')!();
  await settle();
  assert.deepEqual(order, ['first', 'other', 'second', 'third']);
  release.get('third')!();
  release.get('other')!();
  assert.equal(latches.heldCount, 0);
});

test('requests that name keys in opposite orders do not wait for each other for ever', async () => {
  const { order, release } = run({ forward: ['a', 'b'], backward: ['b', 'a'] });
  await settle();
  release.get('forward')!();
  await settle();
  assert.deepEqual(order, ['forward', 'backward']);
});

test('a key named twice does not make a request wait for itself', async () => {
  const { order } = run({ twice: ['a', 'a'] });
  await settle();
  assert.deepEqual(order, ['twice']);
});
