/**
 * One run of a cluster by seed: its shape, its faults, a time of trouble, healing, and the verdict.
 *
 *     start ── clients and faults ──► heal ── whole again, in bounded time ──► quiet ──► everything is read and judged
 *
 * The shape and the plan of faults come from the seed before anything begins; a mask leaves parts of them out.
 */

import { below, type Random } from '../../../pods/kernel/random.ts';
import type { Logger } from '../../../pods/kernel/logger.ts';
import type { Mutations } from '../../../pods/kernel/mutations.ts';
import type { Points } from '../../checker/durability.ts';
import type { History } from '../../checker/history.ts';
import { judge, type RunEnd } from '../../checker/judge.ts';
import { checkWritesOfLives, whereAnswered } from '../../checker/lives.ts';
import type { Violation } from '../../checker/violation.ts';
import { tellOfAuthority } from './authority-story.ts';
import { seenIn } from './contents.ts';
import { FaultInjector } from './faults/fault-injector.ts';
import { planFaults, type PlannedFault } from './faults/fault-plan.ts';
import type { FaultKind } from './faults/fault-table.ts';
import { InvariantBroken } from './invariant-broken.ts';
import { Invariants } from './invariants.ts';
import type { MetadataRules } from './metadata-store.ts';
import type { ClusterParts } from './node.ts';
import { collectionName, Workload } from './workload.ts';
import { World } from './world.ts';

/** What a run leaves out of what its seed says. */
export interface Mask {
  readonly kinds: ReadonlySet<FaultKind>;
  /** Numbers of planned faults. */
  readonly faults: ReadonlySet<number>;
  readonly requestCountMax: number;
}

export const noMask: Mask = { kinds: new Set(), faults: new Set(), requestCountMax: Infinity };

export interface RunOptions {
  readonly seed: number;
  readonly parts: ClusterParts;
  readonly mutations: Mutations;
  readonly rules?: MetadataRules;
  readonly mask?: Mask;
  /** These kinds of faults alone, instead of those that the seed chooses. */
  readonly kinds?: readonly FaultKind[];
  /** Stands in for what the seed says. */
  readonly shape?: Partial<Shape>;
  readonly print?: (line: string) => void;
  readonly logger?: (name: string) => Logger;
}

export interface Failure {
  /** What shrinking keeps: the same kind of failure. */
  readonly kind: string;
  readonly message: string;
}

export interface RunReport {
  readonly seed: number;
  readonly hash: string;
  readonly failure: Failure | undefined;
  readonly plan: readonly PlannedFault[];
  readonly story: readonly string[];
  readonly requestCount: number;
  readonly simulatedMs: number;
  readonly eventCount: number;
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  /** What else happened, by name. */
  readonly counts: Readonly<Record<string, number>>;
  /** Which rules and invariants came to be tested. */
  readonly exercised: Readonly<Record<string, number>>;
  /** Of each life of the collection. */
  readonly histories: readonly History[];
}

export interface Shape {
  readonly podCount: number;
  readonly gatewayCount: number;
  readonly controllerCount: number;
  readonly shards: number;
  readonly replicas: number;
  readonly minInSync: number;
  readonly clientCount: number;
  readonly idCount: number;
  readonly meanPauseMs: number;
  readonly forMs: number;
  readonly meanFaultIntervalMs: number;
}

const invariantIntervalMs = 20;
/** Everything has to be there for clients and faults to begin. */
const startMsMax = 120_000;
/** Healing: replicas that were replaced are filled, terms granted, moves done. */
const wholeMsMax = 180_000;
const quietMsMax = 60_000;
const afterHealMs = 3_000;

export function shapeOf(random: Random): Shape {
  const pick = <T>(choices: readonly T[]): T => choices[below(random, choices.length)]!;
  const podCount = 3 + below(random, 3);
  const replicas = pick([2, 3, 3, 3]);
  return {
    podCount,
    gatewayCount: 2,
    controllerCount: pick([1, 1, 2]),
    shards: pick([1, 1, 2]),
    replicas,
    minInSync: pick([1, 2]),
    clientCount: 2 + below(random, 5),
    idCount: 3 + below(random, 10),
    meanPauseMs: pick([20, 50, 200]),
    forMs: pick([20_000, 60_000, 120_000]),
    meanFaultIntervalMs: pick([800, 2_500, 8_000]),
  };
}

export async function runCluster(options: RunOptions): Promise<RunReport> {
  const run = new ClusterRun(options);
  const onRejection = (error: unknown): void => run.world.scheduler.fail(error instanceof Error ? error : new Error(String(error)));
  process.on('unhandledRejection', onRejection);
  try {
    return await run.run();
  } finally {
    process.off('unhandledRejection', onRejection);
  }
}

