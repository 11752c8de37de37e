/**
 * Decides on the primary what a write does: conditions against the present state, outcome per item, and the effects to
 * log. Pure: the caller holds the latches of all ids and has read their states.
 */

import { compileFilter } from '../domain/filter-match.ts';
import { encodePayload, type Payload } from '../domain/point.ts';
import type { WriteCondition, OperationResult } from '../domain/write.ts';
import type { Operation } from './operation.ts';
import type { ShardWrite } from '../domain/shard-service.ts';
import { parsePayload, type PointState, type StoredPayload } from './stored-points.ts';

/** What is known of an id before the write. */
export interface PriorPoint {
  readonly state: PointState;
  /** Read only where `needsPayload` said so. */
  readonly payload: StoredPayload | undefined;
}

/** The point part of a write; records are resolved by `resolveRecordWrite`. */
export type PointWrite = Extract<ShardWrite, { kind: 'upsert' | 'delete' | 'change-payload' }>;

export interface ResolvedWrite {
  readonly operations: readonly Operation[];
  readonly results: readonly OperationResult[];
}

interface WriteItem {
  readonly id: string;
  readonly condition?: WriteCondition;
}

export function itemsOf(write: PointWrite): readonly WriteItem[] {
  return write.kind === 'change-payload' ? write.changes : write.points;
}

/** Whether the item's present payload has to be read to decide. */
export function needsPayload(write: PointWrite, item: WriteItem): boolean {
  return write.kind === 'change-payload' || item.condition?.kind === 'matches';
}

/** `version` is that of the points written: the seq of the entry. */
export function resolvePointWrite(write: PointWrite, priors: readonly (PriorPoint | undefined)[], version: number): ResolvedWrite {
  const operations: Operation[] = [];
  const results: OperationResult[] = [];
  /** `effect` adds what an item does to the operations. */
  const resolve = <Item extends WriteItem>(items: readonly Item[], effect: (item: Item, prior: PriorPoint | undefined) => OperationResult): void => {
    items.forEach((item, i) => {
      const prior = priors[i];
      const holds = conditionHolds(item.condition, prior);
      results.push(holds ? effect(item, prior) : { outcome: 'condition-failed', version: prior?.state.version ?? 0 });
    });
  };
  switch (write.kind) {
    case 'upsert': {
      const created: OperationResult = { outcome: 'created', version };
      const updated: OperationResult = { outcome: 'updated', version };
      resolve(write.points, ({ id, vector, payload, text }, prior) => {
        operations.push({ kind: 'upsert', id, version, vector, payload, text });
        return prior === undefined ? created : updated;
      });
      break;
    }
    case 'delete':
      resolve(write.points, (point, prior) => {
        if (prior === undefined) return { outcome: 'not-found', version: 0 };
        operations.push({ kind: 'delete', id: point.id });
        return { outcome: 'deleted', version: 0 };
      });
      break;
    case 'change-payload':
      resolve(write.changes, (change, prior) => {
        if (prior === undefined) return { outcome: 'not-found', version: 0 };
        const before: Payload = change.replace === true ? {} : parsePayload(prior.payload!);
        const removed = new Set(change.remove ?? []);
        const after = Object.fromEntries(Object.entries({ ...before, ...change.set }).filter(([key]) => !removed.has(key)));
        operations.push({ kind: 'set-payload', id: change.id, version, payload: encodePayload(after) });
        return { outcome: 'updated', version };
      });
      break;
  }
  return { operations, results };
}

export function resolveRecordWrite(
  write: Extract<ShardWrite, { kind: 'put-record' | 'delete-record' }>,
  presentVersion: number,
  version: number,
): ResolvedWrite {
  if (write.kind === 'delete-record') {
    return presentVersion === 0
      ? { operations: [], results: [{ outcome: 'not-found', version: 0 }] }
      : { operations: [{ kind: 'delete-record', key: write.key }], results: [{ outcome: 'deleted', version: 0 }] };
  }
  if (write.expectedVersion !== undefined && write.expectedVersion !== presentVersion) {
    return { operations: [], results: [{ outcome: 'condition-failed', version: presentVersion }] };
  }
  return {
    operations: [{ kind: 'put-record', key: write.key, version, value: write.value }],
    results: [{ outcome: presentVersion === 0 ? 'created' : 'updated', version }],
  };
}

function conditionHolds(condition: WriteCondition | undefined, prior: PriorPoint | undefined): boolean {
  switch (condition?.kind) {
    case undefined:
      return true;
    case 'absent':
      return prior === undefined;
    case 'present':
      return prior !== undefined;
    case 'version':
      return (prior?.state.version ?? 0) === condition.version;
    case 'matches':
      return prior !== undefined && compileFilter(condition.filter)(parsePayload(prior.payload!));
  }
}
