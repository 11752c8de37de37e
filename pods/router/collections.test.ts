/** Aim: where a collection is hosted is written when it is made, survives its changes, and is no part of what the APIs say. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import type { RequestContext } from '../api/context.ts';
import type { CollectionApi } from '../api/vector-api.ts';
import { collectionSpec } from '../domain/collection.ts';
import type { ShardService } from '../domain/shard-service.ts';
import { hasCode, ShoalError } from '../kernel/errors.ts';
import { silentLogger } from '../kernel/logger.ts';
import type { CollectionHosting, VectorCollection } from '../metadata/objects.ts';
import { ClusterMap } from './cluster-map.ts';
import { createCollectionApi } from './collections.ts';
import { TestMetadata } from './metadata.fixture.ts';
import { CountedMetrics, outcomeOf, testContext } from './router.fixture.ts';
import { Routing } from './routing.ts';

const hosting: CollectionHosting = { placement: { pool: 'shared' }, deletionPolicy: 'Delete' };
const input = { name: 'docs', dimension: 2 };

/** No pod answers; collections are ready as soon as they are written. */
function setUp(): { readonly clock: SimulatedClock; readonly metadata: TestMetadata; readonly api: CollectionApi; readonly context: RequestContext } {
  const clock = new SimulatedClock();
  const metadata = new TestMetadata();
  const map = new ClusterMap({ metadata, clock, logger: silentLogger, metrics: new CountedMetrics() });
  const away = { describe: () => Promise.reject(new ShoalError('UNAVAILABLE', 'the pod is away')) };
  const shards = { shard: () => away as unknown as ShardService };
  const api = createCollectionApi(metadata, new Routing(map, shards, clock), 3, { placement: hosting.placement });
  const { collections } = metadata;
  const ready = (object: VectorCollection): VectorCollection =>
    collections.put({ ...object, status: { ...object.status, phase: 'Ready', observedGeneration: object.metadata.generation } });
  const { create, replace } = collections;
  collections.create = async (object) => ready(await create.call(collections, object));
  collections.replace = async (object) => ready(await replace.call(collections, object));
  return { clock, metadata, api, context: testContext(clock, 30_000) as unknown as RequestContext };
}

function present(metadata: TestMetadata): VectorCollection {
  const object = metadata.addCollection(input, ['a']);
  return metadata.collections.put({ ...object, spec: { ...object.spec, ...hosting } });
}

test('a collection that is made goes where this gateway says', async () => {
  const { metadata, api, context } = setUp();
  void api.create(context, input).catch(() => undefined);
  while (!metadata.collections.stored.has('docs')) await new Promise(setImmediate);
  assert.deepEqual(metadata.collections.stored.get('docs')!.spec, { ...collectionSpec(input), placement: hosting.placement });
});

test('what is made is described, not what was deleted before it and a late watch tells of', async () => {
  const { clock, metadata, api, context } = setUp();
  const { collections } = metadata;
  const old = metadata.addCollection(input, ['a'], { uid: 'first' });
  await api.get(context, 'docs');
  collections.stored.delete('docs');
  const { create } = collections;
  collections.create = async (object) => {
    const made = await create.call(collections, object);
    clock.after(5, () => collections.tellOld(old));
    clock.after(10, () => metadata.addCollection(input, ['b'], { uid: made.metadata.uid }));
    clock.after(15, () => metadata.tell());
    return made;
  };
  const answer = await outcomeOf(clock, api.create(context, input));
  assert.equal(typeof answer === 'string' ? answer : answer.collection.uid, collections.stored.get('docs')!.metadata.uid);
});

test('what there is no way to quantise to is refused by name', async () => {
  const { api, context } = setUp();
  const index = { quantization: 'half' as 'int8' };
  await assert.rejects(api.create(context, { ...input, index }), (error) => hasCode(error, 'INVALID_ARGUMENT') && /^index\.quantization must be one of none, int8$/.test((error as Error).message));
});

test('a change leaves its hosting as it is', async () => {
  const { metadata, api, context } = setUp();
  const { spec } = present(metadata);
  await api.update(context, 'docs', { efSearch: 77 });
  assert.deepEqual(metadata.collections.stored.get('docs')!.spec, { ...spec, index: { ...spec.index, efSearch: 77 } });
});

test('one that is hosted elsewhere is the same collection when it is asked for again, and its description says nothing of it', async () => {
  const { metadata, api, context } = setUp();
  present(metadata);
  assert.deepEqual((await api.get(context, 'docs')).spec, collectionSpec(input));
  const { created, collection } = await api.create(context, input);
  assert.deepEqual([created, collection.spec], [false, collectionSpec(input)]);
  await assert.rejects(api.create(context, { ...input, dimension: 3 }), /exists with another dimension/);
  await assert.rejects(api.create(context, { ...input, index: { quantization: 'int8' } }), /exists with another index/);
});

test('one that serves while a change of it is on its way is not being created', async () => {
  // No pod of this test answers, so that no shard serves.
  for (const [phase, expected] of [['Ready', 'degraded'], ['Pending', 'creating']] as const) {
    const { metadata, api, context } = setUp();
    const object = present(metadata);
    metadata.collections.put({ ...object, metadata: { ...object.metadata, generation: object.metadata.generation + 1 }, status: { ...object.status, phase } });
    assert.equal((await api.get(context, 'docs')).phase, expected);
  }
});
