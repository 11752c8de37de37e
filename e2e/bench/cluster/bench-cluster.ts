/** A cluster for the time of a benchmark, and what its processes are asked besides. */

import type { Owner } from '../../framework/cleanup.ts';
import type { PodProcess } from '../../framework/cluster/cluster.ts';
import { say } from '../report.ts';

/** What belongs to the owner ends with `use`; when that fails, the last that the processes logged is printed. */
export async function withOwner<Result>(use: (owner: Owner) => Promise<Result>): Promise<Result> {
  let undo = (): Promise<void> => Promise.resolve();
  const owner = { after: (work: () => Promise<void>) => void (undo = work), diagnostic: say, passed: true };
  try {
    return await use(owner);
  } catch (error) {
    owner.passed = false;
    throw error;
  } finally {
    await undo();
  }
}

/** Figures of a pod's /metrics: the sum over all series of the name whose labels have these values. */
export async function metricOf({ statusUrl }: PodProcess, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
  const text = await (await fetch(`${statusUrl}/metrics`)).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  let sum = 0;
  for (const line of text.split('\n')) {
    const [, series, value] = /^(\S+?(?:\{.*\})?) (\S+)/.exec(line) ?? [];
    if (series === undefined || (series !== name && !series.startsWith(`${name}{`))) continue;
    if (wanted.every((label) => series.includes(label))) sum += Number(value);
  }
  return sum;
}

