/** The operations of `ShardService` on the wire. */

import type * as Wire from '../../proto/gen/shoal/shard/v1/shard.ts';
import type { Consistency, ConsistencyToken } from '../domain/consistency.ts';
import type { Filter } from '../domain/filter.ts';
import type { PodService, ShardTarget } from '../domain/pod-service.ts';
import type { PointView } from '../domain/point.ts';
import type {
  ShardGet,
  ShardRecord,
  ShardReport,
  ShardScroll,
  ShardScrollAnswer,
  ShardSearch,
  ShardSearchAnswer,
  ShardService,
  ShardWrite,
  ShardWriteAnswer,
} from '../domain/shard-service.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import type { Idempotency } from '../domain/write.ts';
import { decodeOptionalFilter, encodeOptionalFilter } from './filter-codec.ts';
import { malformed, required } from './malformed.ts';
import { operation } from './operation.ts';
import { consistencyMessage, consistencyOf, encodeOptionalNumber, hitOf, ownBytes, pointMessage, pointOf, resultOf, tokenMessage, tokenOf, unpackVector } from './values.ts';
import { decodeWrite, encodeWrite } from './write-codec.ts';

function shardOf(service: PodService, target: ShardTarget | undefined): ShardService {
  return service.shard(required(target, 'target'));
}

export const writeOperation = operation<'write', { write: ShardWrite; idempotency: Idempotency | undefined }, ShardWriteAnswer>({
  name: 'write',
  mutates: true,
  request: {
    encode: ({ write, idempotency }) => ({ write: encodeWrite(write), idempotency }),
    decode: ({ write, idempotency }) => ({ write: decodeWrite(write), idempotency }),
  },
  answer: {
    encode: ({ results, token }) => ({ results: [...results], token: tokenMessage(token) }),
    decode: ({ results, token }) => ({ results: results.map(resultOf), token: tokenOf(token) }),
  },
  run: (service, target, { write, idempotency }, context) => shardOf(service, target).write(context, write, idempotency),
});

export const deleteMatchingOperation = operation<'deleteMatching', Filter, { deletedCount: number; token: ConsistencyToken }>({
  name: 'deleteMatching',
  mutates: true,
  request: {
    encode: (filter) => ({ filter: encodeOptionalFilter(filter) }),
    decode: ({ filter }) => required(decodeOptionalFilter(filter), 'filter'),
  },
  answer: {
    encode: ({ deletedCount, token }) => ({ deletedCount, token: tokenMessage(token) }),
    decode: ({ deletedCount, token }) => ({ deletedCount, token: tokenOf(token) }),
  },
  run: (service, target, filter, context) => shardOf(service, target).deleteMatching(context, filter),
});

export const getOperation = operation<'get', ShardGet, readonly (PointView | undefined)[]>({
  name: 'get',
  mutates: false,
  request: {
    encode: ({ ids, consistency, includeVector, includePayload }) => ({ ids: [...ids], includeVector, includePayload, consistency: consistencyMessage(consistency) }),
    decode: ({ ids, consistency, includeVector, includePayload }) => ({ ids, includeVector, includePayload, consistency: consistencyOf(consistency) }),
  },
  answer: {
    encode: (points) => ({ points: points.map((point) => ({ point: point === undefined ? undefined : pointMessage(point) })) }),
    decode: ({ points }) => points.map(({ point }) => (point === undefined ? undefined : pointOf(point))),
  },
  run: (service, target, request, context) => shardOf(service, target).get(context, request),
});

export const scrollOperation = operation<'scroll', ShardScroll, ShardScrollAnswer>({
  name: 'scroll',
  mutates: false,
  request: {
    encode: ({ afterId, filter, limit, consistency, includeVector, includePayload }) => ({
      afterId,
      filter: encodeOptionalFilter(filter),
      limit,
      includeVector,
      includePayload,
      consistency: consistencyMessage(consistency),
    }),
    decode: ({ afterId, filter, limit, consistency, includeVector, includePayload }) => ({
      afterId,
      filter: decodeOptionalFilter(filter),
      limit,
      includeVector,
      includePayload,
      consistency: consistencyOf(consistency),
    }),
  },
  answer: {
    encode: ({ points, nextAfterId }) => ({ points: points.map(pointMessage), nextAfterId }),
    decode: ({ points, nextAfterId }) => ({ points: points.map(pointOf), nextAfterId }),
  },
  run: (service, target, request, context) => shardOf(service, target).scroll(context, request),
});

