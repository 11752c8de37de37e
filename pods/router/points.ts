/** The point part of `VectorApi`: checks a request once, sends each shard its part, puts the answers in order. */

import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { checkPointId, checkText, checkVector, encodePayload } from '../domain/point.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import { checkIdempotency } from '../domain/write.ts';
import type { ConsistencyToken, RequestContext } from '../api/context.ts';
import type { ItemResult, PointApi, PointView, WriteAnswer } from '../api/vector-api.ts';
import type { ShardWrite, ShardWriteAnswer } from '../domain/shard-service.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { RoutedCollection } from './routed-collection.ts';
import { shardContext, type Routing } from './routing.ts';

export function createPointApi(routing: Routing): PointApi {
  /** Positions of the items by the shard that owns them. */
  function byShard(collection: RoutedCollection, ids: readonly string[]): Map<number, number[]> {
    const positions = new Map<number, number[]>();
    ids.forEach((id, position) => {
      const owner = collection.ring.ownerOf(id);
      const list = positions.get(owner);
      if (list === undefined) positions.set(owner, [position]);
      else list.push(position);
    });
    return positions;
  }

  /** `answered` has what shards answered to an earlier try of the same request: they are not asked again. */
  async function write<Item extends { readonly id: string }>(
    context: RequestContext,
    collection: RoutedCollection,
    answered: Map<string, ShardWriteAnswer>,
    items: readonly Item[],
    request: (items: readonly Item[]) => ShardWrite,
  ): Promise<WriteAnswer> {
    if (context.idempotency !== undefined) checkIdempotency(context.idempotency);
    const results = new Array<ItemResult>(items.length);
    const tokens: ConsistencyToken[] = [];
    const parts = byShard(collection, items.map((item) => item.id));
    const writes = Array.from(parts, async ([owner, positions]) => {
      const shard = collection.shards[owner]!;
      const part = positions.length === items.length ? items : positions.map((position) => items[position]!);
      const { shardUID } = shard.route;
      const answer = answered.get(shardUID) ?? (await routing.service(shard).write(shardContext(context), request(part), context.idempotency));
      answered.set(shardUID, answer);
      tokens.push(answer.token);
      positions.forEach((position, i) => (results[position] = { id: items[position]!.id, ...answer.results[i]! }));
    });
    await allOrFirstError(writes);
    return { items: results, tokens };
  }

  return {
    upsert(context, name, points) {
      checkBatch('points', points);
      const answered = new Map<string, ShardWriteAnswer>();
      return routing.onCollection(context, name, (collection) => {
        const { dimension, metric } = collection.object.spec;
        const encoded = points.map((point, i) => {
          checkVector(point.vector, dimension, metric, `points[${i}].vector`);
          if (point.text !== undefined) checkText(point.text, `points[${i}].text`);
          const vector = point.vector instanceof Float32Array ? bytesOfVector(point.vector) : point.vector;
          return { ...point, vector, payload: encodePayload(point.payload, `points[${i}].payload`) };
        });
        return write(context, collection, answered, encoded, (part) => ({ kind: 'upsert', points: part }));
      });
    },

    delete(context, name, points) {
      checkBatch('points', points);
      const answered = new Map<string, ShardWriteAnswer>();
      return routing.onCollection(context, name, (collection) => write(context, collection, answered, points, (part) => ({ kind: 'delete', points: part })));
    },

    changePayload(context, name, changes) {
      checkBatch('changes', changes);
      changes.forEach((change, i) => {
        if (change.set !== undefined) encodePayload(change.set, `changes[${i}].set`);
      });
      const answered = new Map<string, ShardWriteAnswer>();
      return routing.onCollection(context, name, (collection) => write(context, collection, answered, changes, (part) => ({ kind: 'change-payload', changes: part })));
    },

    deleteByFilter(context, name, filter) {
      return routing.onCollection(context, name, async (collection) => {
        const settled = await Promise.allSettled(collection.shards.map((shard) => routing.service(shard).deleteMatching(shardContext(context), filter)));
        let deletedCount = 0;
        const tokens: ConsistencyToken[] = [];
        let failure: unknown;
        for (const outcome of settled) {
          if (outcome.status === 'fulfilled') {
            deletedCount += outcome.value.deletedCount;
            tokens.push(outcome.value.token);
          } else {
            failure ??= outcome.reason;
            if (outcome.reason instanceof ShoalError) deletedCount += Number(outcome.reason.details['deletedCount'] ?? 0);
          }
        }
        if (failure === undefined) return { deletedCount, tokens };
        if (!(failure instanceof ShoalError)) throw failure as Error;
        throw new ShoalError(failure.code, failure.message, { details: { ...failure.details, deletedCount }, cause: failure });
      });
    },

    get(context, name, request) {
      checkCount('ids', request.ids.length);
      request.ids.forEach((id, i) => checkPointId(id, `ids[${i}]`));
      return routing.onCollectionToRead(context, name, request.consistency, async (collection) => {
        const points = new Array<PointView | undefined>(request.ids.length);
        const reads = Array.from(byShard(collection, request.ids), async ([owner, positions]) => {
          const ids = positions.map((position) => request.ids[position]!);
          const found = await routing.service(collection.shards[owner]!).get(shardContext(context), { ...request, ids });
          positions.forEach((position, i) => (points[position] = found[i]));
        });
        await allOrFirstError(reads);
        return points;
      });
    },

    scroll(context, name, request) {
      checkRange('limit', request.limit, limits.scrollLimitMax);
      const from = request.cursor === undefined ? { shardIndex: 0, afterId: undefined } : decodeCursor(request.cursor);
      return routing.onCollectionToRead(context, name, request.consistency, async (collection) => {
        const points: PointView[] = [];
        let { afterId } = from;
        for (let index = from.shardIndex; index < collection.shards.length; index++) {
          const answer = await routing.service(collection.shards[index]!).scroll(shardContext(context), {
            afterId,
            filter: request.filter,
            limit: request.limit - points.length,
            consistency: request.consistency,
            includeVector: request.includeVector,
            includePayload: request.includePayload,
          });
          points.push(...answer.points);
          afterId = answer.nextAfterId;
          if (afterId !== undefined) return { points, nextCursor: encodeCursor({ shardIndex: index, afterId }) };
          if (points.length >= request.limit && index + 1 < collection.shards.length) {
            return { points, nextCursor: encodeCursor({ shardIndex: index + 1, afterId: undefined }) };
          }
        }
        return { points };
      });
    },

    count(context, name, request) {
      return routing.onCollectionToRead(context, name, request.consistency, async (collection) => {
        const counts = await Promise.all(
          collection.shards.map((shard) => routing.service(shard).count(shardContext(context), { filter: request.filter, consistency: request.consistency })),
        );
        return counts.reduce((sum, count) => sum + count, 0);
      });
    },
  };
}

