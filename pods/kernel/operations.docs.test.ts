/** Aim: the documentation names every option of every process and every metric, with what the tables say of them. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { metricTable, type MetricDeclaration } from '../telemetry/metric-names.ts';
import { controllerOptions, gatewayOptions, operatorOptions, podOptions, serverOptions } from './config.ts';
import type { OptionTable } from './options.ts';

const read = (page: string): string => readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');

/** Cells of the rows between the header that begins with `first` and the end of its table. */
function tableUnder(first: string, page = 'operations.md'): string[][] {
  const lines = read(page).split('\n');
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

test('every option of the processes of a cluster is documented with who takes it', () => {
  const processes: Readonly<Record<string, OptionTable>> = { gateway: gatewayOptions, pod: podOptions, 'failover-controller': controllerOptions, operator: operatorOptions };
  const isShared = ([key]: readonly [string, unknown]): boolean => Object.hasOwn(serverOptions, key);
  const own = Object.assign({}, ...Object.values(processes)) as OptionTable;
  const takenBy = (key: string): string => Object.keys(processes).filter((name) => Object.hasOwn(processes[name]!, key)).join(', ');
  const expected = Object.entries(own)
    .filter((entry) => !isShared(entry))
    .map(([key, { flag, variables, default: fallback, help }]) => [code(`--${flag}`), variables.map(code).join(', '), printedDefault(fallback), takenBy(key), help]);
  const byFirstCell = (a: string[], b: string[]): number => (a[0]! < b[0]! ? -1 : 1);
  assert.deepEqual(tableUnder('option', 'cluster.md').sort(byFirstCell), expected.sort(byFirstCell));
  const shared = Object.entries(processes).map(([name, table]) => [code(`shoal ${name}`), Object.entries(table).filter(isShared).map(([, { flag }]) => code(flag)).join(', ')]);
  assert.deepEqual(tableUnder('process | also takes', 'cluster.md'), shared);
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
