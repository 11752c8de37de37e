/** What every implementation of `ClusterMetadata` must do, with two clients of one store where it allows that. */

import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { collectionSpec } from '../domain/collection.ts';
import { hasCode, type ErrorCode } from '../kernel/errors.ts';
import type { ClusterMetadata, NewObject, ObjectStore, StoredObject } from './cluster-metadata.ts';
import { fullSpecs, fullStatus, specs } from './full-objects.fixture.ts';
import { initialStatus, type ObjectMetadata, type VectorCollection, type VectorShard } from './objects.ts';

/** An empty store for one test: as one client sees it, and as another does, which may be the same. */
export interface OpenedMetadata {
  readonly here: ClusterMetadata;
  readonly there: ClusterMetadata;
}

export function clusterMetadataConformance(name: string, open: (t: TestContext) => Promise<OpenedMetadata>): void {
  describe(`${name} keeps the promises of ClusterMetadata`, () => {
    test('a new object has an identity, a version and the initial status', async (t) => {
      const { here, there } = await open(t);
      for (const kind of ['collections', 'pools', 'shards'] as const) {
        const store = here[kind] as ObjectStore<StoredObject>;
        const asked = { metadata: { name: 'a', labels: { kind } }, spec: specs[kind] };
        const created = await store.create(asked);
        const { uid, resourceVersion, creationTimestampMs, ...metadata } = created.metadata;
        assert.deepEqual({ ...created, metadata }, { metadata: { name: 'a', labels: { kind }, generation: 1, finalizers: [] }, spec: specs[kind], status: initialStatus[kind] });
        assert(uid !== '' && resourceVersion !== '' && Number.isInteger(creationTimestampMs));
        assert.deepEqual(await there[kind].get('a'), created);
        assert.deepEqual(await there[kind].list(), [created]);
        assert.equal(await there[kind].get('b'), undefined);
      }
    });

    test('an object with every field there is comes back whole', async (t) => {
      const { here, there } = await open(t);
      assert.deepEqual(await filled(here.collections, 'collection', fullSpecs.collections, fullStatus.collections), await there.collections.get('collection'));
      assert.deepEqual(await filled(here.pools, 'pool', fullSpecs.pools, fullStatus.pools), await there.pools.get('pool'));
      assert.deepEqual(await filled(here.shards, 'shard', fullSpecs.shards, fullStatus.shards), await there.shards.get('shard'));
    });

    test('replace writes all but the status, replaceStatus the status alone', async (t) => {
      const { here, there } = await open(t);
      const first = await here.shards.create(newShard('a'));
      const spec = { ...first.spec, replicas: ['p-0', 'p-1', 'p-2'] };
      const metadata = { ...first.metadata, labels: { seen: 'yes' }, annotations: { note: 'it' }, finalizers: ['shoal.dev/test'] };
      const second = await there.shards.replace({ metadata, spec, status: { phase: 'Lost' } });
      assert.deepEqual(second, { metadata: { ...metadata, generation: 2, resourceVersion: second.metadata.resourceVersion }, spec, status: { phase: 'Pending' } });
      assert.notEqual(second.metadata.resourceVersion, first.metadata.resourceVersion);

      const status = { phase: 'Ready', nonce: 'n1' } as const;
      const third = await here.shards.replaceStatus({ metadata: { ...second.metadata, labels: {}, finalizers: [] }, spec: first.spec, status });
      assert.deepEqual(third, { metadata: { ...second.metadata, resourceVersion: third.metadata.resourceVersion }, spec, status });
      assert.notEqual(third.metadata.resourceVersion, second.metadata.resourceVersion);
      assert.deepEqual(await there.shards.get('a'), third);
      // What is left out is taken away: a write states the whole status.
      assert.deepEqual((await here.shards.replaceStatus({ ...third, status: { phase: 'Ready' } })).status, { phase: 'Ready' });
    });

    test('a compare that fails swaps nothing', async (t) => {
      const { here, there } = await open(t);
      const old = await here.collections.create(newCollection('a'));
      const present = await there.collections.replaceStatus({ ...old, status: { ...old.status, phase: 'Ready' } });
      const missing = { ...old, metadata: { ...old.metadata, name: 'b' } };
      for (const [what, write] of [
        ['create', () => here.collections.create(newCollection('a', 4))],
        ['replace', () => here.collections.replace({ ...old, spec: { ...old.spec, shards: 2 } })],
        ['replaceStatus', () => here.collections.replaceStatus({ ...old, status: { ...old.status, phase: 'Degraded' } })],
        ['delete', () => here.collections.delete('a', old.metadata.resourceVersion)],
        ['replace of none', () => here.collections.replace(missing)],
        ['replaceStatus of none', () => here.collections.replaceStatus(missing)],
        ['delete of none', () => here.collections.delete('b', old.metadata.resourceVersion)],
      ] as const) {
        await assert.rejects(write(), withCode('CONFLICT'), what);
        assert.deepEqual(await there.collections.list(), [present], what);
      }
    });

    test('an object that was deleted and made again is another one', async (t) => {
      const { here, there } = await open(t);
      const first = await here.collections.create(newCollection('a'));
      await there.collections.delete('a', first.metadata.resourceVersion);
      assert.equal(await here.collections.get('a'), undefined);
      const second = await there.collections.create(newCollection('a'));
      assert.notEqual(second.metadata.uid, first.metadata.uid);
      const { uid } = first.metadata;
      for (const write of [
        () => here.collections.replace({ ...second, metadata: { ...second.metadata, uid } }),
        () => here.collections.replaceStatus({ ...second, metadata: { ...second.metadata, uid }, status: { ...second.status, phase: 'Ready' } }),
      ]) {
        await assert.rejects(write(), withCode('CONFLICT'));
      }
      assert.deepEqual(await here.collections.get('a'), second);
    });

    test('of writers at once one wins, over and over', async (t) => {
      const { here, there } = await open(t);
      await here.shards.create(newShard('a'));
      for (let round = 0; round < 5; round++) {
        const read = (await here.shards.get('a'))!;
        const writes = [here, there, here, there, here].map(({ shards }, writer) => shards.replaceStatus({ ...read, status: { ...read.status, nonce: `${round}-${writer}` } }));
        const outcomes = await Promise.allSettled(writes);
        const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
        const lost = outcomes.filter((outcome) => outcome.status === 'rejected');
        assert.deepEqual([won.length, lost.length], [1, 4]);
        for (const { reason } of lost) assert(hasCode(reason, 'CONFLICT'), String(reason));
        assert.deepEqual(await there.shards.get('a'), won[0]!.value);
      }
    });

    test('with finalizers an object that is deleted stays until the last is taken away', async (t) => {
      const { here, there } = await open(t);
      const created = await here.shards.create({ ...newShard('a'), metadata: { name: 'a', labels: {}, finalizers: ['shoal.dev/one', 'shoal.dev/two'] } });
      await here.shards.delete('a', created.metadata.resourceVersion);
      const deleting = (await there.shards.get('a'))!;
      assert.equal(typeof deleting.metadata.deletionTimestampMs, 'number');
      assert.notEqual(deleting.metadata.resourceVersion, created.metadata.resourceVersion);
      await here.shards.delete('a', deleting.metadata.resourceVersion);
      const half = await here.shards.replace(withFinalizers(deleting, ['shoal.dev/two']));
      assert.deepEqual((await there.shards.get('a'))?.metadata.finalizers, ['shoal.dev/two']);
      await here.shards.replace(withFinalizers(half, []));
      assert.equal(await there.shards.get('a'), undefined);
    });

    test('watchers hear of each change until they end, and peek follows', async (t) => {
      const { here, there } = await open(t);
      const early = await there.shards.create(newShard('early'));
      const heard = new Set<string>();
      const end = here.shards.watch((name) => void heard.add(name));
      t.after(end);
      const follows = async (name: string, metadata: ObjectMetadata | undefined): Promise<void> => {
        await until(() => heard.has(name) && here.shards.peek(name)?.metadata.resourceVersion === metadata?.resourceVersion);
        heard.clear();
      };
      await until(() => here.shards.isFresh() && here.shards.peek('early') !== undefined);
      heard.clear();
      const a = await there.shards.create(newShard('a'));
      await follows('a', a.metadata);
      assert.deepEqual(here.shards.peek('a'), a);
      const b = await there.shards.replace({ ...a, spec: { ...a.spec, replicas: ['p-9'] } });
      await follows('a', b.metadata);
      const c = await there.shards.replaceStatus({ ...b, status: { phase: 'Lost' } });
      await follows('a', c.metadata);
      await there.shards.delete('a', c.metadata.resourceVersion);
      await follows('a', undefined);
      assert.deepEqual(here.shards.peek('early'), early);
      end();
      const others = new Set<string>();
      t.after(here.shards.watch((name) => void others.add(name)));
      await there.shards.create(newShard('late'));
      await until(() => others.has('late'));
      assert.deepEqual([...heard], []);
    });
  });
}

