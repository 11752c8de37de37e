/** What is done to the cluster and in which order, by seed alone. */

import { below, type Random } from '../../../../pods/kernel/random.ts';
import { faultKinds, type Fault, type FaultKind } from './faults.ts';

export interface Step {
  /** At the same time; of an outage of the API server, in its second half. */
  readonly faults: readonly Fault[];
  readonly apiOutageMs: number;
  /** Whether all replicas must be in sync again before the next step; otherwise that one comes as soon as this is over. */
  readonly isWaitedFor: boolean;
  readonly pauseMs: number;
}

/** All kinds, each against a primary or a backup, two pairs, and an outage of the API server: a deck of which longer runs take several. */
export const apiOutageMs = 60_000;
const pairCount = 2;

export function deckOf(random: Random, shardCount: number): Step[] {
  const victim = (): Fault['victim'] => ({ shard: below(random, shardCount), role: random.fraction() < 0.7 ? 'primary' : 'backup', choice: below(random, 1_000) });
  const fault = (kind: FaultKind): Fault => ({ kind, victim: victim(), lengthMs: lengthMs(random, kind) });
  const step = (faults: readonly Fault[], apiOutageMs = 0): Step => ({ faults, apiOutageMs, isWaitedFor: random.fraction() < 0.7, pauseMs: 200 + below(random, 1_000) });
  const steps = faultKinds.map((kind) => step([fault(kind)]));
  for (let i = 0; i < pairCount; i++) steps.push(step([fault(kindThatKeepsDisks(random)), fault(kindThatKeepsDisks(random))]));
  steps.push(step([fault(random.fraction() < 0.5 ? 'kill -9' : 'stopped')], apiOutageMs));
  return shuffled(random, steps);
}

/** A disk that is lost while another copy is out of sync may be the second-last: that is promised for one at a time. */
function kindThatKeepsDisks(random: Random): FaultKind {
  const kinds = faultKinds.filter((kind) => kind !== 'disk wiped');
  return kinds[below(random, kinds.length)]!;
}

/** A stop goes past every time-out: 10 s is the longest that anyone waits for a pod whose connections are open. */
function lengthMs(random: Random, kind: FaultKind): number {
  switch (kind) {
    case 'kill -9':
    case 'disk wiped':
      return below(random, 4_000);
    case 'stopped':
      return 3_000 + below(random, 9_000);
    default:
      return 2_500 + below(random, 4_000);
  }
}

function shuffled<T>(random: Random, values: readonly T[]): T[] {
  const left = [...values];
  const shuffledValues: T[] = [];
  while (left.length > 0) shuffledValues.push(...left.splice(below(random, left.length), 1));
  return shuffledValues;
}
