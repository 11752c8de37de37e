/**
 * What the operator does in a cluster, for one process: makes the shards that collections want, bootstraps them, grants
 * their only replica a new term at each start (rule W0), and removes what is deleted. Level-triggered: each pass looks at
 * everything that is wanted and moves what is towards it; a crash at any point leaves work for the next pass.
 */

import { hasCode, ShoalError } from '../kernel/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import { sleep } from '../kernel/clock.ts';
import type { Logger } from '../kernel/logger.ts';
import { splitHashSpace } from '../domain/hash-range.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { shardObjectNames } from '../metadata/object-name.ts';
import { collectionFinalizer, isDeleting, isUpToDate, systemCollectionName, systemLabel, type ShardAuthority, type VectorCollection, type VectorShard } from '../metadata/objects.ts';
import { collectionSpec } from '../domain/collection.ts';
import type { OpenPod } from '../service/open-pod.ts';

export interface ShardControllerOptions {
  readonly metadata: ClusterMetadata;
  readonly opened: OpenPod;
  readonly clock: Clock;
  readonly logger: Logger;
}

const retryDelayMs = 1_000;
/** Somebody else changed the object: another look soon. */
const conflictDelayMs = 20;
const openConcurrency = 4;

export class ShardController {
  readonly #options: ShardControllerOptions;
  readonly #stop = new AbortController();
  /** Names of collection objects to look at. */
  readonly #queue = new Set<string>();
  #wake = (): void => undefined;
  #running: Promise<void> | undefined;
  readonly #unwatch: () => void;

  constructor(options: ShardControllerOptions) {
    this.#options = options;
    // Shard objects are written by this controller alone, so that collections are all there is to watch.
    this.#unwatch = options.metadata.collections.watch((name) => this.#enqueue(name));
  }

  /** Makes the system collection if there is none, and brings every collection up once. */
  async start(): Promise<void> {
    const { metadata } = this.#options;
    const collections = await metadata.collections.list();
    if (!collections.some((collection) => collection.metadata.labels[systemLabel] !== undefined)) {
      await metadata.collections.create({
        metadata: { name: systemCollectionName, labels: { [systemLabel]: 'true' } },
        spec: collectionSpec({ name: systemCollectionName, dimension: 1, index: { type: 'flat' } }),
      });
    }
    await this.#reportOrphans();
    for (const collection of collections) this.#queue.add(collection.metadata.name);
    await this.#pass({ retry: false });
    this.#running = this.#loop();
  }

  async close(): Promise<void> {
    this.#unwatch();
    this.#stop.abort(new Error('closed'));
    this.#wake();
    await this.#running;
  }

