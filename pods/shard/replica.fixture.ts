/** For tests: one shard replica over a log and a store of its own, opened again and again on the same disk. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import type { Logger } from '../kernel/logger.ts';
import { ShoalError } from '../kernel/errors.ts';
import { seededRandom } from '../kernel/random.ts';
import { noSpan } from '../kernel/span.ts';
import { collectionSpec, type CollectionSpec } from '../domain/collection.ts';
import type { Filter } from '../domain/filter.ts';
import type { Payload } from '../domain/point.ts';
import type { ShardContext, ShardHit } from '../domain/shard-service.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import type { VectorIndexFactory } from '../index/vector-index.ts';
import type { PodLog } from '../log/log.ts';
import { openPodLog } from '../log/pod-log.ts';
import type { Address } from '../replication/messages.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { ReplicaService } from './replica-service.ts';
import { ShardReplica } from './replica.ts';

export const dimension = 4;
export const shardUID = 'shard-under-test';
const localReplica = 1;
const everything = { includeVector: true, includePayload: true, consistency: { level: 'linearizable' } } as const;

export const context: ShardContext = { signal: new AbortController().signal, span: noSpan };

export interface ReplicaDisk {
  readonly directory: string;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly openStore: () => Promise<KeyValueStore>;
  readonly graphFactory: (() => VectorIndexFactory) | undefined;
  readonly flatFloatsMax: number;
  readonly tailFloatsMax?: number;
  readonly spec?: Partial<CollectionSpec>;
}

export class OpenReplica {
  readonly warnings: string[] = [];
  readonly disk: ReplicaDisk;
  readonly store: KeyValueStore;
  readonly log: PodLog;
  readonly replica: ShardReplica;
  readonly service: ReplicaService;
  failure: Error | undefined;

  /** Opens it, and leads in the next term unless told not to. */
  static async open(disk: ReplicaDisk, options: { readonly lead: boolean } = { lead: true }): Promise<OpenReplica> {
    const store = await disk.openStore();
    const log = await openPodLog({ directory: join(disk.directory, 'log'), fileSystem: disk.fileSystem, clock: disk.clock });
    const warnings: string[] = [];
    const logger: Logger = {
      debug: () => undefined,
      info: () => undefined,
      warn: (_, message) => void warnings.push(message),
      error: (_, message) => void warnings.push(message),
      child: () => logger,
    };
    const self = { pod: 'test-0', incarnation: 'first', session: 'session' };
    let opened: OpenReplica | undefined = undefined;
    try {
      const replica = await ShardReplica.open({
        collectionUID: 'collection-under-test',
        shardUID,
        self,
        localReplica,
        spec: collectionSpec({ name: 'test', dimension, metric: 'euclidean', ...disk.spec }),
        log: log.replica(localReplica),
        store,
        fileSystem: disk.fileSystem,
        checkpointDirectory: checkpointsOf(disk),
        graphFactory: disk.graphFactory?.(),
        clock: disk.clock,
        logger,
        flatFloatsMax: disk.flatFloatsMax,
        tailFloatsMax: disk.tailFloatsMax ?? 100_000,
        onFailure: (error) => {
          if (opened !== undefined) opened.failure = error;
        },
        onChange: () => undefined,
        onSnapshotNeeded: () => undefined,
        transport: { send: () => undefined, queuedBytes: () => 0 },
        authorityStore: {
          read: () => Promise.resolve(undefined),
          compareAndSwap: () => Promise.reject(new ShoalError('UNAVAILABLE', 'there is no store')),
        },
      });
      opened = new OpenReplica(disk, store, log, replica, warnings);
      if (options.lead) await lead(replica, self);
      return opened;
    } catch (error) {
      await log.close();
      await store.close();
      throw error;
    }
  }

  private constructor(disk: ReplicaDisk, store: KeyValueStore, log: PodLog, replica: ShardReplica, warnings: string[]) {
    this.disk = disk;
    this.store = store;
    this.log = log;
    this.replica = replica;
    this.service = new ReplicaService(replica, () => undefined);
    this.warnings = warnings;
  }

  /** Points `p<from>` and on; the vectors and payloads come from the number and the salt. */
  async upsert(from: number, count: number, salt = 0): Promise<void> {
    const points = Array.from({ length: count }, (_, i) => {
      const number = from + i;
      return { id: `p${number}`, vector: bytesOfVector(vectorOf(number, salt)), payload: encode({ number, parity: number % 2 === 0 ? 'even' : 'odd', salt }) };
    });
    await this.service.write(context, { kind: 'upsert', points });
  }

  async delete(numbers: readonly number[]): Promise<void> {
    await this.service.write(context, { kind: 'delete', points: numbers.map((number) => ({ id: `p${number}` })) });
  }

  /** Everything that can be read, to be compared whole. */
  async contents(): Promise<unknown> {
    const { points } = await this.service.scroll(context, { afterId: undefined, filter: undefined, limit: 10_000, ...everything });
    const filter: Filter = { kind: 'equals', field: 'parity', value: 'even' };
    return {
      points: points.map((point) => ({ ...point, vector: [...point.vector!] })),
      all: idsOf(await this.search({ topK: 10_000, exact: true })),
      even: idsOf(await this.search({ topK: 10_000, exact: true, filter })),
      evenCount: await this.service.count(context, { filter, consistency: { level: 'linearizable' } }),
      count: this.replica.pointCount,
    };
  }

  async search(request: { topK: number; exact?: boolean; filter?: Filter; vector?: Float32Array }): Promise<readonly ShardHit[]> {
    const { hits } = await this.service.search(context, {
      vector: request.vector ?? vectorOf(1_000_000, 0),
      topK: request.topK,
      ef: Math.max(64, request.topK),
      exact: request.exact ?? false,
      filter: request.filter,
      scoreThreshold: undefined,
      countVisited: false,
      ...everything,
    });
    for (const hit of hits) assert.deepEqual([...hit.vector!], [...vectorOf(hit.payload!['number'] as number, hit.payload!['salt'] as number)]);
    return hits;
  }

  async close(): Promise<void> {
    await this.replica.close(new AbortController().signal);
    await this.log.close();
    await this.store.flush();
    await this.store.close();
  }
}

/** Grants it the next term as its only member. */
export async function lead(replica: ShardReplica, self: Address): Promise<void> {
  const inSync = [{ pod: self.pod, incarnation: self.incarnation }];
  replica.authorityChanged({ term: replica.term + 1, primary: self, inSync, configVersion: 1, minInSync: 1, replicas: [self.pod], leaving: [], resourceVersion: '1' });
  await replica.begun(new AbortController().signal);
}

export function checkpointsOf(disk: ReplicaDisk): string {
  return join(disk.directory, 'checkpoints');
}

export function encode(payload: Payload): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(payload));
}

export function vectorOf(number: number, salt: number): Float32Array {
  const random = seededRandom(number * 1_000 + salt + 1);
  return Float32Array.from({ length: dimension }, () => random.fraction() * 2 - 1);
}

function idsOf(hits: readonly ShardHit[]): string[] {
  return hits.map(({ id, score, version }) => `${id} ${score.toFixed(5)} ${version}`);
}
