/**
 * One table for rule G1 wherever it is enforced: in `authority-rules.ts`, and in CEL by the API server. Every case is an
 * update of a shard that exists.
 */

import type { ShardAuthority, VectorShard } from './objects.ts';

export interface AuthorityCase {
  readonly name: string;
  /** The rule that refuses it, or that comes nearest to. */
  readonly rule: 'G1' | 'W5' | 'P1';
  readonly old: VectorShard;
  readonly new: VectorShard;
  readonly allowed: boolean;
}

const a = { pod: 'pod-a', incarnation: 'incarnation-a' };
const b = { pod: 'pod-b', incarnation: 'incarnation-b' };
const c = { pod: 'pod-c', incarnation: 'incarnation-c' };
const d = { pod: 'pod-d', incarnation: 'incarnation-d' };

type Member = ShardAuthority['inSync'][number];

function primary(member: Member, session = `session-${member.pod}`): ShardAuthority['primary'] {
  return { ...member, podUID: `uid-${member.pod}`, session };
}

function authority(change: Partial<ShardAuthority> = {}): ShardAuthority {
  return { term: 5, primary: primary(a), inSync: [a, b, c], configVersion: 7, ...change };
}

function shard(current: ShardAuthority | undefined, spec: Partial<VectorShard['spec']> = {}, status: Partial<VectorShard['status']> = {}): VectorShard {
  return {
    metadata: { name: 'docs-1-0', uid: '0f0b1a4e-0000-4000-8000-000000000001', resourceVersion: '1', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [] },
    spec: {
      collection: { name: 'docs', uid: '0f0b1a4e-0000-4000-8000-000000000002' },
      generation: 1,
      index: 0,
      hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' },
      replicas: [a.pod, b.pod, c.pod, d.pod],
      minInSync: 2,
      ...spec,
    },
    status: { phase: 'Ready', ...(current === undefined ? {} : { authority: current }), ...status },
  };
}

const first = { term: 1, configVersion: 1, inSync: [a, b, c], primary: primary(a) };
const present = shard(authority());

function change(name: string, allowed: boolean, next: Partial<ShardAuthority>): AuthorityCase {
  return { name, rule: 'G1', old: present, new: shard(authority(next)), allowed };
}

function accepted(name: string, allowed: boolean, next: Partial<ShardAuthority>, word: VectorShard['spec']['acceptDataLoss']): AuthorityCase {
  const spec = word === undefined ? {} : { acceptDataLoss: word };
  return { name, rule: 'P1', old: shard(authority(), spec), new: shard(authority(next), spec), allowed };
}

