/**
 * What ten payloads cost a search: the same queries with ids alone and with payloads, in turns, on a server at rest.
 *
 * The first answers of a kind cost up to twice what later ones do, because their code is not compiled yet, and a
 * store that has just taken an import merges its files for a while. Both would be counted as the price of a payload.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Dataset } from './dataset.ts';
import type { GroundTruth } from './ground-truth.ts';
import { cpuOfAll } from './process-usage.ts';
import { formatNumber, median, printTable, say } from './report.ts';
import { measureSearches } from './search-load.ts';
import type { ServerProcess } from './server-process.ts';

const rounds = 7;
/** Questions of each kind before any that count. */
const warmUpCount = 4_000;
/** Of the time of one core. */
const idleShare = 0.02;
const idleForMs = 3_000;
const idleWaitMsMax = 180_000;

interface Cost {
  readonly medianMicros: number;
  readonly leastMicros: number;
}

export interface PayloadCostFigures {
  readonly clients: number;
  readonly ids: Cost;
  readonly payloads: Cost;
  /** Of the medians, and of the least. */
  readonly timesMedian: number;
  readonly timesLeast: number;
}

export async function measurePayloadCost(server: ServerProcess, dataset: Dataset, truth: GroundTruth, clientCounts: readonly number[]): Promise<{ waitedMs: number; atRest: boolean; series: PayloadCostFigures[] }> {
  const askedOnce = Math.ceil(warmUpCount / dataset.queryCount);
  for (const includePayload of [false, true]) for (let i = 0; i < askedOnce; i++) await measureSearches(server, dataset, truth, { clients: 4, includePayload });
  const rest = await waitUntilIdle(server);
  const series: PayloadCostFigures[] = [];
  for (const clients of clientCounts) {
    const micros = { ids: [] as number[], payloads: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      for (const kind of round % 2 === 0 ? (['ids', 'payloads'] as const) : (['payloads', 'ids'] as const)) {
        micros[kind].push((await measureSearches(server, dataset, truth, { clients, includePayload: kind === 'payloads' })).serverCpuMicrosPerQuery);
      }
    }
    const ids = cost(micros.ids);
    const payloads = cost(micros.payloads);
    series.push({ clients, ids, payloads, timesMedian: payloads.medianMicros / ids.medianMicros, timesLeast: payloads.leastMicros / ids.leastMicros });
  }
  printTable(
    `Ten payloads instead of ids alone, ${rounds} rounds in turns, server ${rest.atRest ? `at rest after ${formatNumber(rest.waitedMs / 1_000)} s` : 'STILL BUSY'}: server CPU µs/query`,
    ['clients', 'ids, median', 'least', 'payloads, median', 'least', 'times, median', 'least'],
    series.map(({ clients, ids, payloads, timesMedian, timesLeast }) => [clients, ids.medianMicros, ids.leastMicros, payloads.medianMicros, payloads.leastMicros, timesMedian.toFixed(2), timesLeast.toFixed(2)]),
  );
  return { ...rest, series };
}

function cost(micros: readonly number[]): Cost {
  return { medianMicros: median(micros), leastMicros: Math.min(...micros) };
}

/** Until the server has used next to nothing for a while: files are merged, checkpoints written. */
async function waitUntilIdle(server: ServerProcess): Promise<{ waitedMs: number; atRest: boolean }> {
  const startedMs = performance.now();
  for (;;) {
    const cpuBefore = cpuOfAll(server.processes);
    const beforeMs = performance.now();
    await sleep(idleForMs);
    const nowMs = performance.now();
    const share = (cpuOfAll(server.processes) - cpuBefore) / 1_000 / (nowMs - beforeMs);
    if (share < idleShare) return { waitedMs: nowMs - startedMs, atRest: true };
    if (nowMs - startedMs > idleWaitMsMax) {
      say(`the server still uses ${formatNumber(100 * share)} % of a core, without a question`);
      return { waitedMs: nowMs - startedMs, atRest: false };
    }
  }
}
