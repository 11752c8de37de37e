/** Imports the points through the public API, and waits until they have moved into the graph. */

import { setTimeout as sleep } from 'node:timers/promises';
import { BenchClient, isRefusal, packedRow, type CollectionSettings } from './bench-client.ts';
import type { Dataset } from './dataset.ts';
import { cpuOfAll } from './process-usage.ts';
import { progressLine } from './report.ts';
import { bucketOf } from './selectivity.ts';
import type { AskedServer } from './server-process.ts';

export const collectionName = 'bench';
export const batchPointCount = 500;
export const batchesInFlight = 4;

export interface ImportFigures {
  readonly pointCount: number;
  readonly acknowledgedSeconds: number;
  readonly pointsPerSecondAcknowledged: number;
  /** CPU time of the server, all threads, until the last acknowledgement, per point. */
  readonly serverCpuMicrosPerPointAcknowledged: number;
  /** Batches that the server asked to send again. */
  readonly refusals: number;
}

export interface DrainFigures {
  readonly drainedSeconds: number;
  readonly pointsPerSecondDrained: number;
  readonly serverCpuMicrosPerPointDrained: number;
}

/** Returns at the last acknowledgement. */
export async function importPoints(server: AskedServer, dataset: Dataset, settings: CollectionSettings = {}): Promise<ImportFigures> {
  const client = new BenchClient(server.address, server.apiKey);
  try {
    await client.createCollection(collectionName, dataset.dimension, settings);
    const cpuBefore = cpuOfAll(server.processes);
    const startedMs = performance.now();
    let next = 0;
    let acknowledged = 0;
    let refusals = 0;
    const lane = async (): Promise<void> => {
      while (next < dataset.pointCount) {
        const first = next;
        next = Math.min(dataset.pointCount, first + batchPointCount);
        const last = next;
        const refused = await upsertRows(client, dataset, first, last);
        refusals += refused;
        acknowledged += last - first;
        progressLine(`imported ${acknowledged} of ${dataset.pointCount} points, ${Math.round(acknowledged / ((performance.now() - startedMs) / 1_000))}/s`, acknowledged === dataset.pointCount);
      }
    };
    await Promise.all(Array.from({ length: batchesInFlight }, lane));
    const seconds = (performance.now() - startedMs) / 1_000;
    return {
      pointCount: dataset.pointCount,
      acknowledgedSeconds: seconds,
      pointsPerSecondAcknowledged: dataset.pointCount / seconds,
      serverCpuMicrosPerPointAcknowledged: (cpuOfAll(server.processes) - cpuBefore) / dataset.pointCount,
      refusals,
    };
  } finally {
    client.close();
  }
}

/** Points `first` to `last` as one batch, sent until taken; `idPrefix` makes them others than those of the data set. */
export async function upsertRows(client: BenchClient, dataset: Dataset, first: number, last: number, idPrefix = ''): Promise<number> {
  const points = Array.from({ length: last - first }, (_, at) => {
    const row = first + at;
    return {
      id: `${idPrefix}${row}`,
      packedVector: packedRow(dataset.points, row, dataset.dimension),
      payload: { bucket: bucketOf(row), name: dataset.pointNames[row]! },
    };
  });
  for (let refusals = 0; ; refusals++) {
    try {
      await client.upsert(collectionName, points);
      return refusals;
    } catch (error) {
      if (!isRefusal(error) || refusals === 100) throw error;
      await sleep(50);
    }
  }
}

/** Waits until the tail is empty; the figures count from the beginning of the import. */
export async function waitForGraph(server: AskedServer, imported: ImportFigures, cpuAtImportEnd: number): Promise<DrainFigures> {
  const waitedMs = await tailDrained(server);
  const drainedSeconds = imported.acknowledgedSeconds + waitedMs / 1_000;
  const drainCpu = cpuOfAll(server.processes) - cpuAtImportEnd;
  return {
    drainedSeconds,
    pointsPerSecondDrained: imported.pointCount / drainedSeconds,
    serverCpuMicrosPerPointDrained: imported.serverCpuMicrosPerPointAcknowledged + drainCpu / imported.pointCount,
  };
}

/**
 * Milliseconds until every point that will go into the graph is there. A small collection has no graph and is all tail:
 * nothing moves then.
 */
export async function tailDrained(server: AskedServer): Promise<number> {
  const client = new BenchClient(server.address, server.apiKey);
  const startedMs = performance.now();
  try {
    for (;;) {
      const { shards } = await client.getCollection(collectionName);
      const waiting = shards.filter(({ statistics }) => statistics !== undefined && statistics.indexKind !== 'flat' && statistics.tailPointCount > 0);
      if (waiting.length === 0) return performance.now() - startedMs;
      const left = waiting.reduce((sum, { statistics }) => sum + Number(statistics!.tailPointCount), 0);
      progressLine(`${left} points on their way into the graph`, false);
      await sleep(50);
    }
  } finally {
    client.close();
  }
}
