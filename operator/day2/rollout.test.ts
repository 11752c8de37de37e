/** Aim: which pod is replaced next, what it waits for, and how a recorded sequence is gone on with. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodFacts, PoolFacts } from './pool-facts.ts';
import { podFacts, poolFacts, shardOn } from './pool.fixture.ts';
import { nextRolloutStep } from './rollout.ts';

const old = (ordinal: number, change: Partial<PodFacts> = {}): PodFacts => podFacts(ordinal, { revision: 'old', difference: 'image b is wanted instead of a', ...change });
const allOld = [0, 1, 2].map((ordinal) => old(ordinal));
const down = { isReady: false, isServing: false };
const replacing = (ordinal: number, step: string, podUID = `uid-${ordinal}`): NonNullable<PoolFacts['operation']> => ({ id: 'o', pod: `p-${ordinal}`, podUID, step });
const all = [0, 1, 2];

const cases: { name: string; facts: Partial<PoolFacts>; expected: string; because?: RegExp }[] = [
  { name: 'all are as they shall be', facts: { shards: [shardOn('s', all)] }, expected: 'none' },
  { name: 'the StatefulSet has not been looked at', facts: { pods: allOld, statefulSet: { uid: 'set', replicas: 3 } }, expected: 'none' },
  { name: 'nothing is on them: the last first', facts: { pods: allOld }, expected: 'begin p-2', because: /^p-2: image b is wanted instead of a$/ },
  { name: 'the one that leads least', facts: { pods: allOld, shards: [shardOn('s', [2, 0, 1])] }, expected: 'begin p-1' },
  { name: 'one that is not outdated stays', facts: { pods: [old(0), podFacts(1), podFacts(2)], shards: [shardOn('s', all)] }, expected: 'begin p-0' },
  { name: 'a volume grows at a start', facts: { pods: [podFacts(0), podFacts(1, { needsRestart: true }), podFacts(2)] }, expected: 'begin p-1', because: /volume to grow/ },
  { name: 'another pod is down, and the shard needs the rest', facts: { pods: [old(0), old(1), old(2, { ...down, revision: 'new', trouble: 'ImagePullBackOff' })], shards: [shardOn('s', all)] }, expected: 'wait', because: /2 of 3 pods are to be replaced; s needs 2 in sync, and without p-1 there is p-0 \(p-2 ImagePullBackOff\)/ },
  { name: 'another pod is ending', facts: { pods: [old(0), old(1), old(2, { isEnding: true, isServing: false })], shards: [shardOn('s', all)] }, expected: 'wait', because: /p-2 is ending/ },
  { name: 'a member was taken out of sync', facts: { pods: allOld, shards: [shardOn('s', all, { inSync: [0, 1] })] }, expected: 'begin p-2' },
  { name: 'a member that is leaving does not count', facts: { pods: [old(0), podFacts(1), podFacts(2)], shards: [shardOn('s', all, { leaving: [1] })] }, expected: 'wait', because: /without p-0 there is p-2/ },
  { name: 'a broken pod before all others', facts: { pods: [old(0), old(1, down), old(2)], shards: [shardOn('s', all, { inSync: [0, 2] })] }, expected: 'begin p-1' },
  { name: 'a pod that is down, but still counted upon', facts: { pods: [podFacts(0), old(1, down), podFacts(2)], shards: [shardOn('s', all, { inSync: [0, 1], minInSync: 2, wanted: 3 })] }, expected: 'wait', because: /s needs 2 in sync, and without p-1 there is p-0/ },
  { name: 'a pod that leaves the pool', facts: { replicas: 2, pods: [podFacts(0), podFacts(1), old(2)] }, expected: 'wait', because: /p-2 leaves the pool/ },
  { name: 'a pod on a cordoned node', facts: { pods: [podFacts(0), podFacts(1), old(2, { node: { name: 'n', isCordoned: true, domains: [] } })] }, expected: 'wait', because: /on node n, which takes no pods/ },
  { name: 'a shard that is not begun needs nothing', facts: { pods: allOld, shards: [{ ...shardOn('s', all), shard: { ...shardOn('s', all).shard, status: { phase: 'Pending' } } }] }, expected: 'begin p-2' },
  { name: 'a lost shard neither', facts: { pods: [old(0), podFacts(1, down), podFacts(2)], shards: [shardOn('s', all, { status: { phase: 'Lost' } })] }, expected: 'begin p-0' },
  { name: 'a shard that needs all members: its replica has to move, so the sequence begins', facts: { pods: [old(0), podFacts(1), podFacts(2)], shards: [shardOn('s', [0], { minInSync: 1 })] }, expected: 'begin p-0' },

  { name: 'recorded: others have to lead first', facts: { pods: allOld, operation: replacing(0, 'make-ready'), shards: [shardOn('s', all), shardOn('t', all)] }, expected: 'wait', because: /others shall lead s, t first/ },
  { name: 'recorded: it leads nothing', facts: { pods: allOld, operation: replacing(0, 'make-ready'), shards: [shardOn('s', [1, 0, 2])] }, expected: 'advance evict' },
  { name: 'recorded: it is evicted', facts: { pods: allOld, operation: replacing(0, 'evict'), shards: [shardOn('s', [1, 0, 2])] }, expected: 'evict p-0 uid-0' },
  { name: 'recorded: it got to lead again', facts: { pods: allOld, operation: replacing(0, 'evict'), shards: [shardOn('s', all)] }, expected: 'wait', because: /others shall lead s first/ },
  { name: 'recorded: another pod went down', facts: { pods: [old(0), old(1, down), old(2)], operation: replacing(0, 'evict'), shards: [shardOn('s', [2, 0, 1])] }, expected: 'end', because: /p-0 has to wait: s needs 2 in sync, and without p-0 there is p-2/ },
  { name: 'recorded: the only replica has not moved yet', facts: { pods: allOld, operation: replacing(0, 'make-ready'), shards: [shardOn('s', [0], { minInSync: 1 })] }, expected: 'wait', because: /moves to another pod first, if there is room \(or allow the outage: annotation shoal.dev\/allow-outage=true/ },
  { name: 'recorded: an outage is allowed', facts: { pods: allOld, allowsOutage: true, operation: replacing(0, 'make-ready'), shards: [shardOn('s', [0], { minInSync: 1 })] }, expected: 'advance evict' },
  { name: 'recorded: an outage is allowed, not one by another failure', facts: { pods: [old(0), old(1, down), old(2)], allowsOutage: true, operation: replacing(0, 'make-ready'), shards: [shardOn('s', [2, 0, 1])] }, expected: 'end' },
  { name: 'recorded: it needs no replacement any more', facts: { operation: replacing(0, 'make-ready') }, expected: 'end', because: /as it shall be after all/ },
  { name: 'recorded: it is ending', facts: { pods: [old(0, { isEnding: true }), old(1), old(2)], operation: replacing(0, 'evict') }, expected: 'advance await' },
  { name: 'recorded: it goes on ending', facts: { pods: [old(0, { isEnding: true }), old(1), old(2)], operation: replacing(0, 'await') }, expected: 'wait', because: /p-0 is ending/ },
  { name: 'recorded: it is gone', facts: { pods: [old(1), old(2)], statefulSet: { uid: 'set', replicas: 3, updateRevision: 'new' }, operation: replacing(0, 'evict') }, expected: 'advance await' },
  { name: 'recorded: it is being made anew', facts: { pods: [old(1), old(2)], statefulSet: { uid: 'set', replicas: 3, updateRevision: 'new' }, operation: replacing(0, 'await') }, expected: 'wait', because: /is being made anew/ },
  { name: 'recorded: it left the pool', facts: { pods: [old(0), old(1)], statefulSet: { uid: 'set', replicas: 2, updateRevision: 'new' }, operation: replacing(2, 'await') }, expected: 'end' },
  { name: 'recorded: it is back, not in sync', facts: { pods: [podFacts(0, { uid: 'other', isReady: false, trouble: 'its replicas are not in sync' }), old(1), old(2)], operation: replacing(0, 'await') }, expected: 'wait', because: /p-0 is not ready yet: its replicas are not in sync/ },
  { name: 'recorded: it is back', facts: { pods: [podFacts(0, { uid: 'other' }), old(1), old(2)], operation: replacing(0, 'await') }, expected: 'end' },
  { name: 'recorded: back by other hands than the operation', facts: { pods: [podFacts(0, { uid: 'other', isReady: false }), old(1), old(2)], operation: replacing(0, 'make-ready') }, expected: 'advance await' },
  { name: 'recorded: back, but the template has changed meanwhile', facts: { pods: [old(0, { uid: 'other', ...down }), old(1), old(2)], operation: replacing(0, 'await') }, expected: 'end', because: /once more/ },
];

for (const { name, facts, expected, because } of cases) {
  test(name, () => {
    const step = nextRolloutStep(poolFacts(facts));
    const what = step.action === 'begin' ? `begin ${step.pod}` : step.action === 'advance' ? `advance ${step.step}` : step.action === 'evict' ? `evict ${step.pod} ${step.podUID}` : step.action;
    assert.equal(what, expected, step.because);
    if (because !== undefined) assert.match(step.because, because);
  });
}
