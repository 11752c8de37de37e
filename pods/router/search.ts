/**
 * The search part of `VectorApi`: asks every shard at once and merges the best. With `partialAfterMs` the answer may come
 * before all shards have, and says which are missing; without, a shard that fails fails the search.
 */

import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { checkVector } from '../domain/point.ts';
import type { RequestContext } from '../api/context.ts';
import type { SearchAnswer, SearchApi, SearchRequest, ShardWork } from '../api/vector-api.ts';
import type { ShardSearch, ShardSearchAnswer } from '../domain/shard-service.ts';
import type { RoutedCollection, RoutedShard } from './cluster-map.ts';
import { mergeHits } from './merge.ts';
import { checkItemCount, checkRange } from './points.ts';
import type { Routing } from './routing.ts';

interface ShardOutcome {
  readonly shard: RoutedShard;
  readonly tookMs: number;
  readonly answer: ShardSearchAnswer;
}

export function createSearchApi(routing: Routing, clock: Clock): SearchApi {
  async function search(context: RequestContext, name: string, request: SearchRequest, place = ''): Promise<SearchAnswer> {
    return routing.onCollection(context, name, async (collection) => {
      checkSearch(collection, request, place);
      let last: SearchAnswer | undefined;
      for await (const answer of fanOut(context, collection, request, false)) last = answer;
      return last!;
    });
  }

  async function* stream(context: RequestContext, name: string, request: SearchRequest): AsyncGenerator<SearchAnswer> {
    const collection = await routing.onCollection(context, name, (known) => Promise.resolve(known));
    checkSearch(collection, request, '');
    yield* fanOut(context, collection, request, true);
  }

  /** Yields after each shard's answer when `progressive`, and at the end in any case. */
  async function* fanOut(context: RequestContext, collection: RoutedCollection, request: SearchRequest, progressive: boolean): AsyncGenerator<SearchAnswer> {
    const { shards } = collection;
    if (shards.length === 1 && request.partialAfterMs === undefined) {
      const outcome = await askShard(context, shards[0]!, request, context.signal);
      yield answerOf(shards, [outcome], request.topK);
      return;
    }
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(context.signal.reason);
    context.signal.addEventListener('abort', onAbort, { once: true });
    const timer = request.partialAfterMs === undefined ? undefined : clock.after(request.partialAfterMs, () => abort.abort(outOfTime));
    const outcomes: ShardOutcome[] = [];
    const arrivals = shards.map((shard) => askShard(context, shard, request, abort.signal));
    try {
      for await (const arrival of inOrderOfArrival(arrivals)) {
        if (arrival.status === 'fulfilled') outcomes.push(arrival.value);
        else if (arrival.reason !== outOfTime) throw arrival.reason;
        if (progressive && arrival.status === 'fulfilled' && outcomes.length < shards.length) yield answerOf(shards, outcomes, request.topK);
      }
      yield answerOf(shards, outcomes, request.topK);
    } finally {
      timer?.cancel();
      context.signal.removeEventListener('abort', onAbort);
      abort.abort(new ShoalError('CANCELLED', 'the search has its answer'));
    }
  }

  async function askShard(context: RequestContext, shard: RoutedShard, request: SearchRequest, signal: AbortSignal): Promise<ShardOutcome> {
    const startMs = clock.monotonicMs();
    const span = context.span.child('shard.search', { shard: shard.route.index });
    try {
      const answer = await routing.service(shard).search({ signal, span }, shardSearch(request));
      return { shard, answer, tookMs: clock.monotonicMs() - startMs };
    } catch (error) {
      span.fail(error);
      throw error;
    } finally {
      span.end();
    }
  }

  return {
    search,
    stream,
    async batch(context, name, requests) {
      checkItemCount('requests', requests.length, limits.searchBatchCountMax);
      return Promise.all(requests.map((request, i) => search(context, name, request, `requests[${i}].`)));
    },
  };
}

/** The reason with which shards are given up when a partial answer was allowed. */
const outOfTime = new ShoalError('DEADLINE_EXCEEDED', 'the time for shards to answer is over');

/** `place` stands before the names of fields in errors. */
function checkSearch(collection: RoutedCollection, request: SearchRequest, place: string): void {
  const { dimension, metric } = collection.object.spec;
  checkVector(request.vector, dimension, metric, `${place}vector`);
  checkRange(`${place}topK`, request.topK, limits.topKMax);
  if (request.ef !== undefined) checkRange(`${place}ef`, request.ef, limits.efSearchMax);
  if (request.partialAfterMs !== undefined) checkRange(`${place}partialAfterMs`, request.partialAfterMs, limits.requestTimeoutMsMax);
  if (request.scoreThreshold !== undefined && !Number.isFinite(request.scoreThreshold)) {
    throw new ShoalError('INVALID_ARGUMENT', `${place}scoreThreshold must be a finite number`, { details: { field: `${place}scoreThreshold` } });
  }
}

function shardSearch(request: SearchRequest): ShardSearch {
  return {
    vector: request.vector,
    topK: request.topK,
    ef: request.ef,
    exact: request.exact ?? false,
    filter: request.filter,
    scoreThreshold: request.scoreThreshold,
    countVisited: request.countVisited ?? false,
    consistency: request.consistency,
    includeVector: request.includeVector,
    includePayload: request.includePayload,
  };
}

function answerOf(shards: readonly RoutedShard[], outcomes: readonly ShardOutcome[], topK: number): SearchAnswer {
  return {
    hits: mergeHits(
      outcomes.map(({ answer }) => answer.hits),
      topK,
    ),
    shards: shards.map((shard) => workOf(shard, outcomes.find((outcome) => outcome.shard === shard))),
    partial: outcomes.length < shards.length,
  };
}

function workOf({ route }: RoutedShard, outcome: ShardOutcome | undefined): ShardWork {
  const common = { shardUID: route.shardUID, index: route.index };
  if (outcome === undefined) return { ...common, answered: false, tookMs: 0, seq: 0 };
  const { answer, tookMs } = outcome;
  return {
    ...common,
    answered: true,
    plan: answer.plan,
    tookMs,
    seq: answer.seq,
    ...(answer.visitedCount === undefined ? {} : { visitedCount: answer.visitedCount }),
  };
}

/** Settled results as they come. */
async function* inOrderOfArrival<T>(promises: readonly Promise<T>[]): AsyncGenerator<PromiseSettledResult<T>> {
  const arrived: PromiseSettledResult<T>[] = [];
  let wake = (): void => undefined;
  const arrive = (result: PromiseSettledResult<T>): void => {
    arrived.push(result);
    wake();
  };
  for (const promise of promises) {
    promise.then(
      (value) => arrive({ status: 'fulfilled', value }),
      (reason: unknown) => arrive({ status: 'rejected', reason }),
    );
  }
  for (let yielded = 0; yielded < promises.length; yielded++) {
    if (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    yield arrived.shift()!;
  }
}
