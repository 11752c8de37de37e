/** For tests of transfers: a replica that is written to by entries alone, without replication, over any store and disk. */

import { join } from 'node:path';
import { systemClock } from '../kernel/clock.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import type { Logger } from '../kernel/logger.ts';
import { seededRandom } from '../kernel/random.ts';
import { collectionSpec, type CollectionSpec, type Quantization } from '../domain/collection.ts';
import type { PodService, SnapshotAnswer, SnapshotRequest } from '../domain/pod-service.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import { indexParametersOf } from '../index/index-parameters.ts';
import type { VectorIndexFactory } from '../index/vector-index.ts';
import type { LogEntry, PodLog } from '../log/log.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { keySpace, withoutReplica } from '../storage/keys.ts';
import { AppliedSeq } from './applied-seq.ts';
import { applyEntries } from './applier.ts';
import { Checkpointer } from './checkpointer.ts';
import { decodeEntry, encodeEntry } from './entry-codec.ts';
import type { Entry, Operation } from './operation.ts';
import { recoverReplica, type RecoveredReplica } from './recovery.ts';
import type { SnapshotSource } from './snapshot-source.ts';
import type { SnapshotOrigin } from './snapshot-reader.ts';

export const dimension = 8;
const flatFloatsMax = 100;
const encoder = new TextEncoder();
/** Makes a few thousand points several answers long. */
const filler = 'x'.repeat(400);

const specWith = (quantization: Quantization): CollectionSpec =>
  collectionSpec({ name: 'test', dimension, metric: 'euclidean', index: { quantization }, payloadIndexes: [{ field: 'parity', type: 'keyword' }] });

export interface TestPod {
  readonly store: KeyValueStore;
  readonly log: PodLog;
  readonly fileSystem: FileSystem;
  readonly checkpoints: (localReplica: number) => string;
  readonly graphFactory: VectorIndexFactory;
  /** Of its replicas' collection; none unless said. */
  readonly quantization?: Quantization;
}

export function checkpointsUnder(root: string): (localReplica: number) => string {
  return (localReplica) => join(root, 'checkpoints', String(localReplica));
}

/** Keeps the messages of warnings. */
export function testLogger(warnings: string[] = []): Logger {
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (_, message) => void warnings.push(message),
    error: (_, message) => void warnings.push(message),
    child: () => logger,
  };
  return logger;
}

export function vectorOf(number: number, salt: number): Float32Array {
  const random = seededRandom(number * 1_000 + salt + 1);
  return Float32Array.from({ length: dimension }, () => random.fraction() * 2 - 1);
}

export class TestReplica {
  readonly pod: TestPod;
  readonly localReplica: number;
  readonly recovered: RecoveredReplica;
  readonly warnings: string[];
  readonly applied: AppliedSeq;
  readonly checkpointer: Checkpointer;

  /** Opens it as the product does, and applies what the log has above. */
  static async open(pod: TestPod, localReplica: number): Promise<TestReplica> {
    const warnings: string[] = [];
    const log = pod.log.replica(localReplica);
    const recovered = await recoverReplica({
      localReplica,
      spec: specWith(pod.quantization ?? 'none'),
      store: pod.store,
      fileSystem: pod.fileSystem,
      checkpointDirectory: pod.checkpoints(localReplica),
      graphFactory: pod.graphFactory,
      logger: testLogger(warnings),
      log,
      flatFloatsMax,
      tailFloatsMax: 1_000_000,
    });
    return new TestReplica(pod, localReplica, recovered, warnings);
  }

  private constructor(pod: TestPod, localReplica: number, recovered: RecoveredReplica, warnings: string[]) {
    this.pod = pod;
    this.localReplica = localReplica;
    this.recovered = recovered;
    this.warnings = warnings;
    this.applied = new AppliedSeq(recovered.replicaState.appliedSeq);
    this.checkpointer = new Checkpointer({
      state: recovered.state,
      checkpoints: recovered.checkpoints,
      parameters: indexParametersOf(specWith(pod.quantization ?? 'none')),
      applied: this.applied,
      checkpointSeq: recovered.checkpointSeq,
      clock: systemClock,
      logger: testLogger(warnings),
    });
    recovered.state.index.startMoving();
  }

  /** Upserts points `p<from>` and on in one entry, under a request number of its own. */
  upsert(term: number, from: number, count: number, salt = 0): Promise<void> {
    const version = this.applied.value + 1;
    const operations = Array.from({ length: count }, (_, i): Operation => {
      const number = from + i;
      const payload = encoder.encode(JSON.stringify({ number, parity: number % 2 === 0 ? 'even' : 'odd', salt, filler }));
      return { kind: 'upsert', id: `p${number}`, version, vector: bytesOfVector(vectorOf(number, salt)), payload, text: undefined };
    });
    return this.apply(term, operations);
  }

