import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectionSpec } from '../../pods/domain/collection.ts';
import { initialStatus, systemLabel, type ObjectMetadata, type VectorCollection, type VectorPool } from '../../pods/metadata/objects.ts';
import { nextUninstallStep, type Installed, type UninstallStep } from './uninstall-step.ts';

const metadata = (name: string, changes: Partial<ObjectMetadata> = {}): ObjectMetadata => ({ name, uid: `${name}-uid`, resourceVersion: '7', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [], ...changes });
const going = { deletionTimestampMs: 1 };
const collection = (name: string, changes: Partial<ObjectMetadata> = {}, said?: string): VectorCollection => ({
  metadata: metadata(name, changes),
  spec: collectionSpec({ name: `api ${name}`, dimension: 1 }),
  status: { ...initialStatus.collections, ...(said === undefined ? {} : { conditions: [{ type: 'Progressing', status: 'True', reason: 'R', message: said, lastTransitionTime: '2026-01-01T00:00:00Z' }] }) },
});
const system = (changes: Partial<ObjectMetadata> = {}): VectorCollection => collection('shoal.system', { labels: { [systemLabel]: 'true' }, ...changes });
const pool = (name: string, changes: Partial<ObjectMetadata> = {}): VectorPool => ({ metadata: metadata(name, changes), spec: { replicas: 1, storage: { size: '1Gi' }, topologySpread: [] }, status: initialStatus.pools });

const cases: readonly [name: string, installed: Installed, withCollections: boolean, expected: UninstallStep][] = [
  ['nothing there', { collections: [], pools: [] }, false, { action: 'done' }],
  [
    'a collection, and nobody said that it may go',
    { collections: [system(), collection('a')], pools: [pool('default')] },
    false,
    { action: 'refuse', because: 'there is 1 collection: "api a". Delete them first, or set uninstall.withCollections=true, which deletes them with the installation' },
  ],
  [
    'many collections',
    { collections: ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => collection(name)), pools: [] },
    false,
    { action: 'refuse', because: 'there are 7 collections: "api a", "api b", "api c", "api d", "api e" and 2 more. Delete them first, or set uninstall.withCollections=true, which deletes them with the installation' },
  ],
  ['a collection that may go', { collections: [system(), collection('a', going), collection('b')], pools: [pool('default')] }, true, { action: 'delete', kind: 'collections', name: 'b', resourceVersion: '7' }],
  ['the system collection stays until users\' have gone', { collections: [system(), collection('a', going, 'its shards are being removed')], pools: [] }, false, { action: 'wait', because: 'the operator removes collection a (its shards are being removed)' }],
  ['then pools are told to go, so that it is not made anew', { collections: [system()], pools: [pool('default')] }, false, { action: 'delete', kind: 'pools', name: 'default', resourceVersion: '7' }],
  ['then it goes', { collections: [system()], pools: [pool('default', going)] }, false, { action: 'delete', kind: 'collections', name: 'shoal.system', resourceVersion: '7' }],
  ['and is waited for', { collections: [system(going)], pools: [pool('default', going)] }, false, { action: 'wait', because: 'the operator removes collection shoal.system' }],
  ['without it they go as well', { collections: [], pools: [pool('a', going), pool('b')] }, false, { action: 'delete', kind: 'pools', name: 'b', resourceVersion: '7' }],
  ['and pools are waited for last', { collections: [], pools: [pool('a', going)] }, false, { action: 'wait', because: 'the operator removes pool a' }],
];

for (const [name, installed, withCollections, expected] of cases) {
  test(name, () => assert.deepEqual(nextUninstallStep(installed, { withCollections }), expected));
}
