import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { collectionSpec } from '../domain/collection.ts';
import { hasCode, type ErrorCode } from '../kernel/errors.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { below, seededRandom } from '../kernel/random.ts';
import { sealJson } from '../kernel/sealed-json.ts';
import { cases } from './authority-rules.cases.ts';
import { clusterMetadataConformance } from './cluster-metadata.conformance.ts';
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
  };
}

const withCode = (code: ErrorCode) => (error: unknown) => hasCode(error, code);

clusterMetadataConformance('local metadata', async () => {
  const metadata = await open(newDisk());
  return { here: metadata, there: metadata };
});

test('after a restart all is as it was', async () => {
  const disk = newDisk();
  const { collections, shards } = await open(disk);
  const a = await collections.create(object('a'));
  const b = await collections.create(object('b'));
  assert.deepEqual({ ...a.metadata, uid: '' }, { name: 'a', labels: { kind: 'test' }, finalizers: [], uid: '', resourceVersion: '1', generation: 1, creationTimestampMs: 5_000 });
  const changed = await collections.replaceStatus({ ...a, status: { ...a.status, phase: 'Ready' } });
  await collections.delete('b', b.metadata.resourceVersion);
  for (const store of [collections, (await open(disk)).collections]) assert.deepEqual(await store.list(), [changed]);
  assert.deepEqual(await shards.list(), []);
});

test('objects that version 0.1 wrote have generations and finalizers', async () => {
  const disk = newDisk();
  const fileSystem = disk.mount();
  await open(disk);
  const old = { name: 'a', labels: {}, uid: 'u', resourceVersion: '7', creationTimestampMs: 1_000 };
  const status = { shards: ['s'], routing: { epoch: 1, generation: 1 } };
  const metadata = { ...old, generation: 1, finalizers: [] };
  const { spec } = object('a');
  const cases = [
    ['Ready', metadata, { ...status, phase: 'Ready', observedGeneration: 1 }],
    ['Pending', metadata, { ...status, phase: 'Pending', observedGeneration: 0 }],
    ['Deleting', { ...metadata, finalizers: ['shoal.dev/shards'], deletionTimestampMs: 1_000 }, { ...status, phase: 'Ready', observedGeneration: 0 }],
  ] as const;
  for (const [phase, newMetadata, newStatus] of cases) {
    const file = await fileSystem.open(`${directory}/collections/${phase}.json`, 'create');
    await file.write([sealJson({ metadata: { ...old, name: phase }, spec, status: { ...status, phase } })], 0);
    await file.close();
    assert.deepEqual(await (await open(disk)).collections.get(phase), { metadata: { ...newMetadata, name: phase }, spec, status: newStatus });
  }
  const shard = await fileSystem.open(`${directory}/shards/a.json`, 'create');
  await shard.write([sealJson({ metadata: old, spec: {}, status: { phase: 'Ready' } })], 0);
  await shard.close();
  assert.deepEqual(await (await open(disk)).shards.get('a'), { metadata, spec: {}, status: { phase: 'Ready' } });
});

test('a collection from before there was quantisation has none, and its other settings', async () => {
  const disk = newDisk();
  await open(disk);
  const { quantization: _, ...index } = { ...object('a').spec.index, m: 7 };
  const file = await disk.mount().open(`${directory}/collections/a.json`, 'create');
  const metadata = { name: 'a', labels: {}, uid: 'u', resourceVersion: '7', generation: 2, creationTimestampMs: 1_000, finalizers: [] };
  await file.write([sealJson({ metadata, spec: { ...object('a').spec, index }, status: {} })], 0);
  await file.close();
  const { collections } = await open(disk);
  const stored = (await collections.get('a'))!;
  assert.deepEqual(stored.spec.index, { ...index, quantization: 'none' });
  assert.equal((await collections.replace(stored)).metadata.generation, 2, 'which is no change');
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

test('rule G1 guards the objects of shards, whichever part is written', async () => {
  for (const { name, old, new: next, allowed } of cases) {
    const disk = newDisk();
    await open(disk);
    const file = await disk.mount().open(`${directory}/shards/${old.metadata.name}.json`, 'create');
    await file.write([sealJson(old)], 0);
    await file.sync();
    const { shards } = await open(disk);
    const write = isDeepStrictEqual(old.spec, next.spec) ? shards.replaceStatus(next) : shards.replace(next);
    if (allowed) assert.deepEqual({ ...(await write), metadata: old.metadata }, next, name);
    else await assert.rejects(write, withCode('INVALID_ARGUMENT'), name);
    const expected = allowed ? next : old;
    assert.deepEqual({ ...(await shards.get(old.metadata.name)), metadata: old.metadata }, expected, name);
  }
});
