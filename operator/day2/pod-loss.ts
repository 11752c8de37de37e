/**
 * What goes wrong while a pod is away. The rule of everything that takes a pod down: each shard that counts on it keeps at
 * least minInSync members in sync that answer, so that writes and reads go on.
 */

import type { PodFacts, PoolFacts, ShardUse } from './pool-facts.ts';

export interface Loss {
  readonly shard: string;
  readonly because: string;
  /** No other member will ever be enough: the shard needs all of its members. */
  readonly isForGood: boolean;
}

/** The shards that would not have enough members in sync without the pod; none when it may go. */
export function lossesWithout(pod: string, { pods, shards }: Pick<PoolFacts, 'pods' | 'shards'>): Loss[] {
  const serving = new Set(pods.filter(({ isServing }) => isServing).map(({ name }) => name));
  return shards.flatMap((use) => lossOf(pod, use, serving) ?? []);
}

function lossOf(pod: string, { shard, replicas }: ShardUse, serving: ReadonlySet<string>): Loss | undefined {
  const { authority } = shard.status;
  // Before it is begun it holds nothing; a lost one holds nothing that anybody can use.
  if (authority === undefined || shard.status.phase === 'Lost') return undefined;
  const members = authority.inSync.map((member) => member.pod);
  if (!members.includes(pod)) return undefined;
  // A member that is about to be taken out does not count, nor one that does not answer.
  const others = members.filter((name) => name !== pod && serving.has(name) && shard.spec.leaving?.includes(name) !== true);
  const needed = Math.max(1, shard.spec.minInSync);
  if (others.length >= needed) return undefined;
  const { name } = shard.metadata;
  const rest = others.length === 0 ? 'nobody' : others.join(', ');
  return { shard: name, isForGood: replicas <= needed, because: `${name} needs ${needed} in sync, and without ${pod} there is ${rest}` };
}

/** The first few of many, in one sentence. */
export function lossText(losses: readonly Loss[]): string {
  const shown = losses.slice(0, 3).map(({ because }) => because).join('; ');
  return losses.length > 3 ? `${shown}; and ${losses.length - 3} more shards` : shown;
}

/** Names of the shards that the pod leads. */
export function ledBy(pod: string, { shards }: Pick<PoolFacts, 'shards'>): string[] {
  return shards.filter(({ shard }) => shard.status.authority?.primary.pod === pod && shard.status.phase !== 'Lost').map(({ shard }) => shard.metadata.name);
}

/** Whether nothing that serves clients would miss it. */
export function isBroken(pod: PodFacts, facts: Pick<PoolFacts, 'pods' | 'shards'>): boolean {
  return !pod.isReady && !pod.isServing && lossesWithout(pod.name, facts).length === 0;
}
