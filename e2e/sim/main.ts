/**
 * `npm run test:sim`: runs clusters by seed, one after another, until the time is over or one fails. What it prints at the
 * end says what was put to the test. Not under the test runner: its hooks on promises make the simulation several times
 * slower.
 */

import { mutationNames } from '../../pods/kernel/mutations.ts';
import type { Mask, RunReport } from './cluster/cluster-run.ts';
import { shrink, tellStory } from './cluster/shrink.ts';
import { writeHistories } from './history-files.ts';
import { headOfTable, huntMutation, isCaught, rowOf, type Hunted } from './hunt.ts';
import { runSeed } from './run-seed.ts';
import { exitCodes, help, readArguments, type SimulationOptions } from './arguments.ts';
import { Totals } from './totals.ts';

async function main(): Promise<number> {
  let options: SimulationOptions | undefined;
  try {
    options = readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return exitCodes.usage;
  }
  if (options === undefined) {
    process.stdout.write(help);
    return exitCodes.passed;
  }
  if (options.isHuntingAll) return huntAll(options);
  return options.mutation === undefined ? search(options) : hunt(options);
}

/** Every seed must pass, and the first must pass the same way twice. */
async function search(options: SimulationOptions): Promise<number> {
  const totals = new Totals();
  for (const seed of seedsOf(options)) {
    const report = await run(options, seed);
    totals.add(report);
    tellSeed(report);
    if (report.failure !== undefined) {
      await explain(options, report);
      process.stdout.write(`${totals.describe()}\n${totals.seedCount - 1} passed, 1 failed\n`);
      return exitCodes.failed;
    }
    if (seed !== options.seed) continue;
    const again = await run(options, seed);
    if (again.hash !== report.hash) {
      process.stdout.write(`seed ${seed} gave trace ${report.hash} and then ${again.hash}: something depends on more than the seed\n`);
      return exitCodes.failed;
    }
    process.stdout.write(`seed ${seed} again  trace ${again.hash}, the same\n`);
  }
  process.stdout.write(`${totals.describe()}\n${totals.seedCount} passed, 0 failed\n`);
  return exitCodes.passed;
}

/** Some seed must fail. */
async function hunt(options: SimulationOptions): Promise<number> {
  const totals = new Totals();
  for (const seed of seedsOf(options)) {
    const report = await run(options, seed);
    totals.add(report);
    if (report.failure === undefined) continue;
    process.stdout.write(`mutation ${options.mutation} caught by seed ${seed}, after ${totals.seedCount} seeds: ${report.failure.kind}\n  ${firstLine(report.failure.message)}\n`);
    if (options.isShrinking) await explain(options, report);
    return exitCodes.passed;
  }
  process.stdout.write(`mutation ${options.mutation} not caught by ${totals.seedCount} seeds from ${options.seed} on\n${totals.describe()}`);
  return exitCodes.failed;
}

/** Each mutation must be caught, within as many seeds each. */
async function huntAll({ seed, seedCountMax, output }: SimulationOptions): Promise<number> {
  const table = (line: string): void => void (output === 'table' && process.stdout.write(`${line}\n`));
  const startMs = performance.now();
  const all: Hunted[] = [];
  table(headOfTable);
  for (const mutation of mutationNames) {
    const hunted = await huntMutation(mutation, seed, seedCountMax);
    all.push(hunted);
    table(rowOf(hunted));
  }
  const caughtCount = all.filter(isCaught).length;
  table(`${caughtCount} of ${all.length} caught, in ${((performance.now() - startMs) / 1_000).toFixed(0)} s`);
  if (output === 'json') process.stdout.write(`${JSON.stringify(all)}\n`);
  return caughtCount === all.length ? exitCodes.passed : exitCodes.failed;
}

/** One after another until the time is over, or as many as were asked for. */
function* seedsOf({ seed, seedCountMax, minutes }: SimulationOptions): Generator<number> {
  const endMs = performance.now() + minutes * 60_000;
  for (let count = 0; count < seedCountMax && (count === 0 || performance.now() < endMs); count++) yield seed + count;
}

async function run({ mutation, isTracing, logLevel, without, historiesDirectory }: SimulationOptions, seed: number, smaller?: Mask): Promise<RunReport> {
  const report = await runSeed(seed, {
    mutation,
    without,
    logLevel,
    ...(smaller === undefined ? {} : { mask: smaller }),
    ...(isTracing && smaller === undefined ? { print: (line: string) => process.stdout.write(`${line}\n`) } : {}),
  });
  if (historiesDirectory !== undefined && smaller === undefined) await writeHistories(historiesDirectory, report);
  return report;
}

async function explain(options: SimulationOptions, failed: RunReport): Promise<void> {
  process.stdout.write(`\nseed ${failed.seed} failed: ${failed.failure!.kind}: ${failed.failure!.message}\n`);
  if (!options.isShrinking) {
    process.stdout.write(`${failed.story.join('\n')}\n`);
    return;
  }
  process.stdout.write('looking for a smaller run that fails in the same way\n');
  const shrunk = await shrink(failed, (mask) => run(options, failed.seed, mask), { runCountMax: options.shrinkRunCountMax });
  const again = `npm run test:sim -- --seed ${failed.seed} --seeds 1${options.mutation === undefined ? '' : ` --mutation ${options.mutation}`}${options.without.length === 0 ? '' : ` --without '${options.without.join(',')}'`}`;
  process.stdout.write(`\n${tellStory(shrunk)}\n\nthe whole of it again: ${again} --trace\n`);
}

function tellSeed({ seed, hash, simulatedMs, requestCount, faults, failure }: RunReport): void {
  const faultCount = Object.values(faults).reduce((sum, count) => sum + count, 0);
  process.stdout.write(`seed ${seed}  trace ${hash}  ${Math.round(simulatedMs / 1_000)} s  ${requestCount} requests  ${faultCount} faults  ${failure === undefined ? 'ok' : 'FAILED'}\n`);
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!;
}

process.exitCode = await main();
