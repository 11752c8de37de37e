/**
 * Aim: routes follow the watch at no cost, a contradiction is resolved by a read, of two states the later one counts, and
 * nothing that is known is lost while the store is away.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { limits } from '../kernel/limits.ts';
import { silentLogger, type Logger } from '../kernel/logger.ts';
import { systemCollectionName, systemLabel, type VectorCollection } from '../metadata/objects.ts';
import { ClusterMap } from './cluster-map.ts';
import { TestMetadata } from './metadata.fixture.ts';
import type { ShardRoute } from './routed-collection.ts';
import { CountedMetrics, outcomeOf, settle } from './router.fixture.ts';

function setUp(logger: Logger = silentLogger) {
  const clock = new SimulatedClock();
  const metadata = new TestMetadata();
  const metrics = new CountedMetrics();
  const map = new ClusterMap({ metadata, clock, logger, metrics });
  return { clock, metadata, metrics, map };
}

type SetUp = ReturnType<typeof setUp>;

async function withDocs(shards = 1): Promise<SetUp & { readonly route: ShardRoute }> {
  const parts = setUp();
  parts.metadata.addCollection({ name: 'docs', dimension: 2, shards }, ['a', 'b']);
  const { route } = (await parts.map.collection('docs')).shards[0]!;
  parts.metadata.tell();
  parts.metadata.forgetReads();
  return { ...parts, route };
}

const signal = new AbortController().signal;
const turn = (): Promise<void> => new Promise(setImmediate);

test('everything is read once; then the watch tells, and nothing is read', async () => {
  const { metadata, map } = setUp();
  metadata.addCollection({ name: 'docs', dimension: 2, shards: 2 }, ['a', 'b']);
  const before = await map.collection('docs');
  assert.deepEqual(metadata.reads, ['*', '*']);
  assert.deepEqual(
    before.shards.map(({ route }) => ({ ...route, version: undefined })),
    [0, 1].map((index) => ({
      collectionObject: 'docs',
      collectionUID: 'docs-uid',
      shardUID: `docs-uid-${index}`,
      index,
      epoch: 1,
      primary: 'a',
      inSync: ['a', 'b'],
      version: undefined,
    })),
  );
  metadata.lead('docs-1-1', 2, ['b', 'a']);
  metadata.shards.tell('docs-1-1');
  const after = await map.collection('docs');
  assert.deepEqual(after.shards.map(({ route }) => route.primary), ['a', 'b']);
  assert.equal(after.shards[0]!.route.version, before.shards[0]!.route.version);
  assert.notEqual(after.shards[1]!.route.version, before.shards[1]!.route.version);
  assert.equal(await map.collection('docs'), after, 'the description stays as long as nothing changes');
  assert.deepEqual(metadata.reads, ['*', '*']);
});

test('names: of users, of the system, unusual ones, none', async () => {
  const { metadata, map, clock } = setUp();
  metadata.addCollection({ name: 'docs', dimension: 2 }, ['a']);
  metadata.addCollection({ name: 'Réglage', dimension: 2 }, ['a'], { name: 'given-by-hand' });
  metadata.addCollection({ name: systemCollectionName, dimension: 1 }, ['c'], { labels: { [systemLabel]: 'true' } });
  assert.deepEqual((await map.collections()).map(({ object }) => object.spec.name), ['Réglage', 'docs']);
  assert.equal((await map.collection('Réglage')).object.metadata.name, 'given-by-hand');
  assert.equal((await map.systemCollection()).shards[0]!.route.primary, 'c');
  assert.equal(await outcomeOf(clock, map.collection(systemCollectionName)), 'COLLECTION_NOT_FOUND');
  assert.equal(await outcomeOf(clock, map.collection('none')), 'COLLECTION_NOT_FOUND');
  assert.deepEqual([map.size, await map.pods()], [3, ['a', 'c']]);
});

test('of two objects that claim one name the one that was brought up is found, whatever the other does, until it goes', async () => {
  const { metadata, map, clock } = await withDocs();
  const docs = metadata.collections.stored.get('docs')!;
  metadata.collections.stored.set('docs', { ...docs, metadata: { ...docs.metadata, resourceVersion: '50' }, status: { ...docs.status, shards: ['docs-uid-0'] } });
  metadata.collections.tell('docs');
  metadata.addCollection({ name: 'docs', dimension: 3 }, [], { name: 'rival', uid: 'a-rival' });
  const rival = metadata.collections.stored.get('rival')!;
  metadata.collections.stored.set('rival', { ...rival, status: { ...rival.status, phase: 'Pending', shards: [] } });
  const found = async (): Promise<string> => (await map.collection('docs')).object.metadata.name;
  metadata.collections.tell('rival');
  assert.equal(await found(), 'docs');
  assert.deepEqual((await map.collections()).map(({ object }) => object.metadata.name), ['docs']);
  // It changes, and goes.
  metadata.collections.stored.set('rival', { ...metadata.collections.stored.get('rival')!, metadata: { ...rival.metadata, resourceVersion: '99' } });
  metadata.collections.tell('rival');
  assert.equal(await found(), 'docs');
  metadata.collections.stored.delete('docs');
  metadata.collections.tell('docs');
  assert.equal(await found(), 'rival');
  metadata.collections.stored.delete('rival');
  metadata.collections.tell('rival');
  assert.equal(await outcomeOf(clock, map.collection('docs')), 'COLLECTION_NOT_FOUND');
});

test('a collection that was made through another gateway is found before the watch tells', async () => {
  const { metadata, map, clock } = await withDocs();
  assert.equal(await outcomeOf(clock, map.collection('new')), 'COLLECTION_NOT_FOUND');
  metadata.addCollection({ name: 'new', dimension: 2 }, ['b']);
  assert.equal((await map.collection('new')).shards[0]!.route.primary, 'b');
  metadata.forgetReads();
  await map.collection('new');
  assert.deepEqual(metadata.reads, []);
});

test('one that is being deleted is not found; deleted and made again it is, at once', async () => {
  const { metadata, map, clock } = await withDocs();
  const { name, resourceVersion } = metadata.collections.stored.get('docs')!.metadata;
  await metadata.collections.delete(name, resourceVersion);
  metadata.collections.tell();
  assert.equal(await outcomeOf(clock, map.collection('docs')), 'COLLECTION_NOT_FOUND');
  assert.deepEqual(await map.collections(), []);
  metadata.addCollection({ name: 'docs', dimension: 2 }, ['b'], { uid: 'second' });
  // The watch has told of neither: not that the first is gone, nor of the second.
  const found = await map.collection('docs');
  assert.deepEqual([found.object.metadata.uid, found.shards.map(({ route }) => route.shardUID)], ['second', ['second-0']]);
});

test('a contradiction is resolved by one read, for all who meet it', async () => {
  const { metadata, map, route } = await withDocs();
  metadata.lead('docs-1-0', 2, ['b', 'a']);
  for (let i = 0; i < 5; i++) map.doubt(route, 'shard');
  await turn();
  assert.deepEqual(metadata.reads, ['docs-1-0']);
  assert.equal(map.current(route)?.primary, 'b');
});

test('a new epoch is read with the collection, new shards with it', async () => {
  const { metadata, map, route } = await withDocs(2);
  const stored = metadata.collections.stored.get('docs')!;
  metadata.collections.put({ ...stored, status: { ...stored.status, routing: { epoch: 2, generation: 1 } } });
  map.doubt(route, 'collection');
  await turn();
  assert.deepEqual([metadata.reads, map.current(route)?.epoch], [['docs'], 2]);

  metadata.addCollection({ name: 'docs', dimension: 2, shards: 2 }, ['c'], { uid: 'second' });
  map.doubt(route, 'collection');
  await turn();
  await turn();
  assert.equal(map.current(route), undefined, 'nothing is routed to a shard of the collection that is gone');
  assert.deepEqual((await map.collection('docs')).shards.map((shard) => shard.route.shardUID), ['second-0', 'second-1']);
});

test('a storm of contradictions does not flood the store', async () => {
  const { metadata, map, metrics, clock } = setUp();
  for (let i = 0; i < 100; i++) metadata.addCollection({ name: `c${i}`, dimension: 2 }, ['a']);
  const routes = (await map.collections()).map((collection) => collection.shards[0]!.route);
  metadata.forgetReads();
  for (let round = 0; round < 50; round++) {
    for (const route of routes) map.doubt(route, 'shard');
    await turn();
    clock.advance(100);
  }
  const fiveSeconds = limits.mapRefreshesPerSecondMax * 6;
  assert.ok(metadata.reads.length <= fiveSeconds && metadata.reads.length > fiveSeconds / 2, `${metadata.reads.length} reads in 5 s`);
  assert.equal(metrics.counts['clusterMapRefreshes done']! + metrics.counts['clusterMapRefreshes postponed']!, 5_000);
});

test('a watch that is late does not take back what a read has told', async () => {
  const { metadata, map, route } = await withDocs();
  const old = metadata.shards.stored.get('docs-1-0')!;
  const middle = metadata.lead('docs-1-0', 2, ['b', 'a']);
  metadata.lead('docs-1-0', 2, ['b'], 2);
  map.doubt(route, 'shard');
  await turn();
  for (const late of [old, middle]) metadata.shards.tellOld(late);
  assert.deepEqual(map.current(route)?.inSync, ['b']);
  metadata.lead('docs-1-0', 3, ['a', 'b'], 2);
  metadata.shards.tell();
  assert.deepEqual(map.current(route)?.inSync, ['a', 'b']);

  const stored = metadata.collections.stored.get('docs')!;
  metadata.collections.put({ ...stored, status: { ...stored.status, routing: { epoch: 5, generation: 1 } } });
  await map.readCollection('docs');
  metadata.collections.tellOld(stored);
  assert.equal(map.current(route)?.epoch, 5);
});

test('a watch that is late does not bring back a collection that is gone', async () => {
  const { metadata, map, clock } = await withDocs();
  const old = metadata.collections.stored.get('docs')!;
  const uidOf = async (): Promise<unknown> => outcomeOf(clock, Promise.resolve(map.collection('docs')).then(({ object }) => object.metadata.uid));

  metadata.addCollection({ name: 'docs', dimension: 2 }, ['b'], { uid: 'second' });
  await map.readCollection('docs');
  metadata.collections.tellOld(old);
  assert.equal(await uidOf(), 'second', 'another was read');

  const second = metadata.collections.stored.get('docs')!;
  metadata.collections.stored.delete('docs');
  await map.readCollection('docs');
  metadata.collections.tellOld(second);
  assert.equal(await uidOf(), 'COLLECTION_NOT_FOUND', 'nothing was read');

  metadata.addCollection({ name: 'docs', dimension: 2 }, ['b'], { uid: 'third' });
  metadata.tell();
  const third = metadata.collections.stored.get('docs')!;
  await map.write('docs', () => Promise.resolve(metadata.addCollection({ name: 'docs', dimension: 2 }, ['b'], { uid: 'fourth' })));
  metadata.collections.tellOld(third);
  assert.equal(await uidOf(), 'fourth', 'another was written');
});

test('what was known meanwhile is not gone because a read that began before says otherwise', async () => {
  const { metadata, map, clock } = await withDocs();
  const { collections } = metadata;
  const get = collections.get.bind(collections);
  let answer = (_: VectorCollection): void => undefined;
  collections.get = () => new Promise((resolve) => (answer = resolve));
  const reading = map.readCollection('docs');
  const old = collections.stored.get('docs')!;
  metadata.addCollection({ name: 'docs', dimension: 2 }, ['b'], { uid: 'second' });
  metadata.tell();
  answer(old);
  await reading;
  metadata.tell();
  assert.equal((await map.collection('docs')).object.metadata.uid, 'second');

  // A store that was restored from a backup has the old one again.
  collections.get = get;
  await map.readCollection('docs');
  collections.tellOld(old);
  collections.put(old);
  metadata.shards.put({ ...metadata.shards.stored.get('docs-1-0')!, spec: { ...metadata.shards.stored.get('docs-1-0')!.spec, collection: { name: 'docs', uid: old.metadata.uid } } });
  await map.readCollection('docs');
  metadata.tell();
  assert.equal(await outcomeOf(clock, Promise.resolve(map.collection('docs')).then(({ object }) => object.metadata.uid)), old.metadata.uid);
});

test('who waits for news of a route is woken by them, not by others, and not for ever', async () => {
  const { metadata, map, clock, route } = await withDocs(2);
  let woken = false;
  const waiting = map.routeChanged(route, 1_000, signal).then(() => (woken = true));
  metadata.lead('docs-1-1', 2, ['b', 'a']);
  metadata.shards.tell();
  await turn();
  assert.equal(woken, false, 'that was another shard');
  metadata.lead('docs-1-0', 2, ['b', 'a']);
  metadata.shards.tell();
  await waiting;
  const startMs = clock.monotonicMs();
  await settle(clock, map.routeChanged(map.current(route)!, 300, signal));
  assert.equal(clock.monotonicMs() - startMs, 300);
  const abort = new AbortController();
  const aborted = map.routeChanged(map.current(route)!, 300, abort.signal);
  abort.abort(new Error('left'));
  await assert.rejects(aborted, { message: 'left' });
});

test('rule F3: without the store what is known stays, it is said, and what is not known is not denied', async () => {
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (_: unknown, text: string) => lines.push(text), info: (_: unknown, text: string) => lines.push(text) } as unknown as Logger;
  const { metadata, map, clock } = setUp(logger);
  metadata.addCollection({ name: 'docs', dimension: 2 }, ['a']);
  metadata.isAway = true;
  assert.deepEqual(map.readiness(), { ready: false, reasons: ['the objects of the cluster have not been read yet'] });
  assert.equal(await outcomeOf(clock, map.collection('docs')), 'UNAVAILABLE');
  metadata.isAway = false;
  await map.collection('docs');
  assert.deepEqual(map.readiness(), { ready: true, reasons: [] });

  metadata.isAway = true;
  const { ready, reasons } = map.readiness();
  assert.deepEqual([ready, reasons.length], [true, 1]);
  const { route } = (await map.collection('docs')).shards[0]!;
  map.doubt(route, 'shard');
  await turn();
  assert.equal((await map.collection('docs')).shards[0]!.route, route);
  assert.equal(await outcomeOf(clock, map.collection('perhaps-there')), 'UNAVAILABLE');
  metadata.isAway = false;
  assert.deepEqual(map.readiness(), { ready: true, reasons: [] });
  map.readiness();
  assert.deepEqual(lines, ['the metadata store is not heard of; requests are routed by what is known', 'the metadata store is heard of again']);
});

test('what the watch tells while the first list is on its way counts', async () => {
  const { metadata, map } = setUp();
  metadata.addCollection({ name: 'docs', dimension: 2 }, ['a']);
  metadata.addCollection({ name: 'gone', dimension: 2 }, ['a']);
  const finding = map.collections();
  // The list was answered, and has not arrived.
  await Promise.resolve();
  metadata.lead('docs-1-0', 2, ['b', 'a']);
  metadata.collections.stored.delete('gone');
  metadata.collections.tell('gone');
  metadata.tell();
  assert.deepEqual((await finding).map(({ object, shards }) => [object.spec.name, shards[0]!.route.primary]), [['docs', 'b']]);
});
