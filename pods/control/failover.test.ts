/** Aim: rule P1, case by case. The shard is on a (primary, term 5), b and c; reports say 100 entries, all committed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noMutations } from '../kernel/mutations.ts';
import { authority, facts, member, pods, primaryOn, shard, type PodCase } from './control.fixture.ts';
import { decideFailover } from './failover.ts';
import type { ShardFacts } from './shard-facts.ts';

const silent = { isSilent: true } as const;
const standing = (type: string): ReturnType<typeof shard> =>
  shard({}, { conditions: [{ type, status: 'True', reason: type, message: 'it was seen', lastTransitionTime: '2026-01-02T03:04:05Z' }] });
const promoted = (pod: string, session?: string): unknown => ({ action: 'promote', authority: authority({ term: 6, primary: primaryOn(pod, session) }) });
const wait = (soon = false): unknown => ({ action: 'wait', soon });
const stop = (condition: string): unknown => ({ action: 'stop', condition });
const outside = { replica: { incarnation: 'copy', lastSeq: 80, commitSeq: 80 } } as const;
const accepting = (term = 6, incarnation = 'copy'): ReturnType<typeof shard> => shard({ replicas: ['a', 'b', 'c', 'd'], acceptDataLoss: { incarnation, term } });

const cases: { name: string; pods?: Record<string, PodCase>; facts?: Partial<ShardFacts>; expected: unknown }[] = [
  { name: 'the primary leads', expected: { action: 'none' } },
  { name: 'the primary has not answered once, which is no silence yet', pods: { a: { isReachable: false } }, expected: { action: 'none' } },
  { name: 'nobody has been heard yet', pods: { a: { isUnheard: true } }, expected: wait(true) },
  { name: 'the only member has not opened its replica yet', pods: { a: { session: 'new', replica: 'none' }, b: silent, c: silent }, expected: wait(true) },
  { name: 'a backup is silent, which is its primary\'s business', pods: { b: silent }, expected: { action: 'none' } },
  { name: 'the primary has not taken up its term', pods: { a: { replica: { role: 'backup', term: 4 } } }, expected: { action: 'nudge', pods: ['a'] } },

  { name: 'a silent primary', pods: { a: silent }, expected: promoted('b') },
  { name: 'a primary that was never heard, and is silent', pods: { a: { ...silent, isUnheard: true } }, expected: promoted('b') },
  { name: 'a restarted primary is as good as others, and fewest primaries decide', pods: { a: { session: 'new', replica: { role: 'waiting' } } }, facts: { primaryCounts: new Map([['b', 2], ['c', 1], ['a', 0]]) }, expected: promoted('a', 'new') },
  { name: 'a restarted primary that has fewer entries', pods: { a: { session: 'new', replica: { role: 'waiting', lastSeq: 100 } }, c: { replica: { lastSeq: 101 } } }, expected: promoted('c') },
  { name: 'a restarted primary under another pod UID', pods: { a: { podUID: 'uid-new', replica: { role: 'waiting' } }, b: silent, c: silent }, expected: { action: 'promote', authority: authority({ term: 6, primary: { ...primaryOn('a'), podUID: 'uid-new' } }) } },
  { name: 'a primary whose disk was replaced', pods: { a: { replica: 'none' } }, expected: promoted('b') },
  { name: 'a primary with another incarnation', pods: { a: { replica: { incarnation: 'other' } } }, expected: promoted('b') },
  { name: 'a primary that gave up its term', pods: { a: { replica: { role: 'waiting' } } }, expected: promoted('a') },
  { name: 'a primary that gave up the term it had just got', pods: { a: { replica: { role: 'waiting' } }, b: silent, c: silent }, facts: { lastGrant: { session: 'session-a', atMs: 95_500 } }, expected: wait(true) },
  { name: 'the same a second later', pods: { a: { replica: { role: 'waiting' } }, b: silent, c: silent }, facts: { lastGrant: { session: 'session-a', atMs: 95_000 } }, expected: promoted('a') },
  { name: 'a primary that is blocked', pods: { a: { replica: { blockedMs: 2_000 } } }, expected: promoted('b') },
  { name: 'a primary that may have waited for a store that nobody could reach', pods: { a: { replica: { blockedMs: 60_000 } } }, facts: { storeAnswersSinceMs: 94_001 }, expected: wait(true) },
  { name: 'a primary that is blocked though the store answers others', pods: { a: { replica: { blockedMs: 60_000 } } }, facts: { storeAnswersSinceMs: 94_000 }, expected: promoted('b') },
  { name: 'a primary that is blocked for a short while', pods: { a: { replica: { blockedMs: 1_999 } } }, expected: { action: 'none' } },
  { name: 'a blocked primary and nobody else', pods: { a: { replica: { blockedMs: 2_000 } }, b: silent, c: silent }, expected: { action: 'none' } },
  { name: 'a damaged primary', pods: { a: { replica: { quarantined: true } } }, expected: promoted('b') },

  { name: 'the most entries win', pods: { a: silent, c: { replica: { lastSeq: 101 } } }, expected: promoted('c') },
  { name: 'then the fewest primaries', pods: { a: silent }, facts: { primaryCounts: new Map([['b', 3], ['c', 2]]) }, expected: promoted('c') },
  { name: 'a draining pod last', pods: { a: silent }, facts: { placement: { pods: [{ name: 'b', isDraining: true, isSilent: false }], load: new Map() } }, expected: promoted('c') },
  { name: 'not one that does not answer at the moment', pods: { a: silent, b: { isReachable: false } }, expected: promoted('c') },
  { name: 'not one with another incarnation', pods: { a: silent, b: { replica: { incarnation: 'other' } } }, expected: promoted('c') },
  { name: 'not one that lost the replica', pods: { a: silent, b: { replica: 'none' } }, expected: promoted('c') },
  { name: 'not a damaged one', pods: { a: silent, b: { replica: { quarantined: true } } }, expected: promoted('c') },
  { name: 'not a damaged one, even if the other is away', pods: { a: silent, b: { replica: { quarantined: true } }, c: silent }, expected: wait() },
  { name: 'F1: the last member, though damaged', pods: { a: { session: 'new', replica: { role: 'waiting', quarantined: true } } }, facts: { shard: shard({}, { authority: authority({ inSync: [member('a')] }) }) }, expected: { action: 'promote', authority: authority({ term: 6, primary: primaryOn('a', 'new'), inSync: [member('a')] }) } },
  { name: 'not one out of sync', pods: { a: silent, b: silent }, facts: { shard: shard({}, { authority: authority({ inSync: [member('a'), member('b')] }) }) }, expected: wait() },

  { name: 'not one below what is reported as committed', pods: { a: { ...silent, replica: { commitSeq: 101, lastSeq: 101 } }, b: { askedAtMs: 92_000 }, c: { replica: { lastSeq: 101 } } }, expected: promoted('c') },
  { name: 'a commit reported by a copy out of sync counts', pods: { a: silent, d: { replica: { incarnation: 'other', commitSeq: 101, lastSeq: 101 } }, c: { replica: { lastSeq: 101 } } }, expected: promoted('c') },
  { name: 'one that was asked before the commit was heard may have it by now', pods: { a: { ...silent, replica: { commitSeq: 101, lastSeq: 101 } } }, expected: wait(true) },
  { name: 'the others lack it, and one member is away', pods: { a: { ...silent, askedAtMs: 80_000, replica: { commitSeq: 101, lastSeq: 101 } } }, expected: wait() },
  { name: 'every member lacks it', pods: { a: { session: 'new', replica: { role: 'waiting' } }, d: { askedAtMs: 80_000, replica: { incarnation: 'other', commitSeq: 101, lastSeq: 101 } } }, expected: stop('CommittedEntriesMissing') },

  { name: 'a report of a newer term', pods: { b: { replica: { term: 6 } } }, expected: stop('MetadataRolledBack') },
  { name: 'a report of a newer configVersion', pods: { c: { ...silent, replica: { configVersion: 8 } } }, expected: stop('MetadataRolledBack') },
  { name: 'a report of a newer term from a pod that is no replica', pods: { d: { replica: { term: 6 } } }, expected: stop('MetadataRolledBack') },
  { name: 'a newer report than the object that was read', pods: { b: { answeredAtMs: 95_001, replica: { term: 6 } } }, expected: wait(true) },
  { name: 'what was seen stands, though the witness is silent now', pods: { a: silent }, facts: { shard: standing('MetadataRolledBack') }, expected: stop('MetadataRolledBack') },
  { name: 'the same for missing entries', pods: { a: silent }, facts: { shard: standing('CommittedEntriesMissing') }, expected: stop('CommittedEntriesMissing') },
  { name: 'other conditions stop nothing', pods: { a: silent }, facts: { shard: standing('Degraded') }, expected: promoted('b') },

  { name: 'accepted loss: everything as it should be', pods: { a: silent, b: silent, c: silent, d: outside }, facts: { shard: accepting(), isPrimaryGone: true }, expected: { action: 'promote', authority: { term: 6, configVersion: 8, inSync: [{ pod: 'd', incarnation: 'copy' }], primary: { ...primaryOn('d'), incarnation: 'copy' } } } },
  { name: 'accepted loss: a member in sync is better', pods: { a: silent, d: outside }, facts: { shard: accepting(), isPrimaryGone: true }, expected: { action: 'promote', authority: authority({ term: 6, primary: primaryOn('b') }) } },
  { name: 'accepted loss: the primary leads', pods: { d: outside }, facts: { shard: accepting(), isPrimaryGone: true }, expected: { action: 'none' } },
  { name: 'accepted loss: another term', pods: { a: silent, b: silent, c: silent, d: outside }, facts: { shard: accepting(7), isPrimaryGone: true }, expected: wait() },
  { name: 'accepted loss: another incarnation', pods: { a: silent, b: silent, c: silent, d: outside }, facts: { shard: accepting(6, 'other'), isPrimaryGone: true }, expected: wait() },
  { name: 'accepted loss: the old primary may run still', pods: { a: silent, b: silent, c: silent, d: outside }, facts: { shard: accepting() }, expected: wait() },
  { name: 'accepted loss: the old primary has restarted without its data', pods: { a: { session: 'new', replica: 'none' }, b: silent, c: silent, d: outside }, facts: { shard: accepting() }, expected: { action: 'promote', authority: { term: 6, configVersion: 8, inSync: [{ pod: 'd', incarnation: 'copy' }], primary: { ...primaryOn('d'), incarnation: 'copy' } } } },
  { name: 'accepted loss: what an earlier process of the primary said proves nothing', pods: { a: { isReachable: false, session: 'earlier' }, b: silent, c: silent, d: outside }, facts: { shard: accepting(), primaryKnownAtMs: 90_001 }, expected: wait(true) },
  { name: 'accepted loss: the copy is on no pod of the shard', pods: { a: silent, b: silent, c: silent, e: outside }, facts: { shard: accepting(), isPrimaryGone: true }, expected: wait() },
];

for (const { name, pods: changes, facts: change, expected } of cases) {
  test(name, () => {
    const { because, ...step } = decideFailover(facts({ pods: pods(changes), ...change }), noMutations);
    assert.deepEqual(step, expected, because);
    assert.notEqual(because, '');
  });
}

test('the mutation promotes from outside inSync', () => {
  const few = shard({}, { authority: authority({ inSync: [member('a')] }) });
  const step = decideFailover(facts({ shard: few, pods: pods({ a: silent }) }), new Set(['promote-outside-in-sync']));
  assert.deepEqual(step.action === 'promote' && step.authority.inSync, [member('a'), member('b')]);
});
