/** What a fault is, and what it may hit. */

import type { Random } from '../../../../pods/kernel/random.ts';
import type { VectorShard } from '../../../../pods/metadata/objects.ts';
import { anyOf, goodQuality, type LinkQuality } from '../network.ts';
import type { World } from '../world.ts';

/** What clients and users do to the whole, beside their reads and writes. */
export interface UserActions {
  /** Deletes the collection and makes one of the same name. */
  recreateCollection(): void;
}

export interface Context {
  readonly world: World;
  /** Its bytes are not what was written: somebody shall replace the disk when the fault ends. */
  damaged(pod: string): void;
  readonly random: Random;
  readonly users: UserActions;
}

/** Undefined when there is nothing at the moment that it could hit. */
export type Begun = { readonly what: string; readonly end?: () => void } | undefined;

export interface Fault {
  readonly weight: number;
  readonly durationMs: readonly [number, number];
  begin(context: Context): Begun;
}

/** What takes the bytes of a replica must leave this many others, because more may be lost before it is replaced. */
export const survivorCountMin = 2;

// ---------------------------------------------------------------- what is hit

/** Often one that leads. */
export function aPod(world: World, random: Random): string {
  const primary = aShard(world, random)?.status.authority?.primary.pod;
  return primary !== undefined && random.fraction() < 0.5 ? primary : anyOf(random, world.names('pod'));
}

export function aShard(world: World, random: Random): VectorShard | undefined {
  const shards = world.store.list('shards');
  return shards.length === 0 ? undefined : anyOf(random, shards);
}

/** Whether each shard keeps enough members that are in sync and have their bytes when this pod loses its own. */
export function mayLose(world: World, pod: string, survivorCountMin: number): boolean {
  const replicas = world.inspect();
  return world.store.list('shards').every(({ metadata, status }) => {
    const inSync = status.authority?.inSync ?? [];
    if (!inSync.some((member) => member.pod === pod)) return true;
    const survivors = inSync.filter((member) => {
      const replica = replicas.find((candidate) => candidate.shardUID === metadata.uid && candidate.pod === member.pod);
      return member.pod !== pod && replica?.incarnation === member.incarnation && !replica.quarantined;
    });
    return survivors.length >= survivorCountMin;
  });
}

export function crash(world: World, name: string, how: 'kill' | 'power loss'): Begun {
  if (world.stateOf(name) === 'down') return undefined;
  world.crash(name, how);
  return { what: `${name} ends by ${how}` };
}

export function cut(world: World, what: string, links: readonly (readonly [string, string])[]): Begun {
  if (links.length === 0) return undefined;
  for (const [from, to] of links) world.network.cut(from, to);
  return { what, end: () => links.forEach(([from, to]) => world.network.heal(from, to)) };
}

export function weather(world: World, what: string, change: Partial<LinkQuality>): Begun {
  world.network.quality = { ...world.network.quality, ...change };
  const same = Object.fromEntries(Object.keys(change).map((key) => [key, goodQuality[key as keyof LinkQuality]]));
  return { what, end: () => void (world.network.quality = { ...world.network.quality, ...same }) };
}
