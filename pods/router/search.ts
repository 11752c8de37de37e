/**
 * The search part of `VectorApi`: asks every shard at once and merges the best. With `partialAfterMs` the answer may come
 * before all shards have, and says which are missing and why; without, a shard that fails fails the search.
 */

import type { Clock } from '../kernel/clock.ts';
import { inheritDeadline } from '../kernel/deadline.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { checkVector } from '../domain/point.ts';
import type { RequestContext } from '../api/context.ts';
import type { SearchAnswer, SearchApi, SearchRequest, ShardWork } from '../api/vector-api.ts';
import type { ShardSearch, ShardSearchAnswer } from '../domain/shard-service.ts';
import { mergeHits } from './merge.ts';
import { checkItemCount, checkRange } from './points.ts';
import type { RoutedCollection, RoutedShard } from './routed-collection.ts';
import type { Routing } from './routing.ts';

interface ShardOutcome {
  readonly shard: RoutedShard;
  readonly tookMs: number;
  readonly answer: ShardSearchAnswer;
}

interface MissingShard {
  readonly shard: RoutedShard;
  readonly tookMs: number;
  readonly because: string;
}

export function createSearchApi(routing: Routing, clock: Clock): SearchApi {
  function search(context: RequestContext, name: string, request: SearchRequest, place = ''): Promise<SearchAnswer> {
    return routing.onCollectionToRead(context, name, request.consistency, async (collection) => {
      checkSearch(collection, request, place);
      if (isOneAnswer(collection, request)) return await askOnly(context, collection, request);
      let last: SearchAnswer | undefined;
      for await (const answer of fanOut(context, collection, request, false)) last = answer;
      return last!;
    });
  }

  async function* stream(context: RequestContext, name: string, request: SearchRequest): AsyncGenerator<SearchAnswer> {
    const collection = await routing.onCollectionToRead(context, name, request.consistency, (known) => Promise.resolve(known));
    checkSearch(collection, request, '');
    if (isOneAnswer(collection, request)) yield await askOnly(context, collection, request);
    else yield* fanOut(context, collection, request, true);
  }

  /** Yields after each shard's answer when `progressive`, and at the end in any case. */
  async function* fanOut(context: RequestContext, collection: RoutedCollection, request: SearchRequest, progressive: boolean): AsyncGenerator<SearchAnswer> {
    const { shards } = collection;
    const { partialAfterMs } = request;
    const abort = new AbortController();
    inheritDeadline(abort.signal, context.signal);
    const onAbort = (): void => abort.abort(context.signal.reason);
    if (context.signal.aborted) onAbort();
    else context.signal.addEventListener('abort', onAbort, { once: true });
    const timer = partialAfterMs === undefined ? undefined : clock.after(partialAfterMs, () => abort.abort(outOfTime(partialAfterMs)));
    const outcomes: ShardOutcome[] = [];
    const missing: MissingShard[] = [];
    const startMs = clock.monotonicMs();
    const arrivals = shards.map((shard) =>
      askShard(context, shard, request, abort.signal).catch((error: unknown): MissingShard => {
        if (partialAfterMs === undefined || context.signal.aborted || !mayBeMissing(error)) throw error;
        return { shard, tookMs: clock.monotonicMs() - startMs, because: error.message };
      }),
    );
    try {
      for await (const arrival of inOrderOfArrival(arrivals)) {
        if (arrival.status === 'rejected') throw arrival.reason;
        const { value } = arrival;
        if (!('answer' in value)) missing.push(value);
        else {
          outcomes.push(value);
          if (progressive && outcomes.length + missing.length < shards.length) yield answerOf(shards, outcomes, missing, request.topK);
        }
      }
      yield answerOf(shards, outcomes, missing, request.topK);
    } finally {
      timer?.cancel();
      context.signal.removeEventListener('abort', onAbort);
      abort.abort(new ShoalError('CANCELLED', 'the search has its answer'));
    }
  }

  async function askOnly(context: RequestContext, { shards }: RoutedCollection, request: SearchRequest): Promise<SearchAnswer> {
    return answerOf(shards, [await askShard(context, shards[0]!, request, context.signal)], [], request.topK);
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

/** There is one shard to ask, and all of its answer is wanted. */
function isOneAnswer({ shards }: RoutedCollection, { partialAfterMs }: SearchRequest): boolean {
  return shards.length === 1 && partialAfterMs === undefined;
}

/** The reason with which shards are given up when a partial answer was asked for. */
function outOfTime(partialAfterMs: number): ShoalError {
  return new ShoalError('DEADLINE_EXCEEDED', `no answer within ${partialAfterMs} ms`);
}

/** A shard that cannot answer now may be left out; a request that is wrong is wrong everywhere. */
function mayBeMissing(error: unknown): error is ShoalError {
  return error instanceof ShoalError && error.class.retry === 'after-backoff';
}

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

function answerOf(shards: readonly RoutedShard[], outcomes: readonly ShardOutcome[], missing: readonly MissingShard[], topK: number): SearchAnswer {
  return {
    hits: mergeHits(
      outcomes.map(({ answer }) => answer.hits),
      topK,
    ),
    shards: shards.map((shard) => {
      const isThis = (other: { readonly shard: RoutedShard }): boolean => other.shard === shard;
      return workOf(shard, outcomes.find(isThis), missing.find(isThis));
    }),
    partial: outcomes.length < shards.length,
  };
}

function workOf({ route }: RoutedShard, outcome: ShardOutcome | undefined, missing: MissingShard | undefined): ShardWork {
  const common = { shardUID: route.shardUID, index: route.index };
  if (outcome === undefined) return { ...common, answered: false, because: missing?.because ?? 'no answer yet', tookMs: missing?.tookMs ?? 0, seq: 0 };
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
