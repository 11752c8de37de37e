/**
 * A data pod: many shard replicas over one log, one store and one disk. It hosts what it is told to (`assignments.ts`);
 * which replica leads is decided elsewhere (rule W0).
 */

import type { Clock, Timer } from '../kernel/clock.ts';
import { startDeadline } from '../kernel/deadline.ts';
import { asShoalError, hasCode, ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { noMutations, type Mutations } from '../kernel/mutations.ts';
import type { Random } from '../kernel/random.ts';
import type { CollectionSpec } from '../domain/collection.ts';
import type { PodClient, ReplicaReport, SnapshotAnswer, SnapshotRequest } from '../domain/pod-service.ts';
import type { VectorIndexFactory } from '../index/vector-index.ts';
import type { LogStatistics, PodLog } from '../log/log.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import type { VectorShard } from '../metadata/objects.ts';
import type { Address, Message, MessageTransport } from '../replication/messages.ts';
import { PayloadRing } from '../shard/payload-ring.ts';
import { ShardReplica } from '../shard/replica.ts';
import { ReplicaService } from '../shard/replica-service.ts';
import { SnapshotSource } from '../shard/snapshot-source.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { authorityOf, ShardAuthorityStore } from './authority-store.ts';
import type { DataDirectory } from './data-directory.ts';
import { DiskWatermarks } from './disk-watermarks.ts';
import { ReplicaRegistry, type RegisteredReplica } from './replica-registry.ts';
import { removeGarbage } from './replica-replacement.ts';

export interface DataPodOptions {
  /** The pod's name. */
  readonly name: string;
  readonly podUID: string;
  readonly directory: DataDirectory;
  readonly fileSystem: FileSystem;
  readonly log: PodLog;
  readonly store: KeyValueStore;
  readonly graphFactory: VectorIndexFactory;
  readonly metadata: ClusterMetadata;
  /** To the replicas on other pods. */
  readonly transport: MessageTransport;
  readonly pods: PodClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly diskReadOnlyAtFraction: number;
  /** Of all snapshots that it sends, together. */
  readonly bytesPerSecondMax?: number;
  /** The log or the store failed: nothing can be acknowledged any more, and the process should end (rule F1). */
  readonly onFailure: (error: Error) => void;
  /** A replica was opened or closed, serves now or does not any more. */
  readonly onChange?: () => void;
  readonly flatFloatsMax?: number;
  readonly tailFloatsMax?: number;
  readonly mutations?: Mutations;
}

export interface HostedReplica {
  readonly registered: RegisteredReplica;
  readonly collection: string;
  /** `metadata.generation` of the collection whose spec it has, and its routing epoch. */
  collectionGeneration: number;
  epoch: number;
  readonly replica: ShardReplica;
  readonly service: ReplicaService;
  readonly authorityStore: ShardAuthorityStore;
}

/** What a replica is opened by. */
export interface Hosting {
  readonly shard: VectorShard;
  readonly spec: CollectionSpec;
  readonly collectionGeneration: number;
  readonly epoch: number;
}

/** How often it looks whether the log may be trimmed, and gives back freed memory; above the size it does not wait for the checkpoint interval. */
const maintenanceIntervalMs = 10_000;
const flushLogBytes = 4 * limits.logSegmentBytes;

export class DataPod {
  readonly name: string;
  /** Random per process start (rule W0). */
  readonly session: string;
  readonly options: DataPodOptions;
  readonly registry: ReplicaRegistry;
  readonly disk: DiskWatermarks;
  readonly snapshots: SnapshotSource;
  readonly mutations: Mutations;
  readonly payloadRing = new PayloadRing();
  readonly #replicas = new Map<string, HostedReplica>();
  /** Rule F1: replicas whose bytes are damaged are kept, and not served. */
  readonly #quarantined = new Map<string, { readonly registered: RegisteredReplica; readonly error: ShoalError }>();
  /** Replicas that are on their way to being quarantined. */
  readonly #closing = new Map<string, Promise<void>>();
  /** Collections, by UID, whose vectors cannot be kept as they were asked for, once that was said. */
  readonly #keptAsFloats = new Set<string>();
  #maintenanceTimer: Timer | undefined;
  #tickTimer: Timer | undefined;
  #maintenance: Promise<void> | undefined;
  #removingGarbage: Promise<void> = Promise.resolve();
  #lastFlushMs: number;
  #closed = false;
  /** Called with the shard when a replica needs a snapshot (rule A1); set by whoever hosts replicas. */
  onSnapshotNeeded: (shardUID: string, source: Address) => void = () => undefined;
  /** Called with the shard when its replica turned out to be damaged while it was open (rule F1); set by whoever hosts replicas. */
  onQuarantined: (shardUID: string) => void = () => undefined;

  static async open(options: DataPodOptions): Promise<DataPod> {
    const registry = await ReplicaRegistry.open(options.store, options.random, options.mutations);
    await removeGarbage({ ...options, registry });
    const disk = await DiskWatermarks.start({
      fileSystem: options.fileSystem,
      directory: options.directory.root,
      readOnlyAtFraction: options.diskReadOnlyAtFraction,
      clock: options.clock,
      logger: options.logger,
    });
    const pod = new DataPod(options, registry, disk);
    pod.#scheduleMaintenance();
    pod.#scheduleTick();
    return pod;
  }

  private constructor(options: DataPodOptions, registry: ReplicaRegistry, disk: DiskWatermarks) {
    this.options = options;
    this.name = options.name;
    this.session = options.random.uuid();
    this.registry = registry;
    this.disk = disk;
    this.snapshots = new SnapshotSource(options);
    this.mutations = options.mutations ?? noMutations;
    this.#lastFlushMs = options.clock.monotonicMs();
  }

  /** Opens the replica, or makes an empty one. Once per shard and process. CORRUPTION quarantines it (rule F1). */
  async host({ shard, spec, collectionGeneration, epoch }: Hosting): Promise<HostedReplica> {
    const { options } = this;
    const shardUID = shard.metadata.uid;
    const registered = this.registry.find(shardUID) ?? (await this.registry.add(shardUID, shard.spec.collection.uid));
    this.#checkQuantization(spec, registered.collectionUID);
    const authorityStore = new ShardAuthorityStore(options.metadata.shards, shard.metadata.name, shardUID, options.random, this.mutations);
    try {
      const replica = await ShardReplica.open({
        collectionUID: registered.collectionUID,
        shardUID,
        self: { pod: this.name, incarnation: registered.incarnation, session: this.session },
        localReplica: registered.localReplica,
        spec,
        log: options.log.replica(registered.localReplica),
        store: options.store,
        fileSystem: options.fileSystem,
        checkpointDirectory: options.directory.checkpoints(registered.localReplica),
        graphFactory: spec.index.type === 'flat' ? undefined : options.graphFactory,
        rowDistances: options.graphFactory.rowDistances,
        payloadRing: this.payloadRing,
        transport: options.transport,
        authorityStore,
        clock: options.clock,
        logger: options.logger.child({ shardUID, collection: spec.name }),
        onFailure: (error) => this.#replicaFailed(shardUID, error),
        onChange: () => options.onChange?.(),
        onSnapshotNeeded: (source) => this.onSnapshotNeeded(shardUID, source),
        mutations: this.mutations,
        ...(options.flatFloatsMax === undefined ? {} : { flatFloatsMax: options.flatFloatsMax }),
        ...(options.tailFloatsMax === undefined ? {} : { tailFloatsMax: options.tailFloatsMax }),
      });
      const service = new ReplicaService(replica, (sizeBytes) => this.disk.checkWritable(sizeBytes));
      const hosted: HostedReplica = { registered, collection: spec.name, collectionGeneration, epoch, replica, service, authorityStore };
      this.#replicas.set(shardUID, hosted);
      options.onChange?.();
      return hosted;
    } catch (error) {
      if (hasCode(error, 'CORRUPTION')) this.#quarantined.set(shardUID, { registered, error: asShoalError(error) });
      throw error;
    }
  }

  /** Another implementation of the index than the collection was made for serves it all the same. */
  #checkQuantization({ name, index }: CollectionSpec, collectionUID: string): void {
    const { graphFactory, logger } = this.options;
    if (index.type === 'flat' || graphFactory.quantizations.includes(index.quantization) || this.#keptAsFloats.has(collectionUID)) return;
    this.#keptAsFloats.add(collectionUID);
    logger.warn({ collection: name, quantization: index.quantization }, 'hnswlib-node cannot quantise: the collection is kept in floats, which takes more memory and finds the same');
  }

  /** The shard's object was read: who leads, who is in sync. */
  authorityRead(shard: VectorShard): void {
    const hosted = this.#replicas.get(shard.metadata.uid);
    const authority = authorityOf(shard);
    if (hosted === undefined || authority === undefined) return;
    hosted.authorityStore.learn(shard);
    hosted.replica.authorityChanged(authority);
    for (const { incarnation } of authority.inSync) this.snapshots.finish(shard.metadata.uid, incarnation);
  }

  /** From a replica on another pod. */
  receive(message: Message): void {
    this.#replicas.get(message.shardUID)?.replica.receive(message);
  }

  /** The replica of the shard; NOT_PRIMARY when this pod does not hold it. */
  hostedReplica(shardUID: string): HostedReplica {
    const hosted = this.#replicas.get(shardUID);
    if (hosted === undefined) throw new ShoalError('NOT_PRIMARY', `pod ${this.name} has no replica of shard ${shardUID}`);
    return hosted;
  }

  hosted(): readonly HostedReplica[] {
    return [...this.#replicas.values()];
  }

  find(shardUID: string): HostedReplica | undefined {
    return this.#replicas.get(shardUID);
  }

  /** The replica here has seen a newer term or authority than the object has: the store of objects was rolled back. */
  isAheadOf({ metadata, status }: VectorShard): boolean {
    const registered = this.registry.find(metadata.uid);
    if (registered === undefined) return false;
    const { adoptedTerm } = this.options.log.replica(registered.localReplica);
    const known = this.#replicas.get(metadata.uid)?.replica.authority;
    const { term = 0, configVersion = 0 } = status.authority ?? {};
    return adoptedTerm > term || (known !== undefined && (known.term > term || (known.term === term && known.configVersion > configVersion)));
  }

  /** Why the replica is kept and not served. */
  quarantineOf(shardUID: string): ShoalError | undefined {
    return this.#quarantined.get(shardUID)?.error;
  }

  /** Rule P1: of everything that is here, whether it is served or not. */
  reports(): ReplicaReport[] {
    const hosted = this.hosted().map(({ replica }) => replica.report());
    const kept = [...this.#quarantined.values()].map(({ registered }): ReplicaReport => {
      const { collectionUID, shardUID, incarnation, localReplica } = registered;
      const { adoptedTerm } = this.options.log.replica(localReplica);
      return { collectionUID, shardUID, incarnation, role: 'waiting', term: adoptedTerm, lastSeq: 0, commitSeq: 0, appliedSeq: 0, configVersion: 0, quarantined: true, blockedMs: 0, pointCount: 0 };
    });
    return [...hosted, ...kept];
  }

  /** The next parts of a snapshot for another pod (rule A1). */
  async snapshot(request: SnapshotRequest, signal: AbortSignal): Promise<SnapshotAnswer> {
    const { registered } = this.hostedReplica(request.shardUID);
    const { log, store, fileSystem, directory, logger } = this.options;
    const { localReplica } = registered;
    return this.snapshots.answer(request, { localReplica, store, fileSystem, logger, log: log.replica(localReplica), checkpointDirectory: directory.checkpoints(localReplica) }, signal);
  }

  /** Closes the replica and keeps what it holds; resolves to what it was. */
  async unhost(shardUID: string): Promise<void> {
    const hosted = this.#replicas.get(shardUID);
    if (hosted === undefined) {
      await this.#closing.get(shardUID);
      this.#quarantined.delete(shardUID);
      return;
    }
    this.#replicas.delete(shardUID);
    await this.#closeReplica(hosted);
  }

  async #closeReplica({ registered, replica }: HostedReplica): Promise<void> {
    await this.snapshots.drop(registered.localReplica, 'the replica is closed');
    await replica.close(startDeadline(this.options.clock, limits.shutdownGraceMs).signal);
  }

  /** Deletes the replica with all it holds (rule A2: only after a linearizable GET that shows it nowhere). */
  async remove(shardUID: string): Promise<void> {
    const registered = this.registry.find(shardUID);
    await this.unhost(shardUID);
    if (registered === undefined) return;
    await this.registry.remove(shardUID);
    this.options.onChange?.();
    await this.removeGarbage();
  }

  /** Deletes what belongs to no replica. What fails is tried again with the next maintenance. */
  removeGarbage(): Promise<void> {
    const removed = this.#removingGarbage.then(() => removeGarbage({ ...this.options, registry: this.registry }));
    this.#removingGarbage = removed.catch(() => undefined);
    return removed;
  }

  logStatistics(): LogStatistics {
    return this.options.log.statistics();
  }

  /** Rule T1: flushes the store, then lets go of what the log holds below that and nobody needs. */
  async releaseLog(): Promise<void> {
    const applied = this.hosted().map((hosted) => ({ hosted, seq: hosted.replica.neededAboveSeq }));
    await this.options.store.flush();
    this.#lastFlushMs = this.options.clock.monotonicMs();
    for (const { hosted, seq } of applied) {
      const { localReplica, shardUID } = hosted.registered;
      // One that was removed meanwhile holds nothing back any more.
      if (this.#replicas.get(shardUID) !== hosted) continue;
      await this.options.log.replica(localReplica).release(Math.min(seq, this.snapshots.pinnedSeq(localReplica)));
      hosted.replica.trimmed();
    }
  }

  /** Finishes writes under way, flushes, and closes everything. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#maintenanceTimer?.cancel();
    this.#tickTimer?.cancel();
    await this.#maintenance;
    await this.#removingGarbage;
    this.disk.close();
    const { signal } = startDeadline(this.options.clock, limits.shutdownGraceMs);
    await this.snapshots.close();
    await Promise.all([...this.hosted().map(({ replica }) => replica.close(signal)), ...this.#closing.values()]);
    await this.options.log.close();
    await this.options.store.flush();
    await this.options.store.close();
  }

  /** A damaged replica is one replica's affair; a log or store that fails is that of all. */
  #replicaFailed(shardUID: string, error: Error): void {
    const { log, logger, onFailure } = this.options;
    const hosted = this.#replicas.get(shardUID);
    const inSync = hosted?.replica.authority?.inSync ?? [];
    if (hosted === undefined || log.failure !== undefined || !hasCode(error, 'CORRUPTION') || inSync.length <= 1) return onFailure(error);
    logger.error({ error, shardUID }, 'the replica is damaged; it is kept as it is and not served any more');
    this.#quarantine(hosted, asShoalError(error));
  }

  /** F1: its primary hears that it leaves, so that it does not stay in sync, nor hold back the log, with what it cannot apply. */
  #quarantine(hosted: HostedReplica, error: ShoalError): void {
    const { registered } = hosted;
    const { shardUID } = registered;
    this.#replicas.delete(shardUID);
    this.#quarantined.set(shardUID, { registered, error });
    const closing = this.#closeReplica(hosted)
      .catch((reason: unknown) => this.options.logger.warn({ error: reason, shardUID }, 'the damaged replica could not be closed in order'))
      .finally(() => {
        this.#closing.delete(shardUID);
        this.options.onChange?.();
        this.onQuarantined(shardUID);
      });
    this.#closing.set(shardUID, closing);
  }

  #scheduleTick(): void {
    this.#tickTimer = this.options.clock.after(limits.heartbeatMs / 2, () => {
      for (const { replica } of this.#replicas.values()) replica.tick();
      if (!this.#closed) this.#scheduleTick();
    });
  }

  #scheduleMaintenance(): void {
    this.#maintenanceTimer = this.options.clock.after(maintenanceIntervalMs, () => {
      this.#maintenance = this.#maintain().finally(() => {
        this.#maintenance = undefined;
        if (!this.#closed) this.#scheduleMaintenance();
      });
    });
  }

  async #maintain(): Promise<void> {
    const { log, clock, logger, graphFactory } = this.options;
    if (log.failure !== undefined) return this.options.onFailure(log.failure);
    if (this.registry.garbage().length > 0) await this.removeGarbage().catch((error: unknown) => logger.warn({ error }, 'what replicas have left behind could not be deleted; it is tried again'));
    const due = log.statistics().sizeBytes > flushLogBytes || clock.monotonicMs() - this.#lastFlushMs > limits.checkpointIntervalMs;
    if (due) {
      try {
        await this.releaseLog();
      } catch (error) {
        logger.error({ error }, 'cannot flush the store; the log keeps growing');
      }
    }
    await graphFactory.returnFreedMemory?.();
  }
}
