/** The ordinary objects of a pool: made where they are missing, put right where they differ. */

import type { VectorPool } from '../../../pods/metadata/objects.ts';
import { fingerprinted, whyApply } from '../../desired/fingerprint.ts';
import { dataPodsService, poolDisruptionBudget, poolStatefulSet } from '../../desired/pool-objects.ts';
import type { PodOptions } from '../../desired/pod-template.ts';
import type { SeenObject, SeenStatefulSet } from '../../observe/objects.ts';
import type { KubeObject, ObjectWriter } from '../../runtime/apply.ts';
import type { KindName } from '../../runtime/kinds.ts';
import { act, complete, fail, task, type Decision, type Task } from '../../runtime/task.ts';
import type { PoolState } from './pool-state.ts';

/** Undefined where nothing of ours is. */
type Live = SeenObject | undefined;

/** What the pool shall have of one kind, or that it is as it shall be. */
export function decideObject(kind: string, desired: KubeObject, live: Live): Decision<KubeObject> {
  const marked = fingerprinted(desired);
  const why = whyApply(marked, live as Parameters<typeof whyApply>[1]);
  const name = `${kind} ${desired.metadata?.name}`;
  return why === undefined ? complete(`${name} is as desired`) : act(marked, `applied ${name}: ${why}`, live === undefined ? `Created${kind}` : `Applied${kind}`);
}

/** Why an object of that name is not ours to change; undefined when it is. */
export function whyForeign(pool: VectorPool, kind: string, live: Live): string | undefined {
  if (live === undefined) return undefined;
  const owner = live.metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner?.uid === pool.metadata.uid) return undefined;
  const whose = owner === undefined ? 'nobody that the operator knows' : `${owner.kind} ${owner.name}${owner.kind === 'VectorPool' && owner.name === pool.metadata.name ? ' of an earlier time' : ''}`;
  return `${kind} ${live.metadata.name} belongs to ${whose}: rename the pool, or remove that object`;
}

export function applyService(writer: ObjectWriter): Task<PoolState> {
  return task<PoolState, KubeObject>({
    name: 'apply-service',
    decide: ({ pool, pools, service }) => {
      const others = pools.filter((each) => each.metadata.uid !== pool.metadata.uid && each.metadata.deletionTimestampMs === undefined);
      return decideObject('Service', dataPodsService([pool, ...others]), service);
    },
    async apply(desired) {
      await writer.apply('Service', desired);
      return complete('the Service is as desired');
    },
  });
}

export function applyDisruptionBudget(writer: ObjectWriter): Task<PoolState> {
  return owned(writer, 'PodDisruptionBudget', 'apply-disruption-budget', (state) => state.disruptionBudget, ({ pool }) => poolDisruptionBudget(pool));
}

/** `replicas`: how many pods there shall be now. */
export function applyStatefulSet(writer: ObjectWriter, options: PodOptions, replicas: (state: PoolState) => number): Task<PoolState> {
  return owned(writer, 'StatefulSet', 'apply-stateful-set', (state) => state.statefulSet, (state) => poolStatefulSet(state.pool, options, replicas(state), state.statefulSet));
}

/** An object that belongs to the pool alone; another one of its name is left alone. */
function owned(writer: ObjectWriter, kind: KindName, name: string, live: (state: PoolState) => Live, desired: (state: PoolState) => KubeObject): Task<PoolState> {
  return task<PoolState, KubeObject>({
    name,
    decide(state) {
      const foreign = whyForeign(state.pool, kind, live(state));
      return foreign === undefined ? decideObject(kind, desired(state), live(state)) : fail(foreign, 'NameTaken');
    },
    async apply(wanted, state) {
      // The watch may not know it yet, or it may not be ours: what is there is read before it is written over.
      const present = (await writer.read(kind, state.pool.metadata.name)) as SeenStatefulSet | undefined;
      const foreign = whyForeign(state.pool, kind, present);
      if (foreign !== undefined) return fail(foreign, 'NameTaken');
      const known = live(state);
      if (present?.metadata.uid !== known?.metadata.uid && present !== undefined) return { outcome: 'retry', afterMs: 100, because: `${kind} ${state.pool.metadata.name} is not known well enough yet` };
      if (present === undefined) await writer.create(kind, wanted);
      else await writer.apply(kind, wanted, { ifVersion: present.metadata.resourceVersion });
      return complete(`${kind} ${state.pool.metadata.name} is as desired`);
    },
  });
}
