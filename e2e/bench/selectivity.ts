/**
 * Payloads for filtered search: every point has `bucket`, an integer from 0 to 999 that has nothing to do with its vector.
 * `bucket < n` then allows n in 1,000 points, and a smaller selectivity's points are among those of a larger one.
 */

export const bucketCount = 1_000;

export const selectivities = [
  { name: '0.1 %', bucketLimit: 1 },
  { name: '1 %', bucketLimit: 10 },
  { name: '10 %', bucketLimit: 100 },
  { name: '50 %', bucketLimit: 500 },
  { name: '100 %', bucketLimit: 1_000 },
] as const;

export const unfiltered = selectivities.length - 1;

export function bucketOf(row: number): number {
  return (Math.imul(row, 2_654_435_761) >>> 0) % bucketCount;
}

/** The tightest of `selectivities` that allows the row. */
export function tightestSelectivity(row: number): number {
  const bucket = bucketOf(row);
  return selectivities.findIndex(({ bucketLimit }) => bucket < bucketLimit);
}
