/** Aim: rules A2 and S1, deletion, and which of several things comes first. Random walks hold every write to rule G1. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noMutations } from '../kernel/mutations.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import { checkAuthorityChange } from '../metadata/authority-rules.ts';
import type { ShardAuthority, VectorShard } from '../metadata/objects.ts';
import { authority, collection, facts, member, placeable, pod, pods, primaryOn, shard, withoutAuthority, type PodCase } from './control.fixture.ts';
import type { ObservedPod } from './observation.ts';
import type { ShardFacts } from './shard-facts.ts';
import { nextShardStep } from './shard-step.ts';
import { confirmSwitchover } from './switchover.ts';

const draining = (...names: string[]): ShardFacts['placement'] => ({ pods: ['a', 'b', 'c', 'd', 'e'].map((name) => placeable(name, { isDraining: names.includes(name) })), load: new Map() });
const replacing = (name: string): ShardFacts['placement'] => ({ ...draining(), pods: draining().pods.map((each) => (each.name === name ? { ...each, isBeingReplaced: true } : each)) });
const four = ['a', 'b', 'c', 'd'];
const spec = (change: Partial<VectorShard['spec']>): VectorShard['spec'] => shard(change).spec;
const withFour = (inSync: readonly string[], change: Partial<VectorShard['spec']> = {}, primary = 'b'): VectorShard =>
  shard({ replicas: four, ...change }, { authority: authority({ primary: primaryOn(primary), inSync: inSync.map(member) }) });
const bLeads: Record<string, PodCase> = { a: { replica: { role: 'backup' } }, b: { replica: { role: 'primary' } }, d: {} };
const deleted = (change: Partial<VectorShard['spec']> = {}): VectorShard => ({ ...shard(change), metadata: { ...shard().metadata, deletionTimestampMs: 5 } });
const deletedToo = { collection: { ...collection(), metadata: { ...collection().metadata, deletionTimestampMs: 4 } } };
const handover = (term: number, to?: string): VectorShard => shard({}, { handover: { id: 'h', term, ...(to === undefined ? {} : { to: member(to) }) } });

const cases: { name: string; shard: VectorShard; pods?: Record<string, PodCase>; facts?: Partial<ShardFacts>; expected: unknown }[] = [
  { name: 'A2: nothing to move', shard: shard(), expected: { action: 'none' } },
  { name: 'A2: a replica is added where one shall leave', shard: shard(), facts: { placement: draining('a') }, expected: { action: 'change-spec', spec: spec({ replicas: four }) } },
  { name: 'A2: there is no room', shard: shard(), facts: { placement: { ...draining('a'), pods: draining('a').pods.slice(0, 3) } }, expected: { action: 'none' } },
  { name: 'A2: waits until it is in sync', shard: withFour(['a', 'b', 'c']), pods: bLeads, facts: { placement: draining('a') }, expected: { action: 'wait', soon: false } },
  { name: 'A2: a primary is switched over first', shard: withFour(four, {}, 'a'), pods: { d: {} }, facts: { placement: draining('a') }, expected: { action: 'switch', to: member('b') } },
  { name: 'A2: then it shall leave', shard: withFour(four), pods: bLeads, facts: { placement: draining('a') }, expected: { action: 'change-spec', spec: spec({ replicas: four, leaving: ['a'] }) } },
  { name: 'A2: waits until it is out of sync', shard: withFour(four, { leaving: ['a'] }), pods: bLeads, facts: { placement: draining('a') }, expected: { action: 'wait', soon: false } },
  { name: 'A2: then it goes from the replicas', shard: withFour(['b', 'c', 'd'], { leaving: ['a'] }), pods: bLeads, facts: { placement: draining('a') }, expected: { action: 'change-spec', spec: spec({ replicas: ['b', 'c', 'd'] }) } },
  { name: 'A2: one that may stay after all', shard: withFour(['b', 'c', 'd'], { leaving: ['a'] }), pods: bLeads, facts: { collection: collection(4, 2), placement: draining() }, expected: { action: 'change-spec', spec: spec({ replicas: four }) } },
  { name: 'a pod is about to be replaced: its primary is switched over', shard: shard(), facts: { placement: replacing('a') }, expected: { action: 'switch', to: member('b') } },
  { name: 'a pod is about to be replaced: backups stay', shard: shard(), facts: { placement: replacing('b') }, expected: { action: 'none' } },
  { name: 'a pod is about to be replaced: nobody is switched over to it', shard: shard(), facts: { placement: { ...draining(), pods: replacing('b').pods.map((each) => (each.name === 'a' ? { ...each, isBeingReplaced: true } : each)) } }, expected: { action: 'switch', to: member('c') } },
  { name: 'a pod is about to be replaced: a shard that can spare no member leaves it', shard: shard({ minInSync: 3 }), facts: { collection: collection(3, 3), placement: replacing('b') }, expected: { action: 'change-spec', spec: spec({ minInSync: 3, replicas: four }) } },
  { name: 'a pod is about to be replaced: the only member has nobody to be followed by', shard: shard({ replicas: ['a'], minInSync: 1 }, { authority: authority({ inSync: [member('a')] }) }), facts: { collection: collection(1, 1), placement: { pods: [placeable('a', { isBeingReplaced: true })], load: new Map() } }, expected: { action: 'none' } },
  { name: 'a pod is about to be replaced: also of a collection that is left alone', shard: shard(), facts: { collection: undefined, placement: replacing('a') }, expected: { action: 'switch', to: member('b') } },
  { name: 'a pod is about to be replaced: also while a replica joins', shard: withFour(['a', 'b', 'c'], {}, 'a'), pods: { d: {} }, facts: { placement: { ...draining('c'), pods: draining('c').pods.map((each) => (each.name === 'a' ? { ...each, isBeingReplaced: true } : each)) } }, expected: { action: 'switch', to: member('b') } },
  { name: 'balance: one more replica first, then one too many', shard: shard(), facts: { placement: draining(), rebalanceTo: 'd' }, expected: { action: 'change-spec', spec: spec({ replicas: four }) } },
  { name: 'balance: then the most loaded leaves', shard: withFour(four), pods: bLeads, facts: { placement: { ...draining(), load: new Map([['a', 5]]) }, rebalanceTo: 'd' }, expected: { action: 'change-spec', spec: spec({ replicas: four, leaving: ['a'] }) } },
  { name: 'balance: not to a pod that drains by now', shard: shard(), facts: { placement: draining('d'), rebalanceTo: 'd' }, expected: { action: 'none' } },
  { name: 'A2: fewer replicas are wanted: not the primary\'s', shard: withFour(four, {}, 'd'), pods: { a: { replica: { role: 'backup' } }, d: { replica: { role: 'primary' } } }, facts: { placement: draining() }, expected: { action: 'change-spec', spec: spec({ replicas: four, leaving: ['c'] }) } },
  { name: 'A2: fewer replicas are wanted', shard: withFour(four), pods: bLeads, facts: { placement: draining() }, expected: { action: 'change-spec', spec: spec({ replicas: four, leaving: ['d'] }) } },
  { name: 'a higher minInSync is wanted, and so many are in sync', shard: shard(), facts: { collection: collection(3, 3) }, expected: { action: 'change-spec', spec: spec({ minInSync: 3 }) } },
  { name: 'a higher minInSync is wanted: not before so many are in sync', shard: shard({}, { authority: authority({ inSync: [member('a'), member('b')] }) }), facts: { collection: collection(3, 3) }, expected: { action: 'none' } },
  { name: 'a higher minInSync and more replicas: these come first', shard: shard({ replicas: ['a', 'b'], minInSync: 1 }, { authority: authority({ inSync: [member('a'), member('b')] }) }), facts: { collection: collection(3, 3) }, expected: { action: 'change-spec', spec: spec({ replicas: ['a', 'b', 'c'], minInSync: 1 }) } },
  { name: 'a higher minInSync and more replicas, for which there is no room', shard: shard({ minInSync: 2 }), facts: { collection: collection(4, 3), placement: { pods: ['a', 'b', 'c'].map((name) => placeable(name)), load: new Map() } }, expected: { action: 'change-spec', spec: spec({ minInSync: 3 }) } },
  { name: 'another minInSync is wanted', shard: shard(), facts: { collection: collection(3, 1) }, expected: { action: 'change-spec', spec: spec({ minInSync: 1 }) } },
  { name: 'promotion comes before all moves', shard: shard(), pods: { a: { isSilent: true } }, facts: { placement: draining('b') }, expected: { action: 'promote', authority: authority({ term: 6, primary: primaryOn('c') }) } },
  { name: 'before the first authority replicas go where there is room', shard: withoutAuthority(), pods: { a: { replica: 'none' }, b: { replica: 'none' }, c: { replica: 'none' } }, facts: { placement: draining('a') }, expected: { action: 'change-spec', spec: spec({ replicas: ['b', 'c', 'd'] }) } },

  { name: 'S1: the primary asks to be relieved', shard: handover(5), facts: { primaryCounts: new Map([['b', 1]]) }, expected: { action: 'switch', to: member('c') } },
  { name: 'S1: by a certain member', shard: handover(5, 'b'), facts: { primaryCounts: new Map([['b', 1]]) }, expected: { action: 'switch', to: member('b') } },
  { name: 'S1: in an earlier term', shard: handover(4), expected: { action: 'none' } },
  { name: 'S1: nobody else can', shard: handover(5), pods: { b: { isReachable: false }, c: { replica: { quarantined: true } } }, expected: { action: 'wait', soon: false } },

  { name: 'deleted: pods hold data', shard: deleted(), facts: deletedToo, pods: { b: { replica: 'none' } }, expected: { action: 'nudge', pods: ['a', 'c'] } },
  { name: 'deleted: one has not been heard', shard: deleted(), pods: { a: { replica: 'none' }, b: { replica: 'none' }, c: { isUnheard: true } }, facts: deletedToo, expected: { action: 'wait', soon: true } },
  { name: 'deleted: no data is left where anybody answers', shard: deleted(), pods: { a: { replica: 'none' }, b: { replica: 'none' }, c: { isSilent: true } }, facts: deletedToo, expected: { action: 'release' } },
  { name: 'deleted, and the collection is not', shard: deleted(), pods: { a: { replica: 'none' }, b: { replica: 'none' }, c: { replica: 'none' } }, expected: { action: 'wait', soon: false } },
];

for (const { name, shard: object, pods: changes, facts: change, expected } of cases) {
  test(name, () => {
    const { because, ...step } = nextShardStep(facts({ shard: object, pods: pods(changes), ...change }), noMutations);
    assert.deepEqual(step, expected, because);
  });
}

describe('S1: once writes have stopped', () => {
  const stopped = { term: 5, lastSeq: 100 };
  const confirmed = (object: VectorShard, target: ObservedPod | undefined): unknown => {
    const step = confirmSwitchover(object, member('b'), stopped, target);
    return step.action === 'promote' ? step.authority : step.action;
  };
  test('the target has all entries', () => assert.deepEqual(confirmed(shard(), pod('b')), authority({ term: 6, primary: primaryOn('b') })));
  test('the target lacks some', () => assert.equal(confirmed(shard(), pod('b', { replica: { lastSeq: 99 } })), 'none'));
  test('the target is not heard', () => assert.equal(confirmed(shard(), undefined), 'none'));
  test('the target has another incarnation', () => assert.equal(confirmed(shard(), pod('b', { replica: { incarnation: 'other' } })), 'none'));
  test('the target is not in sync any more', () => assert.equal(confirmed(shard({}, { authority: authority({ inSync: [member('a'), member('c')] }) }), pod('b')), 'none'));
  test('the term has moved', () => assert.equal(confirmed(shard({}, { authority: authority({ term: 6 }) }), pod('b')), 'none'));
});

describe('random walks', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];

  /** Pods as they might be: some silent, restarted, wiped, damaged, behind, ahead. */
  function randomPods(random: Random, present: ShardAuthority | undefined): Map<string, ObservedPod> {
    const chance = (fraction: number): boolean => random.fraction() < fraction;
    const changes = Object.fromEntries(
      names.map((name): [string, PodCase] => {
        const leads = present?.primary.pod === name;
        const lastSeq = 90 + below(random, 20);
        const replica: PodCase['replica'] = {
          role: leads && chance(0.7) ? 'primary' : 'backup',
          term: Math.max(0, (present?.term ?? 0) - below(random, 2) + (chance(0.02) ? 2 : 0)),
          lastSeq: present === undefined ? 0 : lastSeq,
          commitSeq: present === undefined ? 0 : lastSeq - below(random, 12),
          configVersion: Math.max(0, (present?.configVersion ?? 0) - below(random, 2)),
          quarantined: chance(0.1),
          blockedMs: chance(0.1) ? 2_500 : 0,
          ...(chance(0.1) ? { incarnation: 'wiped' } : {}),
        };
        return [name, { replica: chance(0.1) ? 'none' : replica, isSilent: chance(0.2), isUnheard: chance(0.05), askedAtMs: 90_000 + below(random, 4_000), ...(chance(0.3) ? { session: `s${below(random, 9)}` } : {}) }];
      }),
    );
    return pods(changes);
  }

  /** What a primary does to inSync meanwhile, within the rules: it takes leaving members out and others in. */
  function asPrimary(random: Random, object: VectorShard): VectorShard {
    const { authority: present } = object.status;
    if (present === undefined) return object;
    const leaving = present.inSync.find(({ pod: name }) => object.spec.leaving?.includes(name) === true && name !== present.primary.pod);
    const joiner = object.spec.replicas.find((name) => !present.inSync.some((each) => each.pod === name) && object.spec.leaving?.includes(name) !== true);
    const inSync = leaving !== undefined && present.inSync.length > object.spec.minInSync ? present.inSync.filter((each) => each !== leaving) : joiner !== undefined && random.fraction() < 0.5 ? [...present.inSync, member(joiner)] : undefined;
    return inSync === undefined ? object : { ...object, status: { ...object.status, authority: { ...present, inSync, configVersion: present.configVersion + 1 } } };
  }

  test('every authority and spec that is decided upon is one that rule G1 takes', () => {
    const seed = Number(process.env['SHOAL_SEED'] ?? 1);
    const seen = new Map<string, number>();
    for (let run = seed; run < seed + 400; run++) {
      const random = seededRandom(run);
      let object = withoutAuthority();
      const replace = (next: VectorShard, because: string): void => {
        assert.equal(checkAuthorityChange(object, next), undefined, `SHOAL_SEED=${run}: ${because}`);
        object = next;
      };
      for (let round = 0; round < 30; round++) {
        replace(asPrimary(random, object), 'the primary');
        if (random.fraction() < 0.1) replace({ ...object, status: { ...object.status, handover: { id: 'h', term: object.status.authority?.term ?? 0 } } }, 'asks');
        if (random.fraction() < 0.05) object = { ...object, spec: { ...object.spec, acceptDataLoss: { incarnation: member(names[below(random, 5)]!).incarnation, term: (object.status.authority?.term ?? 0) + 1 } } };
        const observed = round === 0 ? pods(Object.fromEntries(names.map((name) => [name, { replica: { term: 0, configVersion: 0, lastSeq: 0, commitSeq: 0 } }]))) : randomPods(random, object.status.authority);
        const step = nextShardStep(
          facts({
            shard: object,
            collection: collection(3, 1 + below(random, 2)),
            pods: observed,
            placement: random.fraction() < 0.2 ? replacing(names[below(random, 5)]!) : draining(...(random.fraction() < 0.5 ? [names[below(random, 5)]!] : [])),
            ...(random.fraction() < 0.3 ? { rebalanceTo: names[below(random, 5)]! } : {}),
            isPrimaryGone: random.fraction() < 0.5,
          }),
          noMutations,
        );
        seen.set(step.action, (seen.get(step.action) ?? 0) + 1);
        if (step.action === 'bootstrap' || step.action === 'promote') replace({ ...object, status: { phase: 'Ready', authority: step.authority } }, step.because);
        if (step.action === 'change-spec') replace({ ...object, spec: step.spec }, step.because);
        if (step.action === 'switch') {
          const target = observed.get(step.to.pod);
          const confirmed = confirmSwitchover(object, step.to, { term: object.status.authority!.term, lastSeq: 95 }, target);
          if (confirmed.action === 'promote') replace({ ...object, status: { phase: 'Ready', authority: confirmed.authority } }, confirmed.because);
        }
      }
    }
    assert.deepEqual([...seen.keys()].sort(), ['bootstrap', 'change-spec', 'none', 'nudge', 'promote', 'stop', 'switch', 'wait']);
  });
});
