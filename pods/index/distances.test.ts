import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metrics, type Metric } from '../domain/metric.ts';
import { seededRandom } from '../kernel/random.ts';
import { distanceOf, norm, normalize, preparedQueries } from './distances.ts';

const naive: Record<Metric, (a: number[], b: number[]) => number> = {
  euclidean: (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0),
  dot: (a, b) => -a.reduce((sum, x, i) => sum + x * b[i]!, 0),
  cosine: (a, b) => 1 - a.reduce((sum, x, i) => sum + x * b[i]!, 0),
};

for (const metric of metrics) {
  test(`${metric} agrees with the definition at every remainder of the unrolled loop, at any offset`, () => {
    const random = seededRandom(7);
    for (const dimension of [1, 2, 3, 4, 5, 7, 8, 100, 131]) {
      const a = Float32Array.from({ length: dimension + 3 }, () => random.fraction() - 0.5);
      const b = Float32Array.from({ length: dimension + 5 }, () => random.fraction() - 0.5);
      const found = distanceOf(metric)(a, 3, b, 5, dimension);
      assert.ok(Math.abs(found - naive[metric]([...a.subarray(3)], [...b.subarray(5)])) < 1e-12, `${dimension}`);
    }
  });
}

test('normalising touches only its own row', () => {
  const rows = Float32Array.of(3, 4, 3, 4, 3, 4);
  normalize(rows, 2, 2);
  assert.deepEqual([...rows], [3, 4, Math.fround(0.6), Math.fround(0.8), 3, 4]);
  assert.ok(Math.abs(norm(rows, 2, 2) - 1) < 1e-7);
});

test('a huge vector has a finite norm', () => {
  const vector = new Float32Array(8).fill(3e38);
  normalize(vector, 0, 8);
  assert.ok(Math.abs(norm(vector, 0, 8) - 1) < 1e-6);
});

test('queries are copied only where they are changed', () => {
  const queries = Float32Array.of(3, 4);
  assert.equal(preparedQueries('dot', queries, 2), queries);
  assert.deepEqual([...preparedQueries('cosine', queries, 2)], [Math.fround(0.6), Math.fround(0.8)]);
  assert.deepEqual([...queries], [3, 4]);
});
