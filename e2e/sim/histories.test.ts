/**
 * Aim: of the histories of simulated clusters, right and wrong ones, porcupine says the same as our checker, which the
 * simulation relies on. The runs are processes of their own: the test runner's hooks on promises make them several times
 * slower.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { goIsThere, judgeFileWithPorcupine } from '../checker/porcupine.ts';
import type { OwnVerdict } from './history-files.ts';

const wrongSeedCountMax = 20;

interface Compared {
  readonly historyCount: number;
  readonly operations: number;
  readonly illegal: readonly string[];
}

/** Where everything has to be shown, Go has to be there; on a developer's machine its absence is said and passed over. */
const go = await goIsThere();
const without = go ? false : 'NOT CHECKED: Go is not installed (Debian: apt-get install golang-go; 1.19 or newer)';

test('Go is there', { skip: process.env['CI'] === undefined && without }, () => {
  assert.equal(go, true, 'this test needs Go 1.19 or newer');
});

test('clusters that keep the rules: linearizable, say both', { skip: without }, async (t) => {
  const { historyCount, operations, illegal } = await compare(t, ['--seed', '1', '--seeds', '2', '--minutes', '60', '--no-shrink']);
  t.diagnostic(`${historyCount} histories of ${operations} operations`);
  assert.deepEqual(illegal, []);
  assert(historyCount >= 2 && operations > 300, `${historyCount} histories of ${operations} operations`);
});

test('a cluster that forgets which requests it has done: the same ids are not, say both', { skip: without }, async (t) => {
  // A seed may show it in searches alone, about which porcupine is not asked.
  for (let seed = 1; seed <= wrongSeedCountMax; seed++) {
    const { operations, illegal } = await compare(t, ['--mutation', 'idempotency-not-replicated', '--seed', String(seed), '--seeds', '1', '--no-shrink'], [0, 1]);
    if (illegal.length > 0) return t.diagnostic(`seed ${seed}: of ${operations} operations, not linearizable: ${illegal.join(', ')}`);
  }
  assert.fail(`none of ${wrongSeedCountMax} seeds shows it in the history of an id`);
});

/** Runs the simulation, which ends with one of these codes, and puts both verdicts on each of its histories side by side. */
async function compare(t: TestContext, options: readonly string[], codes: readonly number[] = [0]): Promise<Compared> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-histories-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const child = spawn(process.execPath, [fileURLToPath(new URL('./main.ts', import.meta.url)), ...options, '--histories', directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const printed = await text(child.stdout);
  assert(codes.includes((await ended) ?? -1), printed);
  const names = (await readdir(directory)).filter((name) => name.endsWith('.jsonl'));
  const illegal: string[] = [];
  let operations = 0;
  for (const name of names) {
    const theirs = await judgeFileWithPorcupine(join(directory, name));
    const ours = JSON.parse(await readFile(join(directory, name.replace('.jsonl', '.verdict.json')), 'utf8')) as OwnVerdict;
    assert.deepEqual({ illegal: theirs.illegal, undecided: theirs.undecided }, { illegal: ours.illegal, undecided: ours.undecided }, name);
    illegal.push(...ours.illegal);
    operations += theirs.operations;
  }
  return { historyCount: names.length, operations, illegal };
}
