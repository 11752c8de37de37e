/** Aim: docs/operations.md names every option of the server and every metric, with what the tables say of them. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { metricTable, type MetricDeclaration } from '../telemetry/metric-names.ts';
import { serverOptions } from './config.ts';

const text = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');

/** Cells of the rows between the header that begins with `first` and the end of its table. */
function tableUnder(first: string): string[][] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${first} |`)) + 2;
  const end = lines.findIndex((line, index) => index >= start && !line.startsWith('|'));
  return lines.slice(start, end).map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll('\\|', '|')));
}

const code = (word: string): string => `\`${word}\``;

test('every option is documented with its flag, variables, default and help', () => {
  const expected = Object.values(serverOptions).map((option) => {
    const isSecret = 'secret' in option;
    const flag = isSecret ? '–' : code(`--${option.default === true ? 'no-' : ''}${option.flag}`);
    return [code(option.flag), flag, option.variables.map(code).join(', '), printedDefault(option.default), option.help];
  });
  assert.deepEqual(tableUnder('field of the file'), expected);
});

test('every metric is documented with its kind, labels and help', () => {
  const expected = Object.values<MetricDeclaration>(metricTable).map(({ name, kind, labels, help }) => [
    code(name),
    kind === 'observed-counter' ? 'counter' : kind,
    labels.length === 0 ? '–' : labels.map(code).join(', '),
    help,
  ]);
  assert.deepEqual(tableUnder('metric'), expected);
});

function printedDefault(value: string | number | boolean | readonly string[] | undefined): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return value === undefined || typeof value === 'object' ? 'none' : code(String(value));
}
