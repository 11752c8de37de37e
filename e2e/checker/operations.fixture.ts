/** Short words for hand-made histories of one id, `p`. A content is one number, written to vector and payload alike. */

import type { Consistency } from '../../pods/domain/consistency.ts';
import type { ItemOutcome } from '../../pods/domain/write.ts';
import type { Condition, Operation, Seen, Settled, WriteCall } from './history.ts';

export const linearizable: Consistency = { level: 'linearizable' };
export const eventual: Consistency = { level: 'eventual' };
export const session = (seq: number): Consistency => ({ level: 'session', tokens: [{ shardUID: 'shard', seq }] });

export const when = (condition: Condition | undefined): { readonly condition?: Condition } => (condition === undefined ? {} : { condition });
export const upsert = (content: number, condition?: Condition): WriteCall => ({ kind: 'upsert', content: { vector: content, payload: content }, ...when(condition) });
export const setPayload = (payload: number, condition?: Condition): WriteCall => ({ kind: 'set-payload', payload, ...when(condition) });
export const remove = (condition?: Condition): WriteCall => ({ kind: 'delete', ...when(condition) });

export const point = (content: number, version: number, payload = content): Seen => ({ vector: content, payload, version });

/** An acknowledged write; its seq is its version unless it has none. */
export function wrote(invokedAt: number, respondedAt: number, call: WriteCall, outcome: ItemOutcome, version = 0, seq = version): Part {
  return { invokedAt, respondedAt, outcome: 'ok', call, answer: { outcome, version, tokens: seq === 0 ? [] : [{ shardUID: 'shard', seq }] } };
}

export function lost(invokedAt: number, call: WriteCall): Part {
  return { invokedAt, respondedAt: Infinity, outcome: 'unknown', call };
}

export function refused(invokedAt: number, respondedAt: number, call: WriteCall): Part {
  return { invokedAt, respondedAt, outcome: 'failed', call };
}

export function got(invokedAt: number, respondedAt: number, seen: Seen | undefined, consistency = linearizable): Part {
  return { invokedAt, respondedAt, outcome: 'ok', call: { kind: 'get', consistency }, answer: { seen } };
}

export type Part = Settled & { readonly invokedAt: number; readonly respondedAt: number; readonly attemptCount?: number };

/** Operations numbered from 1, each of a client of its own. */
export function operationsFrom(parts: readonly Part[], id = 'p'): Operation[] {
  return parts.map((part, i) => ({
    number: i + 1,
    id,
    clientId: `c${i + 1}`,
    requestNumber: 1,
    attemptCount: 1,
    invokedMs: part.invokedAt,
    respondedMs: part.outcome === 'ok' ? part.respondedAt : undefined,
    ...part,
  }));
}
