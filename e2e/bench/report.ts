/** What the benchmark prints: progress on stderr, tables on stdout, everything as JSON into a file. */

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';

const resultsDirectory = fileURLToPath(new URL('../../bench-results', import.meta.url));

export function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

/** A line that the next one overwrites, on a terminal; elsewhere one line per tenth of a minute. */
export function progressLine(line: string, last: boolean): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kbench: ${line}${last ? '\n' : ''}`);
  else if (last || performance.now() - lastProgressMs > 6_000) {
    lastProgressMs = performance.now();
    say(line);
  }
}

let lastProgressMs = -Infinity;

export type Row = readonly (string | number)[];

export function printTable(title: string, head: readonly string[], rows: readonly Row[]): void {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, at) => (at === 0 ? 'left' : 'right')),
  });
  table.push(...rows.map((row) => row.map((cell) => (typeof cell === 'number' ? formatNumber(cell) : cell))));
  process.stdout.write(`\n${title}\n${table.toString()}\n`);
}

/** Three significant digits, and thousands apart. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

export function formatBytes(bytes: number): string {
  return `${formatNumber(bytes / 1024 ** 2)} MiB`;
}

/** `values` are sorted ascending. */
export function quantile(values: ArrayLike<number>, fraction: number): number {
  return values.length === 0 ? NaN : values[Math.min(values.length - 1, Math.floor(fraction * values.length))]!;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function resultsPath(name: string, output: string | undefined): string {
  const date = new Date().toISOString().replaceAll(':', '').slice(0, 17);
  return output === undefined ? join(resultsDirectory, `${name}-${date}.json`) : resolve(output);
}

export async function writeResults(path: string, results: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(results, null, 2)}\n`);
  say(`results in ${path}`);
}