/** BATCH_TOO_LARGE, INVALID_ID or DUPLICATE_ID: which of two writes of one id should win would be a guess. */
function checkBatch(field: string, items: readonly { readonly id: string }[]): void {
  checkCount(field, items.length);
  const seen = new Set<string>();
  items.forEach(({ id }, position) => {
    checkPointId(id, `${field}[${position}].id`);
    if (seen.has(id)) {
      throw new ShoalError('DUPLICATE_ID', `${field}[${position}].id repeats "${id}"`, { details: { field: `${field}[${position}].id`, position } });
    }
    seen.add(id);
  });
}

function checkCount(field: string, count: number): void {
  if (count === 0) throw new ShoalError('INVALID_ARGUMENT', `${field} must not be empty`, { details: { field } });
  if (count > limits.batchPointCountMax) {
    throw new ShoalError('BATCH_TOO_LARGE', `${field} has ${count} items; the limit is ${limits.batchPointCountMax}`, {
      details: { field, limit: limits.batchPointCountMax, found: count },
    });
  }
}

export function checkRange(field: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  throw new ShoalError('INVALID_ARGUMENT', `${field} must be an integer from 1 to ${max}, not ${value}`, { details: { field, limit: max, found: value } });
}

export function checkItemCount(field: string, count: number, max: number): void {
  if (count >= 1 && count <= max) return;
  throw new ShoalError('INVALID_ARGUMENT', `${field} must have 1 to ${max} items, not ${count}`, { details: { field, limit: max, found: count } });
}

/** Waits for all, so that nothing goes on behind the answer's back, then throws the first failure. */
async function allOrFirstError(work: readonly Promise<void>[]): Promise<void> {
  if (work.length === 1) return work[0];
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason;
}
