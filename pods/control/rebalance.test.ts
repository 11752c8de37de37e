/** Aim: what moves for balance, and above all what does not. A property: moving ends, and leaves loads even and shards spread. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { noMutations } from '../kernel/mutations.ts';
import type { VectorShard } from '../metadata/objects.ts';
import { authority, collection, facts as shardFacts, member, placeable, pods as observedPods, primaryOn, shard } from './control.fixture.ts';
import type { PlaceablePod, PlacementFacts } from './placement.ts';
import { decideRebalance, type RebalancedShard } from './rebalance.ts';
import { nextShardStep } from './shard-step.ts';

/** A shard on these pods, all in sync; the first leads. */
function on(name: string, replicas: readonly string[], change: Partial<VectorShard['spec']> = {}, inSync = replicas): VectorShard {
  const made = shard({ replicas, minInSync: 1, ...change }, { authority: authority({ primary: primaryOn(replicas[0]!), inSync: inSync.map(member) }) });
  return { ...made, metadata: { ...made.metadata, name, uid: name } };
}

function loadOf(shards: readonly VectorShard[]): Map<string, number> {
  const load = new Map<string, number>();
  for (const { spec } of shards) for (const pod of spec.replicas) load.set(pod, (load.get(pod) ?? 0) + 1);
  return load;
}

const plain = ['a', 'b', 'c', 'd', 'e'].map((name) => placeable(name));
const changed = (name: string, change: Partial<PlaceablePod>): PlaceablePod[] => plain.map((pod) => (pod.name === name ? { ...pod, ...change } : pod));
const zoned = (zones: Readonly<Record<string, string>>): PlaceablePod[] => Object.entries(zones).map(([name, zone]) => placeable(name, { domains: [zone, name] }));
const three = (count: number): VectorShard[] => Array.from({ length: count }, (_, i) => on(`s${i}`, ['a', 'b', 'c']));

const cases: { name: string; shards: VectorShard[]; pods: PlaceablePod[]; replicas?: number; movesMax?: number; expected: string[] }[] = [
  { name: 'nothing where loads differ by one', shards: [on('s0', ['a', 'b', 'c'])], pods: plain, expected: [] },
  { name: 'to pods that joined, from where the shard has a backup', shards: three(3), pods: plain, expected: ['s0: c → d', 's1: b → e'] },
  { name: 'no more at a time than allowed', shards: three(3), pods: plain, movesMax: 1, expected: ['s0: c → d'] },
  { name: 'what is under way counts', shards: [...three(3), on('s3', ['a', 'b', 'c', 'e'])], pods: plain, movesMax: 1, expected: [] },
  { name: 'a shard that leaves a pod is under way', shards: [...three(3), on('s3', ['a', 'b', 'c'], { leaving: ['a'] })], pods: plain, movesMax: 1, expected: [] },
  { name: 'a shard of which one is not in sync is under way', shards: [...three(3), on('s3', ['a', 'b', 'c'], {}, ['a', 'b'])], pods: plain, movesMax: 1, expected: [] },
  { name: 'not while a pod drains', shards: three(3), pods: changed('b', { isDraining: true }), expected: [] },
  { name: 'not while a pod is replaced', shards: three(3), pods: changed('b', { isBeingReplaced: true }), expected: [] },
  { name: 'not while a pod does not answer', shards: three(3), pods: changed('a', { isSilent: true }), expected: [] },
  { name: 'a pod that drains, or does not answer, and is empty: the others', shards: three(3), pods: changed('e', { isSilent: true, isDraining: true }), expected: ['s0: c → d', 's1: b → d'] },
  { name: 'not to a closed pod', shards: three(3), pods: changed('d', { isClosed: true }), expected: ['s0: c → e', 's1: b → e'] },
  { name: 'not to a full pod', shards: three(3), pods: changed('e', { freeBytes: 0 }), expected: ['s0: c → d', 's1: b → d'] },
  { name: 'among many a fifth of the average is even', shards: [...Array.from({ length: 20 }, (_, i) => on(`s${i}`, ['a'])), ...Array.from({ length: 17 }, (_, i) => on(`t${i}`, ['b']))], pods: plain.slice(0, 2), replicas: 1, expected: [] },
  { name: 'to a zone that the shard is not in', shards: [on('s0', ['a', 'b', 'c'])], pods: zoned({ a: 'x', b: 'x', c: 'y', d: 'z' }), expected: ['s0: b → d'] },
  { name: 'not to a zone where it is twice as well', shards: [on('s0', ['a', 'b', 'c'])], pods: zoned({ a: 'x', b: 'x', c: 'y', d: 'y' }), expected: [] },
  { name: 'load never makes a shard share a zone', shards: Array.from({ length: 5 }, (_, i) => on(`s${i}`, ['a', 'b', 'c'])), pods: zoned({ a: 'x', b: 'y', c: 'z', d: 'x' }), expected: ['s0: a → d', 's1: a → d'] },
  { name: 'a shard without authority stays', shards: [...three(2).map((each): VectorShard => ({ ...each, status: { phase: 'Pending' } }))], pods: plain, expected: [] },
];