  #enqueue(name: string): void {
    this.#queue.add(name);
    this.#wake();
  }

  async #loop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (this.#queue.size === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
      if (!this.#stop.signal.aborted) await this.#pass({ retry: true });
    }
  }

  /** Looks at everything in the queue. At the start a failure ends the process; later it is tried again. */
  async #pass({ retry }: { retry: boolean }): Promise<void> {
    const names = [...this.#queue];
    this.#queue.clear();
    let retryMs = 0;
    const attempt = async (name: string): Promise<void> => {
      try {
        const collection = await this.#options.metadata.collections.get(name);
        if (collection !== undefined) await this.#reconcile(collection);
      } catch (error) {
        // A full disk may have room again; anything else is better seen at once.
        if (!retry && !hasCode(error, 'STORAGE_READ_ONLY')) throw error;
        this.#queue.add(name);
        const isConflict = hasCode(error, 'CONFLICT');
        retryMs = Math.max(retryMs, isConflict ? conflictDelayMs : retryDelayMs);
        if (!isConflict) this.#options.logger.warn({ error, collection: name }, 'bringing the collection up failed; trying again');
      }
    };
    for (let start = 0; start < names.length; start += openConcurrency) await Promise.all(names.slice(start, start + openConcurrency).map(attempt));
    if (retryMs > 0 && retry) await sleep(this.#options.clock, retryMs, this.#stop.signal).catch(() => undefined);
  }

  async #reconcile(collection: VectorCollection): Promise<void> {
    if (isDeleting(collection)) return this.#delete(collection);
    const withShards = await this.#recordShards(await this.#withFinalizer(collection));
    for (const shard of await this.#shardsOf(withShards)) await this.#bringUp(shard);
    if (!isUpToDate(withShards)) {
      const { metadata, status } = withShards;
      await this.#options.metadata.collections.replaceStatus({ ...withShards, status: { ...status, phase: 'Ready', observedGeneration: metadata.generation } });
    }
  }

  /** Before there are shards: so that a deletion waits until they are removed. */
  async #withFinalizer(collection: VectorCollection): Promise<VectorCollection> {
    const { metadata } = collection;
    if (metadata.finalizers.includes(collectionFinalizer)) return collection;
    return this.#options.metadata.collections.replace({ ...collection, metadata: { ...metadata, finalizers: [...metadata.finalizers, collectionFinalizer] } });
  }

  /**
   * Makes the shards that are missing, and records their UIDs before any is bootstrapped. One that was recorded and is
   * gone is not made anew: that would serve an empty shard in place of the lost one (rule B1).
   */
  async #recordShards(collection: VectorCollection): Promise<VectorCollection> {
    const { metadata, opened } = this.#options;
    const { pod } = opened;
    const { generation } = collection.status.routing;
    const uids: string[] = [];
    const ranges = splitHashSpace(collection.spec.shards);
    const names = shardObjectNames(collection.metadata.name, generation, collection.spec.shards);
    for (const [index, name] of names.entries()) {
      const present = await metadata.shards.get(name);
      const recorded = collection.status.shards[index];
      if (recorded !== undefined && present?.metadata.uid !== recorded) {
        throw new ShoalError('CORRUPTION', `shard ${recorded} of collection "${collection.spec.name}" is recorded, but its object "${name}" is lost`);
      }
      const shard =
        present ??
        (await metadata.shards.create({
          metadata: { name, labels: {} },
          spec: {
            collection: { name: collection.spec.name, uid: collection.metadata.uid },
            generation,
            index,
            hashRange: ranges[index]!,
            replicas: [pod.name],
            minInSync: collection.spec.replication.minInSync,
          },
        }));
      uids.push(shard.metadata.uid);
    }
    if (uids.every((uid, i) => collection.status.shards[i] === uid)) return collection;
    return metadata.collections.replaceStatus({ ...collection, status: { ...collection.status, shards: uids } });
  }

  async #bringUp(shard: VectorShard): Promise<void> {
    const { pod, assignments } = this.#options.opened;
    const { uid, name } = shard.metadata;
    if (pod.find(uid) === undefined) this.#mustHold(shard);
    assignments.look(name);
    await assignments.idle();
    const hosted = pod.find(uid);
    if (hosted === undefined) throw pod.quarantineOf(uid) ?? new ShoalError('UNAVAILABLE', `shard ${uid} is not hosted yet`);
    if (hosted.replica.report().role !== 'primary') await this.#grantTerm(shard);
  }

  /** Rule F1: a shard that led before is in this pod's store under the incarnation that was in sync, or it is lost. */
  #mustHold(shard: VectorShard): void {
    const { authority } = shard.status;
    if (authority === undefined) return;
    const held = this.#options.opened.pod.registry.find(shard.metadata.uid)?.incarnation;
    if (authority.inSync.some(({ incarnation }) => incarnation === held)) return;
    throw new ShoalError('CORRUPTION', `the store of this pod ${held === undefined ? 'does not hold' : 'holds another incarnation of'} shard ${shard.metadata.uid}, which was in sync here`);
  }

  /** Rule W0: term + 1 with this process's session, compared and swapped; then rule P2 in the replica. */
  async #grantTerm(shard: VectorShard): Promise<void> {
    const { metadata, opened } = this.#options;
    const { pod, assignments } = opened;
    const { uid, name } = shard.metadata;
    const { incarnation } = pod.registry.find(uid)!;
    const previous = shard.status.authority;
    const authority: ShardAuthority = {
      term: (previous?.term ?? 0) + 1,
      primary: { pod: pod.name, podUID: pod.options.podUID, incarnation, session: pod.session },
      inSync: [{ pod: pod.name, incarnation }],
      configVersion: previous?.configVersion ?? 1,
    };
    await metadata.shards.replaceStatus({ ...shard, status: { phase: 'Ready', authority } });
    assignments.look(name);
    await assignments.idle();
    await pod.hostedReplica(uid).replica.begun(this.#stop.signal);
  }

  async #delete(collection: VectorCollection): Promise<void> {
    const { metadata, opened } = this.#options;
    const { pod } = opened;
    for (const shard of await this.#shardsOf(collection)) {
      await pod.remove(shard.metadata.uid);
      await metadata.shards.delete(shard.metadata.name, shard.metadata.resourceVersion);
    }
    const finalizers = collection.metadata.finalizers.filter((finalizer) => finalizer !== collectionFinalizer);
    await metadata.collections.replace({ ...collection, metadata: { ...collection.metadata, finalizers } });
  }

  /** Data of shards that no object names are kept, and never adopted: the objects may be what was lost. */
  async #reportOrphans(): Promise<void> {
    const { metadata, opened, logger } = this.#options;
    const { pod } = opened;
    const known = new Set((await metadata.shards.list()).map((shard) => shard.metadata.uid));
    for (const { shardUID, collectionUID } of pod.registry.all()) {
      if (!known.has(shardUID)) logger.warn({ shardUID, collectionUID }, 'the pod holds data of a shard that no object names; it is kept');
    }
  }

  async #shardsOf(collection: VectorCollection): Promise<VectorShard[]> {
    const names = shardObjectNames(collection.metadata.name, collection.status.routing.generation, collection.spec.shards);
    const shards = await Promise.all(names.map((name) => this.#options.metadata.shards.get(name)));
    return shards.filter((shard) => shard?.spec.collection.uid === collection.metadata.uid) as VectorShard[];
  }
}
