/** Aim: what the decisions become as tasks: what is written, what is waited for, and what is said to be wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VectorPool } from '../../pods/metadata/objects.ts';
import type { PoolState } from '../controllers/pool/pool-state.ts';
import type { SeenPod, SeenStatefulSet } from '../observe/objects.ts';
import { decideDrainRecord } from './drain-pods.ts';
import { decideGrowth } from './grow-volumes.ts';
import { heardPod, shardOn } from './pool.fixture.ts';
import { decideReplacement } from './replace-pods.ts';
import { decideScaleIn, podCount } from './scale-in.ts';

const shards = [shardOn('s', [0, 1, 2]).shard];
const nowMs = Date.parse('2026-01-01T12:00:00Z');

function state(change: { pool?: Partial<VectorPool['spec']>; status?: Partial<VectorPool['status']>; annotations?: Record<string, string>; revision?: string; state?: Partial<PoolState> } = {}): PoolState {
  const pool: VectorPool = {
    metadata: { name: 'p', uid: 'pool', resourceVersion: '1', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [], annotations: change.annotations ?? {} },
    spec: { replicas: 3, storage: { size: '1Gi' }, topologySpread: [], ...change.pool },
    status: { observedGeneration: 1, replicas: 3, readyReplicas: 3, ...change.status },
  };
  const pods = [0, 1, 2].map((ordinal): SeenPod => ({
    metadata: { resourceVersion: '1', name: `p-${ordinal}`, uid: 'u', labels: { 'controller-revision-hash': change.revision ?? 'new' } },
    spec: { nodeName: `n${ordinal}`, containers: [] },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  }));
  const owner = { apiVersion: 'shoal.dev/v1alpha1', kind: 'VectorPool', name: 'p', uid: 'pool', controller: true };
  const statefulSet: SeenStatefulSet = { metadata: { resourceVersion: '1', name: 'p', uid: 'set', generation: 1, ownerReferences: [owner] }, spec: { replicas: 3, template: { spec: { containers: [] } } }, status: { observedGeneration: 1, updateRevision: 'new' } };
  const nodes = new Map([0, 1, 2].map((i) => [`n${i}`, { metadata: { resourceVersion: '1', name: `n${i}`, uid: `n${i}` }, status: { conditions: [{ type: 'Ready', status: 'True' }] } }]));
  const heard = new Map([0, 1, 2].map((i) => heardPod(`p-${i}`, [shardOn('s', [0, 1, 2])])));
  return { pool, pools: [pool], statefulSet, disruptionBudget: undefined, service: undefined, pods, claims: [], nodes, shards, collections: new Map(), areShardsFresh: true, heard, nowMs, ...change.state };
}

const refused = { pod: 'p-2', phase: 'Refused', left: 1, total: 1, message: 'the pool shall have 2 pods; but there is no room: s: 3 replicas need 3 pods, and there is room on 2' } as const;
const stale = { state: { areShardsFresh: false } };

const cases: { name: string; decision: { readonly outcome: string; readonly because: string; readonly reason?: string }; expected: string; because?: RegExp }[] = [
  { name: 'replace: nothing to do', decision: decideReplacement(state()), expected: 'complete' },
  { name: 'replace: the last is next', decision: decideReplacement(state({ revision: 'old' })), expected: 'act ReplacingPod', because: /^p-2 is of revision old, and new is wanted$/ },
  { name: 'replace: not while the API server is away', decision: decideReplacement(state({ revision: 'old', ...stale })), expected: 'wait ReplacingPods' },
  { name: 'replace: nobody may go, and it is looked at again', decision: decideReplacement(state({ revision: 'old', state: { heard: new Map() } })), expected: 'retry ReplacingPods', because: /3 of 3 pods are to be replaced; s needs 2 in sync/ },
  { name: 'drain: nothing to do', decision: decideDrainRecord(state()), expected: 'complete' },
  { name: 'drain: recorded when it is new', decision: decideDrainRecord(state({ pool: { replicas: 2 } })), expected: 'act Draining', because: /^p-2: Refused: the pool shall have 2 pods; but there is no room/ },
  { name: 'drain: no room is a failure', decision: decideDrainRecord(state({ pool: { replicas: 2 }, status: { drains: [refused] } })), expected: 'fail NoRoom', because: /^p-2 is not emptied: the pool shall have 2 pods; but there is no room/ },
  { name: 'drain: taken from the record when it is over', decision: decideDrainRecord(state({ status: { drains: [refused] } })), expected: 'act Draining', because: /^p-2 may hold replicas again$/ },
  { name: 'drain: not of a paused pool', decision: decideDrainRecord(state({ pool: { replicas: 2 }, annotations: { 'shoal.dev/paused': 'true' } })), expected: 'complete', because: /paused/ },
  { name: 'drain: nothing is concluded while the API server is away', decision: decideDrainRecord(state({ pool: { replicas: 2 }, ...stale })), expected: 'wait' },
  { name: 'scale-in: nothing to do', decision: decideScaleIn(state()), expected: 'complete' },
  { name: 'scale-in: waits for the drain', decision: decideScaleIn(state({ pool: { replicas: 2 }, status: { drains: [refused] } })), expected: 'wait ScalingIn', because: /p-2 is not empty yet: the pool shall have 2 pods; but there is no room/ },
  { name: 'scale-in: an empty pod goes', decision: decideScaleIn(state({ pool: { replicas: 2 }, status: { drains: [{ ...refused, phase: 'Drained', left: 0 }] }, state: { shards: [shardOn('s', [0, 1]).shard] } })), expected: 'act ScaledIn' },
  { name: 'grow: nothing to do', decision: decideGrowth(state()), expected: 'complete' },
  { name: 'grow: not of a paused pool', decision: decideGrowth(state({ pool: { storage: { size: 'much' } }, annotations: { 'shoal.dev/paused': 'true' } })), expected: 'complete' },
  { name: 'grow: what cannot be', decision: decideGrowth(state({ pool: { storage: { size: 'much' } } })), expected: 'fail VolumesCannotGrow' },
];

for (const { name, decision, expected, because } of cases) {
  test(name, () => {
    assert.equal([decision.outcome, ...(decision.reason === undefined ? [] : [decision.reason])].join(' '), expected, decision.because);
    if (because !== undefined) assert.match(decision.because, because);
  });
}

test('how many pods the StatefulSet is applied with: more at once, never fewer', () => {
  assert.deepEqual([podCount(state({ pool: { replicas: 5 } })), podCount(state({ pool: { replicas: 1 } })), podCount(state({ pool: { replicas: 1 }, state: { statefulSet: undefined } }))], [5, 3, 3]);
});
