import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { collectionSpec } from '../domain/collection.ts';
import { hasCode, type ErrorCode } from '../kernel/errors.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { below, seededRandom } from '../kernel/random.ts';
import type { ClusterMetadata, NewObject } from './cluster-metadata.ts';
import { openLocalMetadata } from './local-metadata.ts';
import type { VectorCollection } from './objects.ts';

const directory = '/data/metadata';
const clock = new SimulatedClock(5_000);

function newDisk(seed = 1): FaultyFileSystem {
  return faultyFileSystem({ random: seededRandom(seed) });
}

function open(disk: FaultyFileSystem): Promise<ClusterMetadata> {
  return openLocalMetadata({ directory, fileSystem: disk.mount(), clock, random: seededRandom(9) });
}

function object(name: string, dimension = 3): NewObject<VectorCollection> {
  return {
    metadata: { name, labels: { kind: 'test' } },
    spec: collectionSpec({ name, dimension }),
    status: { phase: 'Pending', shards: [], routing: { epoch: 1, generation: 1 } },
  };
}

const withCode = (code: ErrorCode) => (error: unknown) => hasCode(error, code);

test('create, get, list, replace, delete, and all of it after a restart', async () => {
  const disk = newDisk();
  const { collections, shards } = await open(disk);
  const a = await collections.create(object('a'));
  const b = await collections.create(object('b'));
  assert.deepEqual({ ...a.metadata, uid: '' }, { name: 'a', labels: { kind: 'test' }, uid: '', resourceVersion: '1', creationTimestampMs: 5_000 });
  assert.notEqual(a.metadata.uid, b.metadata.uid);
  const changed = await collections.replace({ ...a, status: { ...a.status, phase: 'Ready' } });
  assert.deepEqual([changed.metadata.uid, changed.metadata.resourceVersion, changed.status.phase], [a.metadata.uid, '2', 'Ready']);
  await collections.delete('b', '1');
  for (const store of [collections, (await open(disk)).collections]) {
    assert.deepEqual(await store.list(), [changed]);
    assert.deepEqual(await store.get('a'), changed);
    assert.equal(await store.get('b'), undefined);
  }
  assert.deepEqual(await shards.list(), []);
});

test('a compare that fails swaps nothing', async () => {
  const { collections } = await open(newDisk());
  const a = await collections.create(object('a'));
  await assert.rejects(collections.create(object('a', 4)), withCode('CONFLICT'));
  await collections.replace(a);
  await assert.rejects(collections.replace(a), withCode('CONFLICT'));
  await assert.rejects(collections.delete('a', '1'), withCode('CONFLICT'));
  await assert.rejects(collections.delete('b', '1'), withCode('CONFLICT'));
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, async () => collections.replace((await collections.get('a'))!)));
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, 'of writers at once one wins');
  assert.equal((await collections.get('a'))!.metadata.resourceVersion, '3');
  await collections.delete('a', '3');
  assert.notEqual((await collections.create(object('a'))).metadata.uid, a.metadata.uid, 'a new object is another one');
});

test('watchers hear of each change until they end', async () => {
  const { collections } = await open(newDisk());
  const heard: string[] = [];
  const end = collections.watch((name) => void heard.push(name));
  const a = await collections.create(object('a'));
  await collections.replace(a);
  await collections.delete('a', '2');
  end();
  await collections.create(object('b'));
  assert.deepEqual(heard, ['a', 'a', 'a']);
});

test('damage is CORRUPTION', async () => {
  for (const damage of ['flip', 'truncate'] as const) {
    const disk = newDisk();
    await (await open(disk)).collections.create(object('a'));
    const path = `${directory}/collections/a.json`;
    if (damage === 'flip') disk.flip(path, 20, 2);
    else {
      const file = await disk.open(path, 'update');
      await file.truncate(30);
      await file.sync();
    }
    await assert.rejects(open(disk), withCode('CORRUPTION'), damage);
  }
});

test('a full disk refuses a write, any other error leaves it in doubt; the next write may succeed', async () => {
  const disk = newDisk();
  const { collections } = await open(disk);
  const a = await collections.create(object('a'));
  disk.failNext({ operation: 'write', code: 'ENOSPC' });
  await assert.rejects(collections.replace(a), withCode('STORAGE_READ_ONLY'));
  disk.failNext({ operation: 'sync', code: 'EIO' });
  await assert.rejects(collections.replace(a), withCode('OUTCOME_UNKNOWN'));
  assert.equal((await collections.replace(a)).metadata.resourceVersion, '2');
});

describe('crashes', () => {
  test('300 seeds: an object is as it was acknowledged, or as the write under way wanted it', async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const disk = faultyFileSystem({ random, faults: { delay: 0.5 } });
      let possible: (number | undefined)[] = [undefined];
      for (let life = 0; life < 4; life++) {
        const { collections } = await open(disk);
        const found = await collections.get('a');
        assert(possible.includes(found?.spec.dimension), `SHOAL_SEED=${seed}: found ${found?.spec.dimension}, possible are ${possible.join()}`);
        possible = [found?.spec.dimension];
        let isDown = false;
        const work = (async () => {
          for (let step = 0; step < 6; step++) {
            const present = await collections.get('a');
            const next = present !== undefined && random.fraction() < 0.3 ? undefined : 1 + below(random, 1_000);
            possible.push(next);
            if (next === undefined) await collections.delete('a', present!.metadata.resourceVersion);
            else if (present === undefined) await collections.create(object('a', next));
            else await collections.replace({ ...present, spec: { ...present.spec, dimension: next } });
            if (!isDown) possible = [next];
          }
        })().catch(() => undefined);
        for (let turn = below(random, 40); turn > 0; turn--) await new Promise(setImmediate);
        isDown = true;
        if (random.fraction() < 0.5) disk.crash();
        else disk.kill();
        await work;
      }
    }
  });
});
