/** The benchmark's recall is worth what its exact neighbours are worth: here they are compared with a plain sort. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Dataset } from './dataset.ts';
import { groundTruth } from './ground-truth.ts';
import { bucketOf, selectivities } from './selectivity.ts';

const dimension = 7;
const pointCount = 3_000;
const queryCount = 20;
const k = 10;

test('the exact neighbours of every selectivity have recall 1, and each one replaced costs a tenth', async () => {
  const cacheDirectory = await mkdtemp(join(tmpdir(), 'shoal-truth-'));
  try {
    const dataset: Dataset = { source: 'test', dimension, pointCount, queryCount, points: wave(pointCount, 1), queries: wave(queryCount, 2), pointNames: [], cacheDirectory };
    const computed = await groundTruth(dataset, k);
    const kept = await groundTruth(dataset, k);
    for (let query = 0; query < queryCount; query++) {
      for (const [selectivity, { bucketLimit }] of selectivities.entries()) {
        const allowed = Array.from({ length: pointCount }, (_, row) => row).filter((row) => bucketOf(row) < bucketLimit);
        const sorted = allowed.sort((a, b) => cosine(dataset, query, b) - cosine(dataset, query, a));
        const nearest = sorted.slice(0, k);
        assert.ok(nearest.length > 0);
        const oneWrong = [...nearest.slice(0, -1), ...sorted.slice(-1)];
        const forbidden = Array.from({ length: pointCount }, (_, row) => row).find((row) => bucketOf(row) >= bucketLimit);
        const expected = [1, sorted.length > k ? 1 - 1 / k : 1, 0, 1 / nearest.length];
        for (const truth of [computed, kept]) {
          const repeated = new Array<number>(k).fill(nearest[0]!);
          const found = [nearest, oneWrong, forbidden === undefined ? [] : [forbidden], repeated].map((rows) => truth.recall(query, selectivity, rows));
          assert.deepEqual(found, expected);
        }
      }
    }
  } finally {
    await rm(cacheDirectory, { recursive: true });
  }
});

/** Numbers without a pattern that cosine could tie on. */
function wave(count: number, phase: number): Float32Array {
  return Float32Array.from({ length: count * dimension }, (_, at) => Math.sin(at * at * 0.37 + phase) + 0.01 * phase);
}

function cosine({ queries, points }: Dataset, query: number, row: number): number {
  let product = 0;
  let querySquare = 0;
  let pointSquare = 0;
  for (let at = 0; at < dimension; at++) {
    const left = queries[query * dimension + at]!;
    const right = points[row * dimension + at]!;
    product += left * right;
    querySquare += left * left;
    pointSquare += right * right;
  }
  return product / Math.sqrt(querySquare * pointSquare);
}
