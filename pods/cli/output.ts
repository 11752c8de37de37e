/** Results on standard output: tables for people, one JSON value for programs. Notes go to standard error. */

import Table from 'cli-table3';
import type { CommandContext } from './terminal.ts';

export type Cell = string | number | boolean | undefined;

export interface Listing {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** Under the table. */
  readonly footer?: string;
}

/** `json` is what a program reads; `table` what a person does. */
export function printResult(context: CommandContext, json: unknown, table: () => Listing | string): void {
  const { terminal, options } = context;
  if (options.output === 'json') {
    terminal.stdout.write(`${JSON.stringify(json)}\n`);
    return;
  }
  if (options.quiet === true) return;
  const shown = table();
  terminal.stdout.write(typeof shown === 'string' ? `${shown}\n` : `${tableText(shown)}\n`);
}

/** For standard error; nothing with --quiet. */
export function note(context: CommandContext, text: string): void {
  if (context.options.quiet !== true) context.terminal.stderr.write(`${text}\n`);
}

function tableText(listing: Listing): string {
  const table = new Table({ head: [...listing.columns], style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 0 }, chars: plainLines });
  for (const row of listing.rows) table.push(row.map((cell) => (cell === undefined ? '' : String(cell))));
  const text = table.toString().replaceAll(/ +$/gm, '');
  return listing.footer === undefined ? text : `${text}\n${listing.footer}`;
}

/** No frame: a table can be cut and pasted, and searched by column. */
const plainLines = {
  top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '',
  left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ',
};

/** A few components and how many there are. */
export function vectorText(vector: Float32Array | undefined): string {
  if (vector === undefined || vector.length === 0) return '';
  const shown = Array.from(vector.subarray(0, 4), (value) => String(Number(value.toPrecision(4))));
  return vector.length > 4 ? `[${shown.join(', ')}, … ${vector.length}]` : `[${shown.join(', ')}]`;
}

export function payloadText(payload: unknown): string {
  const text = payload === undefined ? '' : JSON.stringify(payload);
  return text === '{}' ? '' : shortenTo(text, 80);
}

function shortenTo(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

export function byteText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function timeText(epochMs: number | undefined): string {
  return epochMs === undefined ? '' : new Date(epochMs).toISOString();
}
