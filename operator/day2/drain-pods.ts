/** Task: which pods are being emptied is recorded in the pool's status, and said (drain.ts decides). */

import { isDeepStrictEqual } from 'node:util';
import type { ClusterMetadata } from '../../pods/metadata/cluster-metadata.ts';
import { isDeleting } from '../../pods/metadata/objects.ts';
import type { PoolState } from '../controllers/pool/pool-state.ts';
import { pausedAnnotation } from '../desired/names.ts';
import type { ObjectWriter } from '../runtime/apply.ts';
import { act, complete, fail, retry, task, wait, type Decision, type Task } from '../runtime/task.ts';
import { decideDrains, nextLossMs } from './drain.ts';
import { noFaults, type ReachFaultPoint } from './fault-points.ts';
import type { Drain } from './pool-facts.ts';
import { readAnew } from './replace-pods.ts';
import { readPoolFacts } from './read-facts.ts';

export interface DrainPodsDeps {
  readonly metadata: ClusterMetadata;
  readonly writer: ObjectWriter;
  readonly reach?: ReachFaultPoint;
}

/** That a pod has removed its data shows in no object. */
const lookAgainMs = 1_000;

export function decideDrainRecord(state: PoolState): Decision<readonly Drain[]> {
  const held = heldBecause(state);
  if (held !== undefined) return complete(held);
  if (!state.areShardsFresh) return wait('the API server is not heard of: drains stay as they are');
  const before = state.pool.status.drains ?? [];
  const facts = readPoolFacts(state);
  const drains = decideDrains(facts, state.heard);
  if (!isDeepStrictEqual(drains, sorted(before))) return act(drains, changeText(before, drains), 'Draining');
  const away = facts.pods.filter((pod) => pod.away !== undefined && !drains.some((drain) => drain.pod === pod.name));
  const lossMs = nextLossMs(facts);
  if (drains.length === 0) return lossMs === undefined ? complete('no pod is to be emptied') : retry(lossMs - facts.nowMs, `${away.map((pod) => `${pod.name} is away: ${pod.away!.because}`).join('; ')}; after ten minutes its replicas go elsewhere`);
  const refused = drains.filter(({ phase }) => phase === 'Refused');
  if (refused.length > 0) return fail(refused.map(({ pod, message }) => `${pod} is not emptied: ${message}`).join('; '), 'NoRoom');
  const open = drains.filter(({ phase }) => phase !== 'Drained');
  if (open.length > 0) return retry(lookAgainMs, open.map(({ pod, message }) => `${pod} is being emptied: ${message}`).join('; '));
  return complete(`${drains.map(({ pod }) => pod).join(', ')} ${drains.length === 1 ? 'is' : 'are'} empty`);
}

function sorted(drains: readonly Drain[]): Drain[] {
  return [...drains].sort((a, b) => (a.pod < b.pod ? -1 : 1));
}

/** Why nothing of a pool's later life is done just now. */
export function heldBecause({ pool }: PoolState): string | undefined {
  if (isDeleting(pool)) return 'it is going';
  if (pool.metadata.annotations?.[pausedAnnotation] === 'true') return 'it is paused';
  return undefined;
}

function changeText(before: readonly Drain[], drains: readonly Drain[]): string {
  const changed = drains.filter((drain) => !before.some((each) => isDeepStrictEqual(each, drain)));
  const gone = before.filter(({ pod }) => !drains.some((drain) => drain.pod === pod));
  return [...changed.map(({ pod, phase, message }) => `${pod}: ${phase}: ${message}`), ...gone.map(({ pod }) => `${pod} may hold replicas again`)].join('; ');
}

export function drainPods({ metadata, writer, reach = noFaults }: DrainPodsDeps): Task<PoolState> {
  return task<PoolState, readonly Drain[]>({
    name: 'drain-pods',
    // Whatever else is going on: a pod that is lost, or a node that goes, does not wait for it.
    runs: 'always',
    decide: decideDrainRecord,
    async apply(_, state) {
      // That a pod is empty is said of what is stored, not of what the watches know.
      const [fresh, pool] = await Promise.all([readAnew(state, metadata, writer), metadata.pools.get(state.pool.metadata.name)]);
      if (pool?.metadata.uid !== state.pool.metadata.uid) return retry(0, 'the pool is another one');
      const present = { ...fresh, pool };
      const drains = decideDrains(readPoolFacts(present), present.heard);
      const { drains: before = [], ...status } = pool.status;
      // The watches are behind: they will tell.
      if (isDeepStrictEqual(drains, sorted(before))) return retry(lookAgainMs, 'what drains is recorded already');
      await reach('drain-before-record');
      await metadata.pools.replaceStatus({ ...pool, status: drains.length === 0 ? status : { ...status, drains } });
      await reach('drain-recorded');
      return retry(0, 'what drains is recorded');
    },
  });
}
