/**
 * Reads of one replica: points by id, scroll, count, search. Every read is an epoch of `ReaderEpochs`, so that no label
 * it holds is given to another point; and none of them waits for writes, but for the barrier its consistency asks for.
 */

import type { Filter } from '../domain/filter.ts';
import type { LabelSet } from '../domain/label-set.ts';
import { compileFilter } from '../domain/filter-match.ts';
import { scoreFromDistance } from '../domain/metric.ts';
import type { PointParts, PointView } from '../domain/point.ts';
import type { PointSearchResult } from './point-index.ts';
import type { ShardReplica } from './replica.ts';
import type { ShardContext, ShardGet, ShardHit, ShardScroll, ShardScrollAnswer, ShardSearch, ShardSearchAnswer } from '../domain/shard-service.ts';
import { parsePayload, type PointState } from './stored-points.ts';
import type { Consistency } from '../domain/consistency.ts';

/** How often a read starts over because a point changed under it; after that a search leaves the point out. */
const retryCountMax = 16;
const scrollSliceCountMin = 16;
const scrollSliceCountMax = 256;

interface FoundHits {
  readonly hits: readonly ShardHit[];
  readonly isWhole: boolean;
}

export class ShardReader {
  readonly #replica: ShardReplica;

  constructor(replica: ShardReplica) {
    this.#replica = replica;
  }

  get(context: ShardContext, request: ShardGet): Promise<readonly (PointView | undefined)[]> {
    return this.#read(context, request.consistency, () => this.#views(request.ids, request));
  }

