/** What happens to the metadata store, and between it and the processes. */

import { below } from '../../../../pods/kernel/random.ts';
import { goodMetadata, type MetadataQuality } from '../metadata-client.ts';
import { anyOf } from '../network.ts';
import { aPod, aShard, type Fault } from './fault.ts';

export const metadataFaults = {
  'metadata outage': {
    weight: 4,
    durationMs: [1_000, 40_000],
    begin: ({ world }) => {
      world.weather.isDown = true;
      return { what: 'the metadata store is down', end: () => void (world.weather.isDown = false) };
    },
  },
  'metadata cut off': {
    weight: 5,
    durationMs: [1_000, 30_000],
    begin: ({ world, random }) => {
      const name = random.fraction() < 0.6 ? aPod(world, random) : anyOf(random, world.allNames);
      return { what: `${name} does not reach the metadata store`, end: world.weather.cutOff.hold(name) };
    },
  },
  'metadata trouble': {
    weight: 8,
    durationMs: [1_000, 20_000],
    begin: ({ world, random }) => {
      const quality: MetadataQuality = {
        ...goodMetadata,
        latencyMsMean: 1 + 300 * random.fraction(),
        lostRequest: 0.1 * random.fraction(),
        lostAnswer: 0.3 * random.fraction(),
        lateRequest: 0.3 * random.fraction(),
        overload: 0.1 * random.fraction(),
        watchBreak: 0.3 * random.fraction(),
        watchDelayMsMean: 1 + 500 * random.fraction(),
      };
      world.weather.quality = quality;
      return { what: 'the metadata store answers badly', end: () => void (world.weather.quality = goodMetadata) };
    },
  },
  'late metadata writes': {
    weight: 3,
    durationMs: [5_000, 30_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      const delay = (writer: string): boolean => writer === pod && random.fraction() < 0.7;
      world.weather.delays.add(delay);
      return { what: `writes of ${pod} to the metadata store land after their time-out`, end: () => void world.weather.delays.delete(delay) };
    },
  },
  'stale watch': {
    weight: 4,
    durationMs: [1_000, 30_000],
    begin: ({ world, random }) => {
      const name = anyOf(random, world.allNames);
      const ms = 500 + below(random, 20_000);
      world.weather.staleMs.set(name, ms);
      return { what: `watches of ${name} are ${ms} ms late`, end: () => void world.weather.staleMs.delete(name) };
    },
  },
  'metadata conflicts': {
    weight: 3,
    durationMs: [500, 5_000],
    begin: ({ world, random }) => {
      let isOver = false;
      const touch = (): void => {
        if (isOver) return;
        const shard = aShard(world, random);
        if (shard !== undefined) world.store.touch('shards', shard.metadata.name);
        world.scheduler.after(200 * random.fraction(), touch);
      };
      touch();
      return { what: 'somebody touches the shards\u2019 objects', end: () => void (isOver = true) };
    },
  },
  'metadata restored': {
    weight: 1,
    durationMs: [5_000, 30_000],
    begin: ({ world, random }) => {
      if (world.weather.isBeingRestored) return undefined;
      world.weather.isBeingRestored = true;
      const backup = world.store.backup();
      let undo: (() => void) | undefined;
      const delayMs = 1_000 + below(random, 20_000);
      let isOver = false;
      world.scheduler.after(delayMs, () => {
        if (isOver) return;
        const lost = world.store.backup();
        world.store.restore(backup, { raiseVersions: random.fraction() < 0.5 });
        world.tell('metadata', `is restored from a backup that is ${delayMs} ms old`);
        undo = () => {
          world.store.putBack(lost, backup);
          world.tell('metadata', 'gets back what the restore lost');
        };
      });
      return { what: 'a backup of the metadata is taken', end: () => ((isOver = true), (world.weather.isBeingRestored = false), undo?.()) };
    },
  },
} as const satisfies Record<string, Fault>;
