import assert from 'node:assert/strict';
import { test } from 'node:test';
import { graphVisitMax, searchPlan, type SearchFacts } from './cost-rule.ts';

const facts = { size: 300_000, filterCount: 300_000, k: 10, ef: 128, m: 16, exact: false };

const table: [string, Partial<SearchFacts>, 'scan' | 'graph'][] = [
  ['no filter', {}, 'graph'],
  ['exact', { exact: true }, 'scan'],
  ['an empty index', { size: 0, filterCount: 0 }, 'scan'],
  ['fewer points than the breadth would look at', { size: 500, filterCount: 500 }, 'scan'],
  ['an empty filter', { filterCount: 0 }, 'scan'],
  ['0.1 %', { filterCount: 300 }, 'scan'],
  ['1 %', { filterCount: 3_000 }, 'scan'],
  ['4 %', { filterCount: 12_000 }, 'scan'],
  ['5 %', { filterCount: 15_000 }, 'graph'],
  ['10 %', { filterCount: 30_000 }, 'graph'],
  ['10 %, a broad search', { filterCount: 30_000, ef: 1_000 }, 'scan'],
  ['10 %, a large k', { filterCount: 30_000, k: 1_000 }, 'scan'],
  ['10 % of a small index', { size: 30_000, filterCount: 3_000 }, 'scan'],
  ['50 %', { filterCount: 150_000 }, 'graph'],
  ['a filter with labels that the index lacks', { filterCount: 400_000 }, 'graph'],
];

for (const [what, change, expected] of table) {
  test(`${what}: ${expected}`, () => assert.equal(searchPlan({ ...facts, ...change }), expected));
}

test('a walk gives up where the scan would have been cheaper', () => {
  assert.equal(graphVisitMax({ ...facts, filterCount: 30_000 }), 15_000);
});

test('the native core scans more, and under a tight filter its graph costs no more than without one', () => {
  const facts = { size: 1_000_000, filterCount: 1_000_000, k: 10, ef: 64, m: 16, exact: false, isNative: true };
  const plans = [1_000_000, 200_000, 20_000, 5_000, 100].map((filterCount) => searchPlan({ ...facts, filterCount }));
  assert.deepEqual(plans, ['graph', 'graph', 'graph', 'scan', 'scan']);
  assert.equal(searchPlan({ ...facts, size: 1_000, filterCount: 1_000 }), 'scan');
});
