/**
 * What goes wrong in a run, by seed: a plan made beforehand, each fault with a seed of its own for what it hits, so that
 * one can be left out without changing the others. Everything ends when the world is to heal.
 */

import { below, seededRandom, type Random } from '../../../pods/kernel/random.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { goodMetadata, type MetadataQuality } from './metadata-client.ts';
import { anyOf, goodQuality, type LinkQuality } from './network.ts';
import type { World } from './world.ts';

/** What clients and users do to the whole, beside their reads and writes. */
export interface UserActions {
  /** Deletes the collection and makes one of the same name. */
  recreateCollection(): void;
}

interface Context {
  readonly world: World;
  /** Its bytes are not what was written: somebody shall replace the disk when the fault ends. */
  damaged(pod: string): void;
  readonly random: Random;
  readonly users: UserActions;
}

/** Undefined when there is nothing at the moment that it could hit. */
type Begun = { readonly what: string; readonly end?: () => void } | undefined;

interface Fault {
  readonly weight: number;
  readonly durationMs: readonly [number, number];
  begin(context: Context): Begun;
}

const someone = { name: 'simulated human' };

/** What takes the bytes of a replica must leave this many others, because more may be lost before it is replaced. */
const survivorCountMin = 2;
/** How often somebody looks whether a damaged disk can be replaced. */
const repairIntervalMs = 1_000;

export const faultTable = {
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
      world.weather.cutOff.add(name);
      return { what: `${name} does not reach the metadata store`, end: () => void world.weather.cutOff.delete(name) };
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
      return { what: 'a backup of the metadata is taken', end: () => ((isOver = true), undo?.()) };
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
  'collection made anew': {
    weight: 1,
    durationMs: [0, 0],
    begin: ({ users }) => {
      users.recreateCollection();
      return { what: 'the collection is deleted and made anew' };
    },
  },
} as const satisfies Record<string, Fault>;

export type FaultKind = keyof typeof faultTable;
export const faultKinds = Object.keys(faultTable) as FaultKind[];

export interface PlannedFault {
  readonly number: number;
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly durationMs: number;
  readonly seed: number;
}

/** Each run knows some kinds only: what is rare beside everything else is common in a run of its own. */
export function planFaults(random: Random, options: { readonly forMs: number; readonly meanIntervalMs: number; readonly kinds?: readonly FaultKind[] }): readonly PlannedFault[] {
  const chosen = options.kinds ?? faultKinds.filter(() => random.fraction() < 0.4);
  // A store that was rolled back forgets which collections were deleted, and nothing is promised about those.
  const present = chosen.filter((kind) => kind !== 'collection made anew' || !chosen.includes('metadata restored'));
  const weightOf = (kind: FaultKind): number => faultTable[kind].weight;
  const total = present.reduce((sum, kind) => sum + weightOf(kind), 0);
  const faults: PlannedFault[] = [];
  if (total === 0) return faults;
  for (let atMs = 0; ; ) {
    atMs += -options.meanIntervalMs * Math.log(1 - random.fraction());
    if (atMs >= options.forMs) return faults;
    let dice = random.fraction() * total;
    const kind = present.find((candidate) => (dice -= weightOf(candidate)) < 0) ?? present[0]!;
    const [min, max] = faultTable[kind].durationMs;
    // Short ones are as frequent as long ones.
    const durationMs = min === 0 ? 0 : min * (max / min) ** random.fraction();
    faults.push({ number: faults.length + 1, kind, atMs: Math.round(atMs), durationMs: Math.round(durationMs), seed: random.uint32() });
  }
}

export class FaultInjector {
  /** How often each kind was injected. */
  readonly counts: Partial<Record<FaultKind, number>> = {};
  readonly #world: World;
  readonly #users: UserActions;
  readonly #ends = new Map<PlannedFault, () => void>();
  readonly #damaged = new Set<string>();
  #isOver = false;

  constructor(world: World, users: UserActions) {
    this.#world = world;
    this.#users = users;
  }

  schedule(faults: readonly PlannedFault[]): void {
    for (const fault of faults) this.#world.scheduler.after(fault.atMs, () => this.#begin(fault));
    this.#repairDamaged();
  }

  /** Pods that wait for another disk. */
  get damaged(): ReadonlySet<string> {
    return this.#damaged;
  }

  /** The world heals: everything that lasts ends, everything that is down comes up. */
  healAll(): void {
    this.#isOver = true;
    const world = this.#world;
    world.tell('everything', 'heals');
    for (const fault of [...this.#ends.keys()]) this.#end(fault);
    world.network.healAll();
    world.network.quality = goodQuality;
    for (const name of world.allNames) {
      world.resume(name);
      if (world.stateOf(name) === 'down') world.start(name);
    }
  }

  /** A disk is replaced when the others can fill it again. */
  #repairDamaged(): void {
    const world = this.#world;
    for (const pod of this.#damaged) {
      if (!mayLose(world, pod, this.#isOver ? 1 : survivorCountMin)) continue;
      this.#damaged.delete(pod);
      world.replace(pod);
      break;
    }
    world.scheduler.after(repairIntervalMs, () => this.#repairDamaged());
  }

  #begin(fault: PlannedFault): void {
    if (this.#isOver) return;
    const table: Record<FaultKind, Fault> = faultTable;
    const begun = table[fault.kind].begin({ world: this.#world, random: seededRandom(fault.seed), users: this.#users, damaged: (pod) => void this.#damaged.add(pod) });
    if (begun === undefined) return;
    this.counts[fault.kind] = (this.counts[fault.kind] ?? 0) + 1;
    this.#world.tell(`[${fault.number}]`, `${begun.what}${fault.durationMs > 0 ? `, for ${fault.durationMs} ms` : ''}`);
    if (begun.end === undefined) return;
    this.#ends.set(fault, begun.end);
    this.#world.scheduler.after(fault.durationMs, () => this.#end(fault));
  }

  #end(fault: PlannedFault): void {
    const end = this.#ends.get(fault);
    if (end === undefined) return;
    this.#ends.delete(fault);
    this.#world.tell(`[${fault.number}]`, `${fault.kind} ends`);
    end();
  }
}

// ---------------------------------------------------------------- what is hit

/** Often one that leads. */
function aPod(world: World, random: Random): string {
  const primary = aShard(world, random)?.status.authority?.primary.pod;
  return primary !== undefined && random.fraction() < 0.5 ? primary : anyOf(random, world.names('pod'));
}

function aShard(world: World, random: Random): VectorShard | undefined {
  const shards = world.store.list('shards');
  return shards.length === 0 ? undefined : anyOf(random, shards);
}

/** Whether each shard keeps enough members that are in sync and have their bytes when this pod loses its own. */
function mayLose(world: World, pod: string, survivorCountMin: number): boolean {
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

function crash(world: World, name: string, how: 'kill' | 'power loss'): Begun {
  if (world.stateOf(name) === 'down') return undefined;
  world.crash(name, how);
  return { what: `${name} ends by ${how}` };
}

function cut(world: World, what: string, links: readonly (readonly [string, string])[]): Begun {
  if (links.length === 0) return undefined;
  for (const [from, to] of links) world.network.cut(from, to);
  return { what, end: () => links.forEach(([from, to]) => world.network.heal(from, to)) };
}

function weather(world: World, what: string, change: Partial<LinkQuality>): Begun {
  world.network.quality = { ...world.network.quality, ...change };
  const same = Object.fromEntries(Object.keys(change).map((key) => [key, goodQuality[key as keyof LinkQuality]]));
  return { what, end: () => void (world.network.quality = { ...world.network.quality, ...same }) };
}
