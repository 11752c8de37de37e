/**
 * Which replicas this pod holds, as the VectorShard objects say. Level-triggered: each look at an object moves what is
 * here towards it; a crash at any point leaves work for the next look.
 *
 *     in spec.replicas                      host it (an empty replica, if there was none), tell it who leads
 *     in no list, not primary               delete its data (rule A2), seen by a linearizable GET
 *     the object is being deleted           delete its data
 *     the object is gone, or another UID    close it and keep the bytes: the object may be what was lost
 */

import { isDeepStrictEqual } from 'node:util';
import { sleep, type Clock } from '../kernel/clock.ts';
import { withTimeout } from '../kernel/deadline.ts';
import { hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { collectionOfShard } from '../metadata/object-name.ts';
import { isDeleting, type VectorCollection, type VectorShard } from '../metadata/objects.ts';
import type { DataPod, HostedReplica } from './data-pod.ts';
import { abandon, fetchReplica, takeOver } from './replica-replacement.ts';

export interface AssignmentsOptions {
  readonly pod: DataPod;
  readonly metadata: ClusterMetadata;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A replica could not be opened because its bytes are damaged (rule F1). */
  readonly onDamaged: (shardUID: string, error: unknown) => void;
}

const retryDelayMs = 500;
const concurrency = 4;
/** Of a snapshot, between two lines of the log. */
const progressStep = 0.1;

export class Assignments {
  readonly #options: AssignmentsOptions;
  /** Names of shard objects to look at; each is looked at by one at a time. */
  readonly #queue = new Set<string>();
  readonly #busy = new Map<string, Promise<void>>();
  /** Object name → the shard as the last look has read it, once it is hosted so: a watch that tells of that tells nothing new. */
  readonly #read = new Map<string, VectorShard>();
  /** Object name → shard UID of what is hosted. */
  readonly #hosted = new Map<string, string>();
  /** Shards that take a snapshot from another pod just now. */
  readonly #fetching = new Set<string>();
  readonly #stop = new AbortController();
  readonly #unwatch: readonly (() => void)[];

  constructor(options: AssignmentsOptions) {
    const { metadata, pod } = options;
    this.#options = options;
    this.#unwatch = [
      metadata.shards.watch((name) => this.#concerns(name) && !this.#hasRead(name) && this.look(name)),
      metadata.collections.watch((name) => {
        for (const [shard, uid] of this.#hosted) if (collectionOfShard(shard) === name && !this.#isAsWanted(uid, metadata.collections.peek(name))) this.look(shard);
      }),
    ];
    pod.onSnapshotNeeded = (shardUID, source) => void this.#fetch(shardUID, source.pod);
    pod.onQuarantined = (shardUID) => void this.lookAtShard(shardUID);
  }

  /** Looks at everything there is once. What fails is tried again until `close`. */
  async start(): Promise<void> {
    const { metadata, pod, logger } = this.#options;
    const shards = await metadata.shards.list();
    const known = new Set(shards.map((shard) => shard.metadata.uid));
    for (const { shardUID, collectionUID } of pod.registry.all()) {
      if (!known.has(shardUID)) logger.warn({ shardUID, collectionUID }, 'the pod holds data of a shard that no object names; it is kept');
    }
    for (const shard of shards) if (this.#names(shard) || pod.registry.find(shard.metadata.uid) !== undefined) this.look(shard.metadata.name);
    await this.idle();
  }

  /** Looks at one object as soon as possible. */
  look(name: string): void {
    if (this.#stop.signal.aborted) return;
    this.#queue.add(name);
    this.#next();
  }

  /** Looks at the object of a shard that is hosted here, and resolves when it has; the names of others are not known. */
  async lookAtShard(shardUID: string): Promise<void> {
    for (const [name, uid] of this.#hosted) {
      if (uid !== shardUID) continue;
      this.look(name);
      while (this.#queue.has(name)) await Promise.race(this.#busy.values());
      await this.#busy.get(name);
    }
  }

  /** Resolves when nothing is waiting to be looked at. */
  async idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy.values());
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'));
    this.#queue.clear();
    for (const unwatch of this.#unwatch) unwatch();
    await this.idle();
  }

  #next(): void {
    for (const name of this.#queue) {
      if (this.#busy.size >= concurrency) return;
      if (this.#busy.has(name)) continue;
      this.#queue.delete(name);
      const looking = this.#lookSafely(name).finally(() => {
        this.#busy.delete(name);
        this.#next();
      });
      this.#busy.set(name, looking);
    }
  }

  /** Does something to the replica of an object that nobody looks at meanwhile: a look would open what is being replaced. */
  async #alone(name: string, work: () => Promise<void>): Promise<void> {
    while (this.#busy.has(name)) await this.#busy.get(name);
    const working = work();
    const done = (): void => {
      this.#busy.delete(name);
      this.#next();
    };
    this.#busy.set(name, working.then(done, done));
    await working;
  }

  async #lookSafely(name: string): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    try {
      await this.#lookAt(name);
    } catch (error) {
      if (signal.aborted) return;
      logger.warn({ error, shard: name }, 'bringing a replica to what its object says failed; trying again');
      void sleep(clock, retryDelayMs, signal).then(
        () => this.look(name),
        () => undefined,
      );
    }
  }

  async #lookAt(name: string): Promise<void> {
    const { metadata, pod, clock } = this.#options;
    const { signal } = this.#stop;
    const shard = await withTimeout(clock, limits.metadataTimeoutMs, signal, () => metadata.shards.get(name));
    const before = this.#hosted.get(name);
    this.#read.delete(name);
    if (before !== undefined && before !== shard?.metadata.uid) {
      this.#hosted.delete(name);
      await pod.unhost(before);
    }
    if (shard === undefined) return;
    const { uid } = shard.metadata;
    if (isDeleting(shard)) return this.#removeDeleted(shard);
    if (!shard.spec.replicas.includes(pod.name)) return this.#isListed(shard) || this.#isRolledBack(shard) ? undefined : this.#leave(name, uid);
    const collection = await withTimeout(clock, limits.metadataTimeoutMs, signal, () => metadata.collections.get(collectionOfShard(name)));
    if (collection?.metadata.uid !== shard.spec.collection.uid) return;
    await this.#host(shard, collection);
    if (pod.find(uid) !== undefined) this.#read.set(name, shard);
  }

  async #host(shard: VectorShard, collection: VectorCollection): Promise<void> {
    const { pod, onDamaged } = this.#options;
    const { uid, name } = shard.metadata;
    const { spec, metadata, status } = collection;
    if (pod.quarantineOf(uid) !== undefined) return this.#replaceDamaged(shard);
    const hosted = pod.find(uid);
    if (hosted === undefined) {
      this.#hosted.set(name, uid);
      try {
        await pod.host({ shard, spec, collectionGeneration: metadata.generation, epoch: status.routing.epoch });
      } catch (error) {
        if (!hasCode(error, 'CORRUPTION')) throw error;
        onDamaged(uid, error);
        return;
      }
    } else {
      await this.#changeSpec(hosted, collection);
    }
    pod.authorityRead(shard);
  }

  async #changeSpec(hosted: HostedReplica, { metadata, spec, status }: VectorCollection): Promise<void> {
    hosted.epoch = status.routing.epoch;
    if (hosted.collectionGeneration === metadata.generation) return;
    await hosted.replica.changeSpec(spec);
    hosted.collectionGeneration = metadata.generation;
  }

  /** F1: a damaged replica makes way for an empty one once its removal from inSync is confirmed and others have the data. */
  async #replaceDamaged(shard: VectorShard): Promise<void> {
    const { pod, logger } = this.#options;
    const { uid, name } = shard.metadata;
    const isListed = this.#isListed(shard) && !pod.mutations.has('wipe-while-listed');
    if (isListed || shard.status.authority === undefined || this.#isRolledBack(shard)) return;
    logger.warn({ shardUID: uid }, 'removing the damaged replica: others are in sync without it');
    await pod.remove(uid);
    this.look(name);
  }

  /** With its collection only: an object that is deleted alone may be a mistake, and its bytes stay as an orphan's. */
  async #removeDeleted({ metadata, spec }: VectorShard): Promise<void> {
    const { name, uid } = metadata;
    const collection = await withTimeout(this.#options.clock, limits.metadataTimeoutMs, this.#stop.signal, () => this.#options.metadata.collections.get(collectionOfShard(name)));
    if (collection === undefined || collection.metadata.uid !== spec.collection.uid || isDeleting(collection)) return this.#remove(name, uid);
    this.#hosted.delete(name);
    await this.#options.pod.unhost(uid);
  }

  /** A2: asked again once the replica is closed, since until then it could come to be in sync after all. */
  async #leave(name: string, shardUID: string): Promise<void> {
    const { pod, metadata, clock } = this.#options;
    if (pod.find(shardUID) !== undefined) {
      await pod.unhost(shardUID);
      const shard = await withTimeout(clock, limits.metadataTimeoutMs, this.#stop.signal, () => metadata.shards.get(name));
      if (shard?.metadata.uid !== shardUID || this.#names(shard)) return this.look(name);
    }
    return this.#remove(name, shardUID);
  }

  async #remove(name: string, shardUID: string): Promise<void> {
    const { pod, logger } = this.#options;
    this.#hosted.delete(name);
    if (pod.registry.find(shardUID) === undefined) return;
    logger.info({ shardUID }, 'removing the replica: the shard does not want it here any more');
    await pod.remove(shardUID);
  }

  /** A1, F1: takes the primary's state under a new incarnation, unless this one is in sync. */
  async #fetch(shardUID: string, sourcePod: string): Promise<void> {
    if (this.#fetching.has(shardUID) || this.#stop.signal.aborted) return;
    const { pod, metadata, logger, clock } = this.#options;
    const name = [...this.#hosted].find(([, uid]) => uid === shardUID)?.[0];
    if (name === undefined) return;
    this.#fetching.add(shardUID);
    const { signal } = this.#stop;
    try {
      const isWanted = async (): Promise<boolean> => {
        const shard = await withTimeout(clock, limits.metadataTimeoutMs, signal, () => metadata.shards.get(name));
        if (shard?.metadata.uid !== shardUID || !shard.spec.replicas.includes(pod.name)) return false;
        return (!this.#isListed(shard) && !this.#isRolledBack(shard)) || pod.mutations.has('wipe-while-listed');
      };
      if (!(await isWanted())) return;
      const { collectionUID } = pod.hostedReplica(shardUID).registered;
      const parts = { ...pod.options, registry: pod.registry };
      logger.info({ shardUID, source: sourcePod }, 'taking a snapshot: the log of the primary does not reach back far enough');
      let toldFraction = 0;
      const onProgress = (fraction: number): void => {
        if (fraction < toldFraction) toldFraction = 0;
        if (fraction < toldFraction + progressStep && fraction < 1) return;
        toldFraction = fraction;
        logger.info({ shardUID, percent: Math.round(fraction * 100) }, 'the snapshot is arriving');
      };
      const fetched = await fetchReplica(parts, { shardUID, collectionUID, source: pod.options.pods.pod(sourcePod), onProgress }, signal);
      await this.#alone(name, async () => {
        try {
          if (!(await isWanted())) return abandon(parts, fetched);
          await pod.unhost(shardUID);
          // Once more, now that the replica that was here can come to be in sync no more.
          if (!(await isWanted())) return abandon(parts, fetched);
          await takeOver(parts, fetched);
        } catch (error) {
          if (!hasCode(error, 'OUTCOME_UNKNOWN')) abandon(parts, fetched);
          throw error;
        }
      });
    } catch (error) {
      // A restart may find either replica: nothing may be served before it has.
      if (hasCode(error, 'OUTCOME_UNKNOWN')) pod.options.onFailure(error as Error);
      else if (!signal.aborted) logger.warn({ error, shardUID }, 'the snapshot could not be taken; the primary will ask again');
    } finally {
      this.#fetching.delete(shardUID);
      this.look(name);
      await pod.removeGarbage().catch((error: unknown) => logger.warn({ error }, 'what a snapshot left could not be removed; it is tried again'));
    }
  }

  #hasRead(name: string): boolean {
    const read = this.#read.get(name);
    // A version alone may be given twice, by a store that was restored from a backup.
    return read !== undefined && isDeepStrictEqual(this.#options.metadata.shards.peek(name), read);
  }

  /** Whether the object, or what this pod holds of it, has to do with this pod. */
  #concerns(name: string): boolean {
    const shard = this.#options.metadata.shards.peek(name);
    return this.#hosted.has(name) || shard === undefined || this.#names(shard) || this.#options.pod.registry.find(shard.metadata.uid) !== undefined;
  }

  /** Nothing that the collection may have become since concerns its replica here: of its status, the epoch alone does. */
  #isAsWanted(shardUID: string, collection: VectorCollection | undefined): boolean {
    const hosted = this.#options.pod.find(shardUID);
    if (hosted === undefined || collection === undefined || isDeleting(collection)) return false;
    const { metadata, status } = collection;
    return metadata.uid === hosted.registered.collectionUID && metadata.generation === hosted.collectionGeneration && status.routing.epoch === hosted.epoch;
  }

  #names(shard: VectorShard): boolean {
    return shard.spec.replicas.includes(this.#options.pod.name) || this.#isListed(shard);
  }

  /** What an object says that is older than what is here is no reason to delete anything. */
  #isRolledBack(shard: VectorShard): boolean {
    const { pod, logger } = this.#options;
    if (!pod.isAheadOf(shard)) return false;
    logger.error({ shardUID: shard.metadata.uid }, 'the object of the shard is older than the replica here: was the metadata store rolled back? The data is kept');
    return true;
  }

  /** A quarantined or superseded incarnation of this pod may still be in sync as far as the store knows. */
  #isListed({ metadata, status }: VectorShard): boolean {
    const { pod } = this.#options;
    const incarnation = pod.registry.find(metadata.uid)?.incarnation;
    const { authority } = status;
    return authority !== undefined && [...authority.inSync, authority.primary].some((member) => member.pod === pod.name && member.incarnation === incarnation);
  }
}

