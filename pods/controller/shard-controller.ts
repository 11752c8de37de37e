/**
 * The loop that keeps shards led, placed and recorded. Level-triggered: whatever happens (a report, a watch, a change of
 * the pods) only says which object to look at; each look reads it anew, decides (`pods/control`), and writes at most one
 * compare-and-swap. Several controllers at once do no harm: one of them wins each swap.
 *
 *     probes, watches ─▶ decide from what is known ─▶ queue ─▶ read ─▶ decide ─▶ write ─▶ tell the pods
 */

import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../kernel/clock.ts';
import { hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { noMutations, type Mutations } from '../kernel/mutations.ts';
import { collectionSpec, type CollectionSpec } from '../domain/collection.ts';
import type { PodClient, ReplicaReport } from '../domain/pod-service.ts';
import { reportOfPrimary, type ObservedPod } from '../control/observation.ts';
import { standingStop, type ShardStep } from '../control/shard-facts.ts';
import { nextShardStep } from '../control/shard-step.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { collectionOfShard, shardObjectNames } from '../metadata/object-name.ts';
import { isDeleting, isUpToDate, systemCollectionName, systemLabel, type CollectionHosting, type VectorCollection, type VectorShard } from '../metadata/objects.ts';
import { CollectionWriter, type CollectionOutcome } from './collection-writer.ts';
import { KnownFacts, noCollectionRules, type CollectionRules } from './known-facts.ts';
import { KnownShards } from './known-shards.ts';
import type { PodDirectory } from './pod-directory.ts';
import { PodProber } from './pod-prober.ts';
import { Rebalancer } from './rebalancer.ts';
import { ShardWriter, type StepOutcome } from './shard-writer.ts';
import { SwitchPauses } from './switch-pauses.ts';
import { Unsettled } from './unsettled.ts';
import { WorkQueue } from './work-queue.ts';

export interface ShardControllerOptions {
  readonly metadata: ClusterMetadata;
  readonly pods: PodClient;
  readonly directory: PodDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the system's own collection, which is made at the first start; undefined where somebody else makes it. */
  readonly systemReplication: CollectionSpec['replication'] | undefined;
  /** Where it goes, where there are pools. */
  readonly systemPlacement?: CollectionHosting['placement'];
  readonly rules?: CollectionRules;
  /** Whether replicas move for a better balance, on pods that joined for example. */
  readonly rebalances?: boolean;
  /** Told after each look at a collection, and then the one who writes the conditions of collections. */
  readonly onCollection?: (name: string, outcome: CollectionOutcome) => void;
  /** For the simulator alone. */
  readonly mutations?: Mutations;
}

const soonMsMin = 10;
const conflictDelayMs = 20;
const failureDelayMs = 1_000;
/** Everything that may matter announces itself; this is for what does not. */
const restDelayMs = 10_000;
const shardKey = (name: string): string => `shard/${name}`;
const collectionKey = (name: string): string => `collection/${name}`;

export class ShardController {
  readonly #options: ShardControllerOptions;
  readonly #mutations: Mutations;
  readonly #shards = new KnownShards();
  readonly #collections = new Map<string, VectorCollection>();
  readonly #prober: PodProber;
  readonly #shardWriter: ShardWriter;
  readonly #collectionWriter: CollectionWriter;
  readonly #queue: WorkQueue;
  readonly #facts: KnownFacts;
  readonly #rebalancer: Rebalancer | undefined;
  readonly #switchPauses: SwitchPauses;
  /** How often in a row a key has waited for something that should come soon. */
  readonly #soonCounts = new Map<string, number>();
  /** Keys that will be looked at soon, and what they wait for. */
  readonly #unsettled: Unsettled;
  readonly #unwatch: (() => void)[] = [];
  #isStarted = false;

  constructor(options: ShardControllerOptions) {
    this.#options = options;
    this.#mutations = options.mutations ?? noMutations;
    const { metadata, pods, directory, clock, logger } = options;
    this.#unsettled = new Unsettled(clock);
    this.#switchPauses = new SwitchPauses(clock);
    this.#prober = new PodProber({ pods, clock, onChange: (now, before) => this.#onReport(now, before) });
    const rules = options.rules ?? noCollectionRules;
    this.#facts = new KnownFacts({ clock, directory, prober: this.#prober, shards: this.#shards, collections: this.#collections, rules, rebalanceTo: (shard) => this.#rebalancer?.target(shard) });
    this.#rebalancer = options.rebalances === true ? this.#makeRebalancer(rules) : undefined;
    this.#shardWriter = new ShardWriter({ metadata, pods, prober: this.#prober, clock, logger });
    this.#collectionWriter = new CollectionWriter({
      metadata,
      clock,
      logger,
      placement: (collection) => this.#facts.placement(collection),
      leavesConditions: options.onCollection !== undefined,
      known: (name) => this.#shards.get(name)?.shard,
      reserve: (names) => this.#shards.reserve(names),
      onShard: (shard) => this.#remember(shard, -Infinity),
      isServing: (shard) => this.#isServing(shard),
    });
    this.#queue = new WorkQueue({ clock, inFlightMax: limits.shardStepsInFlightMax, run: (key) => this.#run(key), onIdle: () => this.#unsettled.wake() });
  }

  #makeRebalancer({ heldBecause }: CollectionRules): Rebalancer {
    const { clock, logger } = this.#options;
    return new Rebalancer({
      clock,
      logger,
      shards: () => [...this.#shards.names()].map((name) => this.#shards.get(name)!.shard),
      collectionOf: (shard) => {
        const collection = this.#facts.collectionOf(shard);
        return collection === undefined || heldBecause(collection) !== undefined ? undefined : collection;
      },
      placement: (collection) => this.#facts.placement(collection),
      onMove: (shard) => this.#examine(shard),
    });
  }

  /** Reads everything, makes the system's collection if there is none, and begins. Fails when the store cannot be read; may be tried again then. */
  async start(): Promise<void> {
    const { metadata, directory } = this.#options;
    if (this.#unwatch.length === 0) {
      this.#unwatch.push(
        metadata.shards.watch((name) => this.#onShardChange(name)),
        metadata.collections.watch((name) => this.#onCollectionChange(name)),
        directory.watch(() => this.#isStarted && this.#onPodsChange()),
      );
    }
    const readAtMs = this.#options.clock.monotonicMs();
    const [collections, shards] = await this.#facts.ask(() => Promise.all([metadata.collections.list(), metadata.shards.list()]));
    for (const shard of shards) this.#shards.put({ shard, readAtMs });
    for (const collection of collections) this.#collections.set(collection.metadata.name, collection);
    await this.#ensureSystemCollection();
    this.#isStarted = true;
    this.#prober.start();
    this.#rebalancer?.start();
    this.#onPodsChange();
    for (const name of this.#collections.keys()) this.#enqueue(collectionKey(name));
  }

  /** What the rules say of the collection may have changed. */
  collectionChanged(name: string): void {
    this.#enqueue(collectionKey(name));
    const collection = this.#collections.get(name);
    if (collection !== undefined) for (const shard of shardObjectNames(name, collection.status.routing.generation, collection.spec.shards)) this.#examine(shard);
  }

  /** Something has changed on the pod: asks it now instead of at the next probe. */
  podChanged(name: string): void {
    this.#prober.askSoon(name);
  }

  /**
   * Resolves when all that answers has what it needs: every shard led, every collection ready, or not to be helped for
   * the moment, which is also what nothing has come of for a while.
   */
  settled(signal: AbortSignal): Promise<void> {
    return this.#unsettled.settled(() => this.#queue.isIdle, signal);
  }

  /** What is being waited for, by object; for status and tests. */
  unsettled(): ReadonlyMap<string, string> {
    return this.#unsettled.reasons;
  }

  /** Pods as the controller sees them. */
  pods(): ReadonlyMap<string, ObservedPod> {
    return this.#prober.pods;
  }

  async close(): Promise<void> {
    for (const unwatch of this.#unwatch) unwatch();
    this.#rebalancer?.close();
    this.#prober.close();
    await this.#queue.close();
  }

  async #ensureSystemCollection(): Promise<void> {
    const { systemReplication: replication, systemPlacement: placement } = this.#options;
    if (replication === undefined) return;
    if ([...this.#collections.values()].some(({ metadata }) => metadata.labels[systemLabel] !== undefined)) return;
    try {
      const made = await this.#options.metadata.collections.create({
        metadata: { name: systemCollectionName, labels: { [systemLabel]: 'true' } },
        spec: { ...collectionSpec({ name: systemCollectionName, dimension: 1, index: { type: 'flat' }, replication }), ...(placement === undefined ? {} : { placement }) },
      });
      this.#collections.set(made.metadata.name, made);
    } catch (error) {
      // Another controller was faster; the watch tells.
      if (!hasCode(error, 'CONFLICT')) throw error;
    }
  }

  // What may need a look.

  #onShardChange(name: string): void {
    const seen = this.#options.metadata.shards.peek(name);
    if (seen === undefined) return this.#enqueue(shardKey(name));
    this.#remember(seen, -Infinity);
  }

  #onCollectionChange(name: string): void {
    const [known, seen] = [this.#collections.get(name), this.#options.metadata.collections.peek(name)];
    if (known === undefined || seen === undefined || !isDeepStrictEqual(whatCounts(seen), whatCounts(known))) this.#enqueue(collectionKey(name));
  }

  #onPodsChange(): void {
    const listed = this.#options.directory.list().map(({ name }) => name);
    const wanted = new Set([...listed, ...this.#shards.pods()]);
    for (const name of wanted) this.#prober.know(name);
    for (const name of this.#prober.pods.keys()) if (!wanted.has(name)) this.#prober.forget(name);
    for (const name of this.#shards.names()) this.#examine(name);
    for (const [name, collection] of this.#collections) if (!isUpToDate(collection)) this.#enqueue(collectionKey(name));
  }

  #onReport(now: ObservedPod, before: ObservedPod): void {
    const isOther = now.isSilent !== before.isSilent || now.isReachable !== before.isReachable || now.report?.session !== before.report?.session || now.report?.podUID !== before.report?.podUID;
    if (isOther) {
      if (now.isSilent !== before.isSilent) this.#options.logger.warn({ pod: now.name }, now.isSilent ? 'the pod does not answer' : 'the pod answers');
      for (const name of this.#shards.onPod(now.name)) this.#examine(name);
      // There may be room now for a collection that had none.
      for (const [name, collection] of this.#collections) if (!isUpToDate(collection)) this.#enqueue(collectionKey(name));
    }
    const [replicas, earlier] = [now.report?.replicas, before.report?.replicas];
    if (replicas === undefined || replicas === earlier) return;
    for (const uid of new Set([...replicas.keys(), ...(earlier?.keys() ?? [])])) {
      const name = this.#shards.nameOf(uid);
      if (name !== undefined && isNews(replicas.get(uid), earlier?.get(uid))) this.#examine(name);
    }
  }

  #remember(shard: VectorShard, readAtMs: number): void {
    this.#shards.put({ shard, readAtMs });
    if (!this.#isStarted) return;
    for (const pod of shard.spec.replicas) this.#prober.know(pod);
    this.#examine(shard.metadata.name);
  }

  /** Decides from what is known whether the object is worth a read. */
  #examine(name: string): void {
    const known = this.#shards.get(name);
    if (known === undefined || !this.#isStarted) return;
    const step = nextShardStep(this.#facts.of(known.shard, known.readAtMs, this.#facts.collectionOf(known.shard), false), this.#mutations);
    if (needsNothing(known.shard, step)) {
      this.#rest(name, step);
      const collection = this.#facts.collectionOf(known.shard);
      if (collection !== undefined && !isUpToDate(collection)) this.#enqueue(collectionKey(collection.metadata.name));
    } else if (step.action === 'wait') this.#waitSoon(name, step.because);
    else if (step.action === 'nudge' && this.#soonCounts.has(shardKey(name))) this.#waitSoon(name, step.because);
    else this.#enqueue(shardKey(name), step.action === 'change-spec' || step.action === 'switch' || step.action === 'release' ? 'normal' : 'urgent');
  }

  #enqueue(key: string, priority: 'urgent' | 'normal' = 'normal'): void {
    if (!this.#isStarted) return;
    this.#unsettled.look(key);
    this.#queue.add(key, priority);
  }

  #rest(name: string, step: ShardStep): void {
    const key = shardKey(name);
    this.#soonCounts.delete(key);
    if (step.action === 'wait' || step.action === 'stop') this.#queue.addAfter(key, restDelayMs);
    this.#unsettled.settle(key);
  }

  #waitSoon(name: string, because: string): void {
    const key = shardKey(name);
    const count = this.#soonCounts.get(key) ?? 0;
    this.#soonCounts.set(key, count + 1);
    this.#unsettled.await(key, because);
    for (const pod of this.#shards.get(name)?.shard.spec.replicas ?? []) this.#prober.askSoon(pod);
    this.#queue.addAfter(key, Math.min(soonMsMin * 2 ** Math.min(count, 10), limits.probeIntervalMs));
  }

  // A look.

  async #run(key: string): Promise<void> {
    const slash = key.indexOf('/');
    const name = key.slice(slash + 1);
    try {
      if (key.startsWith('shard/')) await this.#lookAtShard(name);
      else await this.#lookAtCollection(name);
    } catch (error) {
      const isConflict = hasCode(error, 'CONFLICT');
      if (!isConflict) this.#options.logger.warn({ error, object: key }, 'the step failed; looking again');
      this.#unsettled.await(key, 'the last step failed');
      this.#queue.hold(key, isConflict ? conflictDelayMs : failureDelayMs);
    }
  }

  async #lookAtShard(name: string): Promise<void> {
    const { metadata, clock, directory } = this.#options;
    const readAtMs = clock.monotonicMs();
    const shard = await this.#facts.ask(() => metadata.shards.get(name));
    if (shard === undefined) return this.#forgetShard(name);
    const needsCollection = shard.status.authority === undefined || isDeleting(shard);
    const collection = needsCollection ? await metadata.collections.get(collectionOfShard(name)) : this.#facts.collectionOf(shard);
    const { authority } = shard.status;
    const isPrimaryGone = shard.spec.acceptDataLoss !== undefined && authority !== undefined && (await directory.isGone(authority.primary.pod, authority.primary.podUID));
    const step = nextShardStep(this.#facts.of(shard, readAtMs, collection, isPrimaryGone), this.#mutations);
    this.#shards.put({ shard, readAtMs });
    if (needsNothing(shard, step)) return this.#rest(name, step);
    if (step.action === 'wait') {
      // Its UID may not be recorded yet, which is the collection's business.
      if (authority === undefined && collection !== undefined && !collection.status.shards.includes(shard.metadata.uid)) this.#enqueue(collectionKey(collection.metadata.name));
      return this.#waitSoon(name, step.because);
    }
    // What is about to be granted counts already for others that choose a primary now.
    if (step.action === 'bootstrap' || step.action === 'promote') this.#shards.put({ shard: { ...shard, status: { ...shard.status, authority: step.authority } }, readAtMs: -Infinity });
    const outcome = step.action === 'switch' ? await this.#switch(shard, step) : await this.#shardWriter.carryOut(shard, step);
    if (outcome.granted !== undefined) this.#facts.granted(name, outcome.granted);
    if (step.action === 'release') return this.#forgetShard(name);
    if (outcome.shard !== undefined) {
      this.#soonCounts.delete(shardKey(name));
      this.#unsettled.settle(shardKey(name));
      this.#remember(outcome.shard, readAtMs);
    } else if (step.action === 'nudge') this.#waitSoon(name, step.because);
    else this.#unsettled.settle(shardKey(name));
  }

  async #switch(shard: VectorShard, step: ShardStep): Promise<StepOutcome> {
    const { name } = shard.metadata;
    const pauseMs = this.#switchPauses.remainingMs(name);
    if (pauseMs > 0) {
      this.#queue.addAfter(shardKey(name), pauseMs);
      return {};
    }
    let outcome: StepOutcome = {};
    try {
      outcome = await this.#shardWriter.carryOut(shard, step);
    } catch (error) {
      this.#options.logger.info({ error, shard: name }, 'the switchover failed; it is tried again later');
    }
    if (outcome.shard !== undefined) this.#switchPauses.forget(name);
    else this.#queue.addAfter(shardKey(name), this.#switchPauses.failed(name));
    return outcome;
  }

  async #lookAtCollection(name: string): Promise<void> {
    const collection = await this.#facts.ask(() => this.#options.metadata.collections.get(name));
    if (collection === undefined) {
      this.#collections.delete(name);
      return this.#unsettled.settle(collectionKey(name));
    }
    const isNew = this.#collections.get(name)?.metadata.resourceVersion !== collection.metadata.resourceVersion;
    this.#collections.set(name, collection);
    if (isNew) for (const shard of shardObjectNames(name, collection.status.routing.generation, collection.spec.shards)) this.#examine(shard);
    const heldBecause = this.#options.rules?.heldBecause(collection);
    if (heldBecause !== undefined) return this.#unsettled.settle(collectionKey(name));
    const outcome = await this.#collectionWriter.bringUp(collection);
    this.#options.onCollection?.(name, outcome);
    if (outcome.state === 'waiting') {
      // Each change of its shards brings it back; this is for what no change announces.
      this.#unsettled.await(collectionKey(name), outcome.because);
      this.#queue.addAfter(collectionKey(name), restDelayMs);
      return;
    }
    if (outcome.state === 'stuck') this.#queue.addAfter(collectionKey(name), restDelayMs);
    this.#unsettled.settle(collectionKey(name));
  }

  #forgetShard(name: string): void {
    this.#shards.remove(name);
    this.#facts.forget(name);
    this.#switchPauses.forget(name);
    this.#soonCounts.delete(shardKey(name));
    this.#unsettled.settle(shardKey(name));
    this.#enqueue(collectionKey(collectionOfShard(name)));
  }

  async #isServing(shard: VectorShard): Promise<boolean> {
    const { uid } = shard.metadata;
    const authority = shard.status.authority!;
    const replica = reportOfPrimary(shard, this.#prober.pods);
    if (replica?.role !== 'primary' || replica.term !== authority.term || replica.appliedSeq === 0) return false;
    const members = authority.inSync.filter(({ pod }) => this.#prober.pods.get(pod)?.isReachable === true);
    await Promise.all(members.map(({ pod }) => this.#shardWriter.tell(uid, pod)));
    return true;
  }
}

/** Without what others write to say how it is. */
function whatCounts({ metadata, spec, status }: VectorCollection): object {
  const { resourceVersion: _version, ...rest } = metadata;
  const { conditions: _conditions, readyShards: _readyShards, ...own } = status;
  return { metadata: rest, spec, status: own };
}

/** Whether there is nothing to do until something else happens. */
function needsNothing(shard: VectorShard, step: ShardStep): boolean {
  return step.action === 'none' || (step.action === 'wait' && !step.soon) || (step.action === 'stop' && standingStop(shard)?.condition === step.condition);
}

/** Whether a decision may fall differently by it. */
function isNews(now: ReplicaReport | undefined, before: ReplicaReport | undefined): boolean {
  return (
    now?.role !== before?.role ||
    now?.term !== before?.term ||
    now?.incarnation !== before?.incarnation ||
    now?.configVersion !== before?.configVersion ||
    now?.quarantined !== before?.quarantined ||
    (now?.blockedMs ?? 0) >= limits.suspectAfterMs !== (before?.blockedMs ?? 0) >= limits.suspectAfterMs ||
    (now?.appliedSeq ?? 0) > 0 !== (before?.appliedSeq ?? 0) > 0
  );
}