class NoProgress extends Error {}
class BadHistory extends Error {
  readonly promise: string;

  constructor(promise: string, message: string) {
    super(message);
    this.promise = promise;
  }
}

class ClusterRun {
  readonly world: World;
  readonly #options: RunOptions;
  readonly #mask: Mask;
  readonly #shape: Shape;
  readonly #plan: readonly PlannedFault[];
  readonly #workload: Workload;
  readonly #invariants: Invariants;
  readonly #injector: FaultInjector;
  readonly #authorityRules: Record<string, number>;
  readonly #counts: Record<string, number> = {};

  constructor(options: RunOptions) {
    this.#options = options;
    this.#mask = options.mask ?? noMask;
    const { seed, parts, mutations, rules, print, logger } = options;
    this.world = new World({ seed, parts, mutations, ...(rules === undefined ? {} : { rules }), ...(print === undefined ? {} : { print }), ...(logger === undefined ? {} : { logger }) });
    this.#shape = { ...shapeOf(this.world.fork('shape')), ...options.shape };
    const { shards, replicas, minInSync, clientCount, idCount, meanPauseMs } = this.#shape;
    this.#workload = new Workload(this.world, { shards, replicas, minInSync: Math.min(minInSync, replicas), clientCount, idCount, meanPauseMs, requestCountMax: this.#mask.requestCountMax });
    this.#invariants = new Invariants(this.world);
    this.#workload.onAcknowledged = (shardUID, seq) => this.#invariants.acknowledged(shardUID, seq);
    this.#injector = new FaultInjector(this.world, this.#workload);
    this.#authorityRules = tellOfAuthority(this.world);
    const all = planFaults(this.world.fork('faults'), { forMs: this.#shape.forMs, meanIntervalMs: this.#shape.meanFaultIntervalMs, ...(options.kinds === undefined ? {} : { kinds: options.kinds }) });
    this.#plan = all.filter(({ kind, number }) => !this.#mask.kinds.has(kind) && !this.#mask.faults.has(number));
  }

  async run(): Promise<RunReport> {
    const { scheduler } = this.world;
    let failure: Failure | undefined;
    try {
      let isOver = false;
      let thrown: Error | undefined;
      this.#procedure().then(
        () => (isOver = true),
        (error: unknown) => scheduler.fail((thrown = error as Error)),
      );
      const end = await scheduler.run(() => isOver);
      if (thrown !== undefined) throw thrown;
      if (end !== 'done') throw new NoProgress('nothing is left to happen, but the run has not ended');
    } catch (error) {
      failure = failureOf(error as Error);
      if (this.#invariants.isForked && failure.kind !== 'error') {
        // What one copy alone knew of a store that went back in time is beyond all rules.
        this.world.count('runs that lost data with the metadata');
        return this.#report(undefined);
      }
      for (const line of this.#stateOfReplicas()) this.world.tell('at the end', line);
      this.world.tell('FAILURE', failure.message);
    }
    return this.#report(failure);
  }

  async #procedure(): Promise<void> {
    const { world } = this;
    const { podCount, gatewayCount, controllerCount, forMs } = this.#shape;
    for (let i = 0; i < podCount; i++) world.addNode(`pod-${i}`, 'pod');
    for (let i = 0; i < gatewayCount; i++) world.addNode(`gateway-${i}`, 'gateway');
    for (let i = 0; i < controllerCount; i++) world.addNode(`controller-${i}`, 'controller');
    for (const name of world.allNames) world.start(name);
    this.#checkAgain();
    let isStarted = false;
    this.#workload.start().then(
      () => (isStarted = true),
      (error: unknown) => world.scheduler.fail(error as Error),
    );
    await this.#until(startMsMax, 'the collection is there', () => isStarted);
    this.#injector.schedule(this.#plan);
    await world.scheduler.sleep(forMs);
    this.#injector.healAll();
    await this.#until(wholeMsMax, 'the collection is made anew', () => !this.#workload.isBetweenLives);
    await this.#until(wholeMsMax, 'every shard is whole', () => this.#isLastCopyDamaged() || this.#whyNotWhole());
    if (this.#isLastCopyDamaged()) {
      // Two faults at once: the last copy in sync lies on a disk that has rotted (F1). What clients saw must be right even so.
      world.count('runs that ended on a damaged last copy');
      return this.#judgeHistories(undefined);
    }
    await world.scheduler.sleep(afterHealMs);
    await this.#within(quietMsMax, 'the last requests are answered', this.#workload.stop());
    world.tell('clients', 'are quiet');
    await this.#judge();
  }

