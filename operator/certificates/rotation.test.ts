/** Aim: each situation of the authority and of a certificate gives its one step, with a reason; and nothing is done too soon. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lifetimeFrom, planRotation, renewalMs, type AuthorityFacts, type AuthoritySecretFacts, type LeafFacts, type RotationFacts, type RotationPlan } from './rotation.ts';

const hour = 3_600_000;
const now = Date.parse('2026-06-01T00:00:00Z');
const times = { leafMs: 720 * hour, authorityMs: 43_800 * hour, overlapMs: 24 * hour };

const authority = (fingerprint: string, parts: Partial<AuthorityFacts> = {}): AuthorityFacts => ({ fingerprint, notBeforeMs: now - 100 * hour, notAfterMs: now + 40_000 * hour, ...parts });
const secret = (parts: Partial<AuthoritySecretFacts> = {}): AuthoritySecretFacts => ({ current: authority('A1'), next: undefined, previous: [], distributedAtMs: undefined, issuedAtMs: undefined, isRotationAsked: false, ...parts });
type Present = Extract<LeafFacts['state'], { kind: 'present' }>;
const present = (parts: Partial<Present> = {}): Present => ({ kind: 'present', fingerprint: '00:00:00:00', notBeforeMs: now - 100 * hour, notAfterMs: now + 620 * hour, issuer: 'A1', bundle: ['A1'], hasNamesWanted: true, ...parts });

function plan(authoritySecret: RotationFacts['authority'], ...states: LeafFacts['state'][]): RotationPlan {
  return planRotation({ nowMs: now, authority: authoritySecret, leaves: states.map((state, index) => ({ secret: `leaf-${index}`, state })), times });
}

/** Steps as words: `add-next`, `issue leaf-0`. */
const words = ({ steps }: RotationPlan): string[] => steps.map((step) => (step.step === 'authority' ? step.action : `${step.step} ${step.secret}`));

const both = present({ bundle: ['A1', 'A2'] });
const lateOverlap = now - 24 * hour;
const inOverlap = now - 24 * hour + 1;
const situations: readonly [string, RotationPlan, string[]][] = [
  ['nothing is there', plan('absent', { kind: 'absent' }), ['create']],
  ['the authority was lost', plan('absent', present({ issuer: undefined }), { kind: 'absent' }), ['create-beside-lost']],
  ['its keys are damaged', plan('damaged', present({ issuer: undefined })), ['create-beside-lost']],
  ['its keys are damaged and nobody uses it', plan('damaged', { kind: 'absent' }), ['create']],
  ['the Secret is somebody else’s', plan('foreign', { kind: 'absent' }), []],
  ['all is well', plan(secret(), present(), present()), []],
  ['certificates are missing', plan(secret(), { kind: 'absent' }, present()), ['issue leaf-0']],
  ['one is damaged', plan(secret(), { kind: 'damaged', why: 'key is not that of its certificate' }), ['issue leaf-0']],
  ['one is somebody else’s', plan(secret(), { kind: 'foreign' }, { kind: 'absent' }), ['issue leaf-1']],
  ['one has other names', plan(secret(), present({ hasNamesWanted: false })), ['issue leaf-0']],
  ['one is of an authority that nobody knows', plan(secret(), present({ issuer: undefined })), ['issue leaf-0']],
  ['one is past two thirds of its life', plan(secret(), present({ notBeforeMs: now - 480 * hour, notAfterMs: now + 240 * hour })), ['issue leaf-0']],
  ['one is not quite', plan(secret(), present({ notBeforeMs: now - 479 * hour, notAfterMs: now + 241 * hour })), []],
  ['one has expired', plan(secret(), present({ notAfterMs: now - 1 })), ['issue leaf-0']],

  ['the authority is past two thirds', plan(secret({ current: authority('A1', { notBeforeMs: now - 200 * hour, notAfterMs: now + 90 * hour }) }), present()), ['add-next']],
  ['a human asks', plan(secret({ isRotationAsked: true }), present()), ['add-next']],
  ['a human asks while one goes on', plan(secret({ isRotationAsked: true, previous: [authority('A0')] }), present({ bundle: ['A0', 'A1'] })), ['note-issued']],
  ['next is made', plan(secret({ next: authority('A2') }), present(), both), ['bundle leaf-0']],
  ['next is made, a certificate is due too', plan(secret({ next: authority('A2') }), present({ notAfterMs: now + hour })), ['issue leaf-0']],
  ['next is everywhere', plan(secret({ next: authority('A2') }), both, both), ['note-distributed']],
  ['a certificate is missing, so next is not everywhere', plan(secret({ next: authority('A2') }), both, { kind: 'absent' }), ['issue leaf-1']],
  ['somebody else’s certificate never gets next', plan(secret({ next: authority('A2') }), both, { kind: 'foreign' }), []],
  ['the overlap lasts', plan(secret({ next: authority('A2'), distributedAtMs: inOverlap }), both), []],
  ['the overlap is over', plan(secret({ next: authority('A2'), distributedAtMs: lateOverlap }), both), ['promote-next']],
  ['current has expired meanwhile', plan(secret({ current: authority('A1', { notAfterMs: now }), next: authority('A2'), distributedAtMs: inOverlap }), both), ['promote-next']],
  ['next was promoted', plan(secret({ current: authority('A2'), previous: [authority('A1')] }), both, present({ issuer: 'A2', bundle: ['A1', 'A2'] })), ['issue leaf-0']],
  ['all are issued anew', plan(secret({ current: authority('A2'), previous: [authority('A1')] }), present({ issuer: 'A2', bundle: ['A1', 'A2'] })), ['note-issued']],
  ['the second overlap lasts', plan(secret({ current: authority('A2'), previous: [authority('A1')], issuedAtMs: inOverlap }), present({ issuer: 'A2', bundle: ['A1', 'A2'] })), []],
  ['the second overlap is over', plan(secret({ current: authority('A2'), previous: [authority('A1')], issuedAtMs: lateOverlap }), present({ issuer: 'A2', bundle: ['A1', 'A2'] })), ['drop-previous']],
  ['previous is dropped', plan(secret({ current: authority('A2') }), present({ issuer: 'A2', bundle: ['A1', 'A2'] })), ['bundle leaf-0']],

  ['lost: those of before stay in use', plan(secret({ current: undefined, next: authority('A2'), previous: [authority('A1')] }), both, present({ bundle: ['A1'] })), ['bundle leaf-1']],
  ['lost: a certificate that is due waits', plan(secret({ current: undefined, next: authority('A2'), previous: [authority('A1')], distributedAtMs: inOverlap }), present({ ...both, notBeforeMs: now - 700 * hour, notAfterMs: now + 25 * hour })), []],
  ['lost: unless it would expire', plan(secret({ current: undefined, next: authority('A2'), previous: [authority('A1')], distributedAtMs: inOverlap }), present({ ...both, notBeforeMs: now - 700 * hour, notAfterMs: now + 24 * hour })), ['issue leaf-0']],
  ['lost: the new one is everywhere long enough', plan(secret({ current: undefined, next: authority('A2'), previous: [authority('A1')], distributedAtMs: lateOverlap }), both), ['promote-next']],
];

