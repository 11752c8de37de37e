/** Aim: a pod is in sync only while the record and the pod itself say so of everything that it shall have. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authority, member, pod as heard, primaryOn, shard, withoutAuthority, type PodCase } from '../../../pods/control/control.fixture.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { seenPod } from '../../desired/desired.fixture.ts';
import { decideGates, gateOf } from './in-sync-gate.ts';
import type { PoolState } from './pool-state.ts';

const withoutB = authority({ inSync: [member('a'), member('c')] });
const cases: readonly [name: string, shards: readonly VectorShard[], said: PodCase | undefined, expected: string][] = [
  ['it has nothing', [], {}, 'True InSync'],
  ['a member with its data', [shard()], {}, 'True InSync'],
  ['it has not been heard', [], undefined, 'False NotHeard'],
  ['the pod of that name before answered', [shard()], { podUID: 'uid-earlier' }, 'False NotHeard'],
  ['it is catching up', [shard({}, { authority: withoutB })], {}, 'False NotInSync: docs-1-0 is catching up'],
  ['it is to leave, and is out', [shard({ leaving: ['b'] }, { authority: withoutB })], {}, 'True InSync'],
  ['it is to leave, and still counts', [shard({ leaving: ['b'] })], { replica: 'none' }, 'False NotInSync: docs-1-0 has not been opened'],
  ['the shard has not been begun', [withoutAuthority()], { replica: 'none' }, 'True InSync'],
  ['the record means other data', [shard()], { replica: { incarnation: 'other' } }, 'False NotInSync: docs-1-0 is recorded with other data than it has'],
  ['its data is damaged', [shard()], { replica: { quarantined: true } }, 'False NotInSync: docs-1-0 is damaged'],
  ['the record means the pod that had its name', [shard({}, { authority: authority({ primary: { ...primaryOn('b'), podUID: 'uid-earlier' } }) })], {}, 'False NotInSync: docs-1-0 is led by the pod that had this name before'],
  ['it has fallen silent: the record decides', [shard()], { isSilent: true }, 'True InSync'],
];

for (const [name, shards, said, expected] of cases) {
  test(name, () => {
    const { status, reason, message } = gateOf(seenPod('b', { uid: 'uid-b' }), shards, said === undefined ? undefined : heard('b', said));
    assert.equal(`${status} ${reason}${reason === 'NotInSync' ? `: ${message}` : ''}`, expected);
  });
}

test('of many shards the first are named', () => {
  const many = ['1', '2', '3', '4', '5'].map((name) => ({ ...shard({}, { authority: withoutB }), metadata: { ...shard().metadata, name } }));
  assert.equal(gateOf(seenPod('b', { uid: 'uid-b' }), many, heard('b')).message, '1 is catching up; 2 is catching up; 3 is catching up; and 2 more');
});

test('while nothing is known of the shards, what was said stays', () => {
  const gate = { type: 'shoal.dev/in-sync', status: 'True', reason: 'InSync', message: 'all its replicas are in sync' };
  const state = (change: Partial<PoolState>): PoolState => ({ pods: [seenPod('b', { uid: 'uid-b' }, { conditions: [gate] })], shards: [shard({}, { authority: withoutB })], heard: new Map([['b', heard('b')]]), areShardsFresh: true, ...change }) as PoolState;
  assert.equal(decideGates(state({})).outcome, 'act');
  assert.equal(decideGates(state({ areShardsFresh: false })).outcome, 'wait');
  assert.equal(decideGates(state({ shards: [] })).outcome, 'complete');
});
