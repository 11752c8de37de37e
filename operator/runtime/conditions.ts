/** What a table of results says of its object, in the form that `kubectl describe` shows. Pure. */

import type { Condition } from '../../pods/metadata/objects.ts';
import { reasonOf, type TaskRow } from './task.ts';

export interface StatedCondition {
  readonly type: string;
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message: string;
}

/** As the CRDs bound it. */
const messageLengthMax = 4_096;

/** `Progressing` while something is on its way, `Degraded` while something cannot be done; the first such row says why. */
export function progressOf(rows: readonly TaskRow[]): StatedCondition[] {
  const pending = rows.filter(({ result }) => result.outcome === 'wait' || result.outcome === 'retry');
  const failed = rows.filter(({ result }) => result.outcome === 'fail');
  return [
    stated('Progressing', pending, { reason: 'AsDesired', message: 'everything that was asked for is done' }),
    stated('Degraded', failed, { reason: 'AsDesired', message: 'nothing is wrong' }),
  ];
}

function stated(type: string, rows: readonly TaskRow[], otherwise: { readonly reason: string; readonly message: string }): StatedCondition {
  const [first] = rows;
  if (first === undefined) return { type, status: 'False', ...otherwise };
  return { type, status: 'True', reason: reasonOf(first), message: rows.map(({ result }) => result.because).join('; ') };
}

/**
 * `present` with `stated` in the place of those of the same type; the others stay. A condition whose status is the same
 * keeps its time, one that says the same altogether is the same object.
 */
export function withConditions(present: readonly Condition[] | undefined, stated: readonly StatedCondition[], generation: number, nowMs: number): readonly Condition[] {
  const old = present ?? [];
  const made = stated.map(({ type, status, reason, message: text }): Condition => {
    const before = old.find((each) => each.type === type);
    const message = text.length > messageLengthMax ? `${text.slice(0, messageLengthMax - 1)}…` : text;
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
    const now = { type, status, reason, message, observedGeneration: generation, lastTransitionTime };
    return before !== undefined && isSame(before, now) ? before : now;
  });
  const others = old.filter(({ type }) => !stated.some((each) => each.type === type));
  return [...others, ...made].sort((a, b) => (a.type < b.type ? -1 : 1));
}

/** Whether a write would change anything, whatever the order. */
export function sameConditions(a: readonly Condition[] | undefined, b: readonly Condition[]): boolean {
  const old = a ?? [];
  return old.length === b.length && b.every((each) => old.some((other) => isSame(other, each)));
}

function isSame(a: Condition, b: Condition): boolean {
  return a.type === b.type && a.status === b.status && a.reason === b.reason && a.message === b.message && a.observedGeneration === b.observedGeneration && a.lastTransitionTime === b.lastTransitionTime;
}
