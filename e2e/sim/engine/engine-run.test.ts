/**
 * Aim: whatever a crash, a kill, a failing or full disk or rot does to the whole engine, what was acknowledged is there,
 * exactly and once, and nothing else is; a request whose outcome is unknown happened as a whole on each shard, or not at
 * all. SHOAL_SEED runs one seed alone and tells its story.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const seedCount = 1_000;

test('the engine keeps what it acknowledged', async (context) => {
  const only = process.env['SHOAL_SEED'];
  const [first, last] = only === undefined ? [1, seedCount] : [Number(only), Number(only)];
  const child = spawn(process.execPath, [fileURLToPath(new URL('./run-seeds.ts', import.meta.url)), String(first), String(last)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const [output, story] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.equal(await exited, 0, story);
  const totals = JSON.parse(output) as Record<string, number>;
  context.diagnostic(`seeds ${first} to ${last}`);
  for (const [what, count] of Object.entries(totals).sort(([a], [b]) => (a < b ? -1 : 1))) context.diagnostic(`${what}: ${count}`);
  if (only !== undefined) return context.diagnostic(story);
  for (const what of ['acknowledged', 'outcome unknown', 'power loss at work', 'kill at work', 'retried after an unknown outcome', 'rot reported', 'fatal error']) {
    assert((totals[what] ?? 0) > 20, `the seeds never came to "${what}"`);
  }
});
