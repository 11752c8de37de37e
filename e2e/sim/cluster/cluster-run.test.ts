/** Aim: the simulation itself is repeatable, lets a right cluster pass, catches a wrong one, and shrinks what it caught. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ToyRuns } from './toy-runs.ts';

let runs: ToyRuns;

before(async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./toy-runs.ts', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] });
  runs = JSON.parse(await text(child.stdout)) as ToyRuns;
});

test('a cluster that keeps what it acknowledged passes', () => {
  for (const { failure, acknowledgedWrites, story } of runs.right) {
    assert.equal(failure, undefined, story);
    assert(acknowledgedWrites > 50, story);
  }
});

test('a seed gives the same run again, another seed another one', () => {
  const traces = runs.right.map(({ hash, eventCount }) => `${hash} ${eventCount}`);
  assert.deepEqual(runs.rightAgain.map(({ hash, eventCount }) => `${hash} ${eventCount}`), traces);
  assert.equal(new Set(traces).size, traces.length);
});

test('a cluster that acknowledges before it flushes is caught, and the run shrinks to what shows it', () => {
  assert(runs.wrong !== undefined, 'no seed shows it');
  const { failed, shrunk } = runs.wrong;
  assert.match(failed.failure!, /^history/);
  assert.equal(shrunk.failure, failed.failure);
  assert(shrunk.faults.length === 1 && failed.faults.length > 1, shrunk.story);
  assert(shrunk.faults.every((kind) => ['kill', 'power loss', 'power loss of all', 'pod down', 'restart'].includes(kind)), shrunk.story);
  assert(shrunk.requestCount <= failed.requestCount, shrunk.story);
});
