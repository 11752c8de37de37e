/**
 * Aim: whatever a crash, a kill, a failing or full disk or rot does to the whole engine, what was acknowledged is there,
 * exactly and once, and nothing else is; a request whose outcome is unknown happened as a whole on each shard, or not at
 * all. SHOAL_SEED runs one seed alone and tells its story.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineRun } from './engine-run.ts';

const seedCount = 1_000;
const storyLineCount = 60;

test('the engine keeps what it acknowledged', async (context) => {
  const only = process.env['SHOAL_SEED'];
  const first = only === undefined ? 1 : Number(only);
  const last = only === undefined ? seedCount : first;
  const totals = new Map<string, number>();
  for (let seed = first; seed <= last; seed++) {
    const run = new EngineRun(seed);
    try {
      await run.run();
    } catch (error) {
      const story = run.story.slice(only === undefined ? -storyLineCount : 0).join('\n  ');
      throw new Error(`SHOAL_SEED=${seed}: ${(error as Error).message}\n  ${story}`, { cause: error });
    }
    for (const [what, count] of run.counts) totals.set(what, (totals.get(what) ?? 0) + count);
    if (only !== undefined) context.diagnostic(run.story.join('\n'));
  }
  for (const [what, count] of [...totals].sort(([a], [b]) => (a < b ? -1 : 1))) context.diagnostic(`${what}: ${count}`);
  if (only !== undefined) return;
  for (const what of ['acknowledged', 'outcome unknown', 'power loss at work', 'kill at work', 'retried after an unknown outcome', 'rot reported', 'fatal error']) {
    assert((totals.get(what) ?? 0) > 20, `the seeds never came to "${what}"`);
  }
});
