import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../kernel/random.ts';
import { openFaultyStore } from '../storage/faulty-store.ts';
import { ReplicaRegistry } from './replica-registry.ts';

test('F1: numbers and incarnations survive a crash, and are never used again', async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed);
    let store = openFaultyStore(random);
    let registry = await ReplicaRegistry.open(store, random);
    const reopen = async (): Promise<void> => {
      store.crash();
      store = store.reopen();
      registry = await ReplicaRegistry.open(store, random);
    };
    const [a, b] = await Promise.all([registry.add('a', 'collection'), registry.add('b', 'collection')]);
    assert.deepEqual([a.localReplica, b.localReplica], [1, 2]);
    assert.notEqual(a.incarnation, b.incarnation);
    await reopen();
    assert.deepEqual(registry.all(), [a, b]);
    await registry.remove('b');
    await reopen();
    assert.deepEqual([registry.find('a'), registry.find('b')], [a, undefined]);
    const again = await registry.add('b', 'collection');
    assert.equal(again.localReplica, 3, 'the number of a replica that is gone stays used');
    assert.notEqual(again.incarnation, b.incarnation);
  }
});

test('a failed write leaves the registry as it was', async () => {
  const random = seededRandom(1);
  const store = openFaultyStore(random);
  const registry = await ReplicaRegistry.open(store, random);
  store.failNext('write');
  await assert.rejects(registry.add('a', 'collection'));
  store.failNext('flush');
  await assert.rejects(registry.add('a', 'collection'));
  assert.deepEqual(registry.all(), []);
  assert.equal((await registry.add('a', 'collection')).shardUID, 'a');
});
