/** Whether the history of an id is linearizable: a register for each id, since no operation promises anything about two. */

import { explainViolation } from './explanation.ts';
import type { Operation } from './history.ts';
import { searchOrder } from './order-search.ts';
import { absentPoint, type RegisterState } from './register.ts';

export interface CheckOptions {
  /** What the id was before its history; absent unless given. */
  readonly initial?: RegisterState;
  readonly stateCountMax?: number;
}

/** `undecided` is not `ok`: the bound on the work was reached first. */
export type Verdict =
  | { readonly kind: 'ok'; readonly stateCount: number }
  | { readonly kind: 'violation'; readonly explanation: string; readonly stateCount: number }
  | { readonly kind: 'undecided'; readonly because: string; readonly stateCount: number };

/** A state takes about 100 bytes while the check runs. */
const defaultStateCountMax = 300_000;

/** Judges the operations of one id. */
export function checkRegister(operations: readonly Operation[], options: CheckOptions = {}): Verdict {
  const { initial = absentPoint, stateCountMax = defaultStateCountMax } = options;
  const judged = operations.filter(tellsOfTheRegister);
  const { kind, stateCount } = searchOrder(judged, initial, stateCountMax);
  switch (kind) {
    case 'found':
      return { kind: 'ok', stateCount };
    case 'none':
      return { kind: 'violation', explanation: explainViolation(judged, initial, stateCountMax), stateCount };
    case 'undecided':
      return { kind: 'undecided', because: `${judged.length} operations have more than ${stateCountMax} states`, stateCount };
  }
}

/** Not what certainly did not happen, nor reads that were not answered or that promise less. */
export function tellsOfTheRegister({ outcome, call }: Operation): boolean {
  if (outcome === 'failed') return false;
  return call.kind !== 'get' || (outcome === 'ok' && call.consistency.level === 'linearizable');
}
