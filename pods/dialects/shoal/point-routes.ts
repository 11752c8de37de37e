/** Points in shoal.v1 over HTTP. */

import type * as wire from '../../../proto/gen/shoal/v1/point.ts';
import type { PointView, WriteAnswer } from '../../api/vector-api.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { limits } from '../../kernel/limits.ts';
import { checkAnswerSize } from '../answer-size.ts';
import { withFieldNames } from '../field-names.ts';
import { anyObject, bytes, flag, integer, list, named, number, object, optional, required, text, uint32, vector, type JsonType } from '../json-decoder.ts';
import { jsonRoute, type JsonRoute } from './json-route.ts';
import {
  conditionType, consistencyType, filterType, flagParameter, idempotencyFields, noBytes, pointPartsJson, present, tokensJson, tokensType,
} from './message-parts.ts';
import { changePayload, countPoints, deletePoints, deletePointsByFilter, getPoints, scrollPoints, upsertPoints } from './point-calls.ts';
import { pageAdvice } from './point-service.ts';

/** A request without what the path says. */
type Body<Request> = Omit<Request, 'collection'>;

// -------------------------------------------------------------------- requests

/** The two forms of a vector in a body. */
export const vectorFields = { vector: optional(vector, () => []), packedVector: optional(bytes, () => noBytes) };

/** The parts of a point that an answer shows. */
export const partFields = { includeVector: optional(flag), includePayload: optional(flag), packVectors: optional(flag, () => false) };

const pointUpsertType: JsonType<wire.PointUpsert> = named(
  'PointUpsert',
  object<wire.PointUpsert>({ id: required(text), ...vectorFields, payload: optional(anyObject), text: optional(text), condition: optional(conditionType) }),
);

const pointDeleteType: JsonType<wire.PointDelete> = named('PointDelete', object<wire.PointDelete>({ id: required(text), condition: optional(conditionType) }));

const payloadChangeType: JsonType<wire.PayloadChange> = named(
  'PayloadChange',
  object<wire.PayloadChange>({
    id: required(text),
    set: optional(anyObject),
    remove: optional(list(text), () => []),
    replace: optional(flag, () => false),
    condition: optional(conditionType),
  }),
);

const upsertBody = named('UpsertPoints', object<Body<wire.UpsertPointsRequest>>({ points: required(list(pointUpsertType)), ...idempotencyFields }));
const deleteBody = named('DeletePoints', object<Body<wire.DeletePointsRequest>>({ points: required(list(pointDeleteType)), ...idempotencyFields }));
const deleteByFilterBody = named('DeletePointsByFilter', object<Body<wire.DeletePointsByFilterRequest>>({ filter: required(filterType) }));
const changeBody = named('ChangePayload', object<Body<wire.ChangePayloadRequest>>({ changes: required(list(payloadChangeType)), ...idempotencyFields }));
const getBody = named('GetPoints', object<Body<wire.GetPointsRequest>>({ ids: required(list(text)), ...partFields, consistency: optional(consistencyType) }));
const scrollBody = named(
  'ScrollPoints',
  object<Body<wire.ScrollPointsRequest>>({
    filter: optional(filterType),
    cursor: optional(text, () => ''),
    limit: optional(integer(1, limits.scrollLimitMax)),
    ...partFields,
    consistency: optional(consistencyType),
  }),
);
const countBody = named('CountPoints', object<Body<wire.CountPointsRequest>>({ filter: optional(filterType), consistency: optional(consistencyType) }));

// --------------------------------------------------------------------- replies

/** The parts of a point or hit in an answer. */
export const partReplyFields = { vector: optional(vector), packedVector: optional(bytes), payload: optional(anyObject), text: optional(text) };

const pointReply = named('Point', object({ id: required(text), version: required(number), ...partReplyFields }));
const writeReply = named(
  'WriteAnswer',
  object({ items: required(list(named('ItemResult', object({ id: required(text), outcome: required(text), version: required(number) })))), tokens: required(tokensType) }),
);

function writeJson({ items, tokens }: WriteAnswer): unknown {
  return { items, tokens: tokensJson(tokens) };
}

function pointJson(point: PointView, pack: boolean): unknown {
  return { id: point.id, version: point.version, ...pointPartsJson(point, pack) };
}

function pointsJson(points: readonly PointView[], pack: boolean): unknown[] {
  checkAnswerSize(points, pack ? 'json-packed' : 'json', pageAdvice);
  return points.map((point) => pointJson(point, pack));
}

// ---------------------------------------------------------------------- routes

const points = '/collections/{collection}/points';

