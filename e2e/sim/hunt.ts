/**
 * Hunts for a mutation: seed after seed under its faults, until one fails. That counts only if the same run passes where
 * nothing is broken; else it is the run that is wrong.
 */

import type { MutationName } from '../../pods/kernel/mutations.ts';
import type { RunReport } from './cluster/cluster-run.ts';
import { runSeed } from './run-seed.ts';

export interface Hunted {
  readonly mutation: MutationName;
  /** Undefined when no seed fails. */
  readonly caughtBySeed: number | undefined;
  readonly seedCount: number;
  /** Which check, and what it said. */
  readonly by: string;
  readonly what: string;
  /** What the right code does wrong in the same run; nothing, if all is well. */
  readonly control: string | undefined;
  readonly seconds: number;
}

export async function huntMutation(mutation: MutationName, firstSeed: number, seedCountMax: number, onReport: (report: RunReport) => void = () => undefined): Promise<Hunted> {
  const startMs = performance.now();
  const seconds = (): number => Math.round((performance.now() - startMs) / 100) / 10;
  for (let seedCount = 1; seedCount <= seedCountMax; seedCount++) {
    const seed = firstSeed + seedCount - 1;
    const report = await runSeed(seed, { mutation });
    onReport(report);
    const { failure } = report;
    if (failure === undefined) continue;
    const control = (await runSeed(seed, { mutation, isControl: true })).failure;
    return { mutation, caughtBySeed: seed, seedCount, by: failure.kind, what: firstLine(failure.message), control: control === undefined ? undefined : firstLine(control.message), seconds: seconds() };
  }
  return { mutation, caughtBySeed: undefined, seedCount: seedCountMax, by: '', what: '', control: undefined, seconds: seconds() };
}

export function isCaught({ caughtBySeed, control }: Hunted): boolean {
  return caughtBySeed !== undefined && control === undefined;
}

/** A line of the table. */
export function rowOf(hunted: Hunted): string {
  const { mutation, seedCount, by, what, control, caughtBySeed, seconds } = hunted;
  const verdict = caughtBySeed === undefined ? 'NOT CAUGHT' : control === undefined ? by : `THE RIGHT CODE FAILS TOO: ${control}`;
  return row(mutation, String(seedCount), String(seconds), what === '' ? verdict : `${verdict}: ${what}`);
}

export const headOfTable = row('mutation', 'seeds', 'seconds', 'caught by');

function row(mutation: string, seeds: string, seconds: string, by: string): string {
  return `${mutation.padEnd(32)}  ${seeds.padStart(5)}  ${seconds.padStart(7)}  ${by}`;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!;
}
