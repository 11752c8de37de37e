/** Task: volumes grow as the pool's spec does (volume-growth.ts decides). */

import type { PoolState } from '../controllers/pool/pool-state.ts';
import { whyForeign } from '../controllers/pool/pool-objects.ts';
import type { SeenClaim } from '../observe/objects.ts';
import type { ObjectWriter } from '../runtime/apply.ts';
import { act, complete, fail, retry, task, wait, type Decision, type Task } from '../runtime/task.ts';
import { heldBecause } from './drain-pods.ts';
import { noFaults, type ReachFaultPoint } from './fault-points.ts';
import { readVolumeFacts } from './read-facts.ts';
import { nextGrowthStep, type GrowthStep } from './volume-growth.ts';

export interface GrowVolumesDeps {
  readonly writer: ObjectWriter;
  readonly reach?: ReachFaultPoint;
}

type Action = Extract<GrowthStep, { action: 'grow' | 'remake' }>;

export function decideGrowth(state: PoolState): Decision<Action> {
  const held = heldBecause(state);
  if (held !== undefined) return complete(held);
  if (whyForeign(state.pool, 'StatefulSet', state.statefulSet) !== undefined) return complete('the StatefulSet is not its own');
  // Whether a class lets volumes grow is asked when one is to grow: the API server refuses where it does not.
  const step = nextGrowthStep(readVolumeFacts(state, new Map()));
  switch (step.action) {
    case 'none':
      return complete(step.because);
    case 'wait':
      return wait(step.because, { reason: 'GrowingVolumes' });
    case 'refuse':
      return fail(step.because, 'VolumesCannotGrow');
    default:
      return act(step, step.because, step.action === 'grow' ? 'GrowingVolumes' : 'RemakingStatefulSet');
  }
}

export function growVolumes({ writer, reach = noFaults }: GrowVolumesDeps): Task<PoolState> {
  return task<PoolState, Action>({
    name: 'grow-volumes',
    // A pod that cannot be replaced, or emptied, is no reason to let the others run out of room.
    runs: 'always',
    decide: decideGrowth,
    async apply(step, state) {
      if (step.action === 'remake') {
        await reach('grow-before-remake');
        // Made anew by the next look, with the new size: pods without an owner go on.
        await writer.remove('StatefulSet', { name: state.pool.metadata.name, uid: step.uid }, { orphans: true });
        await reach('grow-deleted');
        return retry(0, step.because);
      }
      const growable = await growableClasses(writer, new Set(step.claims.flatMap(({ storageClass }) => storageClass ?? [])));
      const checked = nextGrowthStep(readVolumeFacts(state, growable));
      if (checked.action === 'refuse') return fail(checked.because, 'VolumesCannotGrow');
      for (const { name } of step.claims) {
        const claim = (await writer.read('PersistentVolumeClaim', name)) as SeenClaim | undefined;
        if (claim === undefined) continue;
        // The one field, and only of the claim as it was read: applying would make one that has gone.
        await writer.apply('PersistentVolumeClaim', { metadata: { name }, spec: { resources: { requests: { storage: state.pool.spec.storage.size } } } } as object, { ifVersion: claim.metadata.resourceVersion });
        await reach('grow-claim-patched');
      }
      return retry(0, step.because);
    },
  });
}

async function growableClasses(writer: ObjectWriter, names: ReadonlySet<string>): Promise<Map<string, boolean>> {
  const growable = new Map<string, boolean>();
  for (const name of names) {
    const found = (await writer.read('StorageClass', name)) as { readonly allowVolumeExpansion?: boolean } | undefined;
    if (found !== undefined) growable.set(name, found.allowVolumeExpansion === true);
  }
  return growable;
}
