/** Aim: which pods are to be emptied and why, when there is no room, and what the record says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObservedPod } from '../../pods/control/observation.ts';
import { decideDrains } from './drain.ts';
import type { Drain, PodFacts, PoolFacts } from './pool-facts.ts';
import { heardPod, podFacts, poolFacts, shardOn } from './pool.fixture.ts';

const minute = 60_000;
const nowMs = 1_000_000_000;
const five = (changes: Readonly<Record<number, Partial<PodFacts>>> = {}): PodFacts[] => [0, 1, 2, 3, 4].map((ordinal) => podFacts(ordinal, changes[ordinal]));
const requested = (ordinal: number, change: Partial<Drain> = {}): Drain => ({ pod: `p-${ordinal}`, request: 'job-1', phase: 'Requested', left: 0, message: 'asked for', ...change });
const cordoned = { node: { name: 'n', isCordoned: true, domains: [] } };
const onThree = shardOn('s', [0, 1, 2]);
const away = (minutes: number): NonNullable<PodFacts['away']> => ({ sinceMs: nowMs - minutes * minute, because: 'its node is not ready' });

const cases: { name: string; facts: Partial<PoolFacts>; heard?: [string, ObservedPod][]; expected: (readonly [pod: string, phase: Drain['phase'], left: number, message: RegExp])[] }[] = [
  { name: 'nothing is asked for', facts: { shards: [onThree] }, expected: [] },
  { name: 'asked for, and there is room', facts: { pods: five(), shards: [onThree], drains: [requested(1)] }, expected: [['p-1', 'Draining', 1, /^asked for by job-1; 1 of 1 replicas are still on it$/]] },
  { name: 'asked for, and there is none', facts: { shards: [onThree], drains: [requested(1)] }, expected: [['p-1', 'Refused', 1, /asked for by job-1; but there is no room: s: 3 replicas need 3 pods, and there is room on 2/]] },
  { name: 'asked for, and it is empty', facts: { pods: five(), shards: [onThree], drains: [requested(4)] }, expected: [['p-4', 'Drained', 0, /no replica is on it/]] },
  { name: 'the last of three has left', facts: { pods: five(), shards: [onThree], drains: [requested(4, { total: 3 })], }, expected: [['p-4', 'Drained', 0, /no replica is on it/]] },
  { name: 'its data is still there', facts: { pods: five(), shards: [onThree], drains: [requested(4, { total: 3 })] }, heard: [heardPod('p-4', [onThree])], expected: [['p-4', 'Draining', 0, /removes the data of 1 replicas/]] },
  { name: 'its data is there, but it does not answer any more', facts: { pods: five(), shards: [onThree], drains: [requested(4)] }, heard: [heardPod('p-4', [onThree], true)], expected: [['p-4', 'Drained', 0, /no replica/]] },
  { name: 'by an annotation', facts: { pods: five({ 1: { isAskedToDrain: true } }), shards: [onThree] }, expected: [['p-1', 'Draining', 1, /an annotation of the pod/]] },
  { name: 'a cordoned node', facts: { pods: five({ 1: cordoned }), shards: [onThree] }, expected: [['p-1', 'Draining', 1, /node n is cordoned/]] },
  { name: 'no longer cordoned', facts: { pods: five(), shards: [onThree], drains: [{ pod: 'p-1', phase: 'Draining', left: 1, total: 1, message: 'node n is cordoned' }] }, expected: [] },
  { name: 'fewer pods are wanted', facts: { replicas: 3, pods: five(), shards: [shardOn('s', [2, 3, 4])] }, expected: [['p-3', 'Draining', 1, /the pool shall have 3 pods/], ['p-4', 'Draining', 1, /the pool shall have 3 pods/]] },
  { name: 'fewer pods are wanted than replicas', facts: { replicas: 2, shards: [onThree] }, expected: [['p-2', 'Refused', 1, /3 replicas need 3 pods/]] },
  { name: 'fewer, and there is room for one of two', facts: { replicas: 2, pods: five().slice(0, 4), shards: [shardOn('s', [0, 1, 3])] }, expected: [['p-2', 'Drained', 0, /shall have 2/], ['p-3', 'Refused', 1, /3 replicas need 3 pods/]] },
  { name: 'a pod that is gone and still named', facts: { pods: five(), shards: [shardOn('s', [0, 1, 7])] }, expected: [['p-7', 'Draining', 1, /the pool shall have 5 pods/]] },
  { name: 'what is under way goes on before a new wish', facts: { pods: five().slice(0, 4), shards: [onThree], drains: [requested(0), requested(1, { phase: 'Draining', request: 'job-2' })] }, expected: [['p-0', 'Refused', 1, /no room/], ['p-1', 'Draining', 1, /job-2/]] },
  { name: 'two at once where there is room for both', facts: { pods: five(), shards: [onThree], drains: [requested(0), requested(1)] }, expected: [['p-0', 'Draining', 1, /job-1/], ['p-1', 'Draining', 1, /job-1/]] },
  { name: 'a pod that does not answer is no room', facts: { pods: five({ 3: { isServing: false }, 4: { isServing: false } }), shards: [onThree], drains: [requested(1)] }, expected: [['p-1', 'Refused', 1, /no room/]] },
  { name: 'a pod whose disk is full is no room', facts: { pods: five({ 3: { freeBytes: 0 }, 4: { freeBytes: 0 } }), shards: [onThree], drains: [requested(1)] }, expected: [['p-1', 'Refused', 1, /there is room on 2; the disk of p-3, p-4 is full/]] },
  { name: 'a full drain or none: one shard has no room', facts: { pods: five({ 4: { isServing: false } }), shards: [onThree, shardOn('t', [0, 1, 2, 3])], drains: [requested(1)] }, expected: [['p-1', 'Refused', 2, /no room: t: 4 replicas/]] },
  { name: 'away for less than ten minutes', facts: { pods: five({ 1: { isServing: false, away: away(9) } }), shards: [onThree] }, expected: [] },
  { name: 'away for longer', facts: { pods: five({ 1: { isServing: false, away: away(12) } }), shards: [onThree] }, expected: [['p-1', 'Draining', 1, /p-1 has been away since 1970-01-12T13:34:40Z \(its node is not ready\); if node node-1 is shut down for good, say so: kubectl taint nodes node-1 node.kubernetes.io\/out-of-service=nodeshutdown:NoExecute/]] },
  { name: 'away for longer, and there is no room', facts: { pods: [podFacts(0), podFacts(1, { isServing: false, away: away(12) }), podFacts(2)], shards: [onThree] }, expected: [['p-1', 'Refused', 1, /out-of-service.*but there is no room/]] },
  { name: 'several reasons', facts: { replicas: 4, pods: five({ 4: cordoned }), shards: [onThree], drains: [requested(4)] }, expected: [['p-4', 'Drained', 0, /asked for by job-1; the pool shall have 4 pods; node n is cordoned/]] },
];

for (const { name, facts, heard = [], expected } of cases) {
  test(name, () => {
    const drains = decideDrains(poolFacts({ nowMs, ...facts }), new Map(heard));
    assert.deepEqual(drains.map(({ pod, phase, left }) => [pod, phase, left]), expected.map(([pod, phase, left]) => [pod, phase, left]), drains.map(({ message }) => message).join('\n'));
    for (const [index, [, , , message]] of expected.entries()) assert.match(drains[index]!.message, message);
  });
}

test('a request stands and the count goes on', () => {
  const [drain] = decideDrains(poolFacts({ pods: five(), shards: [onThree], drains: [requested(1, { phase: 'Draining', total: 4, left: 2 })] }), new Map());
  assert.deepEqual(drain, { pod: 'p-1', request: 'job-1', phase: 'Draining', total: 4, left: 1, message: 'asked for by job-1; 1 of 4 replicas are still on it' });
});
