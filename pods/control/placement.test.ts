import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below, seededRandom } from '../kernel/random.ts';
import { placeable } from './control.fixture.ts';
import { placeReplicas, type PlaceablePod } from './placement.ts';

const pod = placeable;
const zoned = [
  pod('a1', { domains: ['A', '1'] }),
  pod('a2', { domains: ['A', '1'] }),
  pod('a3', { domains: ['A', '2'] }),
  pod('b1', { domains: ['B', '3'] }),
  pod('b2', { domains: ['B', '3'] }),
];
const plain = ['p', 'q', 'r', 's'].map((name) => pod(name));

const cases: { name: string; count: number; present?: string[]; leaving?: string[]; keeps?: string; pods: PlaceablePod[]; load?: Record<string, number>; expected: string[] | 'refuse' }[] = [
  { name: 'the least loaded', count: 2, pods: plain, load: { p: 3, q: 1, r: 2, s: 5 }, expected: ['q', 'r'] },
  { name: 'by name where all are alike', count: 3, pods: plain, expected: ['p', 'q', 'r'] },
  { name: 'the one with more free storage where the load is alike', count: 1, pods: [pod('p', { freeBytes: 10 }), pod('q', { freeBytes: 20 })], expected: ['q'] },
  { name: 'zones come before load', count: 2, pods: zoned, load: { b1: 9, b2: 10 }, expected: ['a1', 'b1'] },
  { name: 'nodes come before load, within zones', count: 3, pods: zoned, load: { a3: 9, b1: 5, b2: 5 }, expected: ['a1', 'b1', 'a3'] },
  { name: 'a pod never holds two', count: 5, pods: plain, expected: 'refuse' },
  { name: 'all pods there are', count: 4, pods: plain, expected: ['p', 'q', 'r', 's'] },
  { name: 'nothing moves for a better balance', count: 2, present: ['s', 'p'], pods: plain, load: { s: 9, p: 9 }, expected: ['s', 'p'] },
  { name: 'a pod that is not listed may come back', count: 2, present: ['x', 'p'], pods: plain, expected: ['x', 'p'] },
  { name: 'a silent pod keeps what it has', count: 2, present: ['p', 'q'], pods: [pod('p', { isSilent: true }), pod('q'), pod('r')], expected: ['p', 'q'] },
  { name: 'a silent pod gets nothing new', count: 2, present: ['q'], pods: [pod('p', { isSilent: true }), pod('q'), pod('r')], expected: ['q', 'r'] },
  { name: 'a full pod gets nothing new', count: 2, present: ['q'], pods: [pod('p', { freeBytes: 0 }), pod('q'), pod('r')], expected: ['q', 'r'] },
  { name: 'a closed pod keeps what it has', count: 2, present: ['p', 'q'], pods: [pod('p', { isClosed: true }), pod('q'), pod('r')], expected: ['p', 'q'] },
  { name: 'a closed pod gets nothing new', count: 2, present: ['q'], pods: [pod('p', { isClosed: true }), pod('q'), pod('r')], expected: ['q', 'r'] },
  { name: 'a pod that is being replaced keeps what it has, and gets nothing new', count: 3, present: ['p', 'q'], pods: [pod('p', { isBeingReplaced: true }), pod('q'), pod('r'), pod('a', { isBeingReplaced: true })], expected: ['p', 'q', 'r'] },
  { name: 'a third kind of domain counts after the first two', count: 2, present: ['r1'], pods: [pod('r1', { domains: ['A', 'x', '1'] }), pod('r2', { domains: ['A', 'x', '1'] }), pod('r3', { domains: ['A', 'x', '2'] })], expected: ['r1', 'r3'] },
  { name: 'nodes without the label are all alike', count: 2, pods: [pod('p', { domains: ['', '1'] }), pod('q', { domains: ['', '1'] }), pod('r', { domains: ['', '2'] })], expected: ['p', 'r'] },
  { name: 'a draining pod is left', count: 2, present: ['p', 'q'], pods: [pod('p', { isDraining: true }), pod('q'), pod('r')], expected: ['q', 'r'] },
  { name: 'a draining pod is not left where there is no other', count: 2, present: ['p', 'q'], pods: [pod('p', { isDraining: true }), pod('q')], expected: 'refuse' },
  { name: 'a replica too many goes from the crowded zone', count: 2, present: ['b1', 'a1', 'a3'], pods: zoned, load: { a3: 1 }, expected: ['b1', 'a1'] },
  { name: 'of replicas too many not the one to keep', count: 1, present: ['p', 'q'], keeps: 'q', pods: plain, load: { p: 3, q: 4 }, expected: ['q'] },
  { name: 'the one to keep goes when its pod holds much more', count: 1, present: ['p', 'q'], keeps: 'q', pods: plain, load: { p: 3, q: 5 }, expected: ['p'] },
  { name: 'of two on one node not the one to keep', count: 3, present: ['b1', 'a1', 'a2', 'a3'], keeps: 'a2', pods: zoned, expected: ['b1', 'a2', 'a3'] },
  { name: 'of two in one zone not the one to keep', count: 2, present: ['b1', 'a1', 'a3'], keeps: 'a3', pods: zoned, load: { a3: 1 }, expected: ['b1', 'a3'] },
  { name: 'the one to keep goes too where it was chosen to leave', count: 1, present: ['p', 'q'], leaving: ['q'], keeps: 'q', pods: plain, expected: ['p'] },
  { name: 'the one to keep goes when its pod drains', count: 1, present: ['p', 'q'], keeps: 'q', pods: [pod('p'), pod('q', { isDraining: true })], expected: ['p'] },
  { name: 'no replica at all is wanted', count: 0, present: ['p'], keeps: 'p', pods: plain, expected: [] },
  { name: 'of replicas too many those that leave already', count: 2, present: ['b1', 'a1', 'a3'], leaving: ['b1'], pods: zoned, expected: ['a1', 'a3'] },
];

