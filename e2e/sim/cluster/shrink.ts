/**
 * Makes a failing run small: leaves out kinds of faults, single faults and requests, as long as it still fails in the same
 * way. Only masks change; the seed, and with it what every fault and client would do, stays.
 */

import type { FaultKind } from './faults/fault-table.ts';
import { noMask, type Mask, type RunReport } from './cluster-run.ts';

export interface Shrunk {
  readonly report: RunReport;
  readonly mask: Mask;
  readonly runCount: number;
}

export async function shrink(failed: RunReport, run: (mask: Mask) => Promise<RunReport>, options: { readonly runCountMax: number; readonly onProgress?: (report: RunReport) => void }): Promise<Shrunk> {
  let best: Omit<Shrunk, 'runCount'> = { report: failed, mask: noMask };
  let runCount = 0;
  const tryMask = async (mask: Mask): Promise<boolean> => {
    if (runCount >= options.runCountMax) return false;
    runCount++;
    const report = await run(mask);
    if (report.failure?.kind !== failed.failure?.kind) return false;
    best = { report, mask };
    options.onProgress?.(report);
    return true;
  };

  for (const kind of new Set(failed.plan.map((fault) => fault.kind))) await tryMask({ ...best.mask, kinds: new Set<FaultKind>([...best.mask.kinds, kind]) });
  for (let partCount = 2; best.report.plan.length > 0; ) {
    const numbers = best.report.plan.map(({ number }) => number);
    const size = Math.ceil(numbers.length / partCount);
    let isSmaller = false;
    for (let from = 0; from < numbers.length && !isSmaller; from += size) {
      isSmaller = await tryMask({ ...best.mask, faults: new Set([...best.mask.faults, ...numbers.slice(from, from + size)]) });
    }
    if (isSmaller) partCount = Math.max(2, partCount - 1);
    else if (size === 1) break;
    else partCount = Math.min(numbers.length, partCount * 2);
  }
  for (let low = 0, high = best.report.requestCount; low + 1 < high; ) {
    const middle = Math.floor((low + high) / 2);
    if (await tryMask({ ...best.mask, requestCountMax: middle })) high = middle;
    else low = middle;
  }
  return { ...best, runCount };
}

/** For a reader: what was left in, what happened, how it failed. */
export function tellStory({ report, mask, runCount }: Shrunk): string {
  const { seed, plan, story, failure } = report;
  const lines = [
    `seed ${seed}, smallest of ${runCount} runs: ${plan.length} faults${mask.requestCountMax === Infinity ? '' : `, ${mask.requestCountMax} requests`}`,
    ...plan.map(({ number, kind, atMs, durationMs }) => `  fault [${number}] at ${(atMs / 1_000).toFixed(1)} s: ${kind}${durationMs > 0 ? ` for ${durationMs} ms` : ''}`),
    '',
    ...story.map((line, i) => `${String(i + 1).padStart(4)}  ${line}`),
    '',
    `${failure?.kind ?? 'no failure'}: ${failure?.message ?? ''}`,
  ];
  return lines.join('\n');
}
