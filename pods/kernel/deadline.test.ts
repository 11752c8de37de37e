import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import type { Clock } from './clock.ts';
import { startDeadline, withSignal } from './deadline.ts';
import { ShoalError } from './errors.ts';

/** A clock whose only timer runs when told. */
function manualClock(): Clock & { fire(): void; pending(): number } {
  const timers = new Set<() => void>();
  return {
    nowMs: () => 0,
    monotonicMs: () => 1_000,
    after(_delayMs, callback) {
      timers.add(callback);
      return { cancel: () => void timers.delete(callback) };
    },
    fire: () => timers.forEach((callback) => callback()),
    pending: () => timers.size,
  };
}

const codeOf = (signal: AbortSignal): string => {
  assert.ok(signal.reason instanceof ShoalError);
  return signal.reason.code;
};

test('the first of deadline, cancel and shutdown gives the reason, and no timer is left', () => {
  for (const [first, code] of [['fire', 'DEADLINE_EXCEEDED'], ['cancel', 'CANCELLED'], ['shutDown', 'SHUTTING_DOWN']] as const) {
    const clock = manualClock();
    const deadline = startDeadline(clock, 50);
    assert.equal(deadline.atMs, 1_050);
    if (first === 'fire') clock.fire();
    else deadline[first]();
    deadline.cancel();
    deadline.shutDown();
    assert.equal(codeOf(deadline.signal), code);
    assert.equal(clock.pending(), 0);
  }
});

test('a deadline in the past aborts at once', () => {
  assert.equal(codeOf(startDeadline(manualClock(), -5).signal), 'DEADLINE_EXCEEDED');
});

test('a settled request does not abort any more', () => {
  const clock = manualClock();
  const deadline = startDeadline(clock, 50);
  deadline.settle();
  deadline.cancel();
  assert.deepEqual([deadline.signal.aborted, clock.pending()], [false, 0]);
});

test('withSignal gives the value, the error or the reason, and leaves no listener', async () => {
  const deadline = startDeadline(manualClock(), 50);
  assert.equal(await withSignal(Promise.resolve(7), deadline.signal), 7);
  await assert.rejects(withSignal(Promise.reject(new Error('own')), deadline.signal), { message: 'own' });
  assert.equal(getEventListeners(deadline.signal, 'abort').length, 0);
  const never = withSignal(new Promise(() => undefined), deadline.signal);
  deadline.cancel();
  await assert.rejects(never, { code: 'CANCELLED' });
  await assert.rejects(withSignal(Promise.reject(new Error('late')), deadline.signal), { code: 'CANCELLED' });
});
