/** Values that several bodies share, to and from the messages of shoal.shard.v1. What is not well formed is MALFORMED_BODY. */

import type * as Wire from '../../proto/gen/shoal/shard/v1/shard.ts';
import type { Consistency, ConsistencyToken } from '../domain/consistency.ts';
import type { Payload, PointView } from '../domain/point.ts';
import type { ShardHit } from '../domain/shard-service.ts';
import { bytesOfVector, vectorOfBytes, type VectorBytes } from '../domain/vector-bytes.ts';
import type { ItemOutcome, OperationResult, WriteCondition } from '../domain/write.ts';
import { decodeFilter, encodeFilter } from './filter-codec.ts';
import { malformed, required } from './malformed.ts';

// ---------------------------------------------------------------- bytes

/** A copy, because a view of the frame would not be aligned and would keep the whole frame. */
export function unpackVector(bytes: VectorBytes): Float32Array {
  return vectorOfBytes(wholeVector(bytes));
}

export function wholeVector(bytes: VectorBytes): VectorBytes {
  if (bytes.length % 4 !== 0) throw malformed(`a vector has ${bytes.length} bytes, which are no whole 32-bit floats`);
  return bytes;
}

/** What is kept for long must not keep a whole frame: a copy, unless the bytes are most of what they lie in. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length * 2 > bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}

export function payloadBytes(payload: Payload): Uint8Array {
  return Buffer.from(JSON.stringify(payload));
}

export function payloadOf(bytes: Uint8Array): Payload {
  let payload: unknown;
  try {
    payload = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as unknown;
  } catch (cause) {
    throw malformed('a payload is not JSON', cause);
  }
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) throw malformed('a payload is not an object');
  return payload as Payload;
}

export function encodeOptionalNumber(value: number | undefined): Wire.Number | undefined {
  return value === undefined ? undefined : { value };
}

// ----------------------------------------------------------- consistency

export function consistencyMessage(consistency: Consistency): Wire.Consistency {
  return { level: consistency.level, tokens: consistency.level === 'session' ? consistency.tokens.map(tokenMessage) : [] };
}

export function consistencyOf(message: Wire.Consistency | undefined): Consistency {
  const { level, tokens } = required(message, 'consistency');
  if (level === 'eventual' || level === 'linearizable') return { level };
  if (level === 'session') return { level, tokens: tokens.map(tokenOf) };
  throw malformed('a consistency level is not known');
}

export function tokenMessage({ shardUID, seq }: ConsistencyToken): Wire.ConsistencyToken {
  return { shardUid: shardUID, seq };
}

export function tokenOf(message: Wire.ConsistencyToken | undefined): ConsistencyToken {
  const { shardUid, seq } = required(message, 'token');
  return { shardUID: shardUid, seq };
}

// ------------------------------------------------------ writes and points

export function conditionMessage(condition: WriteCondition | undefined): Wire.WriteCondition | undefined {
  switch (condition?.kind) {
    case undefined:
      return undefined;
    case 'absent':
      return { kind: { $case: 'absent', absent: true } };
    case 'present':
      return { kind: { $case: 'present', present: true } };
    case 'version':
      return { kind: { $case: 'version', version: { value: condition.version } } };
    case 'matches':
      return { kind: { $case: 'matches', matches: encodeFilter(condition.filter) } };
  }
}

/** As a part of an object that may lack it. */
export function conditionPart(message: Wire.WriteCondition | undefined): { condition?: WriteCondition } {
  if (message === undefined) return {};
  const kind = required(message.kind, 'kind of a condition');
  switch (kind.$case) {
    case 'absent':
    case 'present':
      return { condition: { kind: kind.$case } };
    case 'version':
      return { condition: { kind: 'version', version: kind.version.value } };
    case 'matches':
      return { condition: { kind: 'matches', filter: decodeFilter(kind.matches) } };
  }
}

const outcomes: ReadonlySet<string> = new Set<ItemOutcome>(['created', 'updated', 'deleted', 'not-found', 'condition-failed']);

export function resultOf({ outcome, version }: Wire.OperationResult): OperationResult {
  if (!outcomes.has(outcome)) throw malformed('an outcome is not known');
  return { outcome: outcome as ItemOutcome, version };
}

export function pointMessage(point: PointView): Wire.PointView {
  return {
    id: point.id,
    version: point.version,
    vector: point.vector === undefined ? undefined : bytesOfVector(point.vector),
    payload: point.payload === undefined ? undefined : payloadBytes(point.payload),
    text: point.text,
  };
}

export function pointOf(message: Wire.PointView | undefined): PointView {
  const point = required(message, 'point');
  return withParts({ id: point.id, version: point.version }, point);
}

export function hitOf({ score, point: message }: Wire.Hit): ShardHit {
  const point = required(message, 'point');
  return withParts({ id: point.id, version: point.version, score }, point);
}

/** Adds to `known`, which is the caller's own: objects that are spread into others are most of what decoding an answer leaves behind. */
function withParts<Known extends object>(known: Known, { vector, payload, text }: Wire.PointView): Known & Pick<PointView, 'vector' | 'payload' | 'text'> {
  const point: Known & { vector?: Float32Array; payload?: Payload; text?: string } = known;
  if (vector !== undefined) point.vector = unpackVector(vector);
  if (payload !== undefined) point.payload = payloadOf(payload);
  if (text !== undefined) point.text = text;
  return point;
}
