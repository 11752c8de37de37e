/**
 * A version is the seq of the log entry that wrote the point, so it names one write of the id for ever: two acknowledged
 * writes never share one, and whoever sees a version, in a replica however far behind, sees what was written under it.
 */

import { describeOperation, describeSeen } from './explanation.ts';
import type { Operation, Seen } from './history.ts';
import type { Violation } from './violation.ts';
import { mayChange, type AcknowledgedWrite } from './visibility.ts';

/** `seen`: what was seen of this id besides by the reads among the operations. */
export function checkVersions(operations: readonly Operation[], seen: readonly Partial<Seen>[] = []): Violation[] {
  const violations: Violation[] = [];
  const report = (what: string): void => void violations.push({ promise: 'versions', what: `${operations[0]!.id}: ${what}` });
  const writers = new Map<number, Operation>();
  for (const operation of operations) {
    if (operation.outcome !== 'ok' || !mayChange(operation)) continue;
    const { version } = (operation as AcknowledgedWrite).answer;
    const other = writers.get(version);
    if (other !== undefined) report(`version ${version} was given to operation ${other.number} (${describeOperation(other)}) and to operation ${operation.number} (${describeOperation(operation)})`);
    else if (version !== 0) writers.set(version, operation);
  }
  const firstSeen = new Map<number, Partial<Seen>>();
  for (const look of [...operations.flatMap(seenBy), ...seen]) {
    if (look.version === undefined) continue;
    const writer = writers.get(look.version);
    if (writer !== undefined && !agree(look, contentOf(writer))) {
      report(`version ${look.version} was seen with ${describeSeen(look)}, but was given to operation ${writer.number} (${describeOperation(writer)})`);
      continue;
    }
    const before = firstSeen.get(look.version);
    if (before === undefined) firstSeen.set(look.version, look);
    else if (!agree(look, before)) report(`version ${look.version} was seen with ${describeSeen(before)} and with ${describeSeen(look)}`);
  }
  return violations;
}

function seenBy(operation: Operation): Seen[] {
  if (operation.outcome !== 'ok' || !('seen' in operation.answer)) return [];
  return operation.answer.seen === undefined ? [] : [operation.answer.seen];
}

function contentOf({ call }: Operation): Partial<Seen> {
  if (call.kind === 'upsert') return call.content;
  return call.kind === 'set-payload' ? { payload: call.payload } : {};
}

function agree(a: Partial<Seen>, b: Partial<Seen>): boolean {
  return (['vector', 'payload'] as const).every((part) => a[part] === undefined || b[part] === undefined || a[part] === b[part]);
}
