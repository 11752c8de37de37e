/**
 * The exact nearest points of every query by cosine, for each selectivity, by comparing everything with everything
 * (2,000 queries, 339,479 points, 100 dimensions: 68 thousand million multiplications, about a minute), kept on disk.
 *
 * What is kept per query and selectivity is the similarity of the k-th nearest: an answer counts as right when it is at
 * least that similar, so that among equally near points any will do.
 */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dataset } from './dataset.ts';
import { progressLine } from './report.ts';
import { bucketOf, selectivities, tightestSelectivity } from './selectivity.ts';

const queriesPerBlock = 8;
const pointsPerBlock = 128;
const roundingTolerance = 1e-6;
const formatVersion = 1;

export interface GroundTruth {
  readonly k: number;
  /** Fraction of the k nearest that an answer holds; `rows` are the points it names. */
  recall(query: number, selectivity: number, rows: readonly number[]): number;
}

export async function groundTruth(dataset: Dataset, k: number): Promise<GroundTruth> {
  const points = normalised(dataset.points, dataset.dimension);
  const queries = normalised(dataset.queries, dataset.dimension);
  const thresholds = await cachedThresholds(dataset, points, queries, k);
  const { dimension } = dataset;
  return {
    k,
    recall(query, selectivity, rows) {
      // A selectivity may allow fewer than k points; then the list of similarities ends earlier.
      const first = (query * selectivities.length + selectivity) * k;
      const wanted = thresholds.subarray(first, first + k).filter((similarity) => similarity > -Infinity);
      if (wanted.length === 0) return rows.length === 0 ? 1 : 0;
      const least = wanted.at(-1)! - roundingTolerance;
      let right = 0;
      for (const row of new Set(rows)) {
        if (bucketOf(row) >= selectivities[selectivity]!.bucketLimit) continue;
        if (dot(queries, query * dimension, points, row * dimension, dimension) >= least) right++;
      }
      return Math.min(right, wanted.length) / wanted.length;
    },
  };
}

async function cachedThresholds(dataset: Dataset, points: Float32Array, queries: Float32Array, k: number): Promise<Float32Array> {
  const hash = createHash('sha256').update(JSON.stringify([formatVersion, dataset.dimension, dataset.pointCount, dataset.queryCount, k, selectivities]));
  const key = hash.update(dataset.points).update(dataset.queries).digest('hex').slice(0, 16);
  const path = join(dataset.cacheDirectory, `truth-${key}.f32`);
  if (existsSync(path)) {
    const bytes = await readFile(path);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }
  const computed = nearestSimilarities(dataset, points, queries, k);
  await writeFile(`${path}.part`, computed);
  await rename(`${path}.part`, path);
  return computed;
}

/** `[query][selectivity][rank]`, best first. Blocks of points stay in the cache while the queries of a block pass over. */
function nearestSimilarities({ dimension, pointCount, queryCount }: Dataset, points: Float32Array, queries: Float32Array, k: number): Float32Array {
  const levels = selectivities.length;
  const nearest = new Float32Array(queryCount * levels * k).fill(-Infinity);
  const tightest = Uint8Array.from({ length: pointCount }, (_, row) => tightestSelectivity(row));
  for (let firstQuery = 0; firstQuery < queryCount; firstQuery += queriesPerBlock) {
    const lastQuery = Math.min(queryCount, firstQuery + queriesPerBlock);
    for (let firstPoint = 0; firstPoint < pointCount; firstPoint += pointsPerBlock) {
      const lastPoint = Math.min(pointCount, firstPoint + pointsPerBlock);
      for (let query = firstQuery; query < lastQuery; query++) {
        for (let row = firstPoint; row < lastPoint; row++) {
          const similarity = dot(queries, query * dimension, points, row * dimension, dimension);
          for (let level = tightest[row]!; level < levels; level++) {
            // A looser level's k-th is no worse than a tighter one's: not near enough here is not near enough there.
            if (!insert(nearest, (query * levels + level) * k, k, similarity)) break;
          }
        }
      }
    }
    progressLine(`exact nearest points: ${lastQuery} of ${queryCount} queries`, lastQuery === queryCount);
  }
  return nearest;
}

/** Insertion into a short list, best first; false when it is not among the best k. */
function insert(lists: Float32Array, start: number, k: number, similarity: number): boolean {
  let at = start + k - 1;
  if (!(similarity > lists[at]!)) return false;
  for (; at > start && lists[at - 1]! < similarity; at--) lists[at] = lists[at - 1]!;
  lists[at] = similarity;
  return true;
}

function dot(left: Float32Array, leftStart: number, right: Float32Array, rightStart: number, dimension: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let at = 0;
  for (; at + 3 < dimension; at += 4) {
    a += left[leftStart + at]! * right[rightStart + at]!;
    b += left[leftStart + at + 1]! * right[rightStart + at + 1]!;
    c += left[leftStart + at + 2]! * right[rightStart + at + 2]!;
    d += left[leftStart + at + 3]! * right[rightStart + at + 3]!;
  }
  for (; at < dimension; at++) a += left[leftStart + at]! * right[rightStart + at]!;
  return a + b + c + d;
}

function normalised(vectors: Float32Array, dimension: number): Float32Array {
  const unit = new Float32Array(vectors.length);
  for (let start = 0; start < vectors.length; start += dimension) {
    const norm = Math.sqrt(dot(vectors, start, vectors, start, dimension));
    for (let at = start; at < start + dimension; at++) unit[at] = vectors[at]! / norm;
  }
  return unit;
}
