/** Task: the StatefulSet gets smaller once the pods that leave are empty (scale.ts decides). That it gets larger needs no care. */

import type { ClusterMetadata } from '../../pods/metadata/cluster-metadata.ts';
import type { PoolState } from '../controllers/pool/pool-state.ts';
import { fingerprinted } from '../desired/fingerprint.ts';
import type { PodOptions } from '../desired/pod-template.ts';
import { poolStatefulSet } from '../desired/pool-objects.ts';
import type { SeenStatefulSet } from '../observe/objects.ts';
import type { ObjectWriter } from '../runtime/apply.ts';
import { act, complete, retry, task, wait, type Decision, type Task } from '../runtime/task.ts';
import { noFaults, type ReachFaultPoint } from './fault-points.ts';
import { readPoolFacts } from './read-facts.ts';
import { readAnew } from './replace-pods.ts';
import { decideReplicas } from './scale.ts';

export interface ScaleInDeps {
  readonly metadata: ClusterMetadata;
  readonly writer: ObjectWriter;
  readonly podOptions: PodOptions;
  readonly reach?: ReachFaultPoint;
}

export function decideScaleIn(state: PoolState): Decision<number> {
  const { statefulSet } = state;
  if (statefulSet === undefined) return complete('there is no StatefulSet');
  const present = statefulSet.spec.replicas ?? 1;
  const { replicas, because } = decideReplicas(readPoolFacts(state));
  if (replicas < present) return act(replicas, `${because}: the StatefulSet gets ${replicas} pods instead of ${present}`, 'ScaledIn');
  return replicas > state.pool.spec.replicas ? wait(because, { reason: 'ScalingIn' }) : complete(because);
}

export function scaleIn({ metadata, writer, podOptions, reach = noFaults }: ScaleInDeps): Task<PoolState> {
  return task<PoolState, number>({
    name: 'scale-in',
    decide: decideScaleIn,
    async apply(_, state) {
      const { name } = state.pool.metadata;
      const [fresh, statefulSet] = await Promise.all([readAnew(state, metadata, writer), writer.read('StatefulSet', name) as Promise<SeenStatefulSet | undefined>]);
      if (statefulSet?.metadata.uid !== state.statefulSet?.metadata.uid || statefulSet === undefined) return retry(0, 'the StatefulSet is another one');
      const { replicas, because } = decideReplicas(readPoolFacts({ ...fresh, statefulSet }));
      if (replicas >= (statefulSet.spec.replicas ?? 1)) return retry(0, because);
      await reach('scale-in-before');
      await writer.apply('StatefulSet', fingerprinted(poolStatefulSet(state.pool, podOptions, replicas, statefulSet)), { ifVersion: statefulSet.metadata.resourceVersion });
      await reach('scale-in-done');
      return replicas > state.pool.spec.replicas ? wait(because, { reason: 'ScalingIn' }) : complete(because);
    },
  });
}

/** How many pods the StatefulSet shall have when it is applied: never fewer than it has, or than are needed where it is missing. */
export function podCount(state: PoolState): number {
  const { pool, statefulSet } = state;
  return statefulSet === undefined ? decideReplicas(readPoolFacts(state)).replicas : Math.max(pool.spec.replicas, statefulSet.spec.replicas ?? 1);
}
