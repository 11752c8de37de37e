/** The life of a collection on one screen. Its shards are placed, led and moved by the shard controller, which the operator embeds. */

import { limits } from '../../../pods/kernel/limits.ts';
import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import { isDeleting, isUpToDate } from '../../../pods/metadata/objects.ts';
import type { ObjectWriter } from '../../runtime/apply.ts';
import type { Controller } from '../../runtime/controller.ts';
import { complete, fail, retry, task, wait, type Task, type TaskResult } from '../../runtime/task.ts';
import { readCollectionState, type CollectionSources, type CollectionState } from './collection-state.ts';
import { finishEnd } from './deletion.ts';
import { ensurePool } from './pool.ts';
import { reportCollection } from './report.ts';
import { heldBecause, isPaused } from './rules.ts';
import { healthText, shardHealth } from './shard-health.ts';
import { CountTimes } from './vector-count.ts';

export interface CollectionDeps {
  readonly metadata: ClusterMetadata;
  readonly writer: ObjectWriter;
}

export function collectionTasks({ metadata, writer }: CollectionDeps): Task<CollectionState>[] {
  return [
    look('heed-pause', heedPause),
    finishEnd(metadata, writer),
    look('hold-name', holdName),
    ensurePool(metadata, writer),
    look('bring-up-shards', bringUpShards),
    look('keep-replicas', keepReplicas),
  ];
}

export function collectionController(sources: CollectionSources, deps: CollectionDeps): Controller<CollectionState> {
  const times = new CountTimes();
  return {
    name: 'collection',
    read: (name) => readCollectionState(name, sources),
    tasks: collectionTasks(deps),
    spacingMs: limits.collectionReconcileSpacingMs,
    regarding: ({ collection }) => ({ kind: 'VectorCollection', name: collection.metadata.name, uid: collection.metadata.uid }),
    report: (state, rows) => reportCollection(deps.metadata, state, rows, times),
    forget: (name) => times.forget(name),
  };
}

/** A task that has nothing to do itself. */
function look(name: string, decide: (state: CollectionState) => TaskResult): Task<CollectionState> {
  return task<CollectionState, never>({ name, decide, apply: (impossible) => impossible });
}

function heedPause({ collection, collections }: CollectionState): TaskResult {
  return isPaused(collection) ? wait(heldBecause(collection, collections)!, { reason: 'Paused', holdsBack: true }) : complete('it is not paused');
}

function holdName({ collection, collections }: CollectionState): TaskResult {
  const because = heldBecause(collection, collections);
  return because === undefined ? complete(`the name ${collection.spec.name} is its own`) : fail(because, 'NameConflict');
}

/** What is not announced: that a pod has taken a change over. */
const lookAgainMs = 1_000;

export function bringUpShards({ collection, outcome }: CollectionState): TaskResult {
  if (isDeleting(collection)) return complete('it is being deleted');
  if (outcome?.state === 'stuck') {
    // Pods that are on their way are no reason to worry anybody.
    if (outcome.reason === 'Unplaced' && collection.status.phase === 'Pending') return wait(outcome.because, { reason: 'WaitingForPods' });
    return fail(outcome.because, outcome.reason);
  }
  if (isUpToDate(collection)) return complete('its shards are as it wants them');
  return outcome?.state === 'waiting' ? wait(outcome.because, { reason: 'BringingUpShards' }) : wait('its shards are being brought up', { reason: 'BringingUpShards' });
}

export function keepReplicas({ collection, shards, heard }: CollectionState): TaskResult {
  if (collection.status.phase === 'Pending' || isDeleting(collection)) return complete('there is nothing to keep yet');
  const healths = shards.map((shard) => shardHealth(shard, collection.spec.replication.replicas, heard));
  const broken = healths.filter(({ isServing }) => !isServing);
  // One that nobody leads is being seen to; whether it serves again shows by asking.
  if (broken.length > 0) return shards.some(({ status }) => status.phase === 'Lost') ? fail(healthText(broken), 'ShardsNotServing') : { ...retry(lookAgainMs, healthText(broken)), reason: 'ShardsNotServing' };
  const thin = healths.filter(({ isWhole }) => !isWhole);
  if (thin.length > 0) return { ...retry(lookAgainMs, healthText(thin)), reason: 'ReplicasMissing' };
  return complete('all replicas are in sync');
}
