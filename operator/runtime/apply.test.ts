/** Aim: what is compared is what we say and no more, in whatever notation the API server keeps it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstDifference } from './apply.ts';
import { quantityOf } from './quantity.ts';

const cases: readonly [name: string, desired: unknown, live: unknown, difference: string | undefined][] = [
  ['equal', { a: 1 }, { a: 1 }, undefined],
  ['what others have added', { a: 1 }, { a: 1, b: 2 }, undefined],
  ['another value', { a: { b: 1 } }, { a: { b: 2 } }, 'a.b'],
  ['missing', { a: { b: 1 } }, {}, 'a'],
  ['nothing wanted of it', { a: undefined }, {}, undefined],
  ['an empty object that is left out', { a: {} }, {}, undefined],
  ['an empty list that is left out', { a: [] }, {}, undefined],
  ['a list of our own', { args: ['pod'] }, { args: ['pod', 'more'] }, 'args'],
  ['items by name, in another order, others between them', { env: [{ name: 'A', value: '1' }] }, { env: [{ name: 'Z', value: '9' }, { name: 'A', value: '1' }] }, undefined],
  ['an item with another value', { env: [{ name: 'A', value: '1' }] }, { env: [{ name: 'A', value: '2' }] }, 'env[A].value'],
  ['an item that is missing', { env: [{ name: 'A', value: '1' }] }, { env: [] }, 'env[A]'],
  ['an amount in another notation', { resources: { requests: { memory: '1024Mi', cpu: '0.5' } } }, { resources: { requests: { memory: '1Gi', cpu: '500m' } } }, undefined],
  ['another amount', { resources: { limits: { memory: '1Gi' } } }, { resources: { limits: { memory: '1G' } } }, 'resources.limits.memory'],
  ['text that looks like an amount', { labels: { version: '1.0' } }, { labels: { version: '1' } }, 'labels.version'],
];

for (const [name, desired, live, difference] of cases) test(name, () => assert.equal(firstDifference(desired, live), difference));

test('amounts', () => {
  const amounts: readonly [string, number | undefined][] = [['10Gi', 10 * 2 ** 30], ['1.5T', 1.5e12], ['500m', 0.5], ['2e3', 2_000], ['1E', 1e18], ['1Ei', 2 ** 60], ['', undefined], ['ten', undefined], ['1 Gi', undefined], ['1gi', undefined]];
  for (const [text, amount] of amounts) assert.equal(quantityOf(text), amount, text);
});
