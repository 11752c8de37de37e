/** Aim: rule B1: what may be begun from nothing, and what must not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VectorShard } from '../metadata/objects.ts';
import { decideBootstrap, decideShardObject } from './bootstrap.ts';
import { collection, facts, member, pods, primaryOn, shardUID, withoutAuthority, type PodCase } from './control.fixture.ts';
import type { ShardFacts } from './shard-facts.ts';

const empty = { replica: { role: 'waiting', term: 0, lastSeq: 0, commitSeq: 0, appliedSeq: 0, configVersion: 0 } } as const;
const allEmpty: Record<string, PodCase> = { a: empty, b: empty, c: empty };
const inSync = ['a', 'b', 'c'].map(member);

const cases: { name: string; pods?: Record<string, PodCase>; facts?: Partial<ShardFacts>; expected: unknown }[] = [
  { name: 'all replicas are there and empty', expected: { action: 'bootstrap', authority: { term: 1, configVersion: 1, primary: primaryOn('a'), inSync } } },
  { name: 'the pod with the fewest primaries leads', facts: { primaryCounts: new Map([['a', 1], ['b', 1]]) }, expected: { action: 'bootstrap', authority: { term: 1, configVersion: 1, primary: primaryOn('c'), inSync } } },
  { name: 'one has not reported', pods: { b: { isUnheard: true } }, expected: { action: 'wait', soon: true } },
  { name: 'one has no replica yet', pods: { b: { replica: 'none' } }, expected: { action: 'wait', soon: true } },
  { name: 'one is silent', pods: { c: { ...empty, isSilent: true } }, expected: { action: 'wait', soon: false } },
  { name: 'one holds entries', pods: { c: { replica: { ...empty.replica, lastSeq: 1 } } }, expected: { action: 'stop', condition: 'MetadataRolledBack' } },
  { name: 'one knows a term', pods: { c: { replica: { ...empty.replica, term: 1 } } }, expected: { action: 'stop', condition: 'MetadataRolledBack' } },
  { name: 'a pod that is no replica knows a term', pods: { d: { replica: { ...empty.replica, term: 3 } } }, expected: { action: 'stop', condition: 'MetadataRolledBack' } },
  { name: 'the UID is not recorded', facts: { collection: collection(3, 2, []) }, expected: { action: 'wait', soon: false } },
  { name: 'another UID is recorded', facts: { collection: collection(3, 2, ['shard-0']) }, expected: { action: 'stop', condition: 'Lost' } },
  { name: 'the collection is gone', facts: { collection: undefined }, expected: { action: 'wait', soon: false } },
  { name: 'the collection is another one', facts: { collection: { ...collection(), metadata: { ...collection().metadata, uid: 'other' } } }, expected: { action: 'wait', soon: false } },
];

for (const { name, pods: changes, facts: change, expected } of cases) {
  test(name, () => {
    const { because, ...step } = decideBootstrap(facts({ shard: withoutAuthority(), pods: pods({ ...allEmpty, ...changes }), ...change }));
    assert.deepEqual(step, expected, because);
  });
}

const ours = withoutAuthority();
const foreign: VectorShard = { ...ours, spec: { ...ours.spec, collection: { name: 'docs', uid: 'earlier' } } };

const objectCases: { name: string; recorded: string[]; present: VectorShard | undefined; expected: unknown }[] = [
  { name: 'neither recorded nor there: made', recorded: [], present: undefined, expected: { action: 'create' } },
  { name: 'there, not recorded', recorded: [], present: ours, expected: { action: 'record', uid: shardUID } },
  { name: 'of an earlier collection of the name', recorded: [], present: foreign, expected: { action: 'none' } },
  { name: 'there and recorded', recorded: [shardUID], present: ours, expected: { action: 'none' } },
  { name: 'recorded and gone: never made anew', recorded: [shardUID], present: undefined, expected: { action: 'lost' } },
  { name: 'recorded, and another in its place', recorded: ['shard-0'], present: ours, expected: { action: 'lost' } },
];

for (const { name, recorded, present, expected } of objectCases) {
  test(`object: ${name}`, () => {
    const { because, ...step } = decideShardObject(collection(3, 2, recorded), 0, present);
    assert.deepEqual(step, expected, because);
  });
}
