/** Aim: what Kubernetes' objects say, in the terms of the decisions: above all when a pod is away and nobody will bring it back. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { VectorPool } from '../../pods/metadata/objects.ts';
import type { PoolState } from '../controllers/pool/pool-state.ts';
import type { SeenClaim, SeenCondition, SeenNode, SeenPod, SeenStatefulSet } from '../observe/objects.ts';
import { heardPod, shardOn } from './pool.fixture.ts';
import type { PodFacts } from './pool-facts.ts';
import { readPoolFacts, readVolumeFacts } from './read-facts.ts';

const nowMs = Date.parse('2026-01-01T12:00:00Z');
const eleven = '2026-01-01T11:00:00Z';
const metadata = { resourceVersion: '1' };
const condition = (type: string, status: string, message?: string): SeenCondition => ({ type, status, lastTransitionTime: eleven, ...(message === undefined ? {} : { message }) });
const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'shoal', image: 'shoal:2', args: ['pod'] }] } };
const node = (ready: string, spec: SeenNode['spec'] = {}): SeenNode => ({ metadata: { ...metadata, name: 'n', uid: 'n' }, spec, status: { conditions: [condition('Ready', ready)] } });

function pod(change: { metadata?: Partial<SeenPod['metadata']>; spec?: Partial<SeenPod['spec']>; conditions?: SeenCondition[] } = {}): SeenPod {
  return {
    metadata: { ...metadata, name: 'p-0', uid: 'u', labels: { a: 'b', 'controller-revision-hash': 'new' }, ...change.metadata },
    spec: { nodeName: 'n', containers: [{ name: 'shoal', image: 'shoal:2' }], ...change.spec },
    status: { conditions: change.conditions ?? [condition('Ready', 'True')] },
  };
}

function state(change: Partial<PoolState> = {}): PoolState {
  const pool: VectorPool = {
    metadata: { name: 'p', uid: 'pool', resourceVersion: '1', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [] },
    spec: { replicas: 1, storage: { size: '2Gi' }, topologySpread: [] },
    status: { observedGeneration: 1, replicas: 1, readyReplicas: 1 },
  };
  const statefulSet: SeenStatefulSet = { metadata: { ...metadata, name: 'p', uid: 'set', generation: 3 }, spec: { replicas: 1, template }, status: { observedGeneration: 3, updateRevision: 'new' } };
  return { pool, pools: [pool], statefulSet, disruptionBudget: undefined, service: undefined, pods: [pod()], claims: [], nodes: new Map([['n', node('True')]]), shards: [], collections: new Map(), areShardsFresh: true, heard: new Map([podHeard()]), nowMs, ...change };
}

function podHeard(isSilent = false): ReturnType<typeof heardPod> {
  return heardPod('p-0', [], isSilent);
}

const well: PodFacts = { name: 'p-0', ordinal: 0, uid: 'u', revision: 'new', needsRestart: false, isReady: true, isServing: true, freeBytes: 2 ** 30, isEnding: false, node: { name: 'n', isCordoned: false, domains: [] }, isAskedToDrain: false };
/** Without what `expected` takes away. */
function whatIsGiven(facts: { readonly [Field in keyof PodFacts]: PodFacts[Field] | undefined }): object {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
}

const unready = [condition('Ready', 'False')];

