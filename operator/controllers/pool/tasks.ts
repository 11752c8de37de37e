/** The life of a pool on one screen. */

import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import { pausedAnnotation } from '../../desired/names.ts';
import type { PodOptions } from '../../desired/pod-template.ts';
import type { ObjectWriter } from '../../runtime/apply.ts';
import type { Controller } from '../../runtime/controller.ts';
import { complete, task, wait, type Task } from '../../runtime/task.ts';
import { ensureFinalizer, finishDeletion } from './deletion.ts';
import { stateInSync } from './in-sync-gate.ts';
import { applyDisruptionBudget, applyService, applyStatefulSet } from './pool-objects.ts';
import { readPoolState, type PoolSources, type PoolState } from './pool-state.ts';
import { reportPool } from './report.ts';
import { ensureSystemCollection } from './system-collection.ts';

export interface PoolDeps {
  readonly metadata: ClusterMetadata;
  readonly writer: ObjectWriter;
  readonly podOptions: PodOptions;
  readonly nowMs: () => number;
}

export function poolTasks({ metadata, writer, podOptions, nowMs }: PoolDeps): Task<PoolState>[] {
  return [
    stateInSync(writer, nowMs),
    heedPause(),
    finishDeletion(writer, metadata),
    ensureFinalizer(metadata),
    applyService(writer),
    applyDisruptionBudget(writer),
    applyStatefulSet(writer, podOptions, podCount),
    ensureSystemCollection(metadata),
  ];
}

export function poolController(sources: PoolSources, deps: PoolDeps): Controller<PoolState> {
  return {
    name: 'pool',
    read: (name) => readPoolState(name, sources),
    tasks: poolTasks(deps),
    regarding: ({ pool }) => ({ kind: 'VectorPool', name: pool.metadata.name, uid: pool.metadata.uid }),
    report: (state, rows) => reportPool(deps.metadata, state, rows),
  };
}

/** Never fewer than there are: those that leave are drained first (rule A2), and whoever has drained them lowers it. */
function podCount({ pool, statefulSet }: PoolState): number {
  return Math.max(pool.spec.replicas, statefulSet?.spec.replicas ?? 0);
}

/** Nothing but readiness is said of a pool that is paused: what is running goes on. */
function heedPause(): Task<PoolState> {
  return task<PoolState, never>({
    name: 'heed-pause',
    decide: ({ pool }) =>
      pool.metadata.annotations?.[pausedAnnotation] === 'true'
        ? wait(`the annotation ${pausedAnnotation} keeps the operator from changing anything`, { reason: 'Paused', holdsBack: true })
        : complete('it is not paused'),
    apply: (impossible) => impossible,
  });
}
