/**
 * All that an operator does while it leads: the controllers of pools and collections, the shard controller, and which change
 * of which object concerns whom.
 *
 *     informers, watches ──▶ keys ──▶ pool loop, collection loop ──▶ ordinary objects, statuses
 *                        └─▶ shard controller (pods/controller) ───▶ shards: placed, led, moved; failover
 */

import type { CollectionOutcome } from '../../pods/controller/collection-writer.ts';
import { podsOf } from '../../pods/controller/known-shards.ts';
import { ShardController } from '../../pods/controller/shard-controller.ts';
import type { PodClient } from '../../pods/domain/pod-service.ts';
import { sleep, type Clock, type Timer } from '../../pods/kernel/clock.ts';
import { limits } from '../../pods/kernel/limits.ts';
import type { Logger } from '../../pods/kernel/logger.ts';
import type { Random } from '../../pods/kernel/random.ts';
import type { KubeClient } from '../../pods/kube/client.ts';
import type { ClusterMetadata } from '../../pods/metadata/cluster-metadata.ts';
import { collectionOfShard } from '../../pods/metadata/object-name.ts';
import type { VectorCollection, VectorPool, VectorShard } from '../../pods/metadata/objects.ts';
import type { ReachFaultPoint } from '../day2/fault-points.ts';
import { poolOf } from '../desired/dedicated-pool.ts';
import { ordinalOf, poolLabel } from '../desired/names.ts';
import type { PodOptions } from '../desired/pod-template.ts';
import type { ClusterWatch } from '../observe/cluster.ts';
import { isSameNode, isTrue, type SeenObject, type SeenPod } from '../observe/objects.ts';
import { OperatorPodDirectory } from '../observe/pod-directory.ts';
import { ShoalObjects } from '../observe/shoal-objects.ts';
import { ObjectWriter } from '../runtime/apply.ts';
import { ControllerLoop } from '../runtime/controller.ts';
import { Events } from '../runtime/events.ts';
import type { CollectionState } from './collection/collection-state.ts';
import { heldBecause } from './collection/rules.ts';
import { collectionController } from './collection/tasks.ts';
import { vectorCount } from './collection/vector-count.ts';
import type { PoolState } from './pool/pool-state.ts';
import { poolController } from './pool/tasks.ts';

export interface OperatorOptions {
  readonly namespace: string;
  /** Of this process. */
  readonly identity: string;
  /** Writes only while this process leads. */
  readonly client: KubeClient;
  /** Likewise. */
  readonly metadata: ClusterMetadata;
  /** Ready to be looked at: kept up by the process from its start. */
  readonly observed: ClusterWatch;
  readonly pods: PodClient;
  readonly podOptions: PodOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** For suites that end the operator in the middle of a sequence. */
  readonly reach?: ReachFaultPoint;
  readonly onReconciled?: (controller: string, seconds: number, outcome: 'ok' | 'failed') => void;
}

const startRetryMs = 1_000;

