/** Aim: a StatefulSet never gets smaller than what still holds replicas, whoever removed or scaled what. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podFacts, poolFacts, shardOn } from './pool.fixture.ts';
import type { Drain, PoolFacts } from './pool-facts.ts';
import { decideReplicas } from './scale.ts';

const five = [0, 1, 2, 3, 4].map((ordinal) => podFacts(ordinal));
const drained = (ordinal: number, phase: Drain['phase'] = 'Drained'): Drain => ({ pod: `p-${ordinal}`, phase, left: 0, message: `${phase}` });

const cases: { name: string; facts: Partial<PoolFacts>; expected: [replicas: number, waitsFor: string[]] }[] = [
  { name: 'as wanted', facts: {}, expected: [3, []] },
  { name: 'more, at once', facts: { replicas: 5 }, expected: [5, []] },
  { name: 'none was empty', facts: { replicas: 3, pods: five, statefulSet: { uid: 'set', replicas: 5 } }, expected: [5, ['p-3', 'p-4']] },
  { name: 'the last is empty', facts: { replicas: 3, pods: five, statefulSet: { uid: 'set', replicas: 5 }, drains: [drained(3, 'Draining'), drained(4)] }, expected: [4, ['p-3']] },
  { name: 'another than the last is empty', facts: { replicas: 3, pods: five, statefulSet: { uid: 'set', replicas: 5 }, drains: [drained(3), drained(4, 'Draining')] }, expected: [5, ['p-3', 'p-4']] },
  { name: 'both are empty', facts: { replicas: 3, pods: five, statefulSet: { uid: 'set', replicas: 5 }, drains: [drained(3), drained(4)] }, expected: [3, []] },
  { name: 'recorded as empty, and a shard names it again', facts: { replicas: 3, pods: five, statefulSet: { uid: 'set', replicas: 5 }, drains: [drained(3), drained(4)], shards: [shardOn('s', [0, 1, 4])] }, expected: [5, ['p-3', 'p-4']] },
  { name: 'refused', facts: { replicas: 2, drains: [{ ...drained(2, 'Refused'), message: 'there is no room' }] }, expected: [3, ['p-2']] },
  { name: 'to none at all', facts: { replicas: 0, drains: [drained(0), drained(1), drained(2)] }, expected: [0, []] },
  { name: 'the StatefulSet is gone while pods were leaving', facts: { replicas: 3, pods: five.slice(0, 4), statefulSet: undefined as never, shards: [shardOn('s', [0, 1, 4])] }, expected: [5, ['p-3', 'p-4']] },
  { name: 'the StatefulSet is not there yet', facts: { replicas: 3, pods: [], statefulSet: undefined as never }, expected: [3, []] },
];

for (const { name, facts, expected } of cases) {
  test(name, () => {
    const { replicas, waitsFor, because } = decideReplicas(poolFacts(facts));
    assert.deepEqual([replicas, waitsFor], expected, because);
  });
}

test('the reason names what is in the way', () => {
  const { because } = decideReplicas(poolFacts({ replicas: 2, drains: [{ ...drained(2, 'Refused'), message: 'there is no room' }] }));
  assert.equal(because, '2 pods are wanted; p-2 is not empty yet: there is no room');
});