export const countOperation = operation<'count', { filter: Filter | undefined; consistency: Consistency }, number>({
  name: 'count',
  mutates: false,
  request: {
    encode: ({ filter, consistency }) => ({ filter: encodeOptionalFilter(filter), consistency: consistencyMessage(consistency) }),
    decode: ({ filter, consistency }) => ({ filter: decodeOptionalFilter(filter), consistency: consistencyOf(consistency) }),
  },
  answer: { encode: (count) => ({ count }), decode: ({ count }) => count },
  run: (service, target, request, context) => shardOf(service, target).count(context, request),
});

export const searchOperation = operation<'search', ShardSearch, ShardSearchAnswer>({
  name: 'search',
  mutates: false,
  request: {
    encode: ({ vector, filter, consistency, topK, ef, exact, scoreThreshold, countVisited, includeVector, includePayload }) => ({
      vector: bytesOfVector(vector),
      filter: encodeOptionalFilter(filter),
      consistency: consistencyMessage(consistency),
      topK,
      ef,
      exact,
      scoreThreshold,
      countVisited,
      includeVector,
      includePayload,
    }),
    decode: ({ vector, filter, consistency, ef, scoreThreshold, ...rest }) => ({ ...rest, ef, scoreThreshold, vector: unpackVector(vector), filter: decodeOptionalFilter(filter), consistency: consistencyOf(consistency) }),
  },
  answer: {
    encode: ({ hits, plan, visitedCount, seq }) => ({ hits: hits.map((hit) => ({ score: hit.score, point: pointMessage(hit) })), plan, visitedCount: encodeOptionalNumber(visitedCount), seq }),
    decode: ({ hits, plan, visitedCount, seq }) => ({ hits: hits.map(hitOf), plan: planOf(plan), visitedCount: visitedCount?.value, seq }),
  },
  run: (service, target, request, context) => shardOf(service, target).search(context, request),
});

function planOf(plan: string): 'scan' | 'graph' {
  if (plan === 'scan' || plan === 'graph') return plan;
  throw malformed('a plan is not known');
}

const recordOf = ({ key, value, version }: Wire.Record): ShardRecord => ({ key, value: ownBytes(value), version });

export const getRecordOperation = operation<'getRecord', string, ShardRecord | undefined>({
  name: 'getRecord',
  mutates: false,
  request: { encode: (key) => ({ key }), decode: ({ key }) => key },
  answer: { encode: (record) => ({ record }), decode: ({ record }) => (record === undefined ? undefined : recordOf(record)) },
  run: (service, target, key, context) => shardOf(service, target).getRecord(context, key),
});

export const scanRecordsOperation = operation<'scanRecords', { prefix: string; after: string | undefined; limit: number }, readonly ShardRecord[]>({
  name: 'scanRecords',
  mutates: false,
  request: {
    encode: ({ prefix, after, limit }) => ({ prefix, after, limit }),
    decode: ({ prefix, after, limit }) => ({ prefix, after, limit }),
  },
  answer: { encode: (records) => ({ records: [...records] }), decode: ({ records }) => records.map(recordOf) },
  run: (service, target, request, context) => shardOf(service, target).scanRecords(context, request),
});

export const describeOperation = operation<'describe', undefined, ShardReport>({
  name: 'describe',
  mutates: false,
  request: { encode: () => ({}), decode: () => undefined },
  answer: {
    encode: ({ pointCount, term, notServing, statistics }) => ({ pointCount, term, notServing, statistics }),
    decode: ({ pointCount, term, notServing, statistics }) => ({ pointCount, term, notServing, statistics: required(statistics, 'statistics') }),
  },
  run: (service, target, _, context) => shardOf(service, target).describe(context),
});
