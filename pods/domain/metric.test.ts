import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scoreFromDistance, type Metric } from './metric.ts';

const cases: readonly (readonly [Metric, number, number])[] = [
  ['cosine', 0, 1],
  ['cosine', -1e-8, 1],
  ['cosine', 2.000_001, -1],
  ['cosine', 0.25, 0.75],
  ['dot', -3, 3],
  ['euclidean', 0, 1],
  ['euclidean', 9, 0.25],
];

test('scores: higher is nearer, and cosine stays within its range', () => {
  assert.deepEqual(cases.map(([metric, distance]) => [metric, distance, scoreFromDistance(metric, distance)]), cases);
});