for (const { name, shards, pods, replicas = 3, movesMax = 2, expected } of cases) {
  test(name, () => {
    const rebalance = decideRebalance({ shards: shards.map((each) => ({ shard: each, replicas })), placement: { pods, load: loadOf(shards) }, movesMax });
    assert.deepEqual(rebalance.moves.map((move) => `${move.shard}: ${move.from} → ${move.to}`), expected, rebalance.because);
  });
}

describe('moves that are carried out', () => {
  /** One step of a shard's own decision, with everything that a primary does at once. */
  function advance(object: VectorShard, replicas: number, placement: PlacementFacts, rebalanceTo: string | undefined): VectorShard {
    const { authority: present } = object.status;
    const names = placement.pods.map(({ name }) => name);
    const observed = observedPods(Object.fromEntries(names.map((name) => [name, { replica: { shardUID: object.metadata.uid, role: present!.primary.pod === name ? ('primary' as const) : ('backup' as const), term: present!.term } }])));
    const step = nextShardStep(shardFacts({ shard: object, collection: collection(replicas, 1), pods: observed, placement, ...(rebalanceTo === undefined ? {} : { rebalanceTo }) }), noMutations);
    if (step.action === 'switch') return { ...object, status: { ...object.status, authority: { ...present!, term: present!.term + 1, primary: primaryOn(step.to.pod) } } };
    if (step.action !== 'change-spec') return object;
    const { leaving = [], replicas: held } = step.spec;
    return { ...object, spec: step.spec, status: { ...object.status, authority: { ...present!, inSync: held.filter((name) => !leaving.includes(name)).map(member) } } };
  }

  test('they end, take as few as they can, and leave shards spread and loads even', () => {
    const seed = Number(process.env['SHOAL_SEED'] ?? 1 + Math.floor(Math.random() * 2 ** 31));
    const podCount = fc.integer({ min: 3, max: 8 });
    fc.assert(
      fc.property(podCount, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 5 }), (count, replicas, shardCount, zoneCount, joined) => {
        const pods = Array.from({ length: count + joined }, (_, i) => placeable(`p${i}`, { domains: [`z${i % zoneCount}`, `n${i}`] }));
        let shards = Array.from({ length: shardCount }, (_, i) => on(`s${i}`, Array.from({ length: replicas }, (_each, j) => `p${(i + j) % count}`)));
        let moveCount = 0;
        for (let round = 0; ; round++) {
          assert(round < 40 * shardCount, 'moving does not end');
          const placement = { pods, load: loadOf(shards) };
          const listed: RebalancedShard[] = shards.map((each) => ({ shard: each, replicas }));
          const { moves } = decideRebalance({ shards: listed, placement, movesMax: 2 });
          moveCount += moves.length;
          const next = shards.map((each) => advance(each, replicas, { pods, load: loadOf(shards) }, moves.find((move) => move.shard === each.metadata.name)?.to));
          for (const [i, before] of shards.entries()) assert((next[i]!.status.authority!.inSync.length >= Math.min(before.status.authority!.inSync.length, replicas)), 'redundancy was given up for balance');
          const isQuiet = next.every((each, i) => each === shards[i]);
          shards = next;
          if (isQuiet && moves.length === 0) break;
        }
        assert(moveCount <= shardCount * replicas * 2, `${moveCount} moves`);
        for (const { spec } of shards) {
          assert.equal(spec.replicas.length, replicas);
          const zones = new Set(spec.replicas.map((name) => pods.find((pod) => pod.name === name)!.domains![0]));
          assert.equal(zones.size, Math.min(replicas, zoneCount), `${spec.replicas.join()} in ${[...zones].join()}`);
        }
        // Zones of different sizes hold what spreading wants of them; within one, pods are even.
        const load = loadOf(shards);
        const even = Math.max(2, Math.ceil((0.2 * shardCount * replicas) / pods.length));
        for (let zone = 0; zone < zoneCount; zone++) {
          const loads = pods.filter((pod) => pod.domains![0] === `z${zone}`).map(({ name }) => load.get(name) ?? 0);
          assert(Math.max(...loads) - Math.min(...loads) < even + 1, loads.join());
        }
      }),
      { seed, numRuns: 200 },
    );
  });
});
