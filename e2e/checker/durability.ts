/**
 * What must hold at the end, after everything healed and every point was read once more: the effect of each acknowledged
 * write is there, unless another may have replaced it; what was deleted stays deleted; the replicas of a shard hold equal
 * points. It needs no order of the operations, so it judges an id also where the search for one gave up.
 */

import { describeSeen } from './explanation.ts';
import type { OperationsById, Seen } from './history.ts';
import type { Violation } from './violation.ts';
import { mayChange, whyImpossible } from './visibility.ts';

/** The points that are there, by id. */
export type Points = ReadonlyMap<string, Seen>;

export function checkFinalState(operationsById: OperationsById, points: Points): Violation[] {
  const ids = new Set([...operationsById.keys(), ...points.keys()]);
  return [...ids].flatMap((id): Violation[] => {
    const why = whyImpossible((operationsById.get(id) ?? []).filter(mayChange), { seen: points.get(id), respondedAt: Infinity, mustSee: () => true });
    return why === undefined ? [] : [{ promise: 'durable', what: `${id}: at the end the point ${why}` }];
  });
}

/** Compares each replica of a shard with the first; replicas by a name for the reader. */
export function checkReplicasEqual(replicas: ReadonlyMap<string, Points>): Violation[] {
  const [first, ...others] = replicas;
  if (first === undefined) return [];
  const [firstName, expected] = first;
  return others.flatMap(([name, points]) => {
    const ids = new Set([...expected.keys(), ...points.keys()]);
    return [...ids].flatMap((id): Violation[] => {
      const [here, there] = [describeSeen(expected.get(id)), describeSeen(points.get(id))];
      return here === there ? [] : [{ promise: 'replicas equal', what: `${id}: ${firstName} holds it as ${here}, ${name} as ${there}` }];
    });
  });
}
