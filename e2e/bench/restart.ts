/**
 * How long after its start a server gives right answers: the last 100 points imported find themselves, and 200 queries
 * have a recall of at least 0.95. The whole check is repeated until it holds.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BenchClient, packedRow } from './bench-client.ts';
import type { Dataset } from './dataset.ts';
import type { GroundTruth } from './ground-truth.ts';
import { collectionName } from './import-points.ts';
import { searchQuery, topK } from './search-load.ts';
import { unfiltered } from './selectivity.ts';
import type { ServerProcess } from './server-process.ts';

const lastPointCount = 100;
const queryCountMax = 200;
const recallWanted = 0.95;
const giveUpMs = 300_000;

export interface RestartFigures {
  /** From the start of the process until it said that it serves. */
  readonly servingMs: number;
  /** Until the first search was answered, right or wrong. */
  readonly firstAnswerMs: number;
  /** Until the check began that held. */
  readonly rightAnswersFromMs: number;
  /** Until the check that held was through. */
  readonly rightAnswersMs: number;
  readonly recall: number;
  readonly checks: number;
}

export async function measureRestart(server: ServerProcess, dataset: Dataset, truth: GroundTruth): Promise<RestartFigures> {
  const client = new BenchClient(server.address);
  let firstAnswerMs = NaN;
  try {
    for (let checks = 1; ; checks++) {
      const begunMs = performance.now() - server.startedMs;
      try {
        if (Number.isNaN(firstAnswerMs)) {
          await client.search(collectionName, searchQuery(dataset, 0, {}));
          firstAnswerMs = performance.now() - server.startedMs;
        }
        const found = await lastPointsFound(client, dataset);
        const recall = await recallNow(client, dataset, truth);
        if (found === Math.min(lastPointCount, dataset.pointCount) && recall >= recallWanted) {
          return { servingMs: server.readyMs - server.startedMs, firstAnswerMs, rightAnswersFromMs: begunMs, rightAnswersMs: performance.now() - server.startedMs, recall, checks };
        }
        if (begunMs > giveUpMs) throw new Error(`${found} of the last ${lastPointCount} points find themselves, recall ${recall}, after ${giveUpMs / 1_000} s`);
      } catch (error) {
        if (begunMs > giveUpMs) throw error;
        await sleep(10);
      }
    }
  } finally {
    client.close();
  }
}

async function lastPointsFound(client: BenchClient, dataset: Dataset): Promise<number> {
  const first = Math.max(0, dataset.pointCount - lastPointCount);
  const rows = Array.from({ length: dataset.pointCount - first }, (_, at) => first + at);
  const found = await inFlight(rows, async (row) => {
    const query = { packedVector: packedRow(dataset.points, row, dataset.dimension), topK, includePayload: false };
    const { hits } = await client.search(collectionName, query);
    return hits.some(({ id }) => id === String(row));
  });
  return found.filter(Boolean).length;
}

async function recallNow(client: BenchClient, dataset: Dataset, truth: GroundTruth): Promise<number> {
  const queries = Array.from({ length: Math.min(queryCountMax, dataset.queryCount) }, (_, query) => query);
  const recalls = await inFlight(queries, async (query) => {
    const { hits } = await client.search(collectionName, searchQuery(dataset, query, {}));
    return truth.recall(query, unfiltered, hits.map(({ id }) => Number(id)));
  });
  return recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
}

/** Sixteen at a time. */
async function inFlight<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const at = next++;
      results[at] = await work(items[at]!);
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return results;
}