export const pointRoutes: readonly JsonRoute[] = [
  jsonRoute({
    method: 'POST',
    path: points,
    operationId: 'upsertPoints',
    summary: 'Insert or replace points; acknowledged when durable',
    action: 'write',
    body: upsertBody,
    reply: writeReply,
    example: { body: { points: [{ id: 'a', vector: [0.1, 0.2, 0.3], payload: { title: 'First', year: 2026 } }] } },
    handle: async (api, { params, body }, context) => writeJson(await upsertPoints(api, { ...body, collection: params['collection']! }, context)),
  }),
  jsonRoute({
    method: 'POST',
    path: `${points}/delete`,
    operationId: 'deletePoints',
    summary: 'Delete points by id',
    action: 'write',
    body: deleteBody,
    reply: writeReply,
    example: { body: { points: [{ id: 'a' }] } },
    handle: async (api, { params, body }, context) => writeJson(await deletePoints(api, { ...body, collection: params['collection']! }, context)),
  }),
  jsonRoute({
    method: 'POST',
    path: `${points}/delete-by-filter`,
    operationId: 'deletePointsByFilter',
    summary: 'Delete the points that a filter matches',
    action: 'write',
    body: deleteByFilterBody,
    reply: object({ deletedCount: required(number), tokens: required(tokensType) }),
    example: { body: { filter: { field: 'year', lt: 2000 } } },
    handle: async (api, { params, body }, context) => {
      const { deletedCount, tokens } = await deletePointsByFilter(api, { ...body, collection: params['collection']! }, context);
      return { deletedCount, tokens: tokensJson(tokens) };
    },
  }),
  jsonRoute({
    method: 'POST',
    path: `${points}/payload`,
    operationId: 'changePayload',
    summary: 'Set and remove keys of payloads, leaving vectors alone',
    action: 'write',
    body: changeBody,
    reply: writeReply,
    example: { body: { changes: [{ id: 'a', set: { year: 2027 }, remove: ['title'] }] } },
    handle: async (api, { params, body }, context) => writeJson(await changePayload(api, { ...body, collection: params['collection']! }, context)),
  }),
  jsonRoute({
    method: 'POST',
    path: `${points}/get`,
    operationId: 'getPoints',
    summary: 'Points by id, with vectors and payloads unless told otherwise',
    action: 'read',
    body: getBody,
    reply: object({ points: required(list(pointReply)), missingIds: required(list(text)) }),
    example: { body: { ids: ['a', 'b'] } },
    handle: async (api, { params, body }, context) => {
      const answer = await getPoints(api, { ...body, collection: params['collection']! }, context);
      return { points: pointsJson(answer.points, body.packVectors), missingIds: answer.missingIds };
    },
  }),
  jsonRoute({
    method: 'POST',
    path: `${points}/scroll`,
    operationId: 'scrollPoints',
    summary: 'All points, page by page',
    action: 'read',
    body: scrollBody,
    reply: object({ points: required(list(pointReply)), nextCursor: optional(text) }),
    example: { body: { limit: 100, filter: { field: 'year', gte: 2020 } } },
    handle: async (api, { params, body }, context) => {
      const { points: page, nextCursor } = await scrollPoints(api, { ...body, collection: params['collection']! }, context);
      return { points: pointsJson(page, body.packVectors), ...present({ nextCursor }) };
    },
  }),
  jsonRoute({
    method: 'POST',
    path: `${points}/count`,
    operationId: 'countPoints',
    summary: 'How many points there are, or how many a filter matches',
    action: 'read',
    body: countBody,
    reply: object({ count: required(uint32) }),
    example: { body: {} },
    handle: async (api, { params, body }, context) => ({ count: await countPoints(api, { ...body, collection: params['collection']! }, context) }),
  }),
  jsonRoute({
    method: 'GET',
    path: `${points}/{id}`,
    operationId: 'getPoint',
    summary: 'One point by id',
    action: 'read',
    query: { includeVector: flag.schema, includePayload: flag.schema, packVectors: flag.schema },
    reply: object({ point: required(pointReply) }),
    handle: async (api, { params, query }, context) => {
      const packVectors = flagParameter(query['packVectors'], 'packVectors') ?? false;
      const request = {
        collection: params['collection']!,
        ids: [params['id']!],
        includeVector: flagParameter(query['includeVector'], 'includeVector'),
        includePayload: flagParameter(query['includePayload'], 'includePayload'),
        packVectors,
        consistency: undefined,
      };
      const { points: found } = await withFieldNames({ 'ids[0]': 'id' }, getPoints(api, request, context));
      if (found[0] === undefined) throw new ShoalError('POINT_NOT_FOUND', 'no point has this id', { details: { field: 'id' } });
      return { point: pointJson(found[0], packVectors) };
    },
  }),
];
