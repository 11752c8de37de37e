import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { systemClock } from './clock.ts';
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

test('a second signal exits at once', async () => {
  const emitter = new EventEmitter();
  const exits: number[] = [];
  const source: SignalSource = { on: (signal, listener) => emitter.on(signal, listener), exit: (code) => void exits.push(code) };
  const shutdown = createShutdown(systemClock, silentLogger);
  let release = (): void => undefined;
  shutdown.add({ name: 'waits', timeoutMs: 10_000, run: () => new Promise<void>((resolve) => (release = resolve)) });
  exitOnSignals(source, shutdown);
  emitter.emit('SIGTERM');
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(exits, []);
  emitter.emit('SIGINT');
  assert.deepEqual(exits, [130]);
  release();
  await shutdown.begin('again');
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(exits, [130, 0]);
});
