/** Aim: no pod goes whose going would stop a shard's writes, and what is said names who is left. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lossesWithout, type Loss } from './pod-loss.ts';
import { podFacts, poolFacts, shardOn } from './pool.fixture.ts';
import type { PoolFacts, ShardUse } from './pool-facts.ts';

const silent = { pods: [podFacts(0), podFacts(1), podFacts(2, { isServing: false })] };
const unbegun = (use: ShardUse): ShardUse => ({ ...use, shard: { ...use.shard, status: { phase: 'Pending' } } });

const cases: { name: string; shard: ShardUse; facts?: Partial<PoolFacts>; expected?: Omit<Loss, 'shard'> }[] = [
  { name: 'two of three are left', shard: shardOn('s', [0, 1, 2]) },
  { name: 'it is not in sync', shard: shardOn('s', [0, 1, 2], { inSync: [1, 2] }) },
  { name: 'one of the others does not answer', shard: shardOn('s', [0, 1, 2]), facts: silent, expected: { isForGood: false, because: 's needs 2 in sync, and without p-0 there is p-1' } },
  { name: 'one of the others is about to leave', shard: shardOn('s', [0, 1, 2], { leaving: [2] }), expected: { isForGood: false, because: 's needs 2 in sync, and without p-0 there is p-1' } },
  { name: 'it is the one that is about to leave', shard: shardOn('s', [0, 1, 2], { leaving: [0] }) },
  { name: 'it needs all that it shall ever have', shard: shardOn('s', [0, 1]), expected: { isForGood: true, because: 's needs 2 in sync, and without p-0 there is p-1' } },
  { name: 'it is the only one', shard: shardOn('s', [0], { minInSync: 1 }), expected: { isForGood: true, because: 's needs 1 in sync, and without p-0 there is nobody' } },
  { name: 'nothing has been begun', shard: unbegun(shardOn('s', [0])) },
  { name: 'it is lost already', shard: shardOn('s', [0], { status: { phase: 'Lost' } }) },
];

for (const { name, shard, facts = {}, expected } of cases) {
  test(name, () => assert.deepEqual(lossesWithout('p-0', poolFacts({ ...facts, shards: [shard] })), expected === undefined ? [] : [{ shard: 's', ...expected }]));
}
