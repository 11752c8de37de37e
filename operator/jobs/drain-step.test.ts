/** Aim: a drain is asked for once, by compare-and-swap of the status alone; what others asked for stays; a refusal leaves no request behind. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VectorPool } from '../../pods/metadata/objects.ts';
import { nextDrainStep, type DrainRequest, type DrainStep } from './drain-step.ts';

type Drain = NonNullable<VectorPool['status']['drains']>[number];

const status = (drains?: readonly Drain[]): VectorPool['status'] => ({ observedGeneration: 1, replicas: 3, readyReplicas: 3, ...(drains === undefined ? {} : { drains }) });
const pool = (drains?: readonly Drain[], replicas = 3): VectorPool => ({
  metadata: { name: 'p', uid: 'u', resourceVersion: '1', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [] },
  spec: { replicas, storage: { size: '1Gi' }, topologySpread: [] },
  status: status(drains),
});
const request: DrainRequest = { pool: 'p', pod: 'p-1', by: 'job-1', cancels: false };
const cancel = { ...request, cancels: true };
const own = (phase: Drain['phase'], change: Partial<Drain> = {}): Drain => ({ pod: 'p-1', request: 'job-1', phase, left: 2, message: 'm', ...change });
const { request: _none, ...ofNobody } = own('Draining');
const other: Drain = { pod: 'p-2', request: 'job-9', phase: 'Draining', left: 1, message: 'm' };

const cases: readonly [name: string, pool: VectorPool | undefined, request: DrainRequest, expected: DrainStep][] = [
  ['no such pool', undefined, request, { action: 'absent', because: 'there is no VectorPool p' }],
  ['no such pod', pool(), { ...request, pod: 'p-3' }, { action: 'absent', because: 'pool p has no pod p-3: it has p-0 to p-2' }],
  ['a pod of another pool', pool(), { ...request, pod: 'q-0' }, { action: 'absent', because: 'pool p has no pod q-0: it has p-0 to p-2' }],
  ['a pod that leaves already', pool(undefined, 1), { ...request, pod: 'p-2' }, { action: 'write', status: status([{ pod: 'p-2', request: 'job-1', phase: 'Requested', left: 0, message: 'the operator has not looked yet' }]), because: 'p-2 is asked to be emptied' }],
  ['asked for', pool([other]), request, { action: 'write', status: status([other, { pod: 'p-1', request: 'job-1', phase: 'Requested', left: 0, message: 'the operator has not looked yet' }]), because: 'p-1 is asked to be emptied' }],
  ['under way for another reason', pool([{ ...ofNobody, total: 4 }]), request, { action: 'write', status: status([own('Draining', { total: 4 })]), because: 'p-1 is asked to be emptied' }],
  ['refused for another reason, before it was asked for', pool([{ ...ofNobody, phase: 'Refused' }]), request, { action: 'write', status: status([own('Requested')]), because: 'p-1 is asked to be emptied' }],
  ['not looked at yet', pool([own('Requested')]), request, { action: 'wait', because: 'p-1: m' }],
  ['under way', pool([own('Draining')]), request, { action: 'wait', because: 'p-1: m' }],
  ['under way for another Job: it waits for that', pool([own('Draining', { request: 'job-9' })]), request, { action: 'wait', because: 'p-1: m' }],
  ['done', pool([own('Drained')]), request, { action: 'done', because: 'p-1 is empty; it takes no replicas until that is taken back (--cancel)' }],
  ['refused', pool([other, own('Refused')]), request, { action: 'refused', status: status([other, { ...ofNobody, phase: 'Refused' }]), because: 'p-1 is not emptied: m' }],
  ['taken back', pool([own('Drained'), other]), cancel, { action: 'write', status: status([{ ...ofNobody, phase: 'Drained' }, other]), because: 'the request of job-1 is taken back' }],
  ['nothing to take back', pool([other]), cancel, { action: 'done', because: 'p-1 is not asked to be emptied' }],
];

for (const [name, object, asked, expected] of cases) test(name, () => assert.deepEqual(nextDrainStep(object, asked), expected));
