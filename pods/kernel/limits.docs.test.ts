/** Aim: docs/limits.md lists every limit with its value, in the table's order, and no error code that does not exist. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorTable } from './errors.ts';
import { limits } from './limits.ts';

const text = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8');
const rows = text.split('\n').flatMap((line) => (/^\| `[a-z][A-Za-z]+` \|/.test(line) ? [line.split('|').slice(1, -1).map((cell) => cell.trim())] : []));

test('docs/limits.md and the table of limits agree', () => {
  assert.deepEqual(
    rows.map(([name, value]) => ({ name, value })),
    Object.entries(limits).map(([name, value]) => ({ name: `\`${name}\``, value: printed(name, value) })),
  );
});

test('every limit is explained, and the errors it names exist', () => {
  const unexplained = rows.filter((cells) => cells.length !== 4 || cells[2] === '' || cells[3] === '').map(([name]) => name);
  const named = rows.flatMap((cells) => Array.from((cells[3] ?? '').matchAll(/`([A-Z_]{3,})`/g), ([, code]) => code!));
  assert.deepEqual({ unexplained, unknown: named.filter((code) => !Object.hasOwn(errorTable, code)) }, { unexplained: [], unknown: [] });
});

/** A value in the largest unit that keeps it whole. */
function printed(name: string, value: number): string {
  const units: readonly [RegExp, readonly (readonly [size: number, unit: string])[]][] = [
    [/Mebibytes/, [[1024, 'GiB'], [1, 'MiB']]],
    [/Bytes/, [[1 << 20, 'MiB'], [1 << 10, 'KiB'], [1, 'B']]],
    [/Ms(Max|Default|$)/, [[60_000, 'min'], [1_000, 's'], [1, 'ms']]],
    [/Fraction/, [[0.01, '%']]],
  ];
  const [, scale] = units.find(([pattern]) => pattern.test(name)) ?? [undefined, [[1, '']] as const];
  const [size, unit] = scale.find(([each]) => Number.isInteger(Number((value / each).toFixed(9)))) ?? scale.at(-1)!;
  return `${Number((value / size).toFixed(9)).toLocaleString('en-US')} ${unit}`.trim();
}
