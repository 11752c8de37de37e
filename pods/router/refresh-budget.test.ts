import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { RefreshBudget } from './refresh-budget.ts';

test('so many a second, whatever happens', () => {
  const clock = new SimulatedClock();
  const budget = new RefreshBudget(clock, 20);
  const takenIn = (ms: number): number => {
    let taken = 0;
    for (let at = 0; at < ms; at++) {
      while (budget.take()) taken++;
      clock.advance(1);
    }
    return taken;
  };
  assert.deepEqual([takenIn(1), takenIn(1_000), takenIn(10_000)], [20, 20, 200]);
  clock.advance(3_600_000);
  assert.equal(takenIn(1), 20, 'an hour of peace saves nothing up');
});
