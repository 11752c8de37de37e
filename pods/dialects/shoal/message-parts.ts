/** Parts that several messages of shoal.v1 share, read into the terms of `VectorApi` and written from them. */

import type { Consistency as ConsistencyMessage, ConsistencyToken as TokenMessage } from '../../../proto/gen/shoal/v1/consistency.ts';
import type { WriteCondition as ConditionMessage } from '../../../proto/gen/shoal/v1/point.ts';
import type { Consistency, ConsistencyToken, RequestContext } from '../../api/context.ts';
import type { WriteCondition } from '../../api/vector-api.ts';
import { decodeFilter } from '../../domain/filter-json.ts';
import type { Filter } from '../../domain/filter.ts';
import { utf8Length, type PointView } from '../../domain/point.ts';
import { bytesOfVector, type VectorBytes } from '../../domain/vector-bytes.ts';
import { limits } from '../../kernel/limits.ts';
import { shortLivedFloats } from '../../kernel/short-lived-arrays.ts';
import { shortFloats } from '../../domain/short-float.ts';
import { anyObject, flag, invalid, list, named, object, oneOf, optional, placeText, readJson, required, text, uint64, words, type Place } from '../json-decoder.ts';

/** The fields that are there, for types that know absent but not undefined. */
export function present<T extends object>(fields: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  const found: { [Name in keyof T]?: Exclude<T[Name], undefined> } = {};
  for (const name in fields) if (fields[name] !== undefined) found[name] = fields[name] as Exclude<T[typeof name], undefined>;
  return found;
}

export function field(key: string | number, parent?: Place): Place {
  return { parent, key };
}

// -------------------------------------------------------------------- numbers

/** A uint64 that TypeScript holds exactly as a number. */
export function safeNumber(value: bigint, at: Place): number {
  if (value > Number.MAX_SAFE_INTEGER) throw invalid(at, `must be at most ${Number.MAX_SAFE_INTEGER}`);
  return Number(value);
}

// -------------------------------------------------------------------- vectors

interface EitherVector {
  readonly vector: readonly number[];
  readonly packedVector: Uint8Array;
}

export const noBytes: Uint8Array = new Uint8Array(0);

/** For a request alone, which does not keep it. */
export function queryVectorOf(either: EitherVector, at: Place): Float32Array {
  const given = givenVector(either, at);
  if (given instanceof Float32Array) return given;
  const vector = shortLivedFloats(given.length / 4);
  bytesOfVector(vector).set(given);
  return vector;
}

/** Packed, it stays where it is in the message: whoever keeps it copies it. */
export function givenVector({ vector, packedVector }: EitherVector, at: Place): Float32Array | VectorBytes {
  if (packedVector.length === 0) return Float32Array.from(vector);
  if (vector.length > 0) throw invalid(field('packedVector', at), 'must not be given together with vector');
  if (packedVector.length % 4 !== 0) throw invalid(field('packedVector', at), `must hold whole 32-bit floats, not ${packedVector.length} bytes`);
  return packedVector;
}

const noVector = { vector: [], packedVector: noBytes };

/** `vector` or `packed_vector`, or both empty. */
export function vectorMessage(vector: Float32Array | undefined, pack: boolean): { vector: number[]; packedVector: Uint8Array } {
  if (vector === undefined) return noVector;
  return pack ? { vector: [], packedVector: bytesOfVector(vector) } : { vector: Array.from(vector), packedVector: noBytes };
}

