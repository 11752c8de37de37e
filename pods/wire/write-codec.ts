/** Writes to one shard, to and from the messages of shoal.shard.v1. */

import type * as Wire from '../../proto/gen/shoal/shard/v1/shard.ts';
import type { EncodedUpsert, ShardWrite } from '../domain/shard-service.ts';
import type { PayloadChange } from '../domain/write.ts';
import { required } from './malformed.ts';
import { conditionMessage, conditionPart, encodeOptionalNumber, ownBytes, payloadBytes, payloadOf, wholeVector } from './values.ts';

export function encodeWrite(write: ShardWrite): NonNullable<Wire.WriteRequest['write']> {
  switch (write.kind) {
    case 'upsert':
      return { $case: 'upsert', upsert: { points: write.points.map(encodeUpsert) } };
    case 'delete':
      return { $case: 'delete', delete: { points: write.points.map(({ id, condition }) => ({ id, condition: conditionMessage(condition) })) } };
    case 'change-payload':
      return { $case: 'changePayload', changePayload: { changes: write.changes.map(encodeChange) } };
    case 'put-record':
      return { $case: 'putRecord', putRecord: { key: write.key, value: write.value, expectedVersion: encodeOptionalNumber(write.expectedVersion) } };
    case 'delete-record':
      return { $case: 'deleteRecord', deleteRecord: { key: write.key } };
  }
}

export function decodeWrite(message: Wire.WriteRequest['write']): ShardWrite {
  const write = required(message, 'kind of a write');
  switch (write.$case) {
    case 'upsert':
      return { kind: 'upsert', points: decodeUpserts(write.upsert.points) };
    case 'delete':
      return { kind: 'delete', points: write.delete.points.map(({ id, condition }) => ({ id, ...conditionPart(condition) })) };
    case 'changePayload':
      return { kind: 'change-payload', changes: write.changePayload.changes.map(decodeChange) };
    case 'putRecord': {
      const { key, value, expectedVersion } = write.putRecord;
      return { kind: 'put-record', key, value: ownBytes(value), expectedVersion: expectedVersion?.value };
    }
    case 'deleteRecord':
      return { kind: 'delete-record', key: write.deleteRecord.key };
  }
}

function encodeUpsert({ id, vector, payload, text, condition }: EncodedUpsert): Wire.PointUpsert {
  return { id, vector, payload, text, condition: conditionMessage(condition) };
}

/** Vectors and payloads stay views where they are most of what they lie in, as in every larger write. */
function decodeUpserts(points: readonly Wire.PointUpsert[]): EncodedUpsert[] {
  let sizeBytes = 0;
  for (const { vector, payload } of points) sizeBytes += vector.length + payload.length;
  const isMost = sizeBytes * 2 > (points[0]?.vector.buffer.byteLength ?? 0);
  return points.map((point) => decodeUpsert(point, isMost ? (bytes) => bytes : ownBytes));
}

function decodeUpsert({ id, vector, payload, text, condition }: Wire.PointUpsert, kept: (bytes: Uint8Array) => Uint8Array): EncodedUpsert {
  return { id, vector: kept(wholeVector(vector)), payload: kept(payload), ...(text === undefined ? {} : { text }), ...conditionPart(condition) };
}

function encodeChange({ id, set, remove, replace, condition }: PayloadChange): Wire.PayloadChange {
  return {
    id,
    set: set === undefined ? undefined : payloadBytes(set),
    remove: remove === undefined ? undefined : { keys: [...remove] },
    replace,
    condition: conditionMessage(condition),
  };
}

function decodeChange({ id, set, remove, replace, condition }: Wire.PayloadChange): PayloadChange {
  return {
    id,
    ...(set === undefined ? {} : { set: payloadOf(set) }),
    ...(remove === undefined ? {} : { remove: remove.keys }),
    ...(replace === undefined ? {} : { replace }),
    ...conditionPart(condition),
  };
}
