/**
 * Runs lives of the engine by seed, FIRST to LAST, outside the test runner: its hooks on promises make the simulation
 * several times slower. Prints the counts of what happened as JSON; at a failure the seed and its story, exit code 1.
 */

import { EngineRun } from './engine-run.ts';

const storyLineCount = 60;
const [first, last] = process.argv.slice(2).map(Number) as [number, number];
const totals: Record<string, number> = {};

for (let seed = first; seed <= last; seed++) {
  const run = new EngineRun(seed);
  try {
    await run.run();
  } catch (error) {
    const story = run.story.slice(first === last ? 0 : -storyLineCount).join('\n  ');
    process.stderr.write(`SHOAL_SEED=${seed}: ${(error as Error).stack ?? String(error)}\n  ${story}\n`);
    process.exit(1);
  }
  for (const [what, count] of run.counts) totals[what] = (totals[what] ?? 0) + count;
  if (first === last) process.stderr.write(`${run.story.join('\n')}\n`);
}
process.stdout.write(JSON.stringify(totals));
