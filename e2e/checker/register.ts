/**
 * What a point is to its clients: a register. `step` says whether an operation could have had its answer at this moment,
 * and what it leaves.
 *
 * Versions grow: each write's is greater than all before it (`floor`), also after a deletion. The version of a write whose
 * answer was lost is not known until the first operation that observes it, which binds it: any number above the floor
 * will do. That later writes have still greater versions then follows from the floor.
 */

import type { Condition, Operation, WriteCall } from './history.ts';

export interface PresentPoint {
  readonly vector: number;
  readonly payload: number;
  /** Undefined until somebody observes it. */
  readonly version: number | undefined;
}

export interface RegisterState {
  readonly point: PresentPoint | undefined;
  /** The greatest version known to have been given: the point's, where that is known. */
  readonly floor: number;
}

export const absentPoint: RegisterState = { point: undefined, floor: 0 };

/**
 * The state after the operation, the same object when it changes nothing; undefined when the operation cannot have had its
 * answer here. An operation of unknown outcome that would change nothing is as if it never happened.
 */
export function step(state: RegisterState, operation: Operation): RegisterState | undefined {
  if (operation.outcome !== 'ok') return operation.outcome === 'failed' || operation.call.kind === 'get' ? undefined : unknownWrite(state, operation.call);
  if ('seen' in operation.answer) {
    const { seen } = operation.answer;
    if (seen === undefined) return state.point === undefined ? state : undefined;
    const { point } = state;
    return point !== undefined && point.vector === seen.vector && point.payload === seen.payload ? withVersion(state, seen.version) : undefined;
  }
  const { outcome, version } = operation.answer;
  const call = operation.call as WriteCall;
  if (outcome === 'condition-failed') {
    const before = withVersion(state, version);
    return before !== undefined && whereConditionHolds(before, call.condition) === undefined ? before : undefined;
  }
  const before = whereConditionHolds(state, call.condition);
  if (before === undefined) return undefined;
  if (outcome === 'not-found') return call.kind !== 'upsert' && before.point === undefined && version === 0 ? before : undefined;
  if (outcome !== successOf(before, call)) return undefined;
  if (call.kind === 'delete') return version === 0 ? applied(before, call, undefined) : undefined;
  return version > before.floor ? applied(before, call, version) : undefined;
}

function unknownWrite(state: RegisterState, call: WriteCall): RegisterState | undefined {
  const before = whereConditionHolds(state, call.condition);
  return before === undefined || successOf(before, call) === 'not-found' ? undefined : applied(before, call, undefined);
}

function successOf({ point }: RegisterState, call: WriteCall): 'created' | 'updated' | 'deleted' | 'not-found' {
  if (call.kind === 'upsert') return point === undefined ? 'created' : 'updated';
  if (point === undefined) return 'not-found';
  return call.kind === 'delete' ? 'deleted' : 'updated';
}

function applied({ point, floor }: RegisterState, call: WriteCall, version: number | undefined): RegisterState {
  switch (call.kind) {
    case 'upsert':
      return { point: { ...call.content, version }, floor: version ?? floor };
    case 'set-payload':
      return { point: { vector: point!.vector, payload: call.payload, version }, floor: version ?? floor };
    case 'delete':
      return { point: undefined, floor };
  }
}

/** The state, its version bound where the condition names it; undefined when the condition does not hold. */
function whereConditionHolds(state: RegisterState, condition: Condition | undefined): RegisterState | undefined {
  switch (condition?.kind) {
    case undefined:
      return state;
    case 'absent':
      return state.point === undefined ? state : undefined;
    case 'present':
      return state.point === undefined ? undefined : state;
    case 'version':
      return withVersion(state, condition.version);
  }
}

/** The state, known to have this version (0: absent); undefined when it has another. */
function withVersion(state: RegisterState, version: number): RegisterState | undefined {
  const { point, floor } = state;
  if (point === undefined) return version === 0 ? state : undefined;
  if (point.version !== undefined) return point.version === version ? state : undefined;
  return version > floor ? { point: { ...point, version }, floor: version } : undefined;
}
