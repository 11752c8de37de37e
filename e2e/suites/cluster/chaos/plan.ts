/** What is done to the cluster and in which order, by seed alone. */

import { below, type Random } from '../../../../pods/kernel/random.ts';
import { podFaultKinds, type Fault, type PodFaultKind, type PodVictim } from './faults.ts';

export interface Step {
  /** At the same time; of an outage of the API server, in its second half. */
  readonly faults: readonly Fault[];
  readonly apiOutageMs: number;
  /** Whether all replicas must be in sync again before the next step; otherwise that one comes as soon as this is over. */
  readonly isWaitedFor: boolean;
  readonly pauseMs: number;
}

/**
 * All kinds, each against a primary or a backup; two pairs; each gateway and the controller, killed and stopped; an outage of
 * the API server: a deck of which longer runs take several.
 */
export const apiOutageMs = 60_000;
const pairCount = 2;
const longStop = 'stopped past every time-out';

export function deckOf(random: Random, shardCount: number, gatewayCount: number): Step[] {
  const victim = (role?: PodVictim['role']): PodVictim => ({
    shard: below(random, shardCount),
    role: role ?? (random.fraction() < 0.7 ? 'primary' : 'backup'),
    choice: below(random, 1_000),
  });
  const fault = (kind: PodFaultKind, role?: PodVictim['role']): Fault => ({ kind, victim: victim(role), lengthMs: lengthMs(random, kind) });
  const step = (faults: readonly Fault[], apiOutageMs = 0): Step => ({ faults, apiOutageMs, isWaitedFor: random.fraction() < 0.7, pauseMs: 200 + below(random, 1_000) });
  const steps = podFaultKinds.filter((kind) => kind !== longStop).map((kind) => step([fault(kind)]));
  for (let i = 0; i < pairCount; i++) steps.push(step([fault(shortKind(random)), fault(shortKind(random))]));
  for (let gateway = 0; gateway < gatewayCount; gateway++) steps.push(step([{ kind: 'gateway killed', gateway, lengthMs: 1_000 + shortMs(random) }]));
  // Nobody follows the primary until the controller is back.
  steps.push(step([{ kind: 'controller killed', lengthMs: shortMs(random) }, fault('kill -9', 'primary')]));
  // Which needs no controller, unless the pod leads the other shard.
  steps.push(step([{ kind: 'controller stopped', lengthMs: lengthMs(random, 'stopped') }, fault('kill -9', 'backup')]));
  steps.push(step([{ kind: 'gateway stopped past every time-out', gateway: below(random, gatewayCount), lengthMs: longMs(random) }, fault(longStop)]));
  steps.push(step([fault(random.fraction() < 0.5 ? 'kill -9' : 'stopped')], apiOutageMs));
  return shuffled(random, steps);
}

/** A disk that is lost while another copy is out of sync may be the second-last: that is promised for one at a time. */
function shortKind(random: Random): PodFaultKind {
  const kinds = podFaultKinds.filter((kind) => kind !== 'disk wiped' && kind !== longStop);
  return kinds[below(random, kinds.length)]!;
}

function lengthMs(random: Random, kind: PodFaultKind): number {
  switch (kind) {
    case 'kill -9':
    case 'disk wiped':
      return shortMs(random);
    case 'stopped':
      return 3_000 + below(random, 9_000);
    case longStop:
      return longMs(random);
    default:
      return 2_500 + below(random, 4_000);
  }
}

function shortMs(random: Random): number {
  return below(random, 4_000);
}

/** The router tries for 15 s, clients wait for 20 s, and nobody waits longer for a process whose connections are open. */
function longMs(random: Random): number {
  return 25_000 + below(random, 5_000);
}

function shuffled<T>(random: Random, values: readonly T[]): T[] {
  const left = [...values];
  const shuffledValues: T[] = [];
  while (left.length > 0) shuffledValues.push(...left.splice(below(random, left.length), 1));
  return shuffledValues;
}
