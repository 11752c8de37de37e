/** How many pods the StatefulSet shall have: more at once, fewer only once those that leave are empty. */

import { ordinalOf } from '../desired/names.ts';
import { podsNamedBy, type PoolFacts } from './pool-facts.ts';

export interface ScaleDecision {
  readonly replicas: number;
  readonly because: string;
  /** Pods that have to be empty first. */
  readonly waitsFor: readonly string[];
}

export function decideReplicas(facts: PoolFacts): ScaleDecision {
  const { pool, replicas: wanted, statefulSet, drains } = facts;
  if (statefulSet === undefined) return withoutStatefulSet(facts);
  const present = statefulSet.replicas;
  if (wanted === present) return { replicas: wanted, because: `${wanted} pods are wanted`, waitsFor: [] };
  if (wanted > present) return { replicas: wanted, because: `${wanted} pods are wanted, and there are ${present}`, waitsFor: [] };
  let replicas = present;
  while (replicas > wanted && isEmpty(`${pool}-${replicas - 1}`, facts)) replicas--;
  if (replicas === wanted) return { replicas, because: `${wanted} pods are wanted, and those that leave are empty`, waitsFor: [] };
  const waitsFor = Array.from({ length: replicas - wanted }, (_, i) => `${pool}-${wanted + i}`);
  const last = `${pool}-${replicas - 1}`;
  const drain = drains.find((each) => each.pod === last);
  return { replicas, because: `${wanted} pods are wanted; ${last} is not empty yet${drain === undefined ? '' : `: ${drain.message}`}`, waitsFor };
}

function isEmpty(pod: string, { drains, shards }: PoolFacts): boolean {
  return drains.some((drain) => drain.pod === pod && drain.phase === 'Drained') && !shards.some(({ shard }) => podsNamedBy(shard).has(pod));
}

/** It was removed, perhaps while pods were leaving: none of them may go because it is made anew. */
function withoutStatefulSet({ pool, replicas, pods, shards }: PoolFacts): ScaleDecision {
  const named = shards.flatMap(({ shard }) => [...podsNamedBy(shard)].flatMap((name) => ordinalOf(pool, name) ?? []));
  const held = 1 + Math.max(-1, ...pods.map(({ ordinal }) => ordinal), ...named);
  if (held <= replicas) return { replicas, because: `${replicas} pods are wanted`, waitsFor: [] };
  return { replicas: held, because: `${replicas} pods are wanted, and ${held} are there or hold replicas`, waitsFor: Array.from({ length: held - replicas }, (_, i) => `${pool}-${replicas + i}`) };
}
