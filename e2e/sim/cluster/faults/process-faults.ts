/** What happens to processes: they end, stop for a while, or have a wrong idea of time. */

import { anyOf } from '../network.ts';
import { aPod, crash, type Fault } from './fault.ts';

export const processFaults = {
  'kill': {
    weight: 10,
    durationMs: [0, 0],
    begin: ({ world, random }) => crash(world, aPod(world, random), 'kill'),
  },
  'power loss': {
    weight: 6,
    durationMs: [0, 0],
    begin: ({ world, random }) => crash(world, aPod(world, random), 'power loss'),
  },
  'power loss of all': {
    weight: 1,
    durationMs: [0, 0],
    begin: ({ world }) => {
      for (const pod of world.names('pod')) world.crash(pod, 'power loss');
      return { what: 'all pods lose power' };
    },
  },
  'pod down': {
    weight: 5,
    durationMs: [1_000, 30_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      if (world.stateOf(pod) !== 'up') return undefined;
      world.crash(pod, 'power loss', { holdDown: true });
      return { what: `${pod} is down`, end: () => void (world.stateOf(pod) === 'down' && world.start(pod)) };
    },
  },
  'restart': {
    weight: 4,
    durationMs: [0, 0],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      if (world.stateOf(pod) !== 'up') return undefined;
      world.stop(pod, { graceMs: 30_000 });
      return { what: `${pod} is restarted in order` };
    },
  },
  'pause': {
    weight: 8,
    durationMs: [50, 15_000],
    begin: ({ world, random }) => {
      const name = random.fraction() < 0.8 ? aPod(world, random) : anyOf(random, world.allNames);
      if (world.stateOf(name) !== 'up' || world.isPaused(name)) return undefined;
      world.pause(name);
      return { what: `${name} is paused`, end: () => world.resume(name) };
    },
  },
  'clock rate': {
    weight: 4,
    durationMs: [5_000, 60_000],
    begin: ({ world, random }) => {
      const name = anyOf(random, world.allNames);
      const rate = anyOf(random, [0.5, 0.8, 1.25, 2]);
      world.setClockRate(name, rate);
      return { what: `the clock of ${name} runs at ${rate}`, end: () => world.setClockRate(name, 1) };
    },
  },
  'clock jump': {
    weight: 2,
    durationMs: [0, 0],
    begin: ({ world, random }) => {
      const name = anyOf(random, world.allNames);
      const byMs = anyOf(random, [-3_600_000, -10_000, 10_000, 3_600_000]);
      world.jumpWallClock(name, byMs);
      return { what: `the wall clock of ${name} jumps by ${byMs / 1_000} s` };
    },
  },
  'gateway crash': {
    weight: 3,
    durationMs: [0, 0],
    begin: ({ world, random }) => crash(world, anyOf(random, world.names('gateway')), 'kill'),
  },
  'controller crash': {
    weight: 3,
    durationMs: [0, 0],
    begin: ({ world, random }) => crash(world, anyOf(random, world.names('controller')), 'kill'),
  },
} as const satisfies Record<string, Fault>;
