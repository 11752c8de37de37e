/** Aim: what placement is told of a pod: where it is, and whether it takes, keeps or loses replicas. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drainAnnotation } from '../../pods/controller/kube-pod-directory.ts';
import type { VectorPool } from '../../pods/metadata/objects.ts';
import type { SeenNode, SeenPod } from './objects.ts';
import { directoryPod, gonePods } from './pod-directory.ts';

const metadata = { resourceVersion: '1' };
const pod = (change: Partial<SeenPod['metadata']> = {}, nodeName: string | null = 'n'): SeenPod => ({ metadata: { ...metadata, name: 'p-1', uid: 'u', ...change }, spec: { containers: [], ...(nodeName === null ? {} : { nodeName }) } });
const node = (spec: SeenNode['spec'] = {}): SeenNode => ({ metadata: { ...metadata, name: 'n', uid: 'n', labels: { 'topology.kubernetes.io/zone': 'z', rack: 'r' } }, spec });
const pool = (status: Partial<VectorPool['status']> = {}, replicas = 3, topologySpread = ['topology.kubernetes.io/zone', 'kubernetes.io/hostname']): VectorPool => ({
  metadata: { name: 'p', uid: 'pool', resourceVersion: '1', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [] },
  spec: { replicas, storage: { size: '1Gi' }, topologySpread },
  status: { observedGeneration: 1, replicas, readyReplicas: replicas, ...status },
});
const drains = (phase: 'Requested' | 'Draining' | 'Refused' | 'Drained', name = 'p-1'): Partial<VectorPool['status']> => ({ drains: [{ pod: name, phase, left: 1, message: 'm' }] });
const operation = { id: 'o', pod: 'p-1', podUID: 'u', step: 'evict' };
const open = { name: 'p-1', domains: ['z', 'n'], isDraining: false, isClosed: false, isBeingReplaced: false };

const cases: { name: string; pod?: SeenPod; pool?: VectorPool; node?: SeenNode | undefined; expected: object }[] = [
  { name: 'takes replicas', expected: open },
  { name: 'spread over other labels', pool: pool({}, 3, ['rack', 'row']), expected: { ...open, domains: ['r', ''] } },
  { name: 'on a node that is not known', node: undefined, expected: { ...open, domains: ['', 'n'] } },
  { name: 'without a node', pod: pod({}, null), node: undefined, expected: { ...open, domains: ['', ''], isClosed: true } },
  { name: 'ending', pod: pod({ deletionTimestamp: '2026-01-01T00:00:00Z' }), expected: { ...open, isClosed: true } },
  { name: 'leaves the pool', pool: pool({}, 1), expected: { ...open, isClosed: true } },
  { name: 'on a cordoned node', node: node({ unschedulable: true }), expected: { ...open, isClosed: true } },
  { name: 'annotated', pod: pod({ annotations: { [drainAnnotation]: 'true' } }), expected: { ...open, isClosed: true } },
  { name: 'asked to drain', pool: pool(drains('Requested')), expected: { ...open, isClosed: true } },
  { name: 'there is no room', pool: pool(drains('Refused')), expected: { ...open, isClosed: true } },
  { name: 'drains', pool: pool(drains('Draining')), expected: { ...open, isDraining: true, isClosed: true } },
  { name: 'is empty', pool: pool(drains('Drained')), expected: { ...open, isDraining: true, isClosed: true } },
  { name: 'another one drains', pool: pool(drains('Draining', 'p-10')), expected: open },
  { name: 'is being replaced', pool: pool({ operation }), expected: { ...open, isBeingReplaced: true } },
  { name: 'was replaced', pool: pool({ operation: { ...operation, podUID: 'before' } }), expected: open },
];

for (const { name, expected, ...given } of cases) {
  test(name, () => assert.deepEqual(directoryPod(given.pod ?? pod(), given.pool ?? pool(), 'node' in given ? given.node : node()), expected));
}

test('a pod that is gone is left where that was decided', () => {
  assert.deepEqual(gonePods(pool(drains('Draining', 'p-7')), [pod()]), [{ name: 'p-7', isDraining: true }]);
  assert.deepEqual(gonePods(pool(drains('Draining')), [pod()]), []);
  assert.deepEqual(gonePods(pool(drains('Refused', 'p-7')), [pod()]), []);
});
