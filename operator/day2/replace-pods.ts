/** Task: pods whose template is old are replaced, one by one (rollout.ts decides). */

import { hasCode } from '../../pods/kernel/errors.ts';
import type { Random } from '../../pods/kernel/random.ts';
import type { ClusterMetadata } from '../../pods/metadata/cluster-metadata.ts';
import type { PoolState } from '../controllers/pool/pool-state.ts';
import { ordinalOf } from '../desired/names.ts';
import type { SeenPod } from '../observe/objects.ts';
import type { ObjectWriter } from '../runtime/apply.ts';
import { advanceOperation, beginOperation, endOperation } from '../runtime/operation.ts';
import { act, complete, retry, task, wait, type Decision, type Task, type TaskResult } from '../runtime/task.ts';
import { noFaults, type ReachFaultPoint } from './fault-points.ts';
import { podsNamedBy } from './pool-facts.ts';
import { readPoolFacts } from './read-facts.ts';
import { nextRolloutStep, type ReplaceStepName, type RolloutStep } from './rollout.ts';

export interface ReplacePodsDeps {
  readonly metadata: ClusterMetadata;
  readonly writer: ObjectWriter;
  readonly random: Random;
  readonly reach?: ReachFaultPoint;
}

/** What is waited for shows in objects, but for pods that begin to answer again. */
const lookAgainMs = 1_000;
/** While no pod may go, and what would change that may show in no object. */
const chooseAgainMs = 10_000;
/** A disruption budget does not say when it allows more. */
const evictAgainMs = 2_000;

type Action = Extract<RolloutStep, { action: 'begin' | 'advance' | 'evict' | 'end' }>;

const reasons = { begin: 'ReplacingPod', advance: 'ReplacingPod', evict: 'EvictedPod', end: 'ReplacedPod' } as const;

export function decideReplacement(state: PoolState): Decision<Action> {
  if (!state.areShardsFresh) return wait('the API server is not heard of: no pod is replaced', { reason: 'ReplacingPods' });
  const step = nextRolloutStep(readPoolFacts(state));
  switch (step.action) {
    case 'none':
      return complete(step.because);
    case 'wait':
      return { ...retry(state.pool.status.operation === undefined ? chooseAgainMs : lookAgainMs, step.because), reason: 'ReplacingPods' };
    default:
      return act(step, step.because, reasons[step.action]);
  }
}

export function replacePods(deps: ReplacePodsDeps): Task<PoolState> {
  const { metadata, random, reach = noFaults } = deps;
  return task<PoolState, Action>({
    name: 'replace-pods',
    decide: decideReplacement,
    async apply(step, state) {
      const { pool } = state;
      switch (step.action) {
        case 'begin':
          await reach('replace-before-record');
          await beginOperation(metadata.pools, pool, { pod: step.pod, podUID: step.podUID, step: 'make-ready' satisfies ReplaceStepName }, random);
          await reach('replace-recorded');
          return retry(0, `${step.pod} is about to be replaced`);
        case 'advance':
          await advanceOperation(metadata.pools, pool, step.step);
          if (step.step === 'evict') await reach('replace-before-evict');
          if (step.step === 'await') await reach('replace-awaited');
          return retry(0, step.because);
        case 'evict':
          return evict(step, state, deps);
        case 'end':
          await reach('replace-before-end');
          await endOperation(metadata.pools, pool);
          await reach('replace-ended');
          return retry(0, step.because);
      }
    },
  });
}

/** The watches may be behind: what the decision rests on is read anew, and it is made once more. */
async function evict({ pod, podUID, because }: Extract<Action, { action: 'evict' }>, state: PoolState, { metadata, writer, reach = noFaults }: ReplacePodsDeps): Promise<TaskResult> {
  const fresh = await readAnew(state, metadata, writer);
  const step = nextRolloutStep(readPoolFacts(fresh));
  if (step.action !== 'evict' || step.podUID !== podUID) return retry(lookAgainMs, step.because);
  try {
    await writer.post('Pod', pod, 'eviction', { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod }, deleteOptions: { preconditions: { uid: podUID } } });
  } catch (error) {
    if (!hasCode(error, 'OVERLOADED')) throw error;
    return retry(evictAgainMs, `${because}; the eviction is refused for now: ${(error as Error).message}`);
  }
  await reach('replace-evicted');
  await advanceOperation(metadata.pools, state.pool, 'await' satisfies ReplaceStepName);
  await reach('replace-awaited');
  return retry(0, `${pod} is ending`);
}

/** Shards and pods by linearizable reads. What pods say of themselves is asked for twice a second anyway. */
export async function readAnew(state: PoolState, metadata: ClusterMetadata, writer: ObjectWriter): Promise<PoolState> {
  const [shards, pods] = await Promise.all([metadata.shards.list(), Promise.all(state.pods.map((pod) => writer.read('Pod', pod.metadata.name) as Promise<SeenPod | undefined>))]);
  return {
    ...state,
    shards: shards.filter((shard) => [...podsNamedBy(shard)].some((name) => ordinalOf(state.pool.metadata.name, name) !== undefined)),
    pods: pods.filter((pod) => pod !== undefined),
  };
}
