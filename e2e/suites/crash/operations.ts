/**
 * What a writer of the crash test sends, and what must come of it. Each writer owns its ids, so that the outcome of every
 * item is known before it is sent, and so are the two states that a point may be in after an unknown outcome.
 */

import { isDeepStrictEqual } from 'node:util';
import { packVector, unpackVector, type ShoalClient } from '../../framework/shoal-client.ts';
import type { CallOptions } from '../../framework/grpc-client.ts';
import type { ItemResult, Point, WriteCondition } from '../../../proto/gen/shoal/v1/point.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';

export type PayloadValues = Readonly<Record<string, unknown>>;

/** A point as it must be stored. */
export interface StoredPoint {
  readonly vector: Float32Array;
  readonly payload: PayloadValues;
  readonly text: string | undefined;
  readonly version: number;
}

/** One item of an operation: its state before, and the outcome and state that it must have after. */
export interface Effect {
  readonly id: string;
  readonly before: StoredPoint | undefined;
  readonly outcome: 'created' | 'updated' | 'deleted' | 'not-found' | 'condition-failed';
  /** The state afterwards, without the version, which the server gives; undefined: no such point. */
  readonly after: Omit<StoredPoint, 'version'> | undefined;
}

export interface Operation {
  readonly kind: 'upsert' | 'delete' | 'change-payload';
  readonly clientId: string;
  readonly requestNumber: number;
  readonly effects: readonly Effect[];
  send(client: ShoalClient, options?: CallOptions): Promise<ItemResult[]>;
}

export interface Shape {
  readonly collection: string;
  readonly dimension: number;
  readonly clientId: string;
  readonly owner: string;
}

export const groups = ['red', 'green', 'blue'] as const;

/** Whether the operation changes the point at all. */
export function writes({ outcome }: Effect): boolean {
  return outcome === 'created' || outcome === 'updated' || outcome === 'deleted';
}

export function randomVector(random: Random, dimension: number): Float32Array {
  return Float32Array.from({ length: dimension }, () => random.fraction() * 2 - 1);
}

export function randomPayload(random: Random, owner: string): PayloadValues {
  return {
    owner,
    group: groups[below(random, groups.length)],
    rank: below(random, 1_000),
    ...(below(random, 3) === 0 ? { nested: { list: [below(random, 9), null, true], text: 'ÄÖ𝄞' } } : {}),
    ...(below(random, 4) === 0 ? { ratio: below(random, 1_000) / 8 } : {}),
  };
}

export function upsertOf(random: Random, shape: Shape, requestNumber: number, ids: readonly string[], known: ReadonlyMap<string, StoredPoint>, plain: boolean): Operation {
  const items = ids.map((id) => {
    const before = known.get(id);
    const condition = plain ? undefined : randomCondition(random, before);
    const after = { vector: randomVector(random, shape.dimension), payload: randomPayload(random, shape.owner), text: below(random, 5) === 0 ? `text of ${id}` : undefined };
    return { id, condition, after, before };
  });
  return {
    kind: 'upsert',
    clientId: shape.clientId,
    requestNumber,
    effects: items.map(({ id, condition, after, before }) => effect(id, before, condition, before === undefined ? 'created' : 'updated', after)),
    send: (client, options) =>
      client.upsert(
        {
          collection: shape.collection,
          clientId: shape.clientId,
          requestNumber: BigInt(requestNumber),
          points: items.map(({ id, condition, after }) => ({ id, packedVector: packVector(after.vector), payload: after.payload, text: after.text, condition })),
        },
        options,
      ),
  };
}

export function deleteOf(random: Random, shape: Shape, requestNumber: number, ids: readonly string[], known: ReadonlyMap<string, StoredPoint>): Operation {
  const items = ids.map((id) => ({ id, before: known.get(id), condition: randomCondition(random, known.get(id)) }));
  return {
    kind: 'delete',
    clientId: shape.clientId,
    requestNumber,
    effects: items.map(({ id, before, condition }) => effect(id, before, condition, before === undefined ? 'not-found' : 'deleted', undefined)),
    send: (client, options) =>
      client.delete({ collection: shape.collection, clientId: shape.clientId, requestNumber: BigInt(requestNumber), points: items.map(({ id, condition }) => ({ id, condition })) }, options),
  };
}

export function payloadChangeOf(random: Random, shape: Shape, requestNumber: number, ids: readonly string[], known: ReadonlyMap<string, StoredPoint>, plain: boolean): Operation {
  const items = ids.map((id) => {
    const before = known.get(id);
    const set: PayloadValues = { rank: below(random, 1_000), group: groups[below(random, groups.length)], owner: shape.owner };
    const remove = below(random, 3) === 0 ? ['nested', 'nothing'] : [];
    const replace = below(random, 4) === 0;
    const merged = Object.fromEntries(Object.entries({ ...(replace ? {} : before?.payload), ...set }).filter(([key]) => !remove.includes(key)));
    return { id, set, remove, replace, condition: plain ? undefined : randomCondition(random, before), before, after: before && { ...before, payload: merged } };
  });
  return {
    kind: 'change-payload',
    clientId: shape.clientId,
    requestNumber,
    effects: items.map(({ id, before, condition, after }) => effect(id, before, condition, before === undefined ? 'not-found' : 'updated', after)),
    send: (client, options) =>
      client.changePayload(
        {
          collection: shape.collection,
          clientId: shape.clientId,
          requestNumber: BigInt(requestNumber),
          changes: items.map(({ id, set, remove, replace, condition }) => ({ id, set, remove, replace, condition })),
        },
        options,
      ),
  };
}

export function isStored(point: Point | undefined, expected: StoredPoint | undefined): boolean {
  if (point === undefined || expected === undefined) return point === undefined && expected === undefined;
  return Number(point.version) === expected.version && hasContent(point, expected);
}

export function hasContent(point: Point, { vector, payload, text }: Omit<StoredPoint, 'version'>): boolean {
  return isDeepStrictEqual(unpackVector(point), vector) && isDeepStrictEqual({ ...point.payload }, { ...payload }) && point.text === text;
}

function effect(id: string, before: StoredPoint | undefined, condition: WriteCondition | undefined, outcome: Effect['outcome'], after: Effect['after']): Effect {
  return holds(condition, before) ? { id, before, outcome, after } : { id, before, outcome: 'condition-failed', after: before };
}

/** Mostly none; of those that are, some fail. */
function randomCondition(random: Random, before: StoredPoint | undefined): WriteCondition | undefined {
  switch (below(random, 12)) {
    case 0:
      return { kind: { $case: 'absent', absent: true } };
    case 1:
      return { kind: { $case: 'present', present: true } };
    case 2:
      return { kind: { $case: 'version', version: BigInt(before?.version ?? 7) } };
    case 3:
      return { kind: { $case: 'matches', matches: { field: 'group', equals: groups[below(random, groups.length)] } } };
    default:
      return undefined;
  }
}

function holds(condition: WriteCondition | undefined, before: StoredPoint | undefined): boolean {
  switch (condition?.kind?.$case) {
    case undefined:
      return true;
    case 'absent':
      return before === undefined;
    case 'present':
      return before !== undefined;
    case 'version':
      return before?.version === Number(condition.kind.version);
    case 'matches':
      return before !== undefined && before.payload['group'] === (condition.kind.matches as { equals: unknown }).equals;
  }
}
