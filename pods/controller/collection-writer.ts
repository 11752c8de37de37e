/**
 * Brings a collection to what its spec wants: shard objects made and recorded (rule B1), their finalizers, the collection's
 * own phase, and its end. Shards are brought up one by one elsewhere.
 */

import type { Clock } from '../kernel/clock.ts';
import type { Logger } from '../kernel/logger.ts';
import { splitHashSpace } from '../domain/hash-range.ts';
import { decideShardObject } from '../control/bootstrap.ts';
import { placeReplicas, type PlacementFacts } from '../control/placement.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { shardObjectNames } from '../metadata/object-name.ts';
import { collectionFinalizer, collectionLabel, isDeleting, isUpToDate, shardFinalizer, type Condition, type VectorCollection, type VectorShard } from '../metadata/objects.ts';

export interface CollectionWriterOptions {
  readonly metadata: ClusterMetadata;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly placement: (collection: VectorCollection) => PlacementFacts;
  /** As last read; undefined when it has to be read. */
  readonly known: (shard: string) => VectorShard | undefined;
  /** Counts replicas that are on their way; returns what ends it. */
  readonly reserve: (pods: readonly string[]) => () => void;
  readonly onShard: (shard: VectorShard) => void;
  /** Whether the primary leads and all members that answer have taken over the collection's spec. */
  readonly isServing: (shard: VectorShard) => Promise<boolean>;
  /** Somebody else writes the conditions of collections. */
  readonly leavesConditions: boolean;
}

/** `waiting`: nothing to do here until shards, pods or objects change. */
export type CollectionOutcome =
  | { readonly state: 'done' | 'gone' }
  | { readonly state: 'waiting'; readonly because: string }
  | { readonly state: 'stuck'; readonly because: string; readonly reason: 'Lost' | 'Unplaced' };

interface Shards {
  readonly collection: VectorCollection;
  readonly shards: readonly VectorShard[];
  readonly lost: readonly string[];
  readonly missing: readonly string[];
  readonly isUnplaced: boolean;
}

export class CollectionWriter {
  readonly #options: CollectionWriterOptions;

  constructor(options: CollectionWriterOptions) {
    this.#options = options;
  }

  async bringUp(collection: VectorCollection): Promise<CollectionOutcome> {
    if (isDeleting(collection)) return this.#remove(collection);
    const found = await this.#shards(await this.#withFinalizer(collection));
    if (found.lost.length > 0) return this.#degrade(found.collection, 'Lost', found.lost.join('; '));
    if (found.isUnplaced) return this.#degrade(found.collection, 'Unplaced', found.missing.join('; '));
    if (found.missing.length > 0) return { state: 'waiting', because: found.missing.join('; ') };
    const stopped = found.shards.filter(({ status }) => status.phase === 'Lost');
    if (stopped.length > 0) return this.#degrade(found.collection, 'Lost', `${stopped.map(({ metadata }) => metadata.name).join(', ')} is lost`);
    return this.#finish(found.collection, found.shards);
  }

  async #finish(collection: VectorCollection, shards: readonly VectorShard[]): Promise<CollectionOutcome> {
    const { metadata, status } = collection;
    if (isUpToDate(collection) && status.phase === 'Ready') return { state: 'done' };
    for (const shard of shards) {
      const { name } = shard.metadata;
      const open = this.#openReplication(collection, shard);
      if (open?.isUnplaced === true) return this.#degrade(collection, 'Unplaced', `${name}: ${open.because}`);
      if (open !== undefined) return { state: 'waiting', because: `${name} ${open.because}` };
      if (shard.status.authority === undefined || !(await this.#options.isServing(shard))) return { state: 'waiting', because: `${name} does not serve yet` };
    }
    const conditions = (status.conditions ?? []).filter(({ type }) => type !== degraded || this.#options.leavesConditions);
    const { conditions: _old, ...rest } = status;
    await this.#options.metadata.collections.replaceStatus({
      ...collection,
      status: { ...rest, phase: 'Ready', observedGeneration: metadata.generation, ...(conditions.length === 0 ? {} : { conditions }) },
    });
    return { state: 'done' };
  }

  /** What the shard's own record lacks yet of the replication that the collection wants. Replicas need not be in sync for it. */
  #openReplication(collection: VectorCollection, { spec }: VectorShard): { readonly because: string; readonly isUnplaced: boolean } | undefined {
    const { replicas, minInSync } = collection.spec.replication;
    const { leaving = [] } = spec;
    const count = spec.replicas.filter((pod) => !leaving.includes(pod)).length;
    if (count < replicas) {
      const placement = placeReplicas(replicas, spec.replicas, leaving, this.#options.placement(collection));
      if (placement.action === 'refuse') return { because: placement.because, isUnplaced: true };
    }
    if (count !== replicas) return { because: `has ${count} replicas where ${replicas} are wanted`, isUnplaced: false };
    return spec.minInSync === minInSync ? undefined : { because: `has minInSync ${spec.minInSync} where ${minInSync} is wanted`, isUnplaced: false };
  }

