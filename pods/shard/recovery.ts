/**
 * Opens a replica from its store and its newest checkpoint, before the log is replayed.
 *
 *     1  read how far the store has applied
 *     2  read the label table: see label-recovery.ts      (beside it, load the graph)
 *     3  take out of the graph what the store has changed since; the rest of the points enters the tail
 *     4  likewise for the payload indexes
 *
 * The store is the truth: a missing, damaged or outdated checkpoint only costs the time to read the points again.
 */

import { AssertionError } from 'node:assert/strict';
import { ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import type { Logger } from '../kernel/logger.ts';
import type { CollectionSpec } from '../domain/collection.ts';
import { indexParametersOf } from '../index/index-parameters.ts';
import type { IndexParameters, VectorIndex, VectorIndexFactory } from '../index/vector-index.ts';
import { LabelBits } from '../domain/label-set.ts';
import { PayloadIndexes } from '../payload/payload-indexes.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { decodeKey, keySpace, keyWithBytes } from '../storage/keys.ts';
import type { ReplicaLog } from '../log/log.ts';
import type { AppliedState } from './applier.ts';
import { CheckpointDirectory, type StoredCheckpoint } from './checkpoint.ts';
import { IdempotencyTable } from './idempotency.ts';
import { recoverLabels } from './label-recovery.ts';
import type { LabelTable, LabelVersions } from './label-table.ts';
import { PayloadIndexing } from './payload-indexing.ts';
import type { PayloadRing } from './payload-ring.ts';
import { PointIndex } from './point-index.ts';
import { ReaderEpochs } from './reader-epochs.ts';
import { decodeReplicaState, newReplicaState, type ReplicaState } from './replica-state.ts';
import { StoredPoints } from './stored-points.ts';

export interface RecoveryOptions {
  readonly localReplica: number;
  readonly spec: CollectionSpec;
  readonly store: KeyValueStore;
  readonly fileSystem: FileSystem;
  /** Of this replica's checkpoints. */
  readonly checkpointDirectory: string;
  /** Undefined: no graph whatever the size (`index.type: flat`). */
  readonly graphFactory: VectorIndexFactory | undefined;
  /** How points outside the graph are compared; in JavaScript when it is not given. */
  readonly rowDistances?: VectorIndexFactory['rowDistances'] | undefined;
  readonly logger: Logger;
  /** Tells what has changed since the checkpoint; without it every id is read from the store. */
  readonly log?: ReplicaLog;
  /** Where payloads that were read are kept, shared by the replicas of a pod; of its own when it is not given. */
  readonly payloadRing?: PayloadRing;
  readonly flatFloatsMax?: number;
  readonly tailFloatsMax?: number;
}

export interface RecoveredReplica {
  readonly state: AppliedState;
  readonly replicaState: ReplicaState;
  readonly epochs: ReaderEpochs;
  readonly checkpoints: CheckpointDirectory;
  readonly checkpointSeq: number;
}

/** Points read from the store at a time. */
const sliceCount = 1_000;

export async function recoverReplica(options: RecoveryOptions): Promise<RecoveredReplica> {
  const { store, localReplica, spec } = options;
  const checkpoints = new CheckpointDirectory(options.fileSystem, options.checkpointDirectory);
  const replicaState = await readReplicaState(store, localReplica);
  const checkpoint = await checkpoints.newest(replicaState.appliedSeq);
  // Begun first: it has a thread of its own.
  const loading = checkpoint === undefined ? Promise.resolve(undefined) : loadGraph(options, checkpoints, checkpoint, indexParametersOf(spec));
  loading.catch(() => undefined);
  try {
    const { state, epochs } = await readState(options, checkpoints, checkpoint, loading);
    return { state, replicaState, epochs, checkpoints, checkpointSeq: checkpoint?.manifest.seq ?? 0 };
  } catch (error) {
    // A replica that does not open keeps no graph in memory.
    const graph = await loading.catch(() => undefined);
    await graph?.close();
    throw error;
  }
}

async function readState(
  options: RecoveryOptions,
  checkpoints: CheckpointDirectory,
  checkpoint: StoredCheckpoint | undefined,
  loading: Promise<VectorIndex | undefined>,
): Promise<Pick<RecoveredReplica, 'state' | 'epochs'>> {
  const { store, localReplica, spec, logger } = options;
  const points = new StoredPoints(store, localReplica, options.payloadRing);
  const epochs = new ReaderEpochs();
  const versions = checkpoint === undefined ? undefined : await orRebuild(logger, 'label versions', () => checkpoints.readVersions(checkpoint));
  const source = checkpoint === undefined || versions === undefined ? undefined : { checkpoints, checkpoint, versions };
  const labels = await recoverLabels({ points, log: options.log, orRebuild: (load) => orRebuild(logger, 'ids', load) }, source);
  const graph = await loading;
  labels.reserve(versions?.versions.length ?? 0);
  const trustedGraph = await reconcileGraph(graph, versions, labels);
  const index = new PointIndex({ ...options, parameters: indexParametersOf(spec), labels, epochs, waitsToMove: true }, trustedGraph);
  labels.releaseGaps();
  await fillTail(index, labels, points, spec.dimension);
  const payloads = await recoverPayloadIndexes(spec, checkpoints, checkpoint, versions, labels, points, logger);
  const idempotency = new IdempotencyTable();
  idempotency.load(await readSessions(store, localReplica));
  return { state: { store, localReplica, points, labels, index, payloads, idempotency }, epochs };
}

async function readReplicaState(store: KeyValueStore, localReplica: number): Promise<ReplicaState> {
  const value = await store.get(keyWithBytes(localReplica, 'meta', new TextEncoder().encode('state')));
  return value === undefined ? newReplicaState : decodeReplicaState(value);
}

async function readSessions(store: KeyValueStore, localReplica: number): Promise<{ suffix: Uint8Array; value: Uint8Array }[]> {
  const sessions: { suffix: Uint8Array; value: Uint8Array }[] = [];
  for await (const slice of store.scan(keySpace(localReplica, 'session').span)) {
    for (const { key, value } of slice) sessions.push({ suffix: decodeKey(key).suffix, value });
  }
  return sessions;
}

function loadGraph(
  options: RecoveryOptions,
  checkpoints: CheckpointDirectory,
  checkpoint: StoredCheckpoint,
  parameters: IndexParameters,
): Promise<VectorIndex | undefined> {
  const { graphFactory, logger } = options;
  const { graph } = checkpoint.manifest;
  if (graphFactory === undefined || graph === null) return Promise.resolve(undefined);
  return orRebuild(logger, 'graph', () => graphFactory.load(parameters, checkpoints.graphDirectory(checkpoint), graph.parts));
}

/** Leaves in the graph what the store still has under the same vector version. */
async function reconcileGraph(graph: VectorIndex | undefined, versions: LabelVersions | undefined, labels: LabelTable): Promise<VectorIndex | undefined> {
  if (graph === undefined) return undefined;
  if (versions === undefined) {
    await graph.close();
    return undefined;
  }
  const stale = graph.labels().filter((label) => !labels.isLive(label) || labels.vectorVersion(label) !== versions.vectorVersions[label]);
  if (stale.length > 0) await graph.remove(stale);
  return graph;
}

async function fillTail(index: PointIndex, labels: LabelTable, points: StoredPoints, dimension: number): Promise<void> {
  const uncovered = LabelBits.copyOf(labels.live).toArray().filter((label) => !index.graphHas(label));
  for (let start = 0; start < uncovered.length; start += sliceCount) {
    const slice = uncovered.slice(start, start + sliceCount);
    const stored = await points.vectorBytes(slice);
    const vectors = stored.map((vector, i) => {
      if (vector?.length === 4 * dimension) return vector;
      throw new ShoalError('CORRUPTION', `the vector of point "${labels.id(slice[i]!)}" is missing or has another dimension`);
    });
    index.add(slice, vectors);
  }
}

async function recoverPayloadIndexes(
  spec: CollectionSpec,
  checkpoints: CheckpointDirectory,
  checkpoint: StoredCheckpoint | undefined,
  versions: LabelVersions | undefined,
  labels: LabelTable,
  points: StoredPoints,
  logger: Logger,
): Promise<PayloadIndexing> {
  const part = checkpoint?.manifest.payload ?? undefined;
  const loaded =
    part === undefined || versions === undefined
      ? undefined
      : await orRebuild(logger, 'payload indexes', async () => PayloadIndexes.decode(spec.payloadIndexes, [await checkpoints.readPart(checkpoint!, part)]));
  const indexes = loaded?.indexes ?? new PayloadIndexes([]);
  const missing = loaded?.missing ?? spec.payloadIndexes;
  if (loaded === undefined) for (const index of missing) indexes.beginField(index);
  const indexing = new PayloadIndexing(labels, points, indexes, spec.payloadIndexes);
  if (loaded !== undefined) {
    const stale = new LabelBits();
    versions!.versions.forEach((version, label) => {
      if (version !== 0 && (!labels.isLive(label) || labels.version(label) !== version)) stale.add(label);
    });
    for (const label of LabelBits.copyOf(labels.live).toArray()) if (versions!.versions[label] !== labels.version(label)) stale.add(label);
    await indexing.refresh(stale.toArray());
  }
  await indexing.complete(missing);
  return indexing;
}

/** Derived data that is damaged or cannot be read is given up with a warning: the points are the truth. */
async function orRebuild<T>(logger: Logger, what: string, load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load();
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    logger.warn({ error }, `the checkpoint's ${what} cannot be used; rebuilding from the points`);
    return undefined;
  }
}
