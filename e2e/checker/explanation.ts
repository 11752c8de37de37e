/**
 * Says why no order was found, as briefly as it can: the shortest beginning of the history that already has none, the
 * operation whose answer makes it so, and an order of all the others.
 */

import type { Call, Condition, Operation, Seen } from './history.ts';
import { searchOrder } from './order-search.ts';
import { step, type RegisterState } from './register.ts';

const lineCountMax = 24;

/** `operations` have no order. */
export function explainViolation(operations: readonly Operation[], initial: RegisterState, stateCountMax: number): string {
  const culprit = firstImpossibleAnswer(operations, initial, stateCountMax);
  // Without its answer, the culprit may have happened or not.
  const others = beginningUntil(operations.map((operation) => (operation === culprit ? { ...culprit, respondedAt: Infinity } : operation)), culprit.respondedAt);
  const search = searchOrder(others, initial, stateCountMax);
  const order = search.kind === 'found' ? search.order : [];
  const leaves = order.reduce((state, operation) => step(state, operation) ?? state, initial);
  const places = new Map(order.map((operation, place) => [operation.number, place + 1]));
  const told = [...others.filter(({ number, outcome }) => number !== culprit.number && (outcome === 'ok' || places.has(number))), culprit].sort((a, b) => a.invokedAt - b.invokedAt);
  // What was in order long ago needs no line of its own.
  const lines = told.slice(-lineCountMax);
  return [
    `${culprit.id}: no order of the operations explains the answer of operation ${culprit.number} (${describeOperation(culprit)})`,
    ...(told.length > lines.length ? [`  (${told.length - lines.length} earlier operations left out)`] : []),
    ...table([
      ['operation', 'client', 'ms', 'what', 'place in an order of the others'],
      ...lines.map((operation) => [
        `${operation.number}`,
        operation.clientId,
        `${operation.invokedMs} to ${operation.outcome === 'ok' ? operation.respondedMs : '?'}`,
        describeOperation(operation),
        `${places.get(operation.number) ?? 'none'}`,
      ]),
    ]),
    `  that order leaves the point ${describeState(leaves)}`,
  ].join('\n');
}

/** Every beginning of a history that has an order has one too, so the first answer after which there is none is found by halving. */
function firstImpossibleAnswer(operations: readonly Operation[], initial: RegisterState, stateCountMax: number): Operation {
  const answered = operations.filter(({ outcome }) => outcome === 'ok').sort((a, b) => a.respondedAt - b.respondedAt);
  let low = 0;
  let high = answered.length - 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const { kind } = searchOrder(beginningUntil(operations, answered[middle]!.respondedAt), initial, stateCountMax);
    if (kind === 'none') high = middle;
    else low = middle + 1;
  }
  return answered[low]!;
}

/** What was known at `instant`: writes not yet answered may have happened, reads not yet answered tell nothing. */
function beginningUntil(operations: readonly Operation[], instant: number): Operation[] {
  return operations.flatMap((operation): Operation[] => {
    if (operation.respondedAt <= instant || operation.outcome === 'unknown') return [operation];
    return operation.call.kind === 'get' ? [] : [{ ...operation, outcome: 'unknown', respondedAt: Infinity }];
  });
}

export function describeOperation(operation: Operation): string {
  const what = describeCall(operation.call);
  if (operation.outcome !== 'ok') return `${what} → ${operation.outcome}`;
  if ('seen' in operation.answer) return `${what} → ${describeSeen(operation.answer.seen)}`;
  const { outcome, version } = operation.answer;
  return `${what} → ${outcome}${version === 0 ? '' : `, version ${version}`}`;
}

function describeCall(call: Call): string {
  switch (call.kind) {
    case 'get':
      return call.consistency.level === 'linearizable' ? 'get' : `${call.consistency.level} get`;
    case 'upsert':
      return `upsert vector ${call.content.vector} payload ${call.content.payload}${describeCondition(call.condition)}`;
    case 'set-payload':
      return `set payload ${call.payload}${describeCondition(call.condition)}`;
    case 'delete':
      return `delete${describeCondition(call.condition)}`;
  }
}

function describeCondition(condition: Condition | undefined): string {
  if (condition === undefined) return '';
  return condition.kind === 'version' ? ` if version ${condition.version}` : ` if ${condition.kind}`;
}

export function describeSeen(seen: Partial<Seen> | undefined): string {
  if (seen === undefined) return 'absent';
  const { vector, payload, version } = seen;
  const parts = Object.entries({ vector, payload, version }).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]));
  return parts.length === 0 ? 'present' : parts.join(' ');
}

function describeState({ point, floor }: RegisterState): string {
  if (point === undefined) return `absent, versions up to ${floor} given`;
  return `with vector ${point.vector} payload ${point.payload} ${point.version === undefined ? `and a version above ${floor}` : `version ${point.version}`}`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd()}`);
}
