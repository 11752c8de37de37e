/** The whole verdict on a run: every promise about what clients saw, checked on one history. */

import { checkFinalState, checkReplicasEqual, type Points } from './durability.ts';
import type { Operation, Recorded } from './history.ts';
import { checkRegister, tellsOfTheRegister } from './linearizability.ts';
import { checkSearches, checkSessionReads } from './searches.ts';
import { checkVersions } from './versions.ts';
import type { Violation } from './violation.ts';

export interface RunEnd {
  /** Every point of the collection, read linearizably after the run; undefined when the run did not come so far. */
  readonly points?: Points;
  /** Of each shard, the points of its in-sync replicas once they are quiet. */
  readonly replicasOfShards?: readonly ReadonlyMap<string, Points>[];
  readonly stateCountMax?: number;
}

export interface Judgement {
  readonly violations: readonly Violation[];
  /** Ids whose history was too much work to decide: neither right nor wrong. */
  readonly undecided: readonly string[];
  readonly counts: {
    readonly ids: number;
    readonly operations: number;
    readonly acknowledgedWrites: number;
    readonly unknownWrites: number;
    readonly linearizableGets: number;
    readonly searches: number;
    readonly retiredIds: number;
    readonly states: number;
  };
}

export function judge(history: Recorded, { points, replicasOfShards = [], stateCountMax }: RunEnd = {}): Judgement {
  const operationsById = new Map(history.ids.map((id) => [id, history.operationsOf(id)]));
  const violations: Violation[] = history.contradictions.map((what) => ({ promise: 'answered once', what }));
  const hitsById = Map.groupBy(history.searches.flatMap(({ hits }) => hits), ({ id }) => id);
  const undecided: string[] = [];
  let stateCount = 0;
  for (const [id, operations] of operationsById) {
    const verdict = checkRegister(operations, stateCountMax === undefined ? {} : { stateCountMax });
    stateCount += verdict.stateCount;
    if (verdict.kind === 'violation') violations.push({ promise: 'linearizable', what: verdict.explanation });
    if (verdict.kind === 'undecided') undecided.push(id);
    violations.push(...checkVersions(operations, hitsById.get(id)), ...checkSessionReads(operations));
  }
  violations.push(...checkSearches(history.searches, operationsById));
  if (points !== undefined) violations.push(...checkFinalState(operationsById, points));
  violations.push(...replicasOfShards.flatMap(checkReplicasEqual));
  return { violations, undecided, counts: { ...countsOf([...operationsById.values()].flat()), ids: operationsById.size, searches: history.searches.length, retiredIds: history.ids.filter((id) => history.isRetired(id)).length, states: stateCount } };
}

function countsOf(operations: readonly Operation[]): Pick<Judgement['counts'], 'operations' | 'acknowledgedWrites' | 'unknownWrites' | 'linearizableGets'> {
  const count = (matches: (operation: Operation) => boolean): number => operations.filter(matches).length;
  return {
    operations: operations.length,
    acknowledgedWrites: count(({ call, outcome }) => call.kind !== 'get' && outcome === 'ok'),
    unknownWrites: count(({ call, outcome }) => call.kind !== 'get' && outcome === 'unknown'),
    linearizableGets: count((operation) => operation.call.kind === 'get' && tellsOfTheRegister(operation)),
  };
}
