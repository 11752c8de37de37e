/** Search in shoal.v1: gRPC service, HTTP routes. */

import { SearchServiceDefinition } from '../../../proto/gen/shoal/v1/search.ts';
import type * as wire from '../../../proto/gen/shoal/v1/search.ts';
import type { SearchAnswer, SearchHit, SearchRequest, ShardWork } from '../../api/vector-api.ts';
import { limits } from '../../kernel/limits.ts';
import { checkAnswerSize } from '../answer-size.ts';
import { serverStream, unary, type GrpcService } from '../dialect.ts';
import { withFieldNames } from '../field-names.ts';
import { strictDefinition } from '../grpc-definition.ts';
import { flag, integer, invalid, list, named, number, object, optional, required, text, uint32, words, type JsonType, type Place } from '../json-decoder.ts';
import { jsonRoute, type JsonRoute } from './json-route.ts';
import { consistencyOf, consistencyType, field, filterOf, filterType, pointPartsJson, present, queryVectorOf, vectorMessage } from './message-parts.ts';
import { pointParts } from './point-calls.ts';
import { partFields, partReplyFields, vectorFields } from './point-routes.ts';

const topKDefault = 10;
const batchNames = { requests: 'queries' };
const hitAdvice = 'lower topK, or leave out vectors (includeVector) or payloads (includePayload)';

function searchRequest(query: wire.SearchQuery, at: Place): SearchRequest {
  const { topK, filter, ef, exact, scoreThreshold, consistency, partialAfterMs, countVisited } = query;
  return {
    vector: queryVectorOf(query, at),
    topK: topK ?? topKDefault,
    ...present({ filter: filter && filterOf(filter, field('filter', at)), ef, scoreThreshold, partialAfterMs }),
    ...(exact ? { exact } : {}),
    ...(countVisited ? { countVisited } : {}),
    consistency: consistencyOf(consistency, field('consistency', at)),
    ...pointParts(query, { includeVector: false }),
  };
}

// ----------------------------------------------------------------------- gRPC

export const searchService: GrpcService = {
  definition: strictDefinition(SearchServiceDefinition),
  methods: {
    search: unary('read', async (api, { collection, query: given }: wire.SearchRequest, context): Promise<wire.SearchResponse> => {
      const query = requiredQuery(given);
      return answerMessage(await api.search.search(context, collection, searchRequest(query, field('query'))), query);
    }),
    searchStream: serverStream('read', async function* (api, { collection, query: given }: wire.SearchRequest, context): AsyncGenerator<wire.SearchResponse> {
      const query = requiredQuery(given);
      for await (const answer of api.search.stream(context, collection, searchRequest(query, field('query')))) yield answerMessage(answer, query);
    }),
    searchBatch: unary('read', async (api, { collection, queries }: wire.SearchBatchRequest, context): Promise<wire.SearchBatchResponse> => {
      const requests = queries.map((query, index) => searchRequest(query, field(index, field('queries'))));
      const answers = await withFieldNames(batchNames, api.search.batch(context, collection, requests));
      checkAnswerSize(answers.flatMap(({ hits }) => hits), 'protobuf', hitAdvice);
      return { answers: answers.map((answer, index) => answerMessage(answer, queries[index]!)) };
    }),
  },
};

function requiredQuery(query: wire.SearchQuery | undefined): wire.SearchQuery {
  if (query === undefined) throw invalid(field('query'), 'is required');
  return query;
}

function answerMessage({ hits, shards, partial }: SearchAnswer, { packVectors }: wire.SearchQuery): wire.SearchResponse {
  checkAnswerSize(hits, 'protobuf', hitAdvice);
  return { hits: hits.map((hit) => hitMessage(hit, packVectors)), shards: shards.map(workMessage), partial };
}

function hitMessage({ id, score, version, vector: found, payload, text: pointText }: SearchHit, pack: boolean): wire.SearchHit {
  const { vector, packedVector } = vectorMessage(found, pack);
  return { id, score, version: BigInt(version), vector, packedVector, payload, text: pointText };
}

function workMessage({ shardUID, index, answered, because, plan, visitedCount, tookMs, seq }: ShardWork): wire.ShardWork {
  return { shardUid: shardUID, index, answered, because, plan, visitedCount: visitedCount === undefined ? undefined : BigInt(visitedCount), tookMs, seq: BigInt(seq) };
}

// ----------------------------------------------------------------------- HTTP

const queryType: JsonType<wire.SearchQuery> = named(
  'SearchQuery',
  object<wire.SearchQuery>({
    ...vectorFields,
    topK: optional(integer(1, limits.topKMax)),
    filter: optional(filterType),
    ef: optional(integer(1, limits.efSearchMax)),
    exact: optional(flag, () => false),
    scoreThreshold: optional(number),
    ...partFields,
    consistency: optional(consistencyType),
    partialAfterMs: optional(uint32),
    countVisited: optional(flag, () => false),
  }),
);

const answerReply = named(
  'SearchAnswer',
  object({
    hits: required(list(named('SearchHit', object({ id: required(text), score: required(number), version: required(number), ...partReplyFields })))),
    shards: required(
      list(
        named(
          'ShardWork',
          object({
            shardUid: required(text),
            index: required(uint32),
            answered: required(flag),
            because: optional(text),
            plan: optional(words('scan', 'graph')),
            visitedCount: optional(number),
            tookMs: required(number),
            seq: required(number),
          }),
        ),
      ),
    ),
    partial: required(flag),
  }),
);

function answerJson({ hits, shards, partial }: SearchAnswer, { packVectors }: wire.SearchQuery): unknown {
  checkAnswerSize(hits, packVectors ? 'json-packed' : 'json', hitAdvice);
  return {
    hits: hits.map((hit) => ({ id: hit.id, score: hit.score, version: hit.version, ...pointPartsJson(hit, packVectors) })),
    shards: shards.map(({ shardUID, index, answered, because, plan, visitedCount, tookMs, seq }) => ({ shardUid: shardUID, index, answered, ...present({ because, plan, visitedCount }), tookMs, seq })),
    partial,
  };
}

export const searchRoutes: readonly JsonRoute[] = [
  jsonRoute({
    method: 'POST',
    path: '/collections/{collection}/search',
    operationId: 'search',
    summary: 'The nearest points to a vector, best first',
    action: 'read',
    body: queryType,
    reply: answerReply,
    example: { body: { vector: [0.1, 0.2, 0.3], topK: 5, filter: { field: 'year', gte: 2020 } } },
    handle: async (api, { params, body }, context) => answerJson(await api.search.search(context, params['collection']!, searchRequest(body, undefined)), body),
  }),
  jsonRoute({
    method: 'POST',
    path: '/collections/{collection}/search/batch',
    operationId: 'searchBatch',
    summary: 'Several searches of one collection',
    action: 'read',
    body: named('SearchBatch', object({ queries: required(list(queryType)) })),
    reply: object({ answers: required(list(answerReply)) }),
    example: { body: { queries: [{ vector: [0.1, 0.2, 0.3] }, { vector: [0.3, 0.2, 0.1], topK: 1 }] } },
    handle: async (api, { params, body: { queries } }, context) => {
      const requests = queries.map((query, index) => searchRequest(query, field(index, field('queries'))));
      const answers = await withFieldNames(batchNames, api.search.batch(context, params['collection']!, requests));
      checkAnswerSize(answers.flatMap(({ hits }) => hits), queries.some(({ packVectors }) => packVectors) ? 'json-packed' : 'json', hitAdvice);
      return { answers: answers.map((answer, index) => answerJson(answer, queries[index]!)) };
    },
  }),
];