const cases: { name: string; state: Partial<PoolState>; expected: { readonly [Field in keyof PodFacts]?: PodFacts[Field] | undefined } }[] = [
  { name: 'all is well', state: {}, expected: {} },
  { name: 'it does not answer', state: { heard: new Map([podHeard(true)]) }, expected: { isServing: false } },
  { name: 'nobody has asked it', state: { heard: new Map() }, expected: { isServing: false, freeBytes: undefined } },
  { name: 'what answered was the pod before', state: { pods: [pod({ metadata: { uid: 'other' } })] }, expected: { uid: 'other', isServing: false, freeBytes: undefined } },
  { name: 'ending, in its time', state: { pods: [pod({ metadata: { deletionTimestamp: '2026-01-01T12:01:00Z' } })] }, expected: { isReady: false, isServing: false, isEnding: true } },
  {
    name: 'ending, and past its time',
    state: { pods: [pod({ metadata: { deletionTimestamp: eleven } })] },
    expected: { isReady: false, isServing: false, isEnding: true, away: { sinceMs: Date.parse(eleven), because: 'it was told to end, and nobody on node n says that it has' } },
  },
  {
    name: 'its node is not ready',
    state: { pods: [pod({ conditions: unready })], nodes: new Map([['n', node('Unknown')]]) },
    expected: { isReady: false, trouble: 'its container has not started yet', away: { sinceMs: Date.parse(eleven), because: 'its node n is not ready' } },
  },
  {
    name: 'its node is gone',
    state: { pods: [pod({ conditions: unready })], nodes: new Map() },
    expected: { isReady: false, trouble: 'its container has not started yet', away: { sinceMs: Date.parse(eleven), because: 'its node n is gone' } },
  },
  { name: 'not ready on a node that is: that is no loss', state: { pods: [pod({ conditions: unready })] }, expected: { isReady: false, trouble: 'its container has not started yet' } },
  { name: 'its node is cordoned', state: { nodes: new Map([['n', node('True', { unschedulable: true })]]) }, expected: { node: { name: 'n', isCordoned: true, domains: [] } } },
  { name: 'another image', state: { pods: [pod({ metadata: { labels: { a: 'b', 'controller-revision-hash': 'old' } }, spec: { containers: [{ name: 'shoal', image: 'shoal:1' }] } })] }, expected: { revision: 'old', difference: 'image shoal:2 is wanted instead of shoal:1' } },
  { name: 'something else', state: { pods: [pod({ metadata: { labels: { a: 'b', 'controller-revision-hash': 'old' } } })] }, expected: { revision: 'old', difference: 'containers[shoal].args is not as wanted' } },
  { name: 'its volume wants a start', state: { claims: [claim({ conditions: [condition('FileSystemResizePending', 'True')] })] }, expected: { needsRestart: true } },
  { name: 'asked to drain', state: { pods: [pod({ metadata: { annotations: { 'shoal.dev/drain': 'true' } } })] }, expected: { isAskedToDrain: true } },
];

for (const { name, state: change, expected } of cases) test(name, () => assert.deepEqual(readPoolFacts(state(change)).pods, [whatIsGiven({ ...well, ...expected })]));

test('no node takes it', () => {
  const waiting = pod({ conditions: [condition('PodScheduled', 'False', '0/3 nodes are available')] });
  const { nodeName: _, ...spec } = waiting.spec;
  const [facts] = readPoolFacts(state({ pods: [{ ...waiting, spec }] })).pods;
  assert.deepEqual(facts?.away, { sinceMs: Date.parse(eleven), because: 'no node takes it: 0/3 nodes are available' });
});

test('pods of another pool, and a StatefulSet that has not been looked at', () => {
  const { statefulSet } = state();
  const facts = readPoolFacts(state({ pods: [pod({ metadata: { name: 'p-1-0' } })], statefulSet: { ...statefulSet!, status: { observedGeneration: 2, updateRevision: 'old' } } }));
  assert.deepEqual([facts.pods, facts.statefulSet], [[], { uid: 'set', replicas: 1 }]);
});

test('shards come in one order, whoever listed them', () => {
  const [first, second] = [shardOn('a', [0]).shard, shardOn('b', [0]).shard];
  const names = (shards: PoolState['shards']): string[] => readPoolFacts(state({ shards })).shards.map(({ shard }) => shard.metadata.name);
  assert.deepEqual([names([first, second]), names([second, first])], [['a', 'b'], ['a', 'b']]);
});

function claim(status: SeenClaim['status'] = {}, name = 'data-p-0'): SeenClaim {
  return { metadata: { ...metadata, name, uid: name }, spec: { storageClassName: 'fast', resources: { requests: { storage: '1Gi' } } }, status };
}

describe('volumes', () => {
  const claimOf = (status?: SeenClaim['status']): unknown => readVolumeFacts(state({ claims: [claim(status), claim({}, 'data-p-1-0'), claim({}, 'other-p-0')] }), new Map([['fast', true]])).claims;
  const facts = { name: 'data-p-0', uid: 'data-p-0', requested: '1Gi', mayGrow: true, storageClass: 'fast' };
  test('of this pool alone', () => assert.deepEqual(claimOf({ capacity: { storage: '1Gi' } }), [{ ...facts, capacity: '1Gi' }]));
  test('that do not grow', () => assert.deepEqual(claimOf({ conditions: [condition('NodeResizeError', 'True', 'no space')] }), [{ ...facts, trouble: 'NodeResizeError: no space' }]));
  test('a StatefulSet that is going is none', () => {
    const { statefulSet } = state();
    assert.equal(readVolumeFacts(state({ statefulSet: { ...statefulSet!, metadata: { ...statefulSet!.metadata, deletionTimestamp: eleven } } }), new Map()).statefulSet, undefined);
  });
});