/** What follows id and version in a point or a hit. */
export function pointPartsJson({ vector, payload, text: pointText }: Pick<PointView, 'vector' | 'payload' | 'text'>, pack: boolean): Record<string, unknown> {
  const vectorField = vector === undefined ? {} : pack ? { packedVector: Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64') } : { vector: shortFloats(vector) };
  return { ...vectorField, ...present({ payload, text: pointText }) };
}

// ---------------------------------------------------------------- consistency

const tokenType = named('ConsistencyToken', object<TokenMessage>({ shardUid: required(text), seq: required(uint64) }));

export const tokensType = list(tokenType);

export const consistencyType = named(
  'Consistency',
  object<ConsistencyMessage>({ level: optional(words('eventual', 'session', 'linearizable'), () => ''), tokens: optional(tokensType, () => []) }),
);

export function consistencyOf(message: ConsistencyMessage | undefined, at: Place = field('consistency')): Consistency {
  const { level, tokens } = message ?? { level: '', tokens: [] };
  if (level === 'session' || (level === '' && tokens.length > 0)) {
    return { level: 'session', tokens: tokens.map((token, index) => ({ shardUID: token.shardUid, seq: safeNumber(token.seq, field('seq', field(index, field('tokens', at)))) })) };
  }
  if (tokens.length > 0) throw invalid(field('tokens', at), 'go with the level session only');
  if (level === '' || level === 'eventual') return { level: 'eventual' };
  if (level === 'linearizable') return { level };
  throw invalid(field('level', at), 'must be one of eventual, session, linearizable');
}

export function tokenMessages(tokens: readonly ConsistencyToken[]): TokenMessage[] {
  return tokens.map(({ shardUID, seq }) => ({ shardUid: shardUID, seq: BigInt(seq) }));
}

export function tokensJson(tokens: readonly ConsistencyToken[]): unknown[] {
  return tokens.map(({ shardUID, seq }) => ({ shardUid: shardUID, seq }));
}

// ---------------------------------------------------------------- idempotency

export const idempotencyFields = { clientId: optional(text, () => ''), requestNumber: optional(uint64, () => 0n) };

/** The context with what makes this write recognisable, where the request names it. */
export function withIdempotency(context: RequestContext, { clientId, requestNumber }: { clientId: string; requestNumber: bigint }): RequestContext {
  if (clientId === '' && requestNumber === 0n) return context;
  if (clientId === '') throw invalid(field('clientId'), 'is required together with requestNumber');
  if (utf8Length(clientId) > limits.clientIdBytesMax) throw invalid(field('clientId'), `has ${utf8Length(clientId)} bytes; the limit is ${limits.clientIdBytesMax}`);
  if (requestNumber === 0n) throw invalid(field('requestNumber'), 'must be positive where clientId is given');
  return { ...context, idempotency: { clientId, requestNumber: safeNumber(requestNumber, field('requestNumber')) } };
}

// ----------------------------------------------------------------- conditions

type ConditionKind = Exclude<ConditionMessage['kind'], undefined>;

const conditionKind = oneOf<ConditionKind>({ absent: flag, present: flag, version: uint64, matches: anyObject });

export const conditionType = named('WriteCondition', {
  ...conditionKind,
  read: (value: unknown, at: Place): ConditionMessage => ({ kind: conditionKind.read(value, at) }),
});

export function conditionOf(message: ConditionMessage, at: Place): WriteCondition {
  const { kind } = message;
  if (kind === undefined) throw invalid(at, 'must have one of absent, present, version, matches');
  const here = field(kind.$case, at);
  switch (kind.$case) {
    case 'absent':
    case 'present':
      if (kind.$case === 'absent' ? !kind.absent : !kind.present) throw invalid(here, 'must be true where it is given');
      return { kind: kind.$case };
    case 'version':
      return { kind: 'version', version: safeNumber(kind.version, here) };
    case 'matches':
      return { kind: 'matches', filter: filterOf(kind.matches, here) };
  }
}

// --------------------------------------------------------------------- filter

export const filterType = named('Filter', anyObject);

export function filterOf(struct: unknown, at: Place = field('filter')): Filter {
  return decodeFilter(struct, placeText(at));
}

// ---------------------------------------------------------- query parameters

/** Query parameters are text: `true`, `false`. */
export function flagParameter(value: string | undefined, name: string): boolean | undefined {
  if (value === undefined || value === 'true' || value === 'false') return value === undefined ? undefined : value === 'true';
  return readJson(flag, value, name);
}
