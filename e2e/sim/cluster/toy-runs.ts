/** Runs the toy cluster for `cluster-run.test.ts`, outside the test runner, and prints what came of it as JSON. */

import { noMutations } from '../../../pods/kernel/mutations.ts';
import { noMask, runCluster, type Mask, type RunReport } from './cluster-run.ts';
import type { FaultKind } from './faults/fault-table.ts';
import { shrink, tellStory } from './shrink.ts';
import { toyCluster } from './toy-cluster.fixture.ts';

export interface ToyRun {
  readonly seed: number;
  readonly hash: string;
  readonly eventCount: number;
  readonly failure: string | undefined;
  readonly acknowledgedWrites: number;
  readonly faults: readonly FaultKind[];
  readonly requestCount: number;
  readonly story: string;
}

export interface ToyRuns {
  readonly right: readonly ToyRun[];
  /** The same seeds once more. */
  readonly rightAgain: readonly ToyRun[];
  /** The first seed that shows that it acknowledges before it flushes, and what that shrinks to. */
  readonly wrong: { readonly failed: ToyRun; readonly shrunk: ToyRun } | undefined;
}

/** A cluster that keeps one copy cannot survive these, and has no collection to make anew. */
const deadly: readonly FaultKind[] = ['disk replaced', 'bit rot', 'disk errors', 'store errors', 'disk full', 'collection made anew', 'metadata restored'];
/** Short runs: shrinking repeats them. */
const shape = { forMs: 10_000, meanPauseMs: 100, meanFaultIntervalMs: 1_000 };
const seeds = [1, 2, 3, 4, 5];
const wrongSeedCountMax = 30;
const shrinkRunCountMax = 80;

function run(seed: number, flushes: boolean, mask: Mask = noMask): Promise<RunReport> {
  return runCluster({ seed, parts: toyCluster({ flushes }), mutations: noMutations, shape, mask: { ...mask, kinds: new Set([...deadly, ...mask.kinds]) } });
}

function summary(report: RunReport): ToyRun {
  const { seed, hash, eventCount, failure, counts, plan, requestCount } = report;
  return { seed, hash, eventCount, failure: failure?.kind, acknowledgedWrites: counts['acknowledgedWrites'] ?? 0, faults: plan.map(({ kind }) => kind), requestCount, story: tellStory({ report, mask: noMask, runCount: 1 }) };
}

async function catchWrong(): Promise<ToyRuns['wrong']> {
  for (let seed = 1; seed <= wrongSeedCountMax; seed++) {
    const failed = await run(seed, false);
    if (failed.failure === undefined) continue;
    const { report } = await shrink(failed, (mask) => run(seed, false, mask), { runCountMax: shrinkRunCountMax });
    return { failed: summary(failed), shrunk: summary(report) };
  }
  return undefined;
}

async function all(): Promise<ToyRun[]> {
  const runs: ToyRun[] = [];
  for (const seed of seeds) runs.push(summary(await run(seed, true)));
  return runs;
}

process.stdout.write(JSON.stringify({ right: await all(), rightAgain: await all(), wrong: await catchWrong() } satisfies ToyRuns));
