/** Aim: a list stops where it says it does, what fails says so, and the table tells all of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../../pods/kernel/errors.ts';
import { act, complete, fail, pauseOfFailure, retry, runTasks, task, wait, type Decision, type TaskResult } from './task.ts';

type State = Readonly<Record<string, Decision<string>>>;

/** A task that decides what the state says for it; acting ends with the action as a sentence, or throws it. */
const named = (name: string, runs: 'in-order' | 'always' = 'in-order'): ReturnType<typeof task<State, string>> =>
  task<State, string>({
    name,
    runs,
    decide: (state) => state[name] ?? complete('as it shall be'),
    apply: (action) => (action === 'conflict' ? Promise.reject(new ShoalError('CONFLICT', 'changed')) : action === 'away' ? Promise.reject(new ShoalError('UNAVAILABLE', 'away')) : Promise.resolve(complete(action))),
  });
const list = [named('watch-all', 'always'), named('make'), named('grow'), named('tell', 'always')];

const cases: readonly [name: string, state: State, ran: readonly string[]][] = [
  ['all is well', {}, ['watch-all complete', 'make complete', 'grow complete', 'tell complete']],
  ['what waits lets others go on', { make: wait('soon') }, ['watch-all complete', 'make wait', 'grow complete', 'tell complete']],
  ['unless it holds them back', { make: wait('soon', { holdsBack: true }) }, ['watch-all complete', 'make wait', 'tell complete']],
  ['what comes back holds others back', { make: retry(5, 'later') }, ['watch-all complete', 'make retry', 'tell complete']],
  ['what cannot be done holds others back', { make: fail('no') }, ['watch-all complete', 'make fail', 'tell complete']],
  ['one that always runs holds nobody back', { 'watch-all': fail('no') }, ['watch-all fail', 'make complete', 'grow complete', 'tell complete']],
];

for (const [name, state, ran] of cases) {
  test(name, async () => {
    const rows = await runTasks(list, state);
    assert.deepEqual(rows.map(({ task: each, result }) => `${each} ${result.outcome}`), ran);
  });
}

test('what was done, what somebody else was faster at, and what failed', async () => {
  const run = async (action: string): Promise<{ result: TaskResult; acted: unknown; failed: boolean }> => {
    const [, { result, acted, error }] = (await runTasks(list, { make: act(action, 'it is missing') })) as [unknown, { result: TaskResult; acted: unknown; error?: unknown }];
    return { result, acted, failed: error !== undefined };
  };
  const acted = { because: 'it is missing', reason: 'Make' };
  assert.deepEqual(await run('made'), { result: complete('made'), acted, failed: false });
  assert.deepEqual(await run('conflict'), { result: retry(20, 'it is missing; the object has changed meanwhile'), acted: undefined, failed: false });
  assert.deepEqual(await run('away'), { result: retry(pauseOfFailure, 'it is missing; that failed: away'), acted: undefined, failed: true });
});
