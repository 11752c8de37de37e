/** What happens between processes: messages are cut off, lost, doubled, late. */

import { anyOf } from '../network.ts';
import { aPod, cut, weather, type Fault } from './fault.ts';

export const networkFaults = {
  'pod cut off': {
    weight: 8,
    durationMs: [200, 20_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      const others = world.allNames.filter((name) => name !== pod);
      return cut(world, `${pod} is cut off`, others.flatMap((other) => [[pod, other], [other, pod]] as const));
    },
  },
  'one-way cut': {
    weight: 8,
    durationMs: [200, 20_000],
    begin: ({ world, random }) => {
      const pod = aPod(world, random);
      const others = random.fraction() < 0.5 ? [anyOf(random, world.allNames.filter((name) => name !== pod))] : world.allNames.filter((name) => name !== pod);
      const isOut = random.fraction() < 0.5;
      return cut(world, `${pod} is not ${isOut ? 'heard by' : 'reached by'} ${others.join(', ')}`, others.map((other) => (isOut ? [pod, other] : [other, pod])));
    },
  },
  'pods split': {
    weight: 4,
    durationMs: [200, 20_000],
    begin: ({ world, random }) => {
      const side = world.allNames.filter(() => random.fraction() < 0.5);
      const other = world.allNames.filter((name) => !side.includes(name));
      return cut(world, `${side.join(', ')} | ${other.join(', ')}`, side.flatMap((a) => other.flatMap((b) => [[a, b], [b, a]] as const)));
    },
  },
  'lossy network': {
    weight: 6,
    durationMs: [500, 20_000],
    begin: ({ world, random }) => weather(world, 'lossy network', { loss: 0.02 + 0.2 * random.fraction(), duplication: 0.1 * random.fraction(), reordering: 0.2 * random.fraction() }),
  },
  'slow network': {
    weight: 4,
    durationMs: [500, 20_000],
    begin: ({ world, random }) => weather(world, 'slow network', { delayMsMean: 5 + 100 * random.fraction(), slowFraction: 0.05, slowMsMax: 3_000, reordering: 0.1 * random.fraction() }),
  },
} as const satisfies Record<string, Fault>;
