/** What a collection's status says in words: Ready, Progressing, Degraded, and NameConflict where there is one. */

import { isDeepStrictEqual } from 'node:util';
import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import { isDeleting, type VectorCollection } from '../../../pods/metadata/objects.ts';
import { progressOf, withConditions, type StatedCondition } from '../../runtime/conditions.ts';
import type { TaskRow } from '../../runtime/task.ts';
import type { CollectionState } from './collection-state.ts';
import { conflictText, otherHolder } from './rules.ts';
import { healthText, shardHealth, type ShardHealth } from './shard-health.ts';
import { vectorCount, type CountTimes } from './vector-count.ts';

type Status = VectorCollection['status'];

/** Pure: the status as it shall be. What the shard controller writes into it stays: phase, shards, routing, observedGeneration. */
export function collectionStatus(state: CollectionState, rows: readonly TaskRow[]): Status {
  const { collection, shards, heard, nowMs } = state;
  const { metadata, spec, status } = collection;
  const healths = shards.map((shard) => shardHealth(shard, spec.replication.replicas, heard));
  const stated = [readiness(state, healths), ...progressOf(rows).map((condition) => withShards(condition, state, healths)), ...nameConflict(state)];
  const count = vectorCount(shards, heard) ?? status.vectorCount;
  return { ...status, ...(count === undefined ? {} : { vectorCount: count }), readyShards: healths.filter(({ isServing }) => isServing).length, conditions: withConditions(status.conditions, stated, metadata.generation, nowMs) };
}

function readiness({ collection }: CollectionState, healths: readonly ShardHealth[]): StatedCondition {
  const { spec, status } = collection;
  const notReady = (reason: string, message: string): StatedCondition => ({ type: 'Ready', status: 'False', reason, message });
  if (isDeleting(collection)) return notReady('Deleting', 'it is being deleted');
  const serving = healths.filter(({ isServing }) => isServing).length;
  if (healths.length < spec.shards) return notReady('ShardsMissing', `${healths.length} of ${spec.shards} shards are there`);
  if (serving < spec.shards) return notReady('ShardsNotServing', `${serving} of ${spec.shards} shards serve: ${healthText(healths.filter(({ isServing }) => !isServing))}`);
  if (status.phase === 'Pending') return notReady('NotBroughtUp', 'its pods are taking over what it is');
  return { type: 'Ready', status: 'True', reason: 'Serving', message: spec.shards === 1 ? 'its shard serves' : `all ${spec.shards} shards serve` };
}

/** Once it was brought up, shards without all their replicas are a degraded state, also while they are being seen to. */
function withShards(condition: StatedCondition, { collection }: CollectionState, healths: readonly ShardHealth[]): StatedCondition {
  const thin = healths.filter(({ isWhole }) => !isWhole);
  if (condition.type !== 'Degraded' || condition.status === 'True' || thin.length === 0) return condition;
  if (collection.status.phase === 'Pending' || isDeleting(collection)) return condition;
  const isServing = thin.every((health) => health.isServing);
  return { type: 'Degraded', status: 'True', reason: isServing ? 'ReplicasMissing' : 'ShardsNotServing', message: healthText(thin) };
}

function nameConflict({ collection, collections }: CollectionState): StatedCondition[] {
  const holder = isDeleting(collection) ? undefined : otherHolder(collection, collections);
  if (holder !== undefined) return [{ type: 'NameConflict', status: 'True', reason: 'NameTaken', message: conflictText(collection, holder) }];
  const isStated = collection.status.conditions?.some(({ type }) => type === 'NameConflict') === true;
  return isStated ? [{ type: 'NameConflict', status: 'False', reason: 'NameFree', message: `the name ${collection.spec.name} is its own` }] : [];
}

/** One compare-and-swap, if anything has changed. */
export async function reportCollection(metadata: ClusterMetadata, state: CollectionState, rows: readonly TaskRow[], times: CountTimes): Promise<void> {
  const { name } = state.collection.metadata;
  const counts = times.isDue(name, state.nowMs);
  const isNew = (status: Status, old: Status): boolean => !isDeepStrictEqual({ ...status, vectorCount: counts ? status.vectorCount : old.vectorCount }, { vectorCount: undefined, ...old });
  if (!isNew(collectionStatus(state, rows), state.collection.status)) return;
  // Tasks and the shard controller may have written to it since it was read.
  const fresh = await metadata.collections.get(name);
  if (fresh?.metadata.uid !== state.collection.metadata.uid) return;
  const status = collectionStatus({ ...state, collection: fresh }, rows);
  if (!isNew(status, fresh.status)) return;
  await metadata.collections.replaceStatus({ ...fresh, status });
  times.written(name, state.nowMs);
}
