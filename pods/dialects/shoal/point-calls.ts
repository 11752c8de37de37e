/** From messages of shoal.v1 about points to calls of `VectorApi`: the same for gRPC and HTTP. */

import type * as wire from '../../../proto/gen/shoal/v1/point.ts';
import type { RequestContext } from '../../api/context.ts';
import type { PayloadChange, PointDelete, PointParts, PointUpsert, PointView, ScrollAnswer, VectorApi, WriteAnswer } from '../../api/vector-api.ts';
import type { Payload } from '../../domain/point.ts';
import { invalid, type Place } from '../json-decoder.ts';
import { conditionOf, consistencyOf, field, filterOf, givenVector, present, withIdempotency } from './message-parts.ts';

export const scrollLimitDefault = 100;

export function upsertPoints(api: VectorApi, request: wire.UpsertPointsRequest, context: RequestContext): Promise<WriteAnswer> {
  const points = request.points.map((point, index) => pointUpsert(point, field(index, field('points'))));
  return api.points.upsert(withIdempotency(context, request), request.collection, points);
}

export function deletePoints(api: VectorApi, request: wire.DeletePointsRequest, context: RequestContext): Promise<WriteAnswer> {
  const points = request.points.map(({ id, condition }, index): PointDelete => ({ id, ...conditionField(condition, field(index, field('points'))) }));
  return api.points.delete(withIdempotency(context, request), request.collection, points);
}

export function deletePointsByFilter(api: VectorApi, request: wire.DeletePointsByFilterRequest, context: RequestContext): ReturnType<VectorApi['points']['deleteByFilter']> {
  if (request.filter === undefined) throw invalid(field('filter'), 'is required');
  return api.points.deleteByFilter(context, request.collection, filterOf(request.filter));
}

export function changePayload(api: VectorApi, request: wire.ChangePayloadRequest, context: RequestContext): Promise<WriteAnswer> {
  const changes = request.changes.map((change, index) => payloadChange(change, field(index, field('changes'))));
  return api.points.changePayload(withIdempotency(context, request), request.collection, changes);
}

/** Points that exist, in the order of the request, and the ids that name none. */
export async function getPoints(api: VectorApi, request: wire.GetPointsRequest, context: RequestContext): Promise<{ points: PointView[]; missingIds: string[] }> {
  const { collection, ids, consistency } = request;
  const found = await api.points.get(context, collection, { ids, consistency: consistencyOf(consistency), ...pointParts(request, { includeVector: true }) });
  return { points: found.filter((point) => point !== undefined), missingIds: ids.filter((_, index) => found[index] === undefined) };
}

export function scrollPoints(api: VectorApi, request: wire.ScrollPointsRequest, context: RequestContext): Promise<ScrollAnswer> {
  const { collection, filter, cursor, limit, consistency } = request;
  return api.points.scroll(context, collection, {
    ...present({ filter: filter && filterOf(filter), cursor: cursor === '' ? undefined : cursor }),
    limit: limit ?? scrollLimitDefault,
    consistency: consistencyOf(consistency),
    ...pointParts(request, { includeVector: false }),
  });
}

export function countPoints(api: VectorApi, { collection, filter, consistency }: wire.CountPointsRequest, context: RequestContext): Promise<number> {
  return api.points.count(context, collection, { ...present({ filter: filter && filterOf(filter) }), consistency: consistencyOf(consistency) });
}

/** What a request asks to see of each point: payloads unless it says otherwise, vectors as this kind of request has it. */
export function pointParts(request: { includeVector?: boolean | undefined; includePayload?: boolean | undefined }, absent: { includeVector: boolean }): PointParts {
  return { includeVector: request.includeVector ?? absent.includeVector, includePayload: request.includePayload ?? true };
}

function pointUpsert(point: wire.PointUpsert, at: Place): PointUpsert {
  const { id, payload, text, condition } = point;
  return {
    id,
    vector: givenVector(point, at),
    payload: (payload ?? {}) as Payload,
    ...(text === undefined ? {} : { text }),
    ...conditionField(condition, at),
  };
}

function payloadChange({ id, set, remove, replace, condition }: wire.PayloadChange, at: Place): PayloadChange {
  return {
    id,
    ...(set === undefined ? {} : { set: set as Payload }),
    ...(remove.length === 0 ? {} : { remove }),
    ...(replace ? { replace } : {}),
    ...conditionField(condition, at),
  };
}

function conditionField(condition: wire.WriteCondition | undefined, at: Place): Pick<PointDelete, 'condition'> {
  return condition === undefined ? {} : { condition: conditionOf(condition, field('condition', at)) };
}
