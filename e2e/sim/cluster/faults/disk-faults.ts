/** What happens to the bytes of a pod: they are gone, rotten, slow, too many. */

import { below } from '../../../../pods/kernel/random.ts';
import { anyOf } from '../network.ts';
import { aPod, mayLose, survivorCountMin, type Fault } from './fault.ts';

export const diskFaults = {
  'disk replaced': {
    weight: 2,
    durationMs: [0, 0],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      if (!mayLose(world, pod, survivorCountMin)) return undefined;
      world.replace(pod);
      return { what: `${pod} loses its disk` };
    },
  },
  'disk full': {
    weight: 3,
    durationMs: [1_000, 20_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      const machine = world.machine(pod);
      void machine.leaveRoom(below(random, 5_000));
      return { what: `the disk of ${pod} is full`, end: () => machine.repair() };
    },
  },
  'disk slow': {
    weight: 4,
    durationMs: [1_000, 20_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      const machine = world.machine(pod);
      machine.slowness = 10 + 500 * random.fraction();
      return { what: `the disk of ${pod} is ${Math.round(machine.slowness)} times slower`, end: () => void (machine.slowness = 1) };
    },
  },
  'disk errors': {
    weight: 3,
    durationMs: [500, 5_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      // A sync that failed may have lost what it should have kept: such a copy counts as lost until it is in sync again.
      if (!mayLose(world, pod, survivorCountMin)) return undefined;
      const machine = world.machine(pod);
      const kind = anyOf(random, ['writeError', 'syncError', 'readError'] as const);
      machine.disk.faults[kind] = 0.02 + 0.2 * random.fraction();
      return { what: `the disk of ${pod} fails with ${kind}`, end: () => machine.repair() };
    },
  },
  'store errors': {
    weight: 2,
    durationMs: [500, 5_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      const machine = world.machine(pod);
      machine.store?.setFaults(anyOf(random, [{ writeErrors: 0.1 }, { flushErrors: 0.5 }, { readErrors: 0.01 }]));
      return { what: `the store of ${pod} fails`, end: () => machine.repair() };
    },
  },
  'bit rot': {
    weight: 2,
    durationMs: [2_000, 20_000],
    begin: ({ world, random, damaged }) => {
      const pod = aPod(world, random);
      if (!mayLose(world, pod, survivorCountMin)) return undefined;
      void world.machine(pod).rot().then((where) => world.tell(pod, where === undefined ? 'has nothing to rot' : `has a flipped bit: ${where}`));
      // Also one that has not shown its damage yet: it would at any later time.
      return { what: `bits of ${pod} flip`, end: () => damaged(pod) };
    },
  },
} as const satisfies Record<string, Fault>;