  /** Before there are shards: so that a deletion waits until they are removed. */
  async #withFinalizer(collection: VectorCollection): Promise<VectorCollection> {
    const { metadata } = collection;
    if (metadata.finalizers.includes(collectionFinalizer)) return collection;
    return this.#options.metadata.collections.replace({ ...collection, metadata: { ...metadata, finalizers: [...metadata.finalizers, collectionFinalizer] } });
  }

  /** Makes the objects that are missing, and records their UIDs. One that was recorded is not made anew (rule B1). */
  async #shards(collection: VectorCollection): Promise<Shards> {
    const ranges = splitHashSpace(collection.spec.shards);
    const shards: VectorShard[] = [];
    const lost: string[] = [];
    const missing: string[] = [];
    const uids = [...collection.status.shards];
    let isUnplaced = false;
    for (const [index, name] of namesOf(collection).entries()) {
      let present = this.#options.known(name) ?? (await this.#read(name));
      let step = decideShardObject(collection, index, present);
      if (step.action !== 'none') {
        present = await this.#read(name);
        step = decideShardObject(collection, index, present);
      }
      if (step.action === 'lost') lost.push(step.because);
      else if (step.action === 'create') {
        const placement = placeReplicas(collection.spec.replication.replicas, [], [], this.#options.placement(collection));
        if (placement.action === 'refuse') {
          isUnplaced = true;
          missing.push(`${name}: ${placement.because}`);
          break;
        }
        present = await this.#create(collection, index, name, ranges[index]!, placement.replicas);
        uids.push(present.metadata.uid);
      } else if (step.action === 'record') uids.push(step.uid);
      if (present?.spec.collection.uid === collection.metadata.uid) shards.push(await this.#owned(present));
      else if (step.action === 'none') {
        missing.push(step.because);
        break;
      }
    }
    if (uids.length === collection.status.shards.length) return { collection, shards, lost, missing, isUnplaced };
    const recorded = await this.#options.metadata.collections.replaceStatus({ ...collection, status: { ...collection.status, shards: uids } });
    return { collection: recorded, shards, lost, missing, isUnplaced };
  }

  async #create(collection: VectorCollection, index: number, name: string, hashRange: VectorShard['spec']['hashRange'], replicas: readonly string[]): Promise<VectorShard> {
    const { spec, metadata, status } = collection;
    const release = this.#options.reserve(replicas);
    try {
      const shard = await this.#options.metadata.shards.create({
        metadata: { name, labels: { [collectionLabel]: metadata.name }, finalizers: [shardFinalizer] },
        spec: {
          collection: { name: spec.name, uid: metadata.uid },
          generation: status.routing.generation,
          index,
          hashRange,
          replicas,
          minInSync: spec.replication.minInSync,
        },
      });
      this.#options.onShard(shard);
      return shard;
    } finally {
      release();
    }
  }

  /** Objects of version 0.1 have none, and data would outlive them. */
  async #owned(shard: VectorShard): Promise<VectorShard> {
    const { metadata } = shard;
    if (metadata.finalizers.includes(shardFinalizer) || isDeleting(shard)) return shard;
    const owned = await this.#options.metadata.shards.replace({ ...shard, metadata: { ...metadata, finalizers: [...metadata.finalizers, shardFinalizer] } });
    this.#options.onShard(owned);
    return owned;
  }

  async #read(name: string): Promise<VectorShard | undefined> {
    const shard = await this.#options.metadata.shards.get(name);
    if (shard !== undefined) this.#options.onShard(shard);
    return shard;
  }

  async #remove(collection: VectorCollection): Promise<CollectionOutcome> {
    const { metadata } = this.#options;
    const left: string[] = [];
    for (const name of namesOf(collection)) {
      const shard = await this.#read(name);
      if (shard?.spec.collection.uid !== collection.metadata.uid) continue;
      left.push(name);
      if (isDeleting(shard)) continue;
      const owned = await this.#owned(shard);
      await metadata.shards.delete(name, owned.metadata.resourceVersion);
    }
    if (left.length > 0) return { state: 'waiting', because: `${left.join(', ')} is being deleted` };
    const finalizers = collection.metadata.finalizers.filter((finalizer) => finalizer !== collectionFinalizer);
    await metadata.collections.replace({ ...collection, metadata: { ...collection.metadata, finalizers } });
    return { state: 'gone' };
  }

  /** Says so, once. A collection that never was ready stays pending. */
  async #degrade(collection: VectorCollection, reason: 'Lost' | 'Unplaced', because: string): Promise<CollectionOutcome> {
    const { status, metadata } = collection;
    const phase = status.phase === 'Pending' ? 'Pending' : 'Degraded';
    if (this.#options.leavesConditions) {
      if (phase !== status.phase) await this.#options.metadata.collections.replaceStatus({ ...collection, status: { ...status, phase } });
      return { state: 'stuck', because, reason };
    }
    const present = status.conditions?.find(({ type }) => type === degraded);
    if (present?.reason === reason && present.message === because) return { state: 'stuck', because, reason };
    this.#options.logger.error({ collection: metadata.name, because }, 'the collection cannot be brought up');
    const stated: Condition = {
      type: degraded,
      status: 'True',
      reason,
      message: because,
      observedGeneration: metadata.generation,
      lastTransitionTime: `${new Date(this.#options.clock.nowMs()).toISOString().slice(0, 19)}Z`,
    };
    const others = (status.conditions ?? []).filter(({ type }) => type !== degraded);
    await this.#options.metadata.collections.replaceStatus({ ...collection, status: { ...status, phase, conditions: [...others, stated] } });
    return { state: 'stuck', because, reason };
  }
}

const degraded = 'Degraded';

function namesOf(collection: VectorCollection): string[] {
  return shardObjectNames(collection.metadata.name, collection.status.routing.generation, collection.spec.shards);
}
