/**
 * A history as JSON lines, which `e2e/checker/porcupine/main.go` gives to porcupine, a checker that others wrote and that
 * shares no code with ours. One operation a line, in any order:
 *
 *   id          string; each id is judged for itself
 *   client      string
 *   call        integer instant of the invocation
 *   return      integer instant of the response; null when the outcome is unknown
 *   kind        "upsert" | "set-payload" | "delete" | "get"
 *   vector      of an upsert: what it writes
 *   payload     of an upsert and of set-payload: what it writes
 *   condition   absent, or {"kind": "absent" | "present"} or {"kind": "version", "version": n}
 *   outcome     of an answered write: "created" | "updated" | "deleted" | "not-found" | "condition-failed"
 *   version     of an answered write: the point's version afterwards, 0 when there is none
 *   seen        of a get: {"vector", "payload", "version"}, or null when the point was absent
 *
 * Instants compare as in `Operation`: equal ones are concurrent. Gets that are not linearizable, were not answered or
 * failed, and writes that failed, are left out.
 */

import assert from 'node:assert/strict';
import type { Operation } from './history.ts';
import { tellsOfTheRegister } from './linearizability.ts';

export function porcupineLines(operations: readonly Operation[]): string {
  return operations
    .filter(tellsOfTheRegister)
    .map((operation) => `${JSON.stringify(lineOf(operation))}\n`)
    .join('');
}

function lineOf(operation: Operation): Record<string, unknown> {
  const { id, clientId, invokedAt, respondedAt, outcome, call } = operation;
  assert(Number.isSafeInteger(invokedAt) && (outcome === 'unknown' || Number.isSafeInteger(respondedAt)), 'instants are integers');
  const { kind } = call;
  return {
    id,
    client: clientId,
    call: invokedAt,
    return: outcome === 'unknown' ? null : respondedAt,
    kind,
    ...(kind === 'upsert' ? call.content : {}),
    ...(kind === 'set-payload' ? { payload: call.payload } : {}),
    ...(kind === 'get' || call.condition === undefined ? {} : { condition: call.condition }),
    ...(outcome !== 'ok' ? {} : 'seen' in operation.answer ? { seen: operation.answer.seen ?? null } : { outcome: operation.answer.outcome, version: operation.answer.version }),
  };
}
