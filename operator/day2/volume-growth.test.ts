/** Aim: claims first, then the StatefulSet, and nothing where nothing grew. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextGrowthStep, type ClaimFacts, type VolumeFacts } from './volume-growth.ts';

const claim = (ordinal: number, change: Partial<ClaimFacts> = {}): ClaimFacts => ({ name: `data-p-${ordinal}`, uid: `u${ordinal}`, requested: '10Gi', capacity: '10Gi', mayGrow: true, storageClass: 'fast', ...change });
const set = { uid: 'set', claimSize: '10Gi' };

const cases: { name: string; facts: VolumeFacts; expected: string; because?: RegExp }[] = [
  { name: 'as wanted', facts: { size: '10Gi', claims: [claim(0), claim(1)], statefulSet: set }, expected: 'none' },
  { name: 'as wanted, in other words', facts: { size: '10240Mi', claims: [claim(0)], statefulSet: set }, expected: 'none' },
  { name: 'no volumes yet', facts: { size: '10Gi', claims: [] }, expected: 'none' },
  { name: 'claims first, those that are small', facts: { size: '20Gi', claims: [claim(0), claim(1, { requested: '20Gi' }), claim(2)], statefulSet: set }, expected: 'grow data-p-0 data-p-2' },
  { name: 'also where it is not known whether they may', facts: { size: '20Gi', claims: [{ name: 'data-p-0', uid: 'u', requested: '10Gi' }], statefulSet: set }, expected: 'grow data-p-0' },
  { name: 'then the StatefulSet', facts: { size: '20Gi', claims: [claim(0, { requested: '20Gi' })], statefulSet: set }, expected: 'remake set' },
  { name: 'the StatefulSet alone, where no pod has a volume', facts: { size: '20Gi', claims: [], statefulSet: set }, expected: 'remake set' },
  { name: 'it is being made anew', facts: { size: '20Gi', claims: [claim(0, { requested: '20Gi', capacity: '20Gi' })] }, expected: 'none' },
  { name: 'they grow', facts: { size: '20Gi', claims: [claim(0, { requested: '20Gi', trouble: 'waiting for the file system' })], statefulSet: { uid: 'set', claimSize: '20Gi' } }, expected: 'wait', because: /data-p-0 grows to 20Gi: waiting for the file system/ },
  { name: 'the class forbids it', facts: { size: '20Gi', claims: [claim(0, { mayGrow: false })], statefulSet: set }, expected: 'refuse', because: /data-p-0 has 10Gi, and its storage class fast does not let volumes grow/ },
  { name: 'nothing shrinks', facts: { size: '5Gi', claims: [claim(0)], statefulSet: set }, expected: 'none' },
  { name: 'no quantity', facts: { size: 'much', claims: [] }, expected: 'refuse' },
];

for (const { name, facts, expected, because } of cases) {
  test(name, () => {
    const step = nextGrowthStep(facts);
    const what = step.action === 'grow' ? ['grow', ...step.claims.map((each) => each.name)].join(' ') : step.action === 'remake' ? `remake ${step.uid}` : step.action;
    assert.equal(what, expected, step.because);
    if (because !== undefined) assert.match(step.because, because);
  });
}