  delete(term: number, numbers: readonly number[]): Promise<void> {
    return this.apply(term, numbers.map((number) => ({ kind: 'delete', id: `p${number}` })));
  }

  async apply(term: number, operations: readonly Operation[]): Promise<void> {
    const seq = this.applied.value + 1;
    const entry: Entry = { idempotency: { clientId: `client ${seq % 3}`, requestNumber: seq }, operations, results: [] };
    await this.pod.log.replica(this.localReplica).append([{ term, seq, payload: encodeEntry(entry) }]);
    await applyEntries(this.recovered.state, [{ term, seq, entry }], seq);
    this.applied.advance(seq);
    this.checkpointer.changed(operations.length);
  }

  async checkpoint(): Promise<void> {
    await this.recovered.state.index.settled();
    await this.checkpointer.write();
  }

  /** Takes over an entry of another replica. */
  async replay({ term, seq, payload }: LogEntry): Promise<void> {
    await this.pod.log.replica(this.localReplica).append([{ term, seq, payload }]);
    await applyEntries(this.recovered.state, [{ term, seq, entry: decodeEntry(payload) }], seq);
    this.applied.advance(seq);
  }

  /** Everything the store holds of it but for `meta`, by key without the number. */
  async stored(): Promise<Map<string, string>> {
    const all = new Map<string, string>();
    for (const space of ['id', 'vector', 'payload', 'session', 'record'] as const) {
      for await (const slice of this.pod.store.scan(keySpace(this.localReplica, space).span)) {
        for (const { key, value } of slice) all.set(Buffer.from(withoutReplica(key)).toString('hex'), Buffer.from(value).toString('base64'));
      }
    }
    return all;
  }

  /** Points and sessions whatever their labels, and what searches find, through the payload index too. */
  async contents(): Promise<unknown> {
    const { points, index, labels, payloads } = this.recovered.state;
    const all: unknown[] = [];
    for await (const slice of points.scanStates(undefined)) {
      const ofSlice = slice.map(({ state }) => state.label);
      const [vectors, values] = await Promise.all([points.vectors(ofSlice), points.payloads(ofSlice)]);
      slice.forEach(({ id, state: { version, vectorVersion } }, i) => all.push([id, version, vectorVersion, String(vectors[i]), String(values[i]?.payload)]));
    }
    const sessions = [...(await this.stored())].filter(([key]) => key.startsWith('07'));
    const even = await payloads.indexes.evaluate({ kind: 'equals', field: 'parity', value: 'even' }, labels.live);
    const set = even.kind === 'exact' ? even.set : even.certain;
    const found: string[][] = [];
    for (const filter of [undefined, set]) {
      for (let query = 0; query < 10; query++) {
        const result = await index.search({ query: vectorOf(5_000_000 + query, 0), k: 10, ef: 64, exact: true, ...(filter === undefined ? {} : { filter }) });
        found.push([...result.labels].map((label, i) => `${labels.id(label)} ${result.distances[i]!.toFixed(6)}`));
      }
    }
    return { all, sessions, found, evenCount: set.count, pointCount: labels.pointCount };
  }

  async close(): Promise<void> {
    this.checkpointer.stop();
    await this.checkpointer.finish({ last: false });
    await this.recovered.state.index.close();
  }
}

/** Counts the vectors that are inserted into graphs, those of a loaded checkpoint not included. */
export function countingFactory(factory: VectorIndexFactory): VectorIndexFactory & { readonly counts: { inserted: number; loaded: number } } {
  const counts = { inserted: 0, loaded: 0 };
  const counting = <T extends Awaited<ReturnType<VectorIndexFactory['create']>>>(graph: T): T => {
    const add = graph.add.bind(graph);
    graph.add = (labels, vectors) => {
      counts.inserted += labels.length;
      return add(labels, vectors);
    };
    return graph;
  };
  return {
    counts,
    quantizations: factory.quantizations,
    create: async (parameters) => counting(await factory.create(parameters)),
    async load(parameters, directory, parts) {
      const graph = counting(await factory.load(parameters, directory, parts));
      counts.loaded += graph.size;
      return graph;
    },
  };
}

/** The pod that sends, as the one that receives sees it. */
export function podWith(source: () => SnapshotSource, origin: () => SnapshotOrigin): Pick<PodService, 'snapshot'> {
  return { snapshot: (request: SnapshotRequest, signal: AbortSignal): Promise<SnapshotAnswer> => source().answer(request, origin(), signal) };
}

export function originOf({ pod, localReplica }: TestReplica, logger: Logger = testLogger()): SnapshotOrigin {
  return {
    localReplica,
    store: pod.store,
    log: pod.log.replica(localReplica),
    fileSystem: pod.fileSystem,
    checkpointDirectory: pod.checkpoints(localReplica),
    logger,
  };
}
