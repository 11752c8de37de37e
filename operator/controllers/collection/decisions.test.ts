/** Aim: a collection gets the pool that it asks for and no other one's, and goes in the order that loses nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, member, pod, pods, shard as shardOf, withoutAuthority } from '../../../pods/control/control.fixture.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { dedicatedPool } from '../../desired/dedicated-pool.ts';
import { collectionObject, metadata, poolObject } from '../../desired/desired.fixture.ts';
import { ownedBy } from '../../desired/names.ts';
import type { CollectionState } from './collection-state.ts';
import { decideEnd } from './deletion.ts';
import { decidePool } from './pool.ts';
import { shardHealth } from './shard-health.ts';
import { bringUpShards } from './tasks.ts';

function state(change: Partial<CollectionState>): CollectionState {
  const collection = change.collection ?? collectionObject('docs');
  return { collection, collections: [collection], pool: undefined, pods: [], shards: [], outcome: undefined, heard: new Map(), nowMs: 0, ...change };
}

const dedicated = { placement: { dedicated: { storage: '10Gi' } } };
const withFinalizer = { finalizers: ['shoal.dev/pool'] };
const own = collectionObject('docs', dedicated, withFinalizer);
const ownPool = poolObject('docs', { replicas: 1 }, { ...metadata('docs'), ...dedicatedPool(own).metadata, uid: 'uid-pool' } as Partial<ReturnType<typeof metadata>>);
const keepingPool = { ...ownPool, metadata: { ...ownPool.metadata, annotations: { 'shoal.dev/volumes': 'Retain' } } };

const poolCases: readonly [name: string, change: Partial<CollectionState>, expected: string][] = [
  ['shares a pool that is there', { collection: collectionObject('docs', { placement: { pool: 'default' } }), pool: poolObject('default') }, 'complete: its shards are in pool default'],
  ['waits for a pool that is not', { collection: collectionObject('docs', { placement: { pool: 'fast' } }) }, 'wait: there is no VectorPool fast'],
  ['is not gone before its pods', { collection: collectionObject('docs', dedicated) }, 'act add-finalizer: the collection will not go before its pods'],
  ['makes its own', { collection: own }, 'act apply: made pool docs for it'],
  ['has its own', { collection: own, pool: ownPool }, 'complete: its pods are those of pool docs'],
  ['puts it right', { collection: own, pool: { ...ownPool, spec: { ...ownPool.spec, replicas: 5 } } }, 'act apply: applied pool docs: spec.replicas is not as desired'],
  ['leaves that of somebody else alone', { collection: own, pool: poolObject('docs') }, 'fail: VectorPool docs is not its own: give the object another name, or placement.pool: docs to share that pool'],
  ['waits for one of an earlier time to go', { collection: own, pool: { ...ownPool, metadata: { ...ownPool.metadata, deletionTimestampMs: 1 } } }, 'wait: an earlier VectorPool docs is ending'],
  ['has no name for pods', { collection: collectionObject('1st', dedicated, withFinalizer) }, 'fail: its pods would be named by it, and 1st is no name for pods: at most 52 lower-case letters, digits and hyphens, beginning with a letter'],
];

for (const [name, change, expected] of poolCases) {
  test(`pool: it ${name}`, () => {
    const decision = decidePool(state(change));
    assert.equal(`${decision.outcome}${decision.outcome === 'act' ? ` ${decision.action.do}` : ''}: ${decision.because}`, expected);
  });
}

test('a pool of its own: as many pods as replicas unless it says how many, and its volumes go as it does', () => {
  assert.deepEqual(dedicatedPool(collectionObject('docs', { ...dedicated, replication: { replicas: 3, minInSync: 2 }, deletionPolicy: 'Retain' })), {
    metadata: {
      name: 'docs',
      labels: { 'app.kubernetes.io/managed-by': 'shoal-operator', 'shoal.dev/collection': 'docs' },
      annotations: { 'shoal.dev/volumes': 'Retain' },
      ownerReferences: [ownedBy('VectorCollection', { metadata: { name: 'docs', uid: 'uid-docs' } })],
    },
    spec: { replicas: 3, storage: { size: '10Gi' } },
  });
  assert.equal(dedicatedPool(collectionObject('docs', { placement: { dedicated: { pods: 6, storage: '1Gi' } } })).spec.replicas, 6);
});

const deleted = { deletionTimestampMs: 1 };
const both = ['shoal.dev/shards', 'shoal.dev/pool'];
const shard: VectorShard = shardOf();
const endCases: readonly [name: string, change: Partial<CollectionState>, expected: string][] = [
  ['not deleted', { collection: own, pool: ownPool }, 'complete'],
  ['its shards go first', { collection: collectionObject('docs', dedicated, { ...deleted, finalizers: both }), shards: [shard], pool: ownPool }, 'wait'],
  ['then its pool', { collection: collectionObject('docs', dedicated, { ...deleted, ...withFinalizer }), pool: ownPool }, 'act delete-pool'],
  ['which takes its time', { collection: collectionObject('docs', dedicated, { ...deleted, ...withFinalizer }), pool: { ...ownPool, metadata: { ...ownPool.metadata, ...deleted } } }, 'wait'],
  ['then it', { collection: collectionObject('docs', dedicated, { ...deleted, ...withFinalizer }) }, 'act release'],
  ['a pool of others stays', { collection: collectionObject('docs', { placement: { pool: 'default' } }, { ...deleted, finalizers: ['theirs'] }), pool: poolObject('default') }, 'wait'],
  ['retained: pods hear nothing of it', { collection: collectionObject('docs', { ...dedicated, deletionPolicy: 'Retain' }, { ...deleted, finalizers: both }), shards: [shard], pool: ownPool }, 'act forget-shards'],
  ['retained, as was said just before: its pool is told', { collection: collectionObject('docs', { ...dedicated, deletionPolicy: 'Retain' }, { ...deleted, finalizers: both }), pool: ownPool }, 'act tell-pool'],
  ['retained: then its pool', { collection: collectionObject('docs', { ...dedicated, deletionPolicy: 'Retain' }, { ...deleted, finalizers: both }), pool: keepingPool }, 'act delete-pool'],
  ['no longer retained, as was said just before: its pool is told', { collection: collectionObject('docs', dedicated, { ...deleted, ...withFinalizer }), pool: keepingPool }, 'act tell-pool'],
  ['retained: then it', { collection: collectionObject('docs', { ...dedicated, deletionPolicy: 'Retain' }, { ...deleted, finalizers: both }) }, 'act release'],
];

for (const [name, change, expected] of endCases) {
  test(`end: ${name}`, () => {
    const decision = decideEnd(state(change));
    assert.equal(`${decision.outcome}${decision.outcome === 'act' ? ` ${decision.action.do}` : ''}`, expected);
  });
}

const healthCases: readonly [name: string, shard: VectorShard, changes: Parameters<typeof pods>[0], expected: string][] = [
  ['well', shardOf(), {}, 'serves, whole'],
  ['a replica is missing', shardOf({}, { authority: authority({ inSync: [member('a'), member('b')] }) }), {}, 'serves: docs-1-0 has 2 of 3 replicas in sync; c is not'],
  ['too few in sync', shardOf({ minInSync: 3 }, { authority: authority({ inSync: [member('a'), member('b')] }) }), {}, 'docs-1-0 refuses writes: 2 of 3 replicas that it needs are in sync'],
  ['its primary is silent', shardOf(), { a: { isSilent: true } }, 'docs-1-0 has no primary: a does not answer'],
  ['its primary was started anew', shardOf(), { a: { session: 'other' } }, 'docs-1-0 is being taken over by a'],
  ['its primary has not begun', shardOf(), { a: { replica: { appliedSeq: 0 } } }, 'docs-1-0 is being taken over by a'],
  ['not begun', withoutAuthority(), {}, 'docs-1-0 has not been begun yet'],
  ['lost', { ...shardOf(), status: { phase: 'Lost' } }, {}, 'docs-1-0 is lost'],
];

for (const [name, object, changes, expected] of healthCases) {
  test(`health: ${name}`, () => {
    const { isServing, isWhole, because } = shardHealth(object, 3, pods(changes));
    assert.equal(isServing ? `serves${isWhole ? ', whole' : `: ${because}`}` : because, expected);
  });
}

test('a shard that nobody was heard of has no primary', () => {
  assert.equal(shardHealth(shardOf(), 3, new Map([['b', pod('b')]])).because, 'docs-1-0 has no primary: a does not answer');
});

test('pods that are on their way worry nobody; what was there and is not does', () => {
  const stuck = (phase: 'Pending' | 'Ready', reason: 'Lost' | 'Unplaced') => bringUpShards(state({ collection: collectionObject('docs', {}, {}, { phase }), outcome: { state: 'stuck', reason, because: 'so it is' } })).outcome;
  assert.deepEqual([stuck('Pending', 'Unplaced'), stuck('Ready', 'Unplaced'), stuck('Pending', 'Lost')], ['wait', 'fail', 'fail']);
});
