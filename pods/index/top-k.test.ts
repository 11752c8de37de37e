import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below, seededRandom } from '../kernel/random.ts';
import { TopK } from './top-k.ts';

test('keeps the k least of any stream, ties by label, whatever the order', () => {
  const seed = Number(process.env['SHOAL_SEED'] ?? 1);
  const random = seededRandom(seed);
  for (let round = 0; round < 200; round++) {
    const count = below(random, 300);
    const k = 1 + below(random, 150);
    const heap = new TopK(k);
    // Few different distances, so that ties are common.
    const stream = Array.from({ length: count }, (_, label) => ({ label, distance: below(random, 20) }));
    stream.sort(() => random.fraction() - 0.5);
    for (const { distance, label } of stream) heap.push(distance, label);
    const expected = stream.toSorted((a, b) => a.distance - b.distance || a.label - b.label).slice(0, k);
    const { labels, distances } = heap.hits();
    assert.deepEqual(
      { labels: [...labels], distances: [...distances], bound: heap.bound },
      {
        labels: expected.map((hit) => hit.label),
        distances: expected.map((hit) => hit.distance),
        bound: expected.length < k ? Infinity : expected.at(-1)!.distance,
      },
      `seed ${seed}, round ${round}`,
    );
  }
});

test('is empty after clear', () => {
  const heap = new TopK(2);
  heap.push(1, 1);
  heap.clear();
  assert.deepEqual({ size: heap.size, labels: [...heap.hits().labels] }, { size: 0, labels: [] });
});
