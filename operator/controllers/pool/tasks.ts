/** The life of a pool on one screen. */

import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import type { Random } from '../../../pods/kernel/random.ts';
import { drainPods } from '../../day2/drain-pods.ts';
import type { ReachFaultPoint } from '../../day2/fault-points.ts';
import { growVolumes } from '../../day2/grow-volumes.ts';
import { replacePods } from '../../day2/replace-pods.ts';
import { podCount, scaleIn } from '../../day2/scale-in.ts';
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
  readonly random: Random;
  readonly nowMs: () => number;
  /** For suites that end the operator in the middle of a sequence. */
  readonly reach?: ReachFaultPoint;
}

export function poolTasks(deps: PoolDeps): Task<PoolState>[] {
  const { metadata, writer, podOptions, nowMs } = deps;
  return [
    stateInSync(writer, nowMs),
    heedPause(),
    finishDeletion(writer, metadata),
    ensureFinalizer(metadata),
    applyService(writer),
    applyDisruptionBudget(writer),
    applyStatefulSet(writer, podOptions, podCount),
    ensureSystemCollection(metadata),
    scaleIn(deps),
    replacePods(deps),
    drainPods(deps),
    growVolumes(deps),
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