export const cases: readonly AuthorityCase[] = [
  { name: 'the first authority', rule: 'G1', old: shard(undefined), new: shard(authority(first)), allowed: true },
  { name: 'a first authority of term 2', rule: 'G1', old: shard(undefined), new: shard(authority({ ...first, term: 2 })), allowed: false },
  { name: 'a first authority of configVersion 2', rule: 'G1', old: shard(undefined), new: shard(authority({ ...first, configVersion: 2 })), allowed: false },
  { name: 'a first authority whose primary is not in sync', rule: 'G1', old: shard(undefined), new: shard(authority({ ...first, primary: primary(d) })), allowed: false },
  { name: 'authority removed', rule: 'G1', old: present, new: shard(undefined), allowed: false },
  { name: 'nothing of the authority changed', rule: 'G1', old: present, new: shard(authority(), {}, { nonce: 'n' }), allowed: true },
  { name: 'another collection', rule: 'G1', old: present, new: shard(authority(), { collection: { name: 'docs', uid: '0f0b1a4e-0000-4000-8000-000000000003' } }), allowed: false },
  { name: 'another name of the collection', rule: 'G1', old: present, new: shard(authority(), { collection: { name: 'other', uid: present.spec.collection.uid } }), allowed: false },
  { name: 'another generation', rule: 'G1', old: present, new: shard(authority(), { generation: 2 }), allowed: false },
  { name: 'another index', rule: 'G1', old: present, new: shard(authority(), { index: 1 }), allowed: false },
  { name: 'another hash range', rule: 'G1', old: present, new: shard(authority(), { hashRange: { start: '0000000000000000', end: '7fffffffffffffff' } }), allowed: false },

  change('a promotion', true, { term: 6, primary: primary(b) }),
  change('a new term for the same pod in another session', true, { term: 6, primary: primary(a, 'later') }),
  change('a term that falls', false, { term: 4 }),
  change('a term that skips one', false, { term: 7, primary: primary(b) }),
  change('a new primary in the same term', false, { primary: primary(b) }),
  change('a new session in the same term', false, { primary: primary(a, 'later') }),
  change('another pod UID in the same term', false, { primary: { ...primary(a), podUID: 'uid-other' } }),
  change('a promotion from outside inSync', false, { term: 6, primary: primary(d), inSync: [d, b, c] }),
  change('a promotion of another incarnation on the same pod', false, { term: 6, primary: primary({ ...b, incarnation: 'other' }), inSync: [a, { ...b, incarnation: 'other' }, c] }),
  change('a promotion that removes a member', false, { term: 6, primary: primary(b), inSync: [b, c], configVersion: 8 }),
  change('a promotion that adds a member', false, { term: 6, primary: primary(b), inSync: [a, b, c, d], configVersion: 8 }),
  change('a promotion with another configVersion', false, { term: 6, primary: primary(b), configVersion: 8 }),

  change('a member removed', true, { inSync: [a, b], configVersion: 8 }),
  change('a member added', true, { inSync: [a, b, c, d], configVersion: 8 }),
  change('a member replaced by another', true, { inSync: [a, b, d], configVersion: 8 }),
  change('a member replaced by its new incarnation', true, { inSync: [a, b, { ...c, incarnation: 'other' }], configVersion: 8 }),
  change('the members in another order', true, { inSync: [c, a, b] }),
  change('a member removed without a new configVersion', false, { inSync: [a, b] }),
  change('a new configVersion without a change', false, { configVersion: 8 }),
  change('a configVersion that skips one', false, { inSync: [a, b], configVersion: 9 }),
  change('two members replaced at once', false, { inSync: [a, d, { ...c, incarnation: 'other' }], configVersion: 8 }),
  change('the primary removed', false, { inSync: [b, c], configVersion: 8 }),
  {
    name: 'two members removed at once',
    rule: 'G1',
    old: shard(authority({ inSync: [a, b, c, d] })),
    new: shard(authority({ inSync: [a, b], configVersion: 8 })),
    allowed: false,
  },
  {
    name: 'two members added at once',
    rule: 'G1',
    old: shard(authority({ inSync: [a, b] })),
    new: shard(authority({ inSync: [a, b, c, d], configVersion: 8 })),
    allowed: false,
  },
  {
    name: 'a member added while there are too few',
    rule: 'W5',
    old: shard(authority({ inSync: [a] }), { minInSync: 3 }),
    new: shard(authority({ inSync: [a, b], configVersion: 8 }), { minInSync: 3 }),
    allowed: true,
  },
  {
    name: 'a member replaced while there are too few',
    rule: 'W5',
    old: shard(authority({ inSync: [a, b] }), { minInSync: 3 }),
    new: shard(authority({ inSync: [a, c], configVersion: 8 }), { minInSync: 3 }),
    allowed: true,
  },
  { name: 'a shrink below minInSync', rule: 'W5', old: shard(authority({ inSync: [a, b] })), new: shard(authority({ inSync: [a], configVersion: 8 })), allowed: false },
  { name: 'a shrink to minInSync', rule: 'W5', old: shard(authority({ inSync: [a, b] }), { minInSync: 1 }), new: shard(authority({ inSync: [a], configVersion: 8 }), { minInSync: 1 }), allowed: true },

  { name: 'a replica that is not in sync goes from spec.replicas', rule: 'G1', old: present, new: shard(authority(), { replicas: [a.pod, b.pod, c.pod] }), allowed: true },
  { name: 'a member in sync goes from spec.replicas', rule: 'G1', old: present, new: shard(authority(), { replicas: [a.pod, b.pod, d.pod] }), allowed: false },
  { name: 'a member is told to leave', rule: 'G1', old: present, new: shard(authority(), { leaving: [c.pod] }), allowed: true },

  accepted('a copy out of sync, without a word', false, { term: 6, primary: primary(d), inSync: [d], configVersion: 8 }, undefined),
  accepted('a copy out of sync, with a human\'s word', true, { term: 6, primary: primary(d), inSync: [d], configVersion: 8 }, { incarnation: d.incarnation, term: 6 }),
  accepted('a copy out of sync, with a word for another copy', false, { term: 6, primary: primary(d), inSync: [d], configVersion: 8 }, { incarnation: 'other', term: 6 }),
  accepted('a copy out of sync, with a word for another term', false, { term: 6, primary: primary(d), inSync: [d], configVersion: 8 }, { incarnation: d.incarnation, term: 5 }),
  accepted('a copy out of sync, with a human\'s word, without a new configVersion', false, { term: 6, primary: primary(d), inSync: [d] }, { incarnation: d.incarnation, term: 6 }),
  accepted('a copy out of sync that keeps others in sync', false, { term: 6, primary: primary(d), inSync: [d, b], configVersion: 8 }, { incarnation: d.incarnation, term: 6 }),
  {
    name: 'a shrink below minInSync in the term of a word that was taken',
    rule: 'W5',
    old: shard(authority({ inSync: [a, b] }), { acceptDataLoss: { incarnation: a.incarnation, term: 5 } }),
    new: shard(authority({ inSync: [a], configVersion: 8 }), { acceptDataLoss: { incarnation: a.incarnation, term: 5 } }),
    allowed: false,
  },
  accepted('a word for this term changes nothing in the same term', false, { primary: primary(d), inSync: [d], configVersion: 8 }, { incarnation: d.incarnation, term: 6 }),
];