  scroll(context: ShardContext, request: ShardScroll): Promise<ShardScrollAnswer> {
    return this.#read(context, request.consistency, async () => {
      const matches = request.filter === undefined ? undefined : compileFilter(request.filter);
      const parts = { includeVector: request.includeVector, includePayload: request.includePayload || matches !== undefined };
      const points: PointView[] = [];
      for await (const slice of this.#replica.state.points.scanStates(request.afterId, context.signal)) {
        for (let start = 0; start < slice.length; ) {
          const wanted = Math.max(scrollSliceCountMin, request.limit - points.length);
          const part = slice.slice(start, start + Math.min(scrollSliceCountMax, wanted));
          start += part.length;
          const views = await this.#viewsOf(part, parts);
          for (const [i, view] of views.entries()) {
            if (view === undefined || (matches !== undefined && !matches(view.payload!))) continue;
            points.push(request.includePayload ? view : withoutPayload(view));
            if (points.length >= request.limit) return { points, nextAfterId: part[i]!.id };
          }
        }
      }
      return { points, nextAfterId: undefined };
    });
  }

  count(context: ShardContext, request: { readonly filter: Filter | undefined; readonly consistency: Consistency }): Promise<number> {
    return this.#read(context, request.consistency, async () => {
      if (request.filter === undefined) return this.#replica.pointCount;
      return (await this.#replica.state.payloads.matching(request.filter, context.signal)).count;
    });
  }

  search(context: ShardContext, request: ShardSearch): Promise<ShardSearchAnswer> {
    return this.#read(context, request.consistency, async () => {
      for (let attempt = 0; ; attempt++) {
        const seq = this.#replica.appliedSeq;
        const found = await (request.filter === undefined ? this.#searchAmong(context, request, undefined) : this.#searchMatching(context, request, request.filter));
        const { hits, isWhole } = await this.#hits(found, request);
        // A hit without its values was deleted or replaced while they were read: look again for what took its place.
        if (isWhole || attempt >= retryCountMax) return { hits, plan: found.plan, visitedCount: found.visitedCount, seq };
      }
    });
  }

  async #searchMatching(context: ShardContext, request: ShardSearch, matching: Filter): Promise<PointSearchResult> {
    const { state } = this.#replica;
    const filter = await state.payloads.matching(matching, context.signal);
    if (filter.count === state.labels.pointCount) {
      // A filter that all points pass costs a graph search twice its time. Without it the answer is the same, unless a
      // point came meanwhile that does not pass.
      const found = await this.#searchAmong(context, request, undefined);
      if (found.labels.every((label) => filter.has(label))) return found;
    }
    return this.#searchAmong(context, request, filter);
  }

  async #searchAmong(context: ShardContext, request: ShardSearch, filter: LabelSet | undefined): Promise<PointSearchResult> {
    const { spec, state } = this.#replica;
    const span = context.span.child('index.search', { topK: request.topK });
    try {
      return await state.index.search({
        query: request.vector,
        k: request.topK,
        ef: Math.max(request.topK, request.ef ?? spec.index.efSearch),
        exact: request.exact,
        countVisited: request.countVisited,
        signal: context.signal,
        filter,
      });
    } finally {
      span.end();
    }
  }

  /** Not whole when a point died, or its values went, since the index answered. Nothing is awaited where nothing must be read. */
  #hits({ labels, distances }: PointSearchResult, request: ShardSearch): FoundHits | Promise<FoundHits> {
    const table = this.#replica.state.labels;
    const { metric } = this.#replica.spec;
    const live: number[] = [];
    const hits: ShardHit[] = [];
    let isWhole = true;
    for (let i = 0; i < labels.length; i++) {
      const score = scoreFromDistance(metric, distances[i]!);
      if (request.scoreThreshold !== undefined && score < request.scoreThreshold) break;
      const label = labels[i]!;
      // A label that died since the index answered is not reused before this read ends, so it can still be told.
      if (table.isLive(label)) {
        live.push(label);
        hits.push({ id: table.id(label), score, version: table.version(label) });
      } else isWhole = false;
    }
    if (request.includePayload || request.includeVector) return this.#hitsWithParts(live, hits, isWhole, request);
    return { hits, isWhole };
  }

  async #hitsWithParts(labels: readonly number[], known: readonly ShardHit[], isWhole: boolean, parts: PointParts): Promise<FoundHits> {
    const { points } = this.#replica.state;
    const [payloads, vectors] = await Promise.all([
      parts.includePayload ? points.payloadsOfHits(labels) : undefined,
      parts.includeVector ? points.vectors(labels) : undefined,
    ]);
    const hits: ShardHit[] = [];
    known.forEach(({ id, score, version }, i) => {
      const payload = payloads?.[i];
      const vector = vectors?.[i];
      if ((payloads !== undefined && payload === undefined) || (vectors !== undefined && vector === undefined)) return;
      hits.push({
        id,
        score,
        version: payload?.version ?? version,
        ...(payload === undefined ? {} : { payload: parsePayload(payload), ...(payload.text === undefined ? {} : { text: payload.text }) }),
        ...(vector === undefined ? {} : { vector }),
      });
    });
    return { hits, isWhole: isWhole && hits.length === known.length };
  }

  async #views(ids: readonly string[], parts: PointParts): Promise<(PointView | undefined)[]> {
    const states = await this.#replica.state.points.states(ids);
    const present = states.flatMap((state, i) => (state === undefined ? [] : [{ id: ids[i]!, state }]));
    const views = new Map<string, PointView | undefined>();
    (await this.#viewsOf(present, parts)).forEach((view, i) => views.set(present[i]!.id, view));
    return ids.map((id) => views.get(id));
  }

  async #viewsOf(known: readonly { id: string; state: PointState }[], parts: PointParts, attempt = 0): Promise<(PointView | undefined)[]> {
    const { points } = this.#replica.state;
    const labels = known.map(({ state }) => state.label);
    const [payloads, vectors] = await Promise.all([
      parts.includePayload ? points.payloads(labels) : undefined,
      parts.includeVector ? points.vectors(labels) : undefined,
    ]);
    const views = known.map(({ id, state }, i): PointView | undefined => {
      const payload = payloads?.[i];
      const vector = vectors?.[i];
      if ((payloads !== undefined && payload === undefined) || (vectors !== undefined && vector === undefined)) return undefined;
      return {
        id,
        version: payload?.version ?? state.version,
        ...(payload === undefined ? {} : { payload: parsePayload(payload), ...(payload.text === undefined ? {} : { text: payload.text }) }),
        ...(vector === undefined ? {} : { vector }),
      };
    });
    const changed = known.filter((_, i) => views[i] === undefined);
    if (changed.length === 0 || attempt >= retryCountMax) return views;
    const again = await points.states(changed.map(({ id }) => id));
    const present = changed.flatMap(({ id }, i) => (again[i] === undefined ? [] : [{ id, state: again[i] }]));
    const later = new Map((await this.#viewsOf(present, parts, attempt + 1)).map((view, i) => [present[i]!.id, view]));
    return views.map((view, i) => view ?? later.get(known[i]!.id));
  }

  async #read<T>(context: ShardContext, consistency: Consistency, read: () => Promise<T>): Promise<T> {
    const barrier = this.#replica.readBarrier(consistency, context.signal);
    if (barrier !== undefined) await barrier;
    const epoch = this.#replica.epochs.begin();
    try {
      return await read();
    } finally {
      this.#replica.epochs.end(epoch);
    }
  }
}

function withoutPayload(view: PointView): PointView {
  const { payload: _, text: __, ...rest } = view;
  return rest;
}
