import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../kernel/limits.ts';
import { Hedging } from './hedging.ts';

test('late is what 95 of 100 recent reads of the shard were not', () => {
  const hedging = new Hedging();
  assert.equal(hedging.delayMs('s'), limits.hedgeFirstDelayMs);
  for (let i = 0; i < 64; i++) hedging.measured('s', i < 61 ? 10 : 400);
  assert.equal(hedging.delayMs('s'), 10);
  for (let i = 0; i < 128; i++) hedging.measured('s', i % 10 === 0 ? 400 : 10);
  assert.equal(hedging.delayMs('s'), 400);
  assert.equal(hedging.delayMs('another'), limits.hedgeFirstDelayMs);
});

test('what is old does not count, and the least delay holds', () => {
  const hedging = new Hedging();
  for (let i = 0; i < 128; i++) hedging.measured('s', 400);
  for (let i = 0; i < 128; i++) hedging.measured('s', 0.1);
  assert.equal(hedging.delayMs('s'), limits.hedgeShortestDelayMs);
});

test('second reads stay a small part of all, with a few at once, half of them for what is overdue', () => {
  const hedging = new Hedging();
  const spendAll = (why: 'late' | 'overdue'): number => {
    let count = 0;
    while (hedging.spend(why)) count++;
    return count;
  };
  assert.deepEqual([spendAll('late'), spendAll('overdue')], [limits.hedgeBurstCountMax / 2, limits.hedgeBurstCountMax / 2]);
  let later = 0;
  for (let i = 0; i < 1_000; i++) {
    hedging.earn();
    if (hedging.spend('overdue')) later++;
  }
  assert.ok(Math.abs(later - 1_000 * limits.hedgedFractionMax) <= 1, `${later} of 1000`);
});

test('overdue is several times as late as most', () => {
  const hedging = new Hedging();
  assert.equal(hedging.overdueMs('s'), limits.hedgeOverdueMs);
  for (let i = 0; i < 128; i++) hedging.measured('s', 400);
  assert.equal(hedging.overdueMs('s'), 1_600);
});
