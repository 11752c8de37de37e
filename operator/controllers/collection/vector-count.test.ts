import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObservedPod } from '../../../pods/control/observation.ts';
import { pods, shard as shardOf, type PodCase } from '../../../pods/control/control.fixture.ts';
import type { ClusterMetadata } from '../../../pods/metadata/cluster-metadata.ts';
import type { VectorCollection } from '../../../pods/metadata/objects.ts';
import { collectionObject } from '../../desired/desired.fixture.ts';
import type { CollectionState } from './collection-state.ts';
import { reportCollection } from './report.ts';
import { CountTimes, vectorCount } from './vector-count.ts';

const shard = shardOf();
const heard = (pointCount: number, change: PodCase['replica'] & object = {}): ReadonlyMap<string, ObservedPod> => pods({ a: { replica: { pointCount, ...change } } });

test('the points are those of the primaries, and are not told while one of them is not heard of', () => {
  assert.equal(vectorCount([shard], heard(7)), 7);
  assert.equal(vectorCount([shard], heard(7, { role: 'backup' })), undefined);
  assert.equal(vectorCount([shard], new Map()), undefined);
  assert.equal(vectorCount([], heard(7)), undefined);
});

test('a count alone is written now and then, with anything else at once', async () => {
  let stored: VectorCollection = collectionObject('docs');
  let writeCount = 0;
  const metadata = {
    collections: {
      get: () => Promise.resolve(stored),
      replaceStatus: (object: VectorCollection) => {
        writeCount++;
        stored = object;
        return Promise.resolve(object);
      },
    },
  } as unknown as ClusterMetadata;
  const times = new CountTimes();
  const look = (nowMs: number, pointCount: number, change: Partial<CollectionState> = {}): Promise<void> =>
    reportCollection(metadata, { collection: stored, collections: [stored], pool: undefined, pods: [], shards: [shard], outcome: undefined, heard: heard(pointCount), nowMs, ...change }, [], times);

  await look(0, 7);
  assert.deepEqual([stored.status.vectorCount, writeCount], [7, 1]);
  await look(59_000, 8);
  assert.deepEqual([stored.status.vectorCount, writeCount], [7, 1]);
  await look(60_000, 9);
  assert.deepEqual([stored.status.vectorCount, writeCount], [9, 2]);
  stored = { ...stored, status: { ...stored.status, readyShards: 5 } };
  await look(60_001, 10);
  assert.deepEqual([stored.status.vectorCount, writeCount], [10, 3]);
  await look(200_000, 10);
  assert.equal(writeCount, 3);
});
