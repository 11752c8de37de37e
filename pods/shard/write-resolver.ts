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
  const resolve = <Item extends WriteItem>(items: readonly Item[], effect: (item: Item, prior: PriorPoint | undefined) => [Operation | undefined, OperationResult]): void => {
    items.forEach((item, i) => {
      const prior = priors[i];
      if (!conditionHolds(item.condition, prior)) {
        results.push({ outcome: 'condition-failed', version: prior?.state.version ?? 0 });
        return;
      }
      const [operation, result] = effect(item, prior);
      if (operation !== undefined) operations.push(operation);
      results.push(result);
    });
  };
  switch (write.kind) {
    case 'upsert':
      resolve(write.points, (point, prior) => [
        { kind: 'upsert', id: point.id, version, vector: point.vector, payload: point.payload, text: point.text },
        { outcome: prior === undefined ? 'created' : 'updated', version },
      ]);
      break;
    case 'delete':
      resolve(write.points, (point, prior) =>
        prior === undefined ? [undefined, { outcome: 'not-found', version: 0 }] : [{ kind: 'delete', id: point.id }, { outcome: 'deleted', version: 0 }],
      );
      break;
    case 'change-payload':
      resolve(write.changes, (change, prior) => {
        if (prior === undefined) return [undefined, { outcome: 'not-found', version: 0 }];
        const before: Payload = change.replace === true ? {} : parsePayload(prior.payload!);
        const removed = new Set(change.remove ?? []);
        const after = Object.fromEntries(Object.entries({ ...before, ...change.set }).filter(([key]) => !removed.has(key)));
        return [{ kind: 'set-payload', id: change.id, version, payload: encodePayload(after) }, { outcome: 'updated', version }];
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
