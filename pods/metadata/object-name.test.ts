import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectionObjectName } from './object-name.ts';

test('a name that Kubernetes allows stays; any other becomes a slug with a hash', () => {
  const cases: [string, RegExp][] = [
    ['docs', /^docs$/],
    ['my-docs-2', /^my-docs-2$/],
    ['my_docs', /^my-docs-[0-9a-f]{10}$/],
    ['My Docs!', /^my-docs-[0-9a-f]{10}$/],
    ['-docs-', /^docs-[0-9a-f]{10}$/],
    ['日本語', /^c-[0-9a-f]{10}$/],
    ['x'.repeat(52), /^x{52}$/],
    ['x'.repeat(255), /^x{41}-[0-9a-f]{10}$/],
    ['1'.repeat(40) + '_' + 'y'.repeat(40), /^1{40}-[0-9a-f]{10}$/],
  ];
  for (const [apiName, expected] of cases) {
    const name = collectionObjectName(apiName);
    assert.match(name, expected);
    assert(name.length <= 52 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name), name);
  }
  assert.notEqual(collectionObjectName('my_docs'), collectionObjectName('my.docs'));
});