  /** For a reader of a failure: what each replica holds, in the store's words and in its own. */
  #stateOfReplicas(): string[] {
    const replicas = this.world.inspect();
    return this.world.store.list('shards').flatMap(({ metadata, spec, status }) => {
      const { term, primary, inSync, configVersion } = status.authority ?? {};
      const members = inSync?.map(({ pod, incarnation }) => `${pod}/${incarnation.slice(0, 4)}`).join(' ');
      const own = replicas.filter(({ shardUID }) => shardUID === metadata.uid).map(({ pod, incarnation, role, serves, term: known, durableSeq, commitSeq, appliedSeq, quarantined }) => {
        return `  ${pod}/${incarnation.slice(0, 4)}: ${role}${serves ? ', serves' : ''}${quarantined ? ', quarantined' : ''}, term ${known}, durable ${durableSeq}, committed ${commitSeq}, applied ${appliedSeq}`;
      });
      return [`${metadata.name} (${metadata.uid.slice(0, 8)}): for ${spec.replicas.join(' ')}, min ${spec.minInSync}; term ${term}, ${primary?.pod} leads, in sync ${members} (v${configVersion})`, ...own];
    });
  }

  // ------------------------------------------------------------ the end

  async #judge(): Promise<void> {
    await this.#until(quietMsMax, 'every replica has applied everything', () => this.#whyNotQuiet());
    const points = await this.#within(quietMsMax, 'every point can be read', this.#readAll());
    const replicasOfShards = await this.#within(quietMsMax, 'every replica can be read', this.#readReplicas());
    this.#judgeHistories({ points, replicasOfShards });
  }

  #judgeHistories(end: RunEnd | undefined): void {
    const { life, lives } = this.#workload;
    throwFirst(checkWritesOfLives(lives));
    for (const [i, history] of whereAnswered(lives).entries()) {
      const { violations, undecided, counts } = judge(history, lives[i] === life ? end : undefined);
      for (const [what, count] of Object.entries(counts)) this.#counts[what] = (this.#counts[what] ?? 0) + count;
      this.#counts['undecided ids'] = (this.#counts['undecided ids'] ?? 0) + undecided.length;
      throwFirst(violations);
    }
  }

  async #readAll(): Promise<Points> {
    const ids = this.#workload.life!.generations.flatMap((generation, place) => Array.from({ length: generation + 1 }, (_, i) => `p${place}.${i}`));
    const linearizable = { level: 'linearizable' } as const;
    const found = await this.#workload.insist('final read', (api, context) => api.points.get(context, collectionName, { ids, consistency: linearizable, includeVector: true, includePayload: true }));
    return new Map(found.flatMap((point) => (point === undefined ? [] : [[this.#workload.recordedId(point.id), seenIn(point)] as const])));
  }

  /** Of each shard, the points of its replicas by pod; each replica's index reaches exactly them. */
  async #readReplicas(): Promise<readonly ReadonlyMap<string, Points>[]> {
    const { store } = this.world;
    return Promise.all(
      store.list('shards').filter(({ spec }) => spec.collection.uid === this.#workload.life!.uid).map(async ({ metadata, status }) => {
        const replicas = new Map<string, Points>();
        for (const { pod } of status.authority!.inSync) {
          const { points, searchableIds } = await this.world.pod(pod)!.readPoints(metadata.uid);
          const ids = points.map(({ id }) => id).sort();
          const found = [...searchableIds].sort();
          if (ids.join() !== found.join()) throw new InvariantBroken(`the index of ${pod} reaches ${found.join()}; its points are ${ids.join()}`);
          replicas.set(pod, new Map(points.map((point) => [this.#workload.recordedId(point.id), seenIn(point)])));
        }
        return replicas;
      }),
    );
  }

  // ------------------------------------------------------------ progress

  /** As long as something is missing, a sentence about it. */
  #whyNotWhole(): string | true {
    const { world } = this;
    const down = world.allNames.find((name) => world.stateOf(name) !== 'up');
    if (down !== undefined) return `${down} is ${world.stateOf(down)}`;
    const [damaged] = this.#injector.damaged;
    if (damaged !== undefined) return `the disk of ${damaged} has not been replaced`;
    const replicas = world.inspect();
    for (const { metadata, spec, status } of world.store.list('shards')) {
      const { authority } = status;
      if (metadata.deletionTimestampMs !== undefined) return `${metadata.name} is being deleted`;
      if (authority === undefined) return `${metadata.name} has no authority`;
      const collection = world.store.list('collections').find((candidate) => candidate.metadata.uid === spec.collection.uid);
      const wanted = collection?.spec.replication.replicas ?? 0;
      if (spec.replicas.length !== wanted) return `${metadata.name} has ${spec.replicas.length} replicas; it should have ${wanted}`;
      if (authority.inSync.length !== wanted) return `${metadata.name} has ${authority.inSync.length} of ${wanted} replicas in sync`;
      const primary = replicas.find(({ pod, shardUID, role }) => role === 'primary' && shardUID === metadata.uid && pod === authority.primary.pod);
      if (primary?.serves !== true || primary.term !== authority.term) return `${authority.primary.pod} does not serve ${metadata.name} in term ${authority.term}`;
    }
    return true;
  }

  #isLastCopyDamaged(): boolean {
    const { damaged } = this.#injector;
    return this.world.store.list('shards').some(({ status }) => status.authority !== undefined && status.authority.inSync.every(({ pod }) => damaged.has(pod)));
  }

  #whyNotQuiet(): string | true {
    const replicas = this.world.inspect();
    for (const { metadata, status } of this.world.store.list('shards')) {
      const { inSync, primary } = status.authority!;
      const { commitSeq } = replicas.find(({ pod, shardUID }) => shardUID === metadata.uid && pod === primary.pod) ?? { commitSeq: Infinity };
      for (const { pod } of inSync) {
        const replica = replicas.find((candidate) => candidate.shardUID === metadata.uid && candidate.pod === pod);
        if (replica?.isReadable !== true) return `${pod} does not know yet that it is in sync for ${metadata.name}`;
        const { appliedSeq } = replica;
        if (appliedSeq < commitSeq) return `${pod} has applied ${metadata.name} to seq ${appliedSeq} of ${commitSeq}`;
      }
    }
    return true;
  }

  async #until(withinMs: number, what: string, holds: () => boolean | string): Promise<void> {
    const { scheduler } = this.world;
    const endMs = scheduler.elapsedMs + withinMs;
    for (let state = holds(); state !== true; state = holds()) {
      if (scheduler.elapsedMs > endMs) throw new NoProgress(`not within ${withinMs / 1_000} s: ${what}${typeof state === 'string' ? `; ${state}` : ''}`);
      await scheduler.sleep(50);
    }
  }

  async #within<T>(withinMs: number, what: string, work: Promise<T>): Promise<T> {
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
    work.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    );
    await this.#until(withinMs, what, () => outcome !== undefined);
    if ('error' in outcome!) throw outcome.error;
    return outcome!.value;
  }

  #checkAgain(): void {
    this.world.scheduler.after(invariantIntervalMs, () => {
      this.#invariants.check();
      this.#checkAgain();
    });
  }

  #report(failure: Failure | undefined): RunReport {
    const { scheduler, network, store, counts, story } = this.world;
    return {
      seed: this.#options.seed,
      hash: scheduler.trace.hash,
      failure,
      plan: this.#plan,
      story,
      requestCount: this.#workload.requestCount,
      simulatedMs: scheduler.elapsedMs,
      eventCount: scheduler.eventCount,
      faults: this.#injector.counts,
      counts: {
        ...counts,
        ...this.#counts,
        'messages sent': network.counts.sent,
        'messages lost': network.counts.lost + network.counts.cut,
        'messages doubled': network.counts.doubled,
        'messages overtaking': network.counts.overtaking,
        'calls': network.counts.calls,
        'calls broken': network.counts.brokenCalls,
        'metadata writes': store.counts.writes,
        'metadata conflicts': store.counts.conflicts,
        'metadata writes refused by G1': store.counts.ruleRefusals,
        'checks of all invariants': this.#invariants.checkCount,
      },
      exercised: { ...this.#authorityRules, ...this.#invariants.exercised },
      histories: this.#workload.lives.map(({ history }) => history),
    };
  }
}

function throwFirst(violations: readonly Violation[]): void {
  const [first] = violations;
  if (first !== undefined) throw new BadHistory(first.promise, `${first.promise}: ${first.what}${violations.length > 1 ? ` (and ${violations.length - 1} more)` : ''}`);
}

function failureOf(error: Error): Failure {
  if (error instanceof InvariantBroken) return { kind: `invariant ${/\([^)]*\)$/.exec(error.message)?.[0] ?? ''}`, message: error.message };
  if (error instanceof BadHistory) return { kind: `history ${error.promise}`, message: error.message };
  if (error instanceof NoProgress) return { kind: 'no progress', message: error.message };
  return { kind: 'error', message: error.stack ?? error.message };
}
