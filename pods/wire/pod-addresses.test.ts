import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podAddresses } from './pod-addresses.ts';

test('a template is filled in for each pod', () => {
  assert.equal(podAddresses('{pod}.shoal-pods.{namespace}.svc:7600', 'db')('pool-0'), 'pool-0.shoal-pods.db.svc:7600');
});

test('a list names its pods and no others', () => {
  const resolve = podAddresses('a=127.0.0.1:7601, b=[::1]:7602', 'db');
  assert.deepEqual(['a', 'b', 'c'].map(resolve), ['127.0.0.1:7601', '[::1]:7602', undefined]);
});

for (const addresses of ['pods:7600', 'a=', 'a=host', 'a=h:1,,b=h:2', '=h:1']) {
  test(`refused: ${addresses}`, () => {
    assert.throws(() => podAddresses(addresses, 'db'), { code: 'INVALID_ARGUMENT', message: /--pod-addresses/ });
  });
}
