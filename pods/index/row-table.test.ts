import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import { LabelBits } from '../domain/label-set.ts';
import { RowTable } from './row-table.ts';

/**
 * Aim: a scan in slices, with rows added, replaced, removed and moved between the slices. What was there from beginning
 * to end must be found; what was removed or replaced must not be answered with its old distance; nothing comes twice.
 */
test('a scan in slices misses nothing that stayed and returns nothing that went', () => {
  const seed = Number(process.env['SHOAL_SEED'] ?? 5);
  const random = seededRandom(seed);
  for (let round = 0; round < 300; round++) {
    const table = new RowTable(1, 'euclidean');
    const values = new Map<number, number>();
    const set = (label: number, value: number): void => {
      values.set(label, value);
      table.set(label, Float32Array.of(value), 0);
    };
    for (let label = 0; label < 60; label++) set(label, below(random, 1_000));
    const filter = [undefined, someLabels(random, 0.3), someLabels(random, 1)][round % 3];
    const k = 1 + below(random, 20);
    const untouched = new Set(values.keys());
    const scan = table.scan(Float32Array.of(0), 0, k, filter);
    for (let slices = 0; !scan.step(1 + below(random, 8)); slices++) {
      if (slices > 100) continue;
      const label = below(random, 80);
      untouched.delete(label);
      if (random.fraction() < 0.5) {
        values.delete(label);
        table.remove(label);
      } else {
        set(label, below(random, 1_000));
      }
    }
    const { labels, distances } = scan.hits();
    const where = `seed ${seed}, round ${round}`;
    assert.equal(new Set(labels).size, labels.length, where);
    labels.forEach((label, i) => {
      assert.equal(values.get(label)! ** 2, distances[i], `${where}, label ${label}`);
      assert.ok(filter === undefined || filter.has(label), where);
    });
    const furthest = labels.length < k ? Infinity : distances.at(-1)!;
    for (const label of untouched) {
      if (filter !== undefined && !filter.has(label)) continue;
      if (values.get(label)! ** 2 < furthest) assert.ok(labels.includes(label), `${where}: ${label} is missing`);
    }
    const present = [...values.keys()].sort((a, b) => a - b);
    assert.deepEqual([...table.labels()].sort((a, b) => a - b), present, where);
    assert.deepEqual([...table.labelBits()], present, where);
  }
});

test('memory follows the number of rows', () => {
  const table = new RowTable(64, 'dot');
  const vector = new Float32Array(64);
  const sizes: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (let label = 0; label < 2_000; label++) table.set(label, vector, 0);
    sizes.push(table.memoryBytes());
    for (let label = 0; label < 2_000; label++) table.remove(label);
    sizes.push(table.memoryBytes());
  }
  assert.deepEqual(new Set([sizes[0], sizes[2], sizes[4]]).size, 1);
  assert.ok(sizes[1]! < sizes[0]! / 3, sizes.join(' '));
});

function someLabels(random: Random, fraction: number): LabelBits {
  return LabelBits.from(Array.from({ length: 80 }, (_, label) => label).filter(() => random.fraction() < fraction));
}
