import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunFigures } from './course.ts';
import { withSection } from './documentation.ts';
import { comparisonTables, markdownTable, medianAtRecall, type PeerResult } from './tables.ts';

const run = (cpuMicrosPerQuery: number | null): RunFigures => ({
  importSeconds: 10,
  pointsPerSecond: 1_000,
  cpuMicrosPerInsert: cpuMicrosPerQuery,
  searches: [1, 16].flatMap((inFlight) =>
    [0.9, 0.99].map((recall) => ({ breadth: 64, inFlight, recall, queriesPerSecond: 5_000, cpuMicrosPerQuery: cpuMicrosPerQuery === null ? null : cpuMicrosPerQuery * (recall === 0.9 ? 1 : 4), p50Ms: 1, p99Ms: 2.5 })),
  ),
  residentBytes: 2 ** 30,
  anonymousBytes: 2 ** 29,
  diskBytes: null,
  restartMs: 1_234,
});
const result = (name: string, runs: RunFigures[], failure: string | null = null): PeerResult => ({ name, kind: 'library', about: 'a | b', version: '1', runs, failure });

test('the median is over runs, and what cannot be seen has none', () => {
  assert.deepEqual(medianAtRecall([run(100), run(900), run(200)], 0.9, 1, 'cpuMicrosPerQuery'), { is: 'between', figure: 200 });
  assert.deepEqual(medianAtRecall([run(100)], 0.5, 1, 'cpuMicrosPerQuery'), { is: 'narrowest', figure: 100, recall: 0.9 });
  assert.deepEqual(medianAtRecall([run(null)], 0.9, 1, 'cpuMicrosPerQuery'), { is: 'not reached' });
  assert.equal(medianAtRecall([], 0.9, 1, 'cpuMicrosPerQuery'), undefined);
});

test('tables hold everything that was asked for, failures too', () => {
  const tables = comparisonTables([result('shoal', [run(300)]), result('hnswlib', [run(200)]), result('other', [], 'no such\nprogram')]);
  assert.deepEqual(tables.map(({ title }) => title), ['What ran', 'At recall@10 0.9', 'At recall@10 0.95', 'At recall@10 0.956', 'At recall@10 0.98', 'At recall@10 0.99', 'Import, sizes, restart']);
  assert.deepEqual(tables[0]!.rows[2], ['other', '1', 'library', 'a | b', 'none; no such program']);
  assert.deepEqual(tables[1]!.rows, [
    ['shoal', '300', '1.50', '5,000', '1 / 2.50', '300', '1.50', '5,000', '1 / 2.50'],
    ['hnswlib', '200', '1.00', '5,000', '1 / 2.50', '200', '1.00', '5,000', '1 / 2.50'],
    ['other', '–', '–', '–', '– / –', '–', '–', '–', '– / –'],
  ]);
  assert.deepEqual(tables.at(-1)!.rows[0], ['shoal', '1,000', '300', '1.50', '1,020', '512', '–', '1,230']);
});

test('Markdown', () => {
  assert.equal(markdownTable({ title: 'T', head: ['', 'a'], rows: [['x|y', '1']] }), '|  | a |\n| --- | ---: |\n| x\\|y | 1 |');
});

test('a section replaces what stood between its own markers', () => {
  const marker = (name: string): string => `<!-- compare ${name}: written by npm run bench -- compare --write-docs -->\nold\n<!-- compare ${name}: end -->`;
  const document = `before\n${marker('glove')}\n${marker('text')}\nafter`;
  const section = { name: 'glove', facts: 'facts', tables: [{ title: 'T', head: ['', 'a'], rows: [['x', '1']] }] };
  const once = withSection(document, section);
  assert.equal(once, document.replace('\nold\n', '\n\nfacts\n\n**T**\n\n|  | a |\n| --- | ---: |\n| x | 1 |\n\n'));
  assert.equal(withSection(once, section), once);
  assert.throws(() => withSection('nothing', section), /no markers/);
});
