/** Aim: what a certificate's names mean, also where somebody words them to mean more, and who may ask what. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operations } from './operations.ts';
import type { OperationName } from './operation.ts';
import { assertGreetsAs, certifiedHolder, mayReplicate, operationRefusal, peerRoles, roleName } from './peer-role.ts';

test('a role is read from exactly one name of our form', () => {
  const cases: readonly [string | undefined, unknown][] = [
    [undefined, undefined],
    ['', undefined],
    ['DNS:a.example, IP Address:127.0.0.1, URI:spiffe://trust/ns/pod', undefined],
    ['URI:shoal://default/pod', { namespace: 'default', role: 'pod' }],
    ['DNS:*.shoal-pods.team-a.svc, URI:shoal://team-a/gateway', { namespace: 'team-a', role: 'gateway' }],
    ['URI:shoal://a/operator, DNS:x', { namespace: 'a', role: 'operator' }],
    ['URI:shoal://default/pod, URI:shoal://default/operator', 'refused'],
    ['URI:shoal://default/admin', 'refused'],
    ['URI:shoal://default/pod/x', 'refused'],
    ['URI:shoal:///pod', 'refused'],
    ['URI:shoal://Default/pod', 'refused'],
    ['URI:SHOAL://default/pod', 'refused'],
    ['URI:"shoal://default/pod, x"', 'refused'],
    // One name of another kind with ours inside: printed in quotes, and nothing but a name of another kind.
    ['DNS:"x, URI:shoal://default/operator"', undefined],
    ['DNS:"x\\", URI:shoal://default/operator"', undefined],
    ['DNS:"x\\"", URI:shoal://default/pod', { namespace: 'default', role: 'pod' }],
    ['othername:"URI:shoal://default/pod', undefined],
  ];
  for (const [text, expected] of cases) {
    if (expected === 'refused') assert.throws(() => certifiedHolder(text), { code: 'PERMISSION_DENIED' }, String(text));
    else assert.deepEqual(certifiedHolder(text), expected, String(text));
  }
  for (const role of peerRoles) assert.deepEqual(certifiedHolder(`URI:${roleName({ namespace: 'default', role })}`), { namespace: 'default', role });
});

test('each role asks for what it is for, and for nothing else', () => {
  const names = Object.keys(operations) as OperationName[];
  const allowed = (role: (typeof peerRoles)[number] | undefined): OperationName[] => names.filter((name) => operationRefusal(role, name) === undefined);
  assert.deepEqual(allowed('pod'), ['report', 'snapshot']);
  assert.deepEqual(allowed('gateway'), ['write', 'deleteMatching', 'get', 'scroll', 'count', 'search', 'getRecord', 'scanRecords', 'describe', 'report']);
  assert.deepEqual(allowed('operator'), ['report', 'nudge', 'stopWrites']);
  assert.deepEqual(allowed(undefined), names);
  assert.deepEqual([undefined, ...peerRoles].map(mayReplicate), [true, true, false, false]);
  assert.deepEqual({ ...operationRefusal('gateway', 'snapshot') }.code, 'PERMISSION_DENIED');
});

test('nobody greets as what its certificate is not', () => {
  for (const [role, greeted] of [['pod', 'pod'], ['gateway', 'gateway'], ['operator', 'gateway'], [undefined, 'pod'], [undefined, 'gateway']] as const) assertGreetsAs(role, greeted);
  for (const [role, greeted] of [['pod', 'gateway'], ['gateway', 'pod'], ['operator', 'pod']] as const) assert.throws(() => assertGreetsAs(role, greeted), { code: 'PERMISSION_DENIED' });
});