/** Made with labels, finalizers and this spec, then given this status; compared with what was asked for. */
async function filled<T extends StoredObject>(store: ObjectStore<T>, name: string, spec: T['spec'], status: T['status']): Promise<T> {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: '0b1c2d3e-0000-4000-8000-00000000000a', controller: true, blockOwnerDeletion: true }];
  const metadata = { name, labels: { 'shoal.dev/test': 'yes', plain: 'too' }, annotations: { 'example.com/note': 'kept' }, finalizers: ['shoal.dev/test'], ownerReferences };
  const created = await store.create({ metadata, spec } as unknown as NewObject<T>);
  const rewritten = await store.replace(created);
  const written = await store.replaceStatus({ ...rewritten, status });
  const { uid, creationTimestampMs } = created.metadata;
  assert.deepEqual(written, { metadata: { ...metadata, uid, creationTimestampMs, generation: 1, resourceVersion: written.metadata.resourceVersion }, spec, status });
  return written;
}

function newShard(name: string): NewObject<VectorShard> {
  return { metadata: { name, labels: {} }, spec: specs.shards };
}

function newCollection(name: string, dimension = 3): NewObject<VectorCollection> {
  return { metadata: { name, labels: {} }, spec: collectionSpec({ name, dimension }) };
}

function withFinalizers(shard: VectorShard, finalizers: readonly string[]): VectorShard {
  return { ...shard, metadata: { ...shard.metadata, finalizers } };
}

const withCode = (code: ErrorCode) => (error: unknown) => hasCode(error, code);

/** Turns of the event loop until it holds; a hang ends at the runner's bound. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
