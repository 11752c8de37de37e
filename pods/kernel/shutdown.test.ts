import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { limits } from './limits.ts';
import { silentLogger } from './logger.ts';
import { createShutdown, exitOnSignals } from './shutdown.ts';
import type { SignalSource } from './shutdown.ts';

test('stages run in order, one after the other, once', async () => {
  const steps: string[] = [];
  const shutdown = createShutdown(systemClock, silentLogger);
  for (const name of ['gateway', 'shards', 'store']) {
    shutdown.add({
      name,
      timeoutMs: 1_000,
      async run() {
        steps.push(`${name} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        steps.push(`${name} ends`);
      },
    });
  }
  assert.equal(shutdown.begun, false);
  assert.deepEqual(await Promise.all([shutdown.begin('a'), shutdown.begin('b')]), [0, 0]);
  assert.deepEqual(steps, ['gateway begins', 'gateway ends', 'shards begins', 'shards ends', 'store begins', 'store ends']);
});

test('a stage that fails or hangs does not keep the next from running, and the exit code tells', async () => {
  const ran: string[] = [];
  const errors: string[] = [];
  const shutdown = createShutdown(systemClock, { ...silentLogger, error: (_fields, message) => errors.push(message) });
  shutdown.add({ name: 'hangs', timeoutMs: 5, run: () => new Promise(() => undefined) });
  shutdown.add({ name: 'throws', timeoutMs: 1_000, run: () => { throw new Error('broken'); } });
  shutdown.add({ name: 'last', timeoutMs: 1_000, run: async () => void ran.push('last') });
  // The clock's timers do not keep a process alive; something else has to.
  const keepAlive = setInterval(() => undefined, 1_000);
  assert.equal(await shutdown.begin('test'), 1);
  clearInterval(keepAlive);
  assert.deepEqual(ran, ['last']);
  assert.deepEqual(errors, ['shutdown stage took too long and was left', 'shutdown stage failed']);
});

const signals: readonly [name: string, second: 'SIGTERM' | 'SIGINT', afterMs: number, exit: number | undefined][] = [
  ['the same signal a second later exits at once', 'SIGTERM', limits.sameSignalMs, 143],
  ['another signal exits at once', 'SIGINT', 0, 130],
  ['the same signal at the same time is the first one, delivered twice', 'SIGTERM', 0, undefined],
  ['the same signal shortly after is the first one, delivered twice', 'SIGTERM', limits.sameSignalMs - 1, undefined],
];
for (const [name, second, afterMs, exit] of signals) {
  test(name, async () => {
    let nowMs = 5;
    const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
    const emitter = new EventEmitter();
    const exits: number[] = [];
    const source: SignalSource = { on: (signal, listener) => emitter.on(signal, listener), exit: (code) => void exits.push(code) };
    const shutdown = createShutdown(clock, silentLogger);
    let release = (): void => undefined;
    shutdown.add({ name: 'waits', timeoutMs: 10_000, run: () => new Promise<void>((resolve) => (release = resolve)) });
    exitOnSignals(source, shutdown, clock);
    emitter.emit('SIGTERM');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(exits, []);
    nowMs += afterMs;
    emitter.emit(second);
    const atOnce = exit === undefined ? [] : [exit];
    assert.deepEqual(exits, atOnce);
    release();
    await shutdown.begin('again');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(exits, [...atOnce, 0]);
  });
}
