/** Aim: one collection has a name, for everybody the same one; what is paused, retained or second is left alone; each with its reason. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VectorCollection } from '../../../pods/metadata/objects.ts';
import { collectionObject } from '../../desired/desired.fixture.ts';
import { heldBecause, otherHolder } from './rules.ts';

const named = (object: string, atMs: number, change: Partial<VectorCollection['status']> = {}): VectorCollection => collectionObject(object, { name: 'docs' }, { creationTimestampMs: atMs }, change);

test('the older has the name; of the same age, the same one for everybody', () => {
  const [first, second, twin, other] = [named('first', 1_000), named('second', 2_000), named('twin', 1_000), collectionObject('other')];
  const all = [second, twin, other, first];
  assert.deepEqual(all.map((each) => otherHolder(each, all)?.metadata.name), ['first', 'first', undefined, undefined]);
});

test('what is left as it is, and why', () => {
  const deleted = { deletionTimestampMs: 5 };
  const older = named('older', 1);
  const cases: readonly [VectorCollection, string | undefined][] = [
    [collectionObject('c'), undefined],
    [collectionObject('c', {}, { annotations: { 'shoal.dev/paused': 'true' } }), 'the annotation shoal.dev/paused keeps the operator from changing anything'],
    [collectionObject('c', {}, { annotations: { 'shoal.dev/paused': 'false' } }), undefined],
    [collectionObject('c', { deletionPolicy: 'Retain' }), undefined],
    [collectionObject('c', { deletionPolicy: 'Retain' }, deleted), 'it was deleted, and its data stays'],
    [collectionObject('c', { deletionPolicy: 'Delete' }, deleted), undefined],
    [named('c', 9), 'the name docs belongs to VectorCollection older, which is older'],
    // It goes all the same.
    [collectionObject('c', { name: 'docs' }, { creationTimestampMs: 9, ...deleted }), undefined],
    // What was brought up keeps its name, also where times say otherwise.
    [named('c', 9, { shards: ['u'] }), undefined],
  ];
  for (const [collection, expected] of cases) assert.equal(heldBecause(collection, [collection, older]), expected);
});
