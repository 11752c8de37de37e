/** One search message in the worker: its queries one by one, each by graph or by scan, in steps of a few milliseconds. */

import { graphVisitMax, searchPlan, type SearchFacts } from './cost-rule.ts';
import { preparedQueries } from './distances.ts';
import type { HnswlibGraph } from './hnswlib-graph.ts';
import type { HnswlibResponse, SearchRequest } from './hnswlib-messages.ts';
import { forEachLabel, hasLabel, type LabelSet } from '../domain/label-set.ts';
import type { RowScan, RowTable } from './row-table.ts';
import { TopK } from './top-k.ts';
import type { IndexHits, IndexParameters } from './vector-index.ts';

/** Float operations of a scan in one step: about a millisecond. */
const stepFloats = 1_000_000;

export class SearchJob {
  readonly id: number;
  readonly #request: SearchRequest;
  readonly #parameters: IndexParameters;
  readonly #queries: Float32Array;
  readonly #hits: IndexHits[] = [];
  #offset = 0;
  #scan: RowScan | undefined;
  #visitedCount = 0;
  #usedUncountedGraph = false;
  #plan: 'scan' | 'graph' = 'graph';

  constructor(request: SearchRequest, parameters: IndexParameters) {
    this.id = request.id;
    this.#request = request;
    this.#parameters = parameters;
    this.#queries = preparedQueries(parameters.metric, request.queries, parameters.dimension);
  }

  /** Does a part of the work. True when the answer is complete. */
  step(graph: HnswlibGraph, rows: RowTable): boolean {
    if (this.#offset >= this.#queries.length) return true;
    if (this.#scan === undefined) this.#begin(graph, rows);
    if (this.#scan !== undefined) this.#stepScan(this.#scan);
    return this.#offset >= this.#queries.length;
  }

  answer(): HnswlibResponse & { type: 'found' } {
    const total = this.#hits.reduce((sum, hits) => sum + hits.labels.length, 0);
    const labels = new Uint32Array(total);
    const distances = new Float32Array(total);
    let next = 0;
    for (const hits of this.#hits) {
      labels.set(hits.labels, next);
      distances.set(hits.distances, next);
      next += hits.labels.length;
    }
    return {
      type: 'found',
      id: this.id,
      counts: Uint32Array.from(this.#hits, (hits) => hits.labels.length),
      labels,
      distances,
      visitedCount: this.#usedUncountedGraph ? undefined : this.#visitedCount,
      plan: this.#plan,
    };
  }

  cancel(): void {
    this.#scan?.close();
  }

  /** The whole query when the graph answers it, else the start of a scan. */
  #begin(graph: HnswlibGraph, rows: RowTable): void {
    const { k, ef, filter, exact, countVisited } = this.#request;
    const { size } = rows;
    const facts: SearchFacts = { size, filterCount: filter?.count ?? size, k, ef, m: this.#parameters.m, exact };
    if (searchPlan(facts) === 'graph') {
      const counted = countVisited || filter !== undefined;
      const onVisit = counted ? (): void => void this.#visitedCount++ : undefined;
      const labels = graph.search(this.#queries, this.#offset, k, ef, filter, graphVisitMax(facts), onVisit);
      if (!counted) this.#usedUncountedGraph = true;
      if (labels !== undefined) return this.#finish(this.#ranked(labels, graph.unlifted, rows));
    }
    this.#plan = 'scan';
    this.#scan = rows.scan(this.#queries, this.#offset, k, filter);
  }

  #stepScan(scan: RowScan): void {
    if (!scan.step(Math.max(1, Math.floor(stepFloats / this.#parameters.dimension)))) return;
    this.#visitedCount += scan.visitedCount;
    this.#scan = undefined;
    this.#finish(scan.hits());
  }

  /**
   * The graph's finds and the vectors it does not rank. Distances are computed again from the rows: hnswlib's are float32
   * sums, and of lifted vectors under `dot`.
   */
  #ranked(found: readonly number[], unlifted: LabelSet, rows: RowTable): IndexHits {
    const { k, filter } = this.#request;
    const heap = new TopK(k);
    const push = (label: number): void => {
      heap.push(rows.distanceTo(rows.rowOf(label), this.#queries, this.#offset), label);
    };
    for (const label of found) if (!hasLabel(unlifted, label)) push(label);
    forEachLabel(unlifted, (label) => {
      if (filter === undefined || hasLabel(filter, label)) push(label);
    });
    return heap.hits();
  }

  #finish(hits: IndexHits): void {
    this.#hits.push(hits);
    this.#offset += this.#parameters.dimension;
  }
}
