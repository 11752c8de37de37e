import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlatIndex, flatIndexFactory } from './flat-index.ts';
import { LabelBits } from '../domain/label-set.ts';
import { TopK } from './top-k.ts';
import { vectorIndexConformance } from './vector-index.conformance.ts';

vectorIndexConformance('flat', flatIndexFactory);

const line = { dimension: 1, metric: 'euclidean', m: 16, efConstruction: 100 } as const;

test('searchNow answers at once, and merges into a heap that has hits already', () => {
  const index = new FlatIndex(line);
  index.addNow(Uint32Array.of(1, 2, 3), Float32Array.of(1, 2, 3));
  index.removeNow(Uint32Array.of(2));
  const heap = new TopK(2);
  heap.push(0.25, 77);
  heap.push(50, 78);
  const query = Float32Array.of(0);
  assert.deepEqual([...index.searchNow(query, 2).labels], [1, 3]);
  assert.deepEqual([...index.searchNow(query, 2, LabelBits.from([2, 3])).labels], [3]);
  assert.deepEqual(index.searchNow(query, 2, undefined, heap), {
    labels: Uint32Array.of(77, 1),
    distances: Float32Array.of(0.25, 1),
  });
});
