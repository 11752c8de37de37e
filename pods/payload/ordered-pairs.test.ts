import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachLabel, LabelBits } from '../domain/label-set.ts';
import { below, seededRandom } from '../kernel/random.ts';
import { OrderedPairs, type KeyRange, type Pair, type PairRun } from './ordered-pairs.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`SHOAL_SEED=${seed}`);

const flat = (runs: readonly PairRun[]): string[] =>
  runs.flatMap((run) => Array.from({ length: run.count }, (_, i) => `${run.keys[i]}:${run.labels[i]}`));

const ordered = (model: ReadonlyMap<string, Pair>): string[] =>
  [...model.values()].sort((left, right) => left.key - right.key || left.label - right.label).map(({ key, label }) => `${key}:${label}`);

/** Keys: rising, few, or any; each shape splits and merges leaves elsewhere. */
const shapes: Record<string, (random: ReturnType<typeof seededRandom>, step: number) => number> = {
  rising: (_, step) => step,
  few: (random) => below(random, 5),
  any: (random) => below(random, 100_000) / 7 - 5_000,
};

for (const [name, keyOf] of Object.entries(shapes)) {
  test(`pairs with ${name} keys are those added and not removed, and snapshots stay`, () => {
    const random = seededRandom(seed);
    const pairs = new OrderedPairs();
    const model = new Map<string, Pair>();
    const snapshots: { runs: readonly PairRun[]; expected: string[] }[] = [];
    for (const { steps, removing } of [{ steps: 8_000, removing: 0.1 }, { steps: 9_000, removing: 0.9 }, { steps: 4_000, removing: 0.3 }]) {
      for (let step = 0; step < steps; step++) {
        if (step % 2_500 === 1_000) snapshots.push({ runs: pairs.snapshot(), expected: ordered(model) });
        if (model.size > 0 && random.fraction() < removing) {
          const [id, { key, label }] = nth(model, below(random, Math.min(model.size, 50)));
          assert.equal(pairs.remove(key, label), true);
          assert.equal(pairs.remove(key, label), false);
          model.delete(id);
        } else {
          const pair = { key: keyOf(random, step), label: below(random, 30_000) };
          const id = `${pair.key}:${pair.label}`;
          assert.equal(pairs.add(pair.key, pair.label), !model.has(id));
          model.set(id, pair);
        }
      }
      assert.equal(pairs.size, model.size);
      assert.deepEqual(flat(pairs.snapshot()), ordered(model));
      for (let i = 0; i < 30; i++) {
        const keys = [keyOf(random, below(random, 8_000)), keyOf(random, below(random, 8_000))];
        checkRange(pairs, model, {
          low: keys[0]!,
          lowIncluded: random.fraction() < 0.5,
          high: random.fraction() < 0.2 ? Infinity : keys[1]!,
          highIncluded: random.fraction() < 0.5,
        });
      }
    }
    for (const { runs, expected } of snapshots) assert.deepEqual(flat(runs), expected);
    for (const { key, label } of model.values()) pairs.remove(key, label);
    assert.deepEqual([pairs.size, pairs.memoryBytes()], [0, 0]);
  });
}

function checkRange(pairs: OrderedPairs, model: ReadonlyMap<string, Pair>, range: KeyRange): void {
  const inside = [...model.values()].filter(
    ({ key }) => (range.lowIncluded ? key >= range.low : key > range.low) && (range.highIncluded ? key <= range.high : key < range.high),
  );
  assert.equal(pairs.count(range), inside.length);
  for (const budget of [1, 700, Infinity]) {
    const words = new Uint32Array(1_000);
    let next = pairs.collect(range, words, budget);
    while (next !== undefined) next = pairs.collect(range, words, budget, next);
    const labels: number[] = [];
    forEachLabel(LabelBits.fromWords(words), (label) => labels.push(label));
    assert.deepEqual(labels, [...new Set(inside.map(({ label }) => label))].sort((left, right) => left - right));
  }
}

function nth<K, V>(map: ReadonlyMap<K, V>, position: number): [K, V] {
  let at = 0;
  for (const entry of map) if (at++ === position) return entry;
  throw new Error('no such entry');
}

test('appended pairs are as added ones, and must rise', () => {
  const pairs = new OrderedPairs();
  assert.equal(pairs.append(Float64Array.from({ length: 2_000 }, (_, i) => i >> 3), Uint32Array.from({ length: 2_000 }, (_, i) => i)), true);
  assert.equal(pairs.count({ low: 3, lowIncluded: true, high: 4, highIncluded: true }), 16);
  assert.equal(pairs.add(3, 5_000), true);
  assert.equal(pairs.count({ low: 3, lowIncluded: true, high: 4, highIncluded: true }), 17);
  for (const [key, label] of [[249, 1_999], [249, 3], [1, 9_999], [NaN, 1], [Infinity, 1]] as const) {
    assert.equal(pairs.append(Float64Array.of(key), Uint32Array.of(label)), false, `${key}:${label}`);
  }
  assert.equal(pairs.append(Float64Array.of(249), Uint32Array.of(2_000)), true);
});

test('a few pairs take little memory', () => {
  const pairs = new OrderedPairs();
  for (let label = 0; label < 10; label++) pairs.add(label, label);
  assert.ok(pairs.memoryBytes() < 256, `${pairs.memoryBytes()} bytes`);
});

test('memory follows the number of pairs down as well as up', () => {
  const random = seededRandom(seed);
  const pairs = new OrderedPairs();
  for (let label = 0; label < 20_000; label++) pairs.add(below(random, 1_000), label);
  const full = pairs.memoryBytes();
  for (const run of pairs.snapshot()) for (let i = 0; i < run.count; i++) if (random.fraction() < 0.95) pairs.remove(run.keys[i]!, run.labels[i]!);
  assert.ok(pairs.size > 500 && pairs.size < 1_500, `${pairs.size} pairs left`);
  assert.ok(pairs.memoryBytes() < full / 4, `${pairs.memoryBytes()} of ${full} bytes`);
});
