/** What users and operators ask of a cluster at any moment: no faults, but work for every rule. */

import { below } from '../../../../pods/kernel/random.ts';
import { anyOf } from '../network.ts';
import { aPod, aShard, type Fault } from './fault.ts';

const someone = { name: 'simulated human' };

export const userFaults = {
  'switchover': {
    weight: 6,
    durationMs: [0, 0],
    begin: ({ world, random }) => {
      const shard = aShard(world, random);
      const { authority } = shard?.status ?? {};
      if (shard === undefined || authority === undefined || authority.inSync.length < 2) return undefined;
      const to = anyOf(random, authority.inSync.filter(({ pod }) => pod !== authority.primary.pod));
      const handover = { id: random.uuid(), term: authority.term, ...(random.fraction() < 0.5 ? { to } : {}) };
      world.store.replaceStatus(someone, 'shards', { ...shard, status: { ...shard.status, handover } });
      return { what: `a switchover of ${shard.metadata.name} is asked for` };
    },
  },
  'move': {
    weight: 4,
    durationMs: [5_000, 60_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      if (world.podFacts().some(({ isDraining }) => isDraining)) return undefined;
      world.setDraining(pod, true);
      return { what: `replicas shall leave ${pod}`, end: () => world.setDraining(pod, false) };
    },
  },
  'membership change': {
    weight: 3,
    durationMs: [0, 0],
    begin: ({ world, random }) => {
      const collections = world.store.list('collections');
      if (collections.length === 0) return undefined;
      const collection = anyOf(random, collections);
      if (collection.metadata.deletionTimestampMs !== undefined) return undefined;
      const replicas = Math.min(world.names('pod').length, 2 + below(random, 3));
      const minInSync = 1 + below(random, Math.min(2, replicas));
      world.store.replace(someone, 'collections', { ...collection, spec: { ...collection.spec, replication: { replicas, minInSync } } });
      return { what: `${collection.metadata.name} wants ${replicas} replicas, ${minInSync} in sync` };
    },
  },
  'minInSync by hand': {
    weight: 1,
    durationMs: [0, 0],
    begin: ({ world, random }) => {
      const shard = aShard(world, random);
      const inSyncCount = shard?.status.authority?.inSync.length;
      if (shard === undefined || inSyncCount === undefined) return undefined;
      // The controller puts it right again; until then W5 counts, whoever wrote it.
      world.store.replace(someone, 'shards', { ...shard, spec: { ...shard.spec, minInSync: inSyncCount + 1 } });
      return { what: `${shard.metadata.name} wants ${inSyncCount + 1} in sync, one more than there are` };
    },
  },
  'collection made anew': {
    weight: 1,
    durationMs: [0, 0],
    begin: ({ users }) => {
      users.recreateCollection();
      return { what: 'the collection is deleted and made anew' };
    },
  },
} as const satisfies Record<string, Fault>;
