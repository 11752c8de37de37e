import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below, seededRandom } from '../kernel/random.ts';
import { forEachLabel, hasLabel, LabelBits } from '../domain/label-set.ts';

const sorted = (labels: Iterable<number>): number[] => [...labels].sort((a, b) => a - b);

test('a LabelBits does what a Set of numbers does', () => {
  const seed = Number(process.env['SHOAL_SEED'] ?? 1);
  const random = seededRandom(seed);
  const bits = new LabelBits();
  const model = new Set<number>();
  for (let step = 0; step < 5_000; step++) {
    const label = below(random, 700);
    if (random.fraction() < 0.6) {
      assert.equal(bits.add(label), !model.has(label), `seed ${seed}, step ${step}`);
      model.add(label);
    } else {
      assert.equal(bits.remove(label), model.delete(label), `seed ${seed}, step ${step}`);
    }
    assert.equal(bits.count, model.size, `seed ${seed}, step ${step}`);
  }
  assert.deepEqual([...bits], sorted(model));
  assert.deepEqual([...bits.toArray()], sorted(model));
  const visited: number[] = [];
  forEachLabel(bits, (label) => visited.push(label));
  assert.deepEqual(visited, sorted(model));
});

const a = [0, 1, 31, 32, 33, 64, 1000];
const b = [1, 2, 31, 63, 64, 2000];
const combinations: [string, (left: LabelBits, right: LabelBits) => LabelBits, number[]][] = [
  ['and', (left, right) => left.and(right), [1, 31, 64]],
  ['or', (left, right) => left.or(right), [0, 1, 2, 31, 32, 33, 63, 64, 1000, 2000]],
  ['andNot', (left, right) => left.andNot(right), [0, 32, 33, 1000]],
];
for (const [name, combine, expected] of combinations) {
  test(`${name} of sets of different lengths, counted`, () => {
    const result = combine(LabelBits.from(a), LabelBits.from(b));
    assert.deepEqual({ labels: [...result], count: result.count }, { labels: expected, count: expected.length });
  });
}

test('labels past the end are not in the set, and the highest bit of a word is', () => {
  const bits = LabelBits.from([31]);
  assert.deepEqual([31, 30, 32, 10_000_000].map((label) => hasLabel(bits, label)), [true, false, false, false]);
});

test('a snapshot and an encoded set keep what they held', () => {
  const bits = LabelBits.from(a);
  const snapshot = bits.toLabelSet();
  const decoded = LabelBits.decode(bits.encode());
  bits.clear();
  assert.equal(bits.count, 0);
  assert.deepEqual([...LabelBits.copyOf(snapshot)], a);
  assert.deepEqual({ labels: [...decoded], count: decoded.count }, { labels: a, count: a.length });
  assert.equal(new LabelBits(1_000).encode().length, 0);
});
