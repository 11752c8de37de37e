/**
 * Which failed requests of a shard the router sends again by itself.
 *
 * | the pod, or the way to it, says                      | read | write with a request number | other write |
 * | ---------------------------------------------------- | ---- | --------------------------- | ----------- |
 * | NOT_PRIMARY, NOT_IN_SYNC, STALE_EPOCH, UNAVAILABLE   | yes  | yes                         | yes: nothing was done |
 * | OUTCOME_UNKNOWN, SHUTTING_DOWN                       | yes  | yes: rule D1 recognises it  | no: it may have been done |
 * | anything else                                        | no   | no                          | no          |
 */

import type { ErrorCode } from '../kernel/errors.ts';

export type Repeatability = 'read' | 'recognised-write' | 'write';

const nothingDone: ReadonlySet<ErrorCode> = new Set(['NOT_PRIMARY', 'NOT_IN_SYNC', 'STALE_EPOCH', 'UNAVAILABLE']);
const perhapsDone: ReadonlySet<ErrorCode> = new Set(['OUTCOME_UNKNOWN', 'SHUTTING_DOWN']);

export function mayBeSentAgain(code: ErrorCode, request: Repeatability): boolean {
  return nothingDone.has(code) || (perhapsDone.has(code) && request !== 'write');
}

/** After it nobody knows whether a write was done. */
export function leavesDoubt(code: ErrorCode): boolean {
  return perhapsDone.has(code);
}

/** The pod sees the shard otherwise than the map: one of the two is out of date. */
export function contradictsMap(code: ErrorCode): boolean {
  return code === 'NOT_PRIMARY' || code === 'NOT_IN_SYNC' || code === 'STALE_EPOCH';
}
