/**
 * Faults that wait for their moment: a change of the set in sync is under way, and those who take part in it lose sight
 * of each other. By chance alone that is rare, because a change takes milliseconds.
 */

import type { StoredObject } from '../../../../pods/metadata/cluster-metadata.ts';
import type { ShardMember, VectorShard } from '../../../../pods/metadata/objects.ts';
import type { Kind } from '../metadata-store.ts';
import { anyOf } from '../network.ts';
import { cut, type Fault } from './fault.ts';

export const changeFaults = {
  /** A primary asks to add a member; the request lands after its time-out, and the member is not heard any more. */
  'add lands late': {
    weight: 3,
    durationMs: [8_000, 30_000],
    begin: ({ world, random }) => {
      let heal: (() => void) | undefined;
      let joiner: string | undefined;
      const silence = (pod: string): void => {
        const others = world.allNames.filter((name) => name !== pod);
        heal = cut(world, '', others.flatMap((other) => [[pod, other], [other, pod]] as const))?.end;
        world.tell(pod, 'is joining, and cut off');
      };
      const delay = (_: string, kind: Kind, sent: StoredObject): boolean => {
        const stored = kind === 'shards' ? world.store.get('shards', sent.metadata.name) : undefined;
        const added = joiner === undefined && stored !== undefined ? addedMember(stored, sent as VectorShard) : undefined;
        if (added === undefined) return false;
        joiner = added.pod;
        world.scheduler.after(1_000 * random.fraction(), () => world.weather.delays.has(delay) && silence(added.pod));
        return true;
      };
      world.weather.delays.add(delay);
      return { what: 'the next one that is added falls silent, and the request lands late', end: () => (world.weather.delays.delete(delay), heal?.()) };
    },
  },
  /**
   * A member is added, and those who were in sync before do not learn of it: neither from the store nor from the new
   * member, which the controllers still reach. Gateways reach both sides; one of them does not reach the store either.
   */
  'add lands unseen': {
    weight: 3,
    durationMs: [10_000, 30_000],
    begin: ({ world, random }) => {
      const known = new Map(world.store.list('shards').map((shard) => [shard.metadata.uid, shard]));
      const ends: (() => void)[] = [];
      const unwatch = world.store.onChange({
        reset: () => known.clear(),
        changed: (kind, _, object) => {
          if (kind !== 'shards' || object === undefined) return;
          const shard = object as VectorShard;
          const before = known.get(shard.metadata.uid);
          known.set(shard.metadata.uid, shard);
          if (ends.length > 0 || before === undefined || addedMember(before, shard) === undefined) return;
          const old = before.status.authority!.inSync.map(({ pod }) => pod);
          const rest = [...world.names('pod').filter((pod) => !old.includes(pod)), ...world.names('controller')];
          const parted = cut(world, '', old.flatMap((a) => rest.flatMap((b) => [[a, b], [b, a]] as const)));
          if (parted?.end !== undefined) ends.push(parted.end);
          const gateway = anyOf(random, world.names('gateway'));
          for (const name of [...old, gateway]) ends.push(world.weather.cutOff.hold(name));
          world.tell(shard.metadata.name, `has a new member, which ${old.join(', ')} do not hear of`);
        },
      });
      return { what: 'those in sync do not hear of the next one that is added', end: () => (unwatch(), ends.forEach((end) => end())) };
    },
  },
} as const satisfies Record<string, Fault>;

function addedMember(before: VectorShard, after: VectorShard): ShardMember | undefined {
  const [old, next] = [before.status.authority, after.status.authority];
  if (old === undefined || next?.term !== old.term) return undefined;
  return next.inSync.find(({ incarnation }) => !old.inSync.some((member) => member.incarnation === incarnation));
}
