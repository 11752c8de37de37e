/** Aim: the code's form of rule G1 decides every case of the shared table as the table says, and by the rule it names. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cases } from './authority-rules.cases.ts';
import { checkAuthorityChange } from './authority-rules.ts';

for (const { name, rule, old, new: next, allowed } of cases) {
  test(`${allowed ? 'takes' : 'refuses'}: ${name}`, () => {
    const refusal = checkAuthorityChange(old, next);
    assert.equal(refusal === undefined, allowed, refusal);
    if (refusal !== undefined) assert.match(refusal, rule === 'W5' ? /^W5: / : /^G1: /);
  });
}

test('every rule refuses some case', () => {
  const refusals = new Set(cases.map(({ old, new: next }) => checkAuthorityChange(old, next)));
  refusals.delete(undefined);
  // All but one: inSync empty or with a pod twice, which the CRD's schema refuses.
  assert.equal(refusals.size, 11);
});
