import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median } from '../report.ts';
import { figureAtRecall } from './equal-recall.ts';

const sweep = [
  { recall: 0.99, figure: 800 },
  { recall: 0.9, figure: 200 },
];

test('between two breadths the figure is linear in the logarithm of the misses', () => {
  // The misses fall from 0.1 to 0.01; their square root lies half-way, and so does that of the figures' product.
  const { figure, ...rest } = figureAtRecall(sweep, 1 - Math.sqrt(0.1 * 0.01)) as { is: string; figure: number };
  assert.deepEqual(rest, { is: 'between' });
  assert.ok(Math.abs(figure - 400) < 1e-6, String(figure));
});

test('a recall that was measured needs no neighbour', () => {
  assert.deepEqual(figureAtRecall(sweep, 0.9), { is: 'between', figure: 200 });
  assert.deepEqual(figureAtRecall(sweep, 0.99), { is: 'between', figure: 800 });
});

test('outside the sweep nothing is invented', () => {
  assert.deepEqual(figureAtRecall(sweep, 0.995), { is: 'not reached' });
  assert.deepEqual(figureAtRecall(sweep, 0.8), { is: 'narrowest', figure: 200, recall: 0.9 });
  assert.deepEqual(figureAtRecall([], 0.9), { is: 'not reached' });
});

test('a perfect recall has a finite logarithm', () => {
  const figure = figureAtRecall([{ recall: 0.9, figure: 100 }, { recall: 1, figure: 1_000 }], 0.99);
  assert.equal(figure.is, 'between');
  assert.ok(figure.is === 'between' && figure.figure > 100 && figure.figure < 1_000);
});

test('neighbours are those in recall, also where a wider search found less', () => {
  const points = [{ recall: 0.95, figure: 300 }, { recall: 0.949, figure: 320 }, { recall: 0.97, figure: 500 }];
  assert.deepEqual(figureAtRecall(points, 0.95), { is: 'between', figure: 300 });
});

test('a figure of nothing has no logarithm, and is still a figure', () => {
  assert.deepEqual(figureAtRecall([{ recall: 0.9, figure: 0 }, { recall: 0.99, figure: 0 }], 0.95), { is: 'between', figure: 0 });
});

test('median', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
});
