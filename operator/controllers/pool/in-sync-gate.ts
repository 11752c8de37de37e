/**
 * The readiness gate of data pods, `shoal.dev/in-sync`: true only while every replica that the pod shall have is in sync, by
 * the record and by what the pod itself says. Disruption budgets count by it: while a pod catches up, no other may be evicted.
 *
 * Doubt is false: what is not known to be in sync is not. But while the watch of the shards is not kept up, what was said
 * last stays: the API server being away changes nothing about the pods.
 */

import type { ObservedPod } from '../../../pods/control/observation.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { inSyncGate } from '../../desired/names.ts';
import { isGoing, type SeenPod } from '../../observe/objects.ts';
import type { ObjectWriter } from '../../runtime/apply.ts';
import { act, complete, retry, task, wait, type Decision, type Task } from '../../runtime/task.ts';
import type { PoolState } from './pool-state.ts';

export interface GateStatement {
  readonly status: 'True' | 'False';
  readonly reason: 'InSync' | 'NotInSync' | 'NotHeard';
  readonly message: string;
}

export interface GateChange extends GateStatement {
  readonly pod: SeenPod;
}

/** How many shards a sentence names. */
const namedCountMax = 3;
const lookAgainMs = 1_000;

/** `shards`: those that name the pod. `heard`: what is known from asking it. */
export function gateOf(pod: SeenPod, shards: readonly VectorShard[], heard: ObservedPod | undefined): GateStatement {
  const { uid } = pod.metadata;
  const report = heard?.report;
  if (heard === undefined || report === undefined || report.podUID !== uid) return { status: 'False', reason: 'NotHeard', message: 'the pod has not said yet what it holds' };
  // One that has fallen silent is what its shards' records say: they are changed when it is taken out.
  const missing = shards.flatMap((shard) => whyNotInSync(pod, shard, heard) ?? []);
  if (missing.length === 0) return { status: 'True', reason: 'InSync', message: 'all its replicas are in sync' };
  const more = missing.length > namedCountMax ? `; and ${missing.length - namedCountMax} more` : '';
  return { status: 'False', reason: 'NotInSync', message: `${missing.slice(0, namedCountMax).join('; ')}${more}` };
}

function whyNotInSync({ metadata: { name, uid } }: SeenPod, { metadata, spec, status }: VectorShard, { report, isSilent }: ObservedPod): string | undefined {
  const { authority } = status;
  const isWanted = spec.replicas.includes(name) && spec.leaving?.includes(name) !== true;
  const member = authority?.inSync.find(({ pod }) => pod === name);
  // Before it is begun it holds nothing; one that leaves is not missed, once it is out.
  if (authority === undefined || (!isWanted && member === undefined)) return undefined;
  if (member === undefined) return `${metadata.name} is catching up`;
  if (authority.primary.pod === name && authority.primary.podUID !== uid) return `${metadata.name} is led by the pod that had this name before`;
  const replica = report?.replicas.get(metadata.uid);
  if (isSilent) return undefined;
  if (replica === undefined) return `${metadata.name} has not been opened`;
  if (replica.incarnation !== member.incarnation) return `${metadata.name} is recorded with other data than it has`;
  if (replica.quarantined) return `${metadata.name} is damaged`;
  return undefined;
}

export function decideGates({ pods, shards, heard, areShardsFresh }: PoolState): Decision<readonly GateChange[]> {
  const open = pods.filter((pod) => !isGoing(pod));
  if (!areShardsFresh) return wait('the API server is not heard of: readiness stays as it was said');
  const changes = open.flatMap((pod): GateChange[] => {
    const named = shards.filter((shard) => shard.spec.replicas.includes(pod.metadata.name) || shard.status.authority?.inSync.some((member) => member.pod === pod.metadata.name) === true);
    const wanted = gateOf(pod, named, heard.get(pod.metadata.name));
    const present = pod.status?.conditions?.find(({ type }) => type === inSyncGate);
    return present?.status === wanted.status && present.reason === wanted.reason && present.message === wanted.message ? [] : [{ pod, ...wanted }];
  });
  if (changes.length > 0) {
    const said = changes.map(({ pod, status, message }) => `${pod.metadata.name} is ${status === 'True' ? 'in sync' : `not in sync: ${message}`}`);
    return act(changes, said.join('; '), 'InSyncChanged');
  }
  const closed = open.filter((pod) => pod.status?.conditions?.some(({ type, status }) => type === inSyncGate && status === 'True') !== true);
  if (closed.length === 0) return complete(open.length === 0 ? 'there are no pods' : 'all replicas are in sync');
  // What a pod says of itself changes without a word.
  return retry(lookAgainMs, `${closed.map(({ metadata }) => metadata.name).join(', ')} ${closed.length === 1 ? 'is' : 'are'} not in sync yet`);
}

export function stateInSync(writer: ObjectWriter, nowMs: () => number): Task<PoolState> {
  return task<PoolState, readonly GateChange[]>({
    name: 'state-in-sync',
    runs: 'always',
    decide: decideGates,
    async apply(changes) {
      for (const { pod, status, reason, message } of changes) {
        const before = pod.status?.conditions?.find(({ type }) => type === inSyncGate);
        const lastTransitionTime = before?.status === status && before.lastTransitionTime !== undefined ? before.lastTransitionTime : `${new Date(nowMs()).toISOString().slice(0, 19)}Z`;
        const { name, uid } = pod.metadata;
        await writer.applyStatus('Pod', { name, uid }, { conditions: [{ type: inSyncGate, status, reason, message, lastTransitionTime }] });
      }
      const closed = changes.filter(({ status }) => status === 'False');
      return closed.length === 0 ? complete('all replicas are in sync') : retry(lookAgainMs, closed.map(({ pod, message }) => `${pod.metadata.name}: ${message}`).join('; '));
    },
  });
}
