/**
 * Scan or graph? The one place that decides, for every index that has a graph.
 *
 * A graph search under a filter walks through nodes that the filter refuses and goes on until it has seen `ef` that the
 * filter allows; so its breadth, and its recall, need no correction for a tight filter, but its cost does: it looks at
 * about 2 · ef / selectivity nodes (measured: 2.05, 2.1, 1.8 at selectivities 1, 1/2, 1/10 on clustered vectors). A scan
 * of the allowed labels looks at `filterCount` rows and is exact. Looking at a node costs more than looking at a row,
 * in proportion to the degree: its neighbours' distances are computed at random places in memory, and the filter is asked.
 */

const nodesPerBreadth = 2;

/**
 * The native core compares rows one after another with wide registers: looking at a node costs as much as 12 rows (measured
 * on 100,000 GloVe vectors: 0.7 µs and 0.06 µs). Under a filter it may look at allowed nodes alone, found through the
 * neighbours of those that are not: 2.4 µs each, but no more of them than without a filter.
 */
const nativeNodeRows = 12;
const nativeAllowedNodeRows = 40;

export interface SearchFacts {
  /** Vectors in the index. */
  readonly size: number;
  /** Labels that the filter allows; `size` without a filter. */
  readonly filterCount: number;
  readonly k: number;
  readonly ef: number;
  readonly m: number;
  readonly exact: boolean;
  /** Of the native core: its rows are cheap, and under a tight filter its graph looks at allowed nodes alone. */
  readonly isNative?: boolean;
}

export function searchPlan(facts: SearchFacts): 'scan' | 'graph' {
  if (facts.exact) return 'scan';
  return scanCost(facts) <= graphCost(facts) ? 'scan' : 'graph';
}

/**
 * A filter whose points lie far from the query makes the walk longer than expected. Past this many nodes the scan would
 * have been cheaper, and takes over: a search never costs more than twice the scan.
 */
export function graphVisitMax(facts: SearchFacts): number {
  return Math.ceil(scanCost(facts) / nodeCost(facts));
}

/** In units of one row's distance. */
function scanCost({ size, filterCount }: SearchFacts): number {
  return Math.min(size, filterCount);
}

function graphCost(facts: SearchFacts): number {
  const { size, filterCount, k, ef, m } = facts;
  if (filterCount === 0 || size === 0) return 0;
  const selectivity = Math.min(1, filterCount / size);
  const nodes = Math.min(size, (nodesPerBreadth * Math.max(ef, k)) / selectivity);
  const cost = nodes * nodeCost(facts);
  if (facts.isNative !== true) return cost;
  const allowedNodes = Math.min(filterCount, nodesPerBreadth * Math.max(ef, k));
  return Math.min(cost, (allowedNodes * nativeAllowedNodeRows * m) / 16);
}

function nodeCost({ m, isNative }: SearchFacts): number {
  return isNative === true ? (nativeNodeRows * m) / 16 : 1 + m / 16;
}