for (const [name, made, expected] of situations) {
  test(name, () => {
    assert.deepEqual(words(made), expected);
    for (const { because } of made.steps) assert.match(because, /^\w.{10,}[^.]$/);
  });
}

test('what a human has to put right is said, by the name of the Secret', () => {
  assert.deepEqual(
    [plan('foreign', { kind: 'foreign' }), plan(secret(), present())].map(({ refusals }) => refusals.map((text) => text.slice(0, 40))),
    [["Secret shoal-internal-ca is not the oper", "Secret leaf-0 is not the operator's (it "], []],
  );
});

test('the next look is when the first thing is due', () => {
  const leaf = present({ notBeforeMs: now, notAfterMs: now + 720 * hour });
  assert.equal(plan(secret(), leaf).nextAtMs, now + 480 * hour);
  assert.equal(plan(secret({ next: authority('A2'), distributedAtMs: now - hour }), present({ ...leaf, bundle: ['A1', 'A2'] })).nextAtMs, now + 23 * hour);
  assert.equal(plan(secret({ previous: [authority('A0')], issuedAtMs: now - hour }), present({ ...leaf, bundle: ['A0', 'A1'] })).nextAtMs, now + 23 * hour);
  assert.equal(plan(secret(), { kind: 'absent' }).nextAtMs, now);
});

test('renewals are spread over a tenth of the life, each certificate at a moment of its own', () => {
  const life = { notBeforeMs: 0, notAfterMs: 1_000_000 };
  assert.deepEqual(['00:00:00:00:AB', '80:00:00:00:AB', 'FF:FF:FF:FF:AB'].map((fingerprint) => renewalMs(life, fingerprint)), [666_666, 616_666, 566_666]);
  assert.deepEqual(lifetimeFrom(now, times.leafMs), { notBeforeMs: now - hour, notAfterMs: now + 720 * hour });
  assert.deepEqual(lifetimeFrom(now, 60_000), { notBeforeMs: now - 6_000, notAfterMs: now + 60_000 });
});
