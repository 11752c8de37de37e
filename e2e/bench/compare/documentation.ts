/** The part of docs/benchmarks.md that the command writes: it stands between two markers, and nothing else is touched. */

import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { markdownTable, type Table } from './tables.ts';

const path = fileURLToPath(new URL('../../../docs/benchmarks.md', import.meta.url));

export interface Section {
  /** Dataset. */
  readonly name: string;
  /** Machine, data, parameters. */
  readonly facts: string;
  readonly tables: readonly Table[];
}

export async function writeDocumentation(section: Section): Promise<void> {
  await writeFile(path, withSection(await readFile(path, 'utf8'), section));
}

/** Each data set has its own markers, so that a run of one leaves the tables of the other. */
export function withSection(document: string, { name, facts, tables }: Section): string {
  const [begin, end] = [`<!-- compare ${name}: written by npm run bench -- compare --write-docs -->`, `<!-- compare ${name}: end -->`];
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`docs/benchmarks.md has no markers for ${name}`);
  const body = [facts, ...tables.map((table) => `**${table.title}**\n\n${markdownTable(table)}`)].join('\n\n');
  return `${document.slice(0, from + begin.length)}\n\n${body}\n\n${document.slice(to)}`;
}
