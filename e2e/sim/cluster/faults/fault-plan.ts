/**
 * What goes wrong in a run, by seed: a plan made beforehand, each fault with a seed of its own for what it hits, so that
 * one can be left out without changing the others.
 */

import type { Random } from '../../../../pods/kernel/random.ts';
import { faultKinds, faultTable, type FaultKind } from './fault-table.ts';

export interface PlannedFault {
  readonly number: number;
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly durationMs: number;
  readonly seed: number;
}

/** Each run knows some kinds only: what is rare beside everything else is common in a run of its own. */
export function planFaults(random: Random, options: { readonly forMs: number; readonly meanIntervalMs: number; readonly kinds?: readonly FaultKind[] }): readonly PlannedFault[] {
  const chosen = options.kinds ?? faultKinds.filter(() => random.fraction() < 0.4);
  // A store that was rolled back forgets which collections were deleted, and nothing is promised about those.
  const present = chosen.filter((kind) => kind !== 'collection made anew' || !chosen.includes('metadata restored'));
  const weightOf = (kind: FaultKind): number => faultTable[kind].weight;
  const total = present.reduce((sum, kind) => sum + weightOf(kind), 0);
  const faults: PlannedFault[] = [];
  if (total === 0) return faults;
  for (let atMs = 0; ; ) {
    atMs += -options.meanIntervalMs * Math.log(1 - random.fraction());
    if (atMs >= options.forMs) return faults;
    let dice = random.fraction() * total;
    const kind = present.find((candidate) => (dice -= weightOf(candidate)) < 0) ?? present[0]!;
    const [min, max] = faultTable[kind].durationMs;
    // Short ones are as frequent as long ones.
    const durationMs = min === 0 ? 0 : min * (max / min) ** random.fraction();
    faults.push({ number: faults.length + 1, kind, atMs: Math.round(atMs), durationMs: Math.round(durationMs), seed: random.uint32() });
  }
}