for (const { name, count, present = [], leaving = [], keeps, pods, load = {}, expected } of cases) {
  test(name, () => {
    const placement = placeReplicas(count, present, leaving, { pods, load: new Map(Object.entries(load)) }, keeps);
    assert.deepEqual(placement.action === 'place' ? placement.replicas : placement.action, expected, placement.because);
  });
}

test('many shards: loads differ by one at most where pods are alike, and what was placed stays', () => {
  const seed = Number(process.env['SHOAL_SEED'] ?? 1);
  for (let run = seed; run < seed + 50; run++) {
    const random = seededRandom(run);
    const pods = Array.from({ length: 3 + below(random, 6) }, (_, i) => pod(`p${i}`, { domains: [`z${i % 3}`] }));
    const load = new Map<string, number>();
    const placed: string[][] = [];
    for (let shard = 0; shard < 60; shard++) {
      const placement = placeReplicas(3, [], [], { pods, load });
      assert(placement.action === 'place');
      placed.push([...placement.replicas]);
      assert.equal(new Set(placement.replicas.map((name) => pods.find((each) => each.name === name)!.domains![0])).size, 3, `SHOAL_SEED=${run}`);
      for (const name of placement.replicas) load.set(name, (load.get(name) ?? 0) + 1);
    }
    for (const zone of ['z0', 'z1', 'z2']) {
      const loads = pods.filter((each) => each.domains![0] === zone).map(({ name }) => load.get(name) ?? 0);
      assert(Math.max(...loads) - Math.min(...loads) <= 1, `SHOAL_SEED=${run}: ${loads.join()}`);
    }
    for (const replicas of placed) assert.deepEqual(placeReplicas(3, replicas, [], { pods, load }), { action: 'place', replicas, because: 'placed as wanted' });
  }
});
