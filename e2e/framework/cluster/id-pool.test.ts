import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HashRing, splitHashSpace } from '../../../pods/domain/hash-range.ts';
import { seededRandom } from '../../../pods/kernel/random.ts';
import { seedOf } from '../seed.ts';
import { IdPool } from './id-pool.ts';

const ring = new HashRing(splitHashSpace(3));

test('a shard that alone is worked on keeps its ids, however many are used up', (t) => {
  const random = seededRandom(seedOf(t).seed);
  const pool = new IdPool({ shardCount: 3, idCount: 10, usesMax: 5, isRetired: () => false });
  const chosen = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const id = pool.choose(random, 1);
    assert.equal(ring.ownerOf(id), 1, id);
    chosen.add(id);
  }
  assert.ok(chosen.size >= 20_000 / 5, `${chosen.size} ids`);
  // Of the ten, three are of this shard; the other seven were never looked at.
  assert.equal(pool.idCount, chosen.size + 7);
});

test('without a shard every place is chosen, and an id that is retired never again', (t) => {
  const random = seededRandom(seedOf(t).seed);
  const retired = new Set<string>();
  const pool = new IdPool({ shardCount: 3, idCount: 10, usesMax: 1_000, isRetired: (id) => retired.has(id) });
  const owners = new Set<number>();
  for (let i = 0; i < 1_000; i++) {
    const id = pool.choose(random);
    assert.ok(!retired.has(id), id);
    owners.add(ring.ownerOf(id));
    if (i % 3 === 0) retired.add(id);
  }
  assert.deepEqual([...owners].sort(), [0, 1, 2]);
  assert.ok(pool.idCount > 10);
});
