/** What a pool's status says: how many pods there are and are ready, and in words what is being done. */

import { isDeepStrictEqual } from 'node:util';
import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import type { VectorPool } from '../../../pods/metadata/objects.ts';
import { podSelector, selectorText } from '../../desired/names.ts';
import { isGoing, isTrue } from '../../observe/objects.ts';
import { progressOf, withConditions, type StatedCondition } from '../../runtime/conditions.ts';
import type { TaskRow } from '../../runtime/task.ts';
import type { PoolState } from './pool-state.ts';

/** Pure: the status as it shall be; the operation and the drains in it stay. */
export function poolStatus(state: PoolState, rows: readonly TaskRow[]): VectorPool['status'] {
  const { pool, pods, nowMs } = state;
  const ready = pods.filter((pod) => isTrue(pod.status?.conditions, 'Ready') && !isGoing(pod));
  return {
    ...pool.status,
    observedGeneration: pool.metadata.generation,
    replicas: pods.length,
    readyReplicas: ready.length,
    selector: selectorText(podSelector(pool.metadata.name)),
    conditions: withConditions(pool.status.conditions, [readiness(state, ready.length), ...progressOf(rows)], pool.metadata.generation, nowMs),
  };
}

function readiness({ pool, pods }: PoolState, readyCount: number): StatedCondition {
  const wanted = pool.spec.replicas;
  if (readyCount >= wanted) return { type: 'Ready', status: 'True', reason: 'PodsReady', message: `${readyCount} of ${wanted} pods are ready` };
  const notReady = pods.filter((pod) => !isTrue(pod.status?.conditions, 'Ready'));
  const reasons = notReady.slice(0, 3).map((pod) => `${pod.metadata.name}: ${whyNotReady(pod)}`);
  return { type: 'Ready', status: 'False', reason: 'PodsNotReady', message: [`${readyCount} of ${wanted} pods are ready`, ...reasons].join('; ') };
}

/** The nearest cause that Kubernetes tells. */
export function whyNotReady({ spec, status, metadata }: PoolState['pods'][number]): string {
  if (metadata.deletionTimestamp !== undefined) return 'it is ending';
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (spec.nodeName === undefined) return scheduled?.message ?? 'it has no node yet';
  const waiting = status?.containerStatuses?.find(({ state }) => state?.waiting !== undefined)?.state?.waiting;
  if (waiting !== undefined) return [waiting.reason, waiting.message].filter((part) => part !== undefined && part !== '').join(': ') || 'its container is waiting';
  const ready = status?.conditions?.find(({ type }) => type === 'ContainersReady');
  if (ready?.status !== 'True') return ready?.message ?? 'its container has not started yet';
  const gate = status?.conditions?.find(({ type }) => type === 'shoal.dev/in-sync');
  return gate?.message ?? 'it is not in sync';
}

/** One compare-and-swap, if anything has changed. */
export async function reportPool(metadata: ClusterMetadata, state: PoolState, rows: readonly TaskRow[]): Promise<void> {
  if (isDeepStrictEqual(poolStatus(state, rows), state.pool.status)) return;
  // Tasks may have written to it since it was read.
  const fresh = await metadata.pools.get(state.pool.metadata.name);
  if (fresh?.metadata.uid !== state.pool.metadata.uid) return;
  const status = poolStatus({ ...state, pool: fresh }, rows);
  if (!isDeepStrictEqual(status, fresh.status)) await metadata.pools.replaceStatus({ ...fresh, status });
}