export class Operator {
  readonly #options: OperatorOptions;
  readonly #pools: ShoalObjects<VectorPool>;
  readonly #collections: ShoalObjects<VectorCollection>;
  readonly #shards: ShoalObjects<VectorShard>;
  readonly #directory: OperatorPodDirectory;
  readonly #shardController: ShardController;
  readonly #poolLoop: ControllerLoop<PoolState>;
  readonly #collectionLoop: ControllerLoop<CollectionState>;
  /** By collection object: what became of the last attempt to bring its shards up. */
  readonly #outcomes = new Map<string, CollectionOutcome>();
  readonly #unwatch: (() => void)[] = [];
  #countTimer: Timer | undefined;
  readonly #stop = new AbortController();

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { metadata, observed, client, namespace, identity, pods, podOptions, clock, random, logger, onReconciled, reach } = options;
    this.#pools = new ShoalObjects(metadata.pools);
    this.#collections = new ShoalObjects(metadata.collections);
    this.#shards = new ShoalObjects(metadata.shards);
    this.#directory = new OperatorPodDirectory({ observed, pools: this.#pools, client, namespace });
    this.#shardController = new ShardController({
      metadata,
      pods,
      directory: this.#directory,
      clock,
      logger,
      systemReplication: undefined,
      rebalances: true,
      rules: {
        // By name: it counts for pods that are gone, too.
        mayHost: (collection, pod) => ordinalOf(poolOf(collection), pod.name) !== undefined,
        heldBecause: (collection) => heldBecause(collection, this.#collections.list()),
      },
      onCollection: (name, outcome) => this.#onOutcome(name, outcome),
    });
    const writer = new ObjectWriter(client, namespace);
    const nowMs = (): number => clock.nowMs();
    const sources = { metadata, observed, pools: this.#pools, collections: this.#collections, shards: this.#shards, heard: () => this.#shardController.pods(), nowMs };
    const events = new Events({ writer, namespace, identity, clock, logger });
    const common = { clock, random, logger, events };
    const told = (name: string): { readonly onReconciled?: (seconds: number, outcome: 'ok' | 'failed') => void } =>
      onReconciled === undefined ? {} : { onReconciled: (seconds, outcome) => onReconciled(name, seconds, outcome) };
    this.#poolLoop = new ControllerLoop({ ...common, ...told('pool'), controller: poolController(sources, { metadata, writer, podOptions, random, nowMs, ...(reach === undefined ? {} : { reach }) }) });
    this.#collectionLoop = new ControllerLoop({
      ...common,
      ...told('collection'),
      controller: collectionController({ ...sources, outcome: (name) => this.#outcomes.get(name) }, { metadata, writer }),
    });
  }

  /** Begins to work, once everything is known. */
  async start(): Promise<void> {
    const { observed, clock, logger } = this.#options;
    const { signal } = this.#stop;
    const areKnown = (): boolean => observed.missing().length === 0 && this.#pools.isFresh && this.#collections.isFresh && this.#shards.isFresh;
    while (!areKnown()) await sleep(clock, limits.reconcileGatherMs, signal);
    for (;;) {
      signal.throwIfAborted();
      try {
        await this.#shardController.start();
        break;
      } catch (error) {
        logger.warn({ error }, 'the objects cannot be read yet; trying again');
        await sleep(clock, startRetryMs, signal);
      }
    }
    this.#listen();
    this.#countVectors();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'));
    this.#countTimer?.cancel();
    for (const unwatch of this.#unwatch) unwatch();
    await Promise.all([this.#poolLoop.close(), this.#collectionLoop.close()]);
    await this.#shardController.close();
    this.#directory.close();
    for (const objects of [this.#pools, this.#collections, this.#shards]) objects.close();
  }

  /** What changed, and whom that concerns. */
  #listen(): void {
    const { observed } = this.#options;
    const looksAtPool = (_name: string, now: SeenObject | undefined, before: SeenObject | undefined): void => {
      const pool = (now ?? before)?.metadata.labels?.[poolLabel];
      if (pool !== undefined) this.#poolLoop.add(pool);
    };
    const looksAtAllPools = (): void => {
      for (const { metadata } of this.#pools.list()) this.#poolLoop.add(metadata.name);
    };
    this.#unwatch.push(
      this.#pools.onChange((name) => this.#onPool(name)),
      this.#collections.onChange((name, now, before) => this.#onCollection(name, (now ?? before)!)),
      this.#shards.onChange((name, now, before) => this.#onShard(name, now, before)),
      observed.pods.onChange((name, now, before) => {
        looksAtPool(name, now, before);
        this.#onPod(name, now, before);
      }),
      observed.statefulSets.onChange(looksAtPool),
      observed.disruptionBudgets.onChange(looksAtPool),
      observed.claims.onChange(looksAtPool),
      observed.jobs.onChange(looksAtPool),
      observed.services.onChange(looksAtAllPools),
      observed.nodes.onChange((_name, now, before) => {
        if (!isSameNode(now, before)) looksAtAllPools();
      }),
    );
  }

  #onPool(name: string): void {
    this.#poolLoop.add(name);
    for (const collection of this.#collections.list()) if (poolOf(collection) === name) this.#collectionLoop.add(collection.metadata.name);
  }

  #onCollection(name: string, collection: VectorCollection): void {
    this.#collectionLoop.add(name);
    if (this.#collections.get(name) === undefined) this.#outcomes.delete(name);
    // Whose name it is may have changed for others who claim it.
    for (const { metadata, spec } of this.#collections.list()) {
      if (metadata.name === name || spec.name !== collection.spec.name) continue;
      this.#collectionLoop.add(metadata.name);
      this.#shardController.collectionChanged(metadata.name);
    }
  }

  #onShard(name: string, now: VectorShard | undefined, before: VectorShard | undefined): void {
    this.#collectionLoop.add(collectionOfShard(name));
    const pods = new Set([now, before].flatMap((shard) => (shard === undefined ? [] : [...podsOf(shard)])));
    const pools = new Set([...pods].flatMap((pod) => this.#options.observed.pods.get(pod)?.metadata.labels?.[poolLabel] ?? []));
    for (const pool of pools) this.#poolLoop.add(pool);
  }

  /** Shards on a pod are in another state when it comes, goes, or gets ready. */
  #onPod(name: string, now: SeenPod | undefined, before: SeenPod | undefined): void {
    const isReady = (pod: SeenPod | undefined): boolean => isTrue(pod?.status?.conditions, 'Ready');
    if (isReady(now) === isReady(before) && now?.metadata.uid === before?.metadata.uid) return;
    for (const shard of this.#shards.list()) if (podsOf(shard).has(name)) this.#collectionLoop.add(collectionOfShard(shard.metadata.name));
  }

  /** Points come and go without an object that changes. */
  #countVectors(): void {
    this.#countTimer = this.#options.clock.after(limits.vectorCountIntervalMs, () => {
      const shards = Map.groupBy(this.#shards.list(), ({ metadata }) => collectionOfShard(metadata.name));
      for (const { metadata, status } of this.#collections.list()) {
        const count = vectorCount(shards.get(metadata.name) ?? [], this.#shardController.pods());
        if (count !== undefined && count !== status.vectorCount) this.#collectionLoop.add(metadata.name);
      }
      this.#countVectors();
    });
  }

  #onOutcome(name: string, outcome: CollectionOutcome): void {
    const before = this.#outcomes.get(name);
    this.#outcomes.set(name, outcome);
    if (JSON.stringify(before) !== JSON.stringify(outcome)) this.#collectionLoop.add(name);
  }
}
