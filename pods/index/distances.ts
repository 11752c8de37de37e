/**
 * Distances between rows of packed vectors, in scalar JavaScript: four accumulators, so that the additions do not wait
 * for each other; sums are float64, so that an exact scan is exact to the last float32 bit of its inputs.
 */

import assert from 'node:assert/strict';
import type { Metric } from '../domain/metric.ts';

/** Distance of a[aOffset, aOffset + dimension) and b[bOffset, …). */
export type Distance = (
  a: Float32Array,
  aOffset: number,
  b: Float32Array,
  bOffset: number,
  dimension: number,
) => number;

/** The distance of vector-index.ts; under cosine both vectors must be of unit length already. */
export function distanceOf(metric: Metric): Distance {
  switch (metric) {
    case 'euclidean':
      return squaredEuclidean;
    case 'dot':
      return (a, aOffset, b, bOffset, dimension) => -innerProduct(a, aOffset, b, bOffset, dimension);
    case 'cosine':
      return (a, aOffset, b, bOffset, dimension) => 1 - innerProduct(a, aOffset, b, bOffset, dimension);
  }
}

/**
 * Distances of query[queryOffset, queryOffset + dimension) to `count` rows of a block, which begin at `places` × dimension;
 * written to the first `count` of `distances`.
 */
export type RowDistances = (
  query: Float32Array,
  queryOffset: number,
  dimension: number,
  block: Float32Array,
  places: Uint32Array,
  count: number,
  distances: Float64Array,
) => void;

export function rowDistancesOf(metric: Metric): RowDistances {
  const distance = distanceOf(metric);
  return (query, queryOffset, dimension, block, places, count, distances) => {
    for (let i = 0; i < count; i++) distances[i] = distance(query, queryOffset, block, (places[i] as number) * dimension, dimension);
  };
}

export const innerProduct: Distance = (a, aOffset, b, bOffset, dimension) => {
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  const unrolled = dimension & ~3;
  let i = 0;
  for (; i < unrolled; i += 4) {
    sum0 += (a[aOffset + i] as number) * (b[bOffset + i] as number);
    sum1 += (a[aOffset + i + 1] as number) * (b[bOffset + i + 1] as number);
    sum2 += (a[aOffset + i + 2] as number) * (b[bOffset + i + 2] as number);
    sum3 += (a[aOffset + i + 3] as number) * (b[bOffset + i + 3] as number);
  }
  for (; i < dimension; i++) sum0 += (a[aOffset + i] as number) * (b[bOffset + i] as number);
  return sum0 + sum1 + (sum2 + sum3);
};

export const squaredEuclidean: Distance = (a, aOffset, b, bOffset, dimension) => {
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  const unrolled = dimension & ~3;
  let i = 0;
  for (; i < unrolled; i += 4) {
    const d0 = (a[aOffset + i] as number) - (b[bOffset + i] as number);
    const d1 = (a[aOffset + i + 1] as number) - (b[bOffset + i + 1] as number);
    const d2 = (a[aOffset + i + 2] as number) - (b[bOffset + i + 2] as number);
    const d3 = (a[aOffset + i + 3] as number) - (b[bOffset + i + 3] as number);
    sum0 += d0 * d0;
    sum1 += d1 * d1;
    sum2 += d2 * d2;
    sum3 += d3 * d3;
  }
  for (; i < dimension; i++) {
    const d = (a[aOffset + i] as number) - (b[bOffset + i] as number);
    sum0 += d * d;
  }
  return sum0 + sum1 + (sum2 + sum3);
};

/** Euclidean length. */
export function norm(vector: Float32Array, offset: number, dimension: number): number {
  return Math.sqrt(innerProduct(vector, offset, vector, offset, dimension));
}

/** Scales the vector at `offset` to unit length, in place. It must not be zero: the caller refuses that earlier. */
export function normalize(vector: Float32Array, offset: number, dimension: number): void {
  const length = norm(vector, offset, dimension);
  assert(length > 0, 'a zero vector has no direction');
  for (let i = offset; i < offset + dimension; i++) vector[i] = (vector[i] as number) / length;
}

/** The queries as the kernels want them: a normalised copy under cosine, else the array itself. */
export function preparedQueries(metric: Metric, queries: Float32Array, dimension: number): Float32Array {
  if (metric !== 'cosine') return queries;
  const prepared = queries.slice();
  for (let offset = 0; offset < prepared.length; offset += dimension) normalize(prepared, offset, dimension);
  return prepared;
}
