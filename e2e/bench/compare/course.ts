/** One run of one peer, from an empty directory to its figures: import, a sweep of searches, sizes, restart. */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dataset } from '../dataset.ts';
import type { GroundTruth } from '../ground-truth.ts';
import { diskUse } from '../process-usage.ts';
import { quantile, say } from '../report.ts';
import { unfiltered } from '../selectivity.ts';
import { rows, type Matrix, type Peer, type Searched, type StartedPeer } from './peer.ts';
import { treeCpuMicros, treeMemory } from './process-tree.ts';
import { boundsMs, within } from './time-bounds.ts';

export const inFlightCounts = [1, 16] as const;
/** Nothing is compared beyond: wider searches would only take time. */
const recallEnough = 0.995;
/** Of each number in flight, before anything counts: a server of JavaScript or Java compiles hot functions for some ten thousand requests. */
const warmUpSeconds = 5;
/** CPU time is told in hundredths of a second: all queries are asked again until a series has lasted long enough to be one per cent exact. */
const seriesSeconds = 2;
const roundsMax = 50;
const restartQueryCount = 20;
const restartRecall = 0.9;

/** What could not be seen is null, as in JSON. */
export interface SearchRow {
  readonly breadth: number;
  readonly inFlight: number;
  readonly recall: number;
  readonly queriesPerSecond: number;
  readonly cpuMicrosPerQuery: number | null;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface RunFigures {
  readonly importSeconds: number;
  readonly pointsPerSecond: number;
  readonly cpuMicrosPerInsert: number | null;
  readonly searches: readonly SearchRow[];
  readonly residentBytes: number | null;
  readonly anonymousBytes: number | null;
  readonly diskBytes: number | null;
  /** From the start of the process until the beginning of the searches that were right. */
  readonly restartMs: number | null;
}

export interface Course {
  readonly dataset: Dataset;
  readonly truth: GroundTruth;
  readonly breadths: readonly number[];
  readonly serverCore: number | undefined;
}

export async function runCourse(peer: Peer, { dataset, truth, breadths, serverCore }: Course): Promise<RunFigures> {
  const parent = await mkdtemp(join(tmpdir(), 'shoal-compare-'));
  const place = { directory: join(parent, 'data'), core: serverCore };
  await mkdir(place.directory);
  const points: Matrix = { dimension: dataset.dimension, count: dataset.pointCount, values: dataset.points };
  const queries: Matrix = { dimension: dataset.dimension, count: dataset.queryCount, values: dataset.queries };
  let started: StartedPeer | undefined;
  try {
    started = await within('start', peer.start(place));
    const imported = await importAll(started, points);
    say(`${peer.name}: imported in ${imported.importSeconds.toFixed(1)} s`);
    const searches = await sweep(peer.name, started, queries, truth, breadths);
    const memory = started.pid === undefined ? undefined : treeMemory(started.pid);
    await within('stop', started.stop());
    const visible = started.pid !== undefined;
    started = undefined;
    const sizes = { residentBytes: memory?.residentBytes ?? null, anonymousBytes: memory?.anonymousBytes ?? null };
    if (!visible) return { ...imported, searches, ...sizes, diskBytes: null, restartMs: null };
    const diskBytes = (await diskUse(place.directory)).totalBytes;
    started = await within('start', peer.start(place));
    const restartMs = await within('restart', firstRightAnswer(started, points, queries, truth, searches.at(-1)!.breadth));
    say(`${peer.name}: right answers ${Math.round(restartMs)} ms after its restart`);
    await within('stop', started.stop());
    started = undefined;
    return { ...imported, searches, ...sizes, diskBytes, restartMs };
  } finally {
    await started?.stop().catch((error: unknown) => say(`${peer.name}: ${String(error)}`));
    await rm(parent, { recursive: true, force: true });
  }
}

async function importAll(started: StartedPeer, points: Matrix): Promise<Pick<RunFigures, 'importSeconds' | 'pointsPerSecond' | 'cpuMicrosPerInsert'>> {
  await within('create', started.create(points.dimension, points.count));
  const cpuBefore = started.pid === undefined ? undefined : treeCpuMicros(started.pid);
  const startedMs = performance.now();
  await within('import', started.import(points));
  const importSeconds = (performance.now() - startedMs) / 1_000;
  const cpu = cpuBefore === undefined ? undefined : treeCpuMicros(started.pid!) - cpuBefore;
  return { importSeconds, pointsPerSecond: points.count / importSeconds, cpuMicrosPerInsert: cpu === undefined ? null : cpu / points.count };
}

async function sweep(name: string, started: StartedPeer, queries: Matrix, truth: GroundTruth, breadths: readonly number[]): Promise<SearchRow[]> {
  for (const inFlight of inFlightCounts) await within('search', series(started, queries, breadths[0]!, inFlight, warmUpSeconds));
  const searches: SearchRow[] = [];
  for (const breadth of breadths) {
    for (const inFlight of inFlightCounts) searches.push(figures(await within('search', series(started, queries, breadth, inFlight, seriesSeconds)), truth, queries.count, breadth, inFlight));
    const { recall, cpuMicrosPerQuery, queriesPerSecond } = searches.at(-2)!;
    say(`${name}: breadth ${breadth}, recall ${recall.toFixed(4)}, ${Math.round(queriesPerSecond)} queries/s, ${cpuMicrosPerQuery === null ? 'CPU not seen' : `${Math.round(cpuMicrosPerQuery)} µs of CPU a query`}`);
    if (recall >= recallEnough) break;
  }
  return searches;
}

async function series(started: StartedPeer, queries: Matrix, breadth: number, inFlight: number, seconds: number): Promise<Searched> {
  const rounds: Searched[] = [];
  const lasted = (): number => rounds.reduce((sum, { seconds }) => sum + seconds, 0);
  while (rounds.length < roundsMax && lasted() < seconds) rounds.push(await started.search(queries, breadth, inFlight));
  return joined(rounds);
}

/** Several rounds as one. */
export function joined(rounds: readonly Searched[]): Searched {
  const cpu = rounds.map(({ cpuMicros }) => cpuMicros).filter((micros) => micros !== undefined);
  return {
    answers: rounds.flatMap(({ answers }) => answers),
    latenciesMs: Float64Array.from(rounds.flatMap(({ latenciesMs }) => [...latenciesMs])),
    seconds: rounds.reduce((sum, { seconds }) => sum + seconds, 0),
    cpuMicros: cpu.length < rounds.length ? undefined : cpu.reduce((sum, micros) => sum + micros, 0),
  };
}

function figures({ answers, latenciesMs, seconds, cpuMicros }: Searched, truth: GroundTruth, queryCount: number, breadth: number, inFlight: number): SearchRow {
  const sorted = latenciesMs.slice().sort();
  return {
    breadth,
    inFlight,
    recall: meanRecall(answers, truth, queryCount),
    queriesPerSecond: answers.length / seconds,
    cpuMicrosPerQuery: cpuMicros === undefined ? null : cpuMicros / answers.length,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
  };
}

/** Repeated until the last point imported finds itself and the first queries find nine of ten of their nearest. */
async function firstRightAnswer(started: StartedPeer, points: Matrix, queries: Matrix, truth: GroundTruth, breadth: number): Promise<number> {
  await started.open(points.dimension);
  const first = rows(queries, 0, Math.min(restartQueryCount, queries.count));
  for (;;) {
    const askedMs = performance.now() - started.startedMs;
    let why: unknown = 'the answers are not right';
    try {
      const last = await started.search(rows(points, points.count - 1, points.count), breadth, 1);
      const { answers } = await started.search(first, breadth, 1);
      if (last.answers[0]!.includes(points.count - 1) && meanRecall(answers, truth, first.count) >= restartRecall) return askedMs;
    } catch (error) {
      why = error;
    }
    if (askedMs > boundsMs.restart) throw new Error('restart: no right answer', { cause: why });
    await sleep(10);
  }
}

/** Of answers to the first `queryCount` queries, once or several times over. */
function meanRecall(answers: Searched['answers'], truth: GroundTruth, queryCount: number): number {
  return answers.reduce((sum, found, at) => sum + truth.recall(at % queryCount, unfiltered, found), 0) / answers.length;
}
