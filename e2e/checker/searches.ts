/**
 * Whether searches and session reads showed what they promise. A linearizable search sees, shard by shard, every write
 * acknowledged before it began; one with tokens sees every write whose tokens they cover; any search shows only what a
 * write that was sent before its answer can have left, and no id twice.
 */

import type { Consistency } from '../../pods/domain/consistency.ts';
import type { Operation, OperationsById, Search } from './history.ts';
import type { Violation } from './violation.ts';
import { mayChange, whyImpossible, type AcknowledgedWrite } from './visibility.ts';

export function checkSearches(searches: readonly Search[], operationsById: OperationsById): Violation[] {
  const writesById = writesOf(operationsById);
  return searches.flatMap((search) => checkSearch(search, writesById));
}

/** The gets of one id that are not linearizable; those that are belong to `checkRegister`. */
export function checkSessionReads(operations: readonly Operation[]): Violation[] {
  const writes = operations.filter(mayChange);
  return operations.flatMap((operation) => checkSessionRead(operation, writes));
}

/** Those of each id that changed it, or may have. */
export function writesOf(operationsById: OperationsById): OperationsById {
  return new Map(Array.from(operationsById, ([id, operations]) => [id, operations.filter(mayChange)]));
}

export function checkSearch(search: Search, writesById: OperationsById): Violation[] {
  const { number, hits, complete, consistency, invokedAt, respondedAt } = search;
  const mustSee = visibilityOf(consistency, invokedAt);
  const found = new Set(hits.map(({ id }) => id));
  const violations: Violation[] = [];
  const report = (id: string, what: string): void => void violations.push({ promise: 'searches', what: `${id}: ${consistency.level} search ${number} of ${search.clientId} at ${search.invokedMs} ms ${what}` });
  if (found.size < hits.length) {
    const ids = hits.map(({ id }) => id);
    report(ids.find((id, i) => ids.indexOf(id) < i)!, `has it twice among ${ids.length} hits`);
  }
  for (const { id, ...seen } of hits) {
    const why = whyImpossible(writesById.get(id) ?? [], { seen, respondedAt, mustSee });
    if (why !== undefined) report(id, why);
  }
  if (!complete) return violations;
  for (const [id, writes] of writesById) {
    const why = found.has(id) ? undefined : whyImpossible(writes, { seen: undefined, respondedAt, mustSee });
    if (why !== undefined) report(id, `does not have it: it ${why}`);
  }
  return violations;
}

/** `writes` are those of the same id. Nothing is said of what is no such get. */
export function checkSessionRead(operation: Operation, writes: readonly Operation[]): Violation[] {
  if (operation.call.kind !== 'get' || operation.outcome !== 'ok' || !('seen' in operation.answer)) return [];
  const { consistency } = operation.call;
  if (consistency.level === 'linearizable') return [];
  const why = whyImpossible(writes, { seen: operation.answer.seen, respondedAt: operation.respondedAt, mustSee: visibilityOf(consistency, operation.invokedAt) });
  return why === undefined ? [] : [{ promise: 'session reads', what: `${operation.id}: ${consistency.level} get ${operation.number} of ${operation.clientId} at ${operation.invokedMs} ms ${why}` }];
}

function visibilityOf(consistency: Consistency, invokedAt: number): (write: AcknowledgedWrite) => boolean {
  switch (consistency.level) {
    case 'eventual':
      return () => false;
    case 'linearizable':
      return (write) => write.respondedAt < invokedAt;
    case 'session': {
      const seqOf = new Map(consistency.tokens.map(({ shardUID, seq }) => [shardUID, seq]));
      // A batch's write has the tokens of all its shards, and the id's own is one of them.
      return ({ answer: { tokens } }) => tokens.length > 0 && tokens.every(({ shardUID, seq }) => seq <= (seqOf.get(shardUID) ?? 0));
    }
  }
}
