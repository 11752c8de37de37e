/**
 * A data pod: many shard replicas over one log, one store and one disk. It hosts what it is told to; which replica leads
 * is decided elsewhere (rule W0).
 */

import type { Clock, Timer } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { CollectionSpec } from '../domain/collection.ts';
import type { VectorIndexFactory } from '../index/vector-index.ts';
import type { LogStatistics, PodLog } from '../log/log.ts';
import type { Authority, MemberId } from '../replication/core.ts';
import { ShardReplica } from '../shard/replica.ts';
import { ReplicaService } from '../shard/replica-service.ts';
import type { ShardService } from '../domain/shard-service.ts';
import { replicaSpan } from '../storage/keys.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import type { DataDirectory } from './data-directory.ts';
import { DiskWatermarks } from './disk-watermarks.ts';
import { ReplicaRegistry, type RegisteredReplica } from './replica-registry.ts';

export interface DataPodOptions {
  /** The pod's name. */
  readonly name: string;
  readonly directory: DataDirectory;
  readonly fileSystem: FileSystem;
  readonly log: PodLog;
  readonly store: KeyValueStore;
  readonly graphFactory: VectorIndexFactory;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly diskReadOnlyAtFraction: number;
  /** The log or the store failed: nothing can be acknowledged any more, and the process should end (rule F1). */
  readonly onFailure: (error: Error) => void;
  /** A replica gave up its term and wants a new one. */
  readonly onStepDown: (shardUID: string, because: string) => void;
  readonly flatFloatsMax?: number;
  readonly tailFloatsMax?: number;
}

export interface HostedReplica {
  readonly registered: RegisteredReplica;
  readonly collection: string;
  readonly replica: ShardReplica;
  readonly service: ReplicaService;
}

/** How often it looks whether the log may be trimmed; above the size it does not wait for the checkpoint interval. */
const maintenanceIntervalMs = 10_000;
const flushLogBytes = 4 * limits.logSegmentBytes;

export class DataPod {
  readonly name: string;
  /** Random per process start (rule W0). */
  readonly session: string;
  readonly options: DataPodOptions;
  readonly registry: ReplicaRegistry;
  readonly disk: DiskWatermarks;
  readonly #replicas = new Map<string, HostedReplica>();
  #maintenanceTimer: Timer | undefined;
  #maintenance: Promise<void> | undefined;
  #lastFlushMs: number;
  #closed = false;

  static async open(options: DataPodOptions): Promise<DataPod> {
    const registry = await ReplicaRegistry.open(options.store, options.random);
    const disk = await DiskWatermarks.start({
      fileSystem: options.fileSystem,
      directory: options.directory.root,
      readOnlyAtFraction: options.diskReadOnlyAtFraction,
      clock: options.clock,
      logger: options.logger,
    });
    const pod = new DataPod(options, registry, disk);
    pod.#scheduleMaintenance();
    return pod;
  }

  private constructor(options: DataPodOptions, registry: ReplicaRegistry, disk: DiskWatermarks) {
    this.options = options;
    this.name = options.name;
    this.session = options.random.uuid();
    this.registry = registry;
    this.disk = disk;
    this.#lastFlushMs = options.clock.monotonicMs();
  }

  /** Opens the replica, or makes an empty one; resolves to its identity. Once per shard and process. */
  async host(shardUID: string, collectionUID: string, spec: CollectionSpec): Promise<MemberId> {
    const registered = this.registry.find(shardUID) ?? (await this.registry.add(shardUID, collectionUID));
    const self: MemberId = { pod: this.name, incarnation: registered.incarnation };
    const { options } = this;
    const replica = await ShardReplica.open({
      shardUID,
      self,
      session: this.session,
      localReplica: registered.localReplica,
      spec,
      log: options.log.replica(registered.localReplica),
      store: options.store,
      fileSystem: options.fileSystem,
      checkpointDirectory: options.directory.checkpoints(registered.localReplica),
      graphFactory: spec.index.type === 'flat' ? undefined : options.graphFactory,
      clock: options.clock,
      logger: options.logger.child({ shardUID, collection: spec.name }),
      onFailure: options.onFailure,
      onStepDown: (because) => options.onStepDown(shardUID, because),
      ...(options.flatFloatsMax === undefined ? {} : { flatFloatsMax: options.flatFloatsMax }),
      ...(options.tailFloatsMax === undefined ? {} : { tailFloatsMax: options.tailFloatsMax }),
    });
    const service = new ReplicaService(replica, (sizeBytes) => this.disk.checkWritable(sizeBytes));
    this.#replicas.set(shardUID, { registered, collection: spec.name, replica, service });
    return self;
  }

  lead(shardUID: string, authority: Authority): Promise<void> {
    return this.#hosted(shardUID).replica.lead(authority);
  }

  changeSpec(shardUID: string, spec: CollectionSpec): Promise<void> {
    return this.#hosted(shardUID).replica.changeSpec(spec);
  }

  /** What answers requests for the shard; NOT_PRIMARY when this pod does not hold it. */
  service(shardUID: string): ShardService {
    return this.#hosted(shardUID).service;
  }

  hosted(): readonly HostedReplica[] {
    return [...this.#replicas.values()];
  }

  find(shardUID: string): HostedReplica | undefined {
    return this.#replicas.get(shardUID);
  }

  /** Deletes the replica with all it holds. */
  async remove(shardUID: string): Promise<void> {
    const registered = this.registry.find(shardUID);
    if (registered === undefined) return;
    const hosted = this.#replicas.get(shardUID);
    this.#replicas.delete(shardUID);
    await hosted?.replica.close();
    // The registry forgets it last: a crash before that finds it again, and removes it again.
    await this.options.log.forget(registered.localReplica);
    const span = replicaSpan(registered.localReplica);
    await this.options.store.write([{ kind: 'delete-range', ...span }]);
    await this.options.fileSystem.remove(this.options.directory.checkpoints(registered.localReplica));
    await this.registry.remove(shardUID);
    await this.options.store.compact(span.start, span.end);
  }

  logStatistics(): LogStatistics {
    return this.options.log.statistics();
  }

  /** Rule T1: flushes the store, then lets go of what the log holds below that. */
  async releaseLog(): Promise<void> {
    const applied = this.hosted().map(({ replica, registered }) => ({ registered, seq: replica.appliedSeq }));
    await this.options.store.flush();
    this.#lastFlushMs = this.options.clock.monotonicMs();
    for (const { registered, seq } of applied) {
      // One that was removed meanwhile holds nothing back any more.
      if (this.#replicas.has(registered.shardUID)) await this.options.log.replica(registered.localReplica).release(seq);
    }
  }

  /** Finishes writes under way, flushes, and closes everything. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#maintenanceTimer?.cancel();
    await this.#maintenance;
    this.disk.close();
    await Promise.all(this.hosted().map(({ replica }) => replica.close()));
    await this.options.log.close();
    await this.options.store.flush();
    await this.options.store.close();
  }

  #hosted(shardUID: string): HostedReplica {
    const hosted = this.#replicas.get(shardUID);
    if (hosted === undefined) throw new ShoalError('NOT_PRIMARY', `pod ${this.name} has no replica of shard ${shardUID}`);
    return hosted;
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
    const { log, clock, logger } = this.options;
    if (log.failure !== undefined) return this.options.onFailure(log.failure);
    const due = log.statistics().sizeBytes > flushLogBytes || clock.monotonicMs() - this.#lastFlushMs > limits.checkpointIntervalMs;
    if (!due) return;
    try {
      await this.releaseLog();
    } catch (error) {
      logger.error({ error }, 'cannot flush the store; the log keeps growing');
    }
  }
}
