import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '../../../pods/kernel/clock.ts';
import { Gate } from './gate.ts';
import { NodeClock } from './node-clock.ts';
import { Scheduler } from './scheduler.ts';
import { setImmediate as nextTurn } from 'node:timers/promises';

function world(): { scheduler: Scheduler; gate: Gate; clock: NodeClock; told: string[]; tell: (what: string) => void; runFor: (ms: number) => Promise<unknown> } {
  const scheduler = new Scheduler();
  const gate = new Gate('a', (callback) => void scheduler.after(0, callback));
  const told: string[] = [];
  return {
    scheduler,
    gate,
    clock: new NodeClock(scheduler, gate, { rate: 1, wallOffsetMs: 0 }),
    told,
    tell: (what) => void told.push(`${Math.round(scheduler.elapsedMs)} ${what}`),
    runFor: (ms) => scheduler.run(() => false, ms),
  };
}

test('a paused process gets what came meanwhile when it goes on, in order', async () => {
  const { scheduler, gate, clock, told, tell, runFor } = world();
  clock.after(10, () => tell('timer 10'));
  clock.after(20, () => tell('timer 20'));
  void gate.pass(scheduler.sleep(15)).then(() => tell('answer'));
  scheduler.after(5, () => gate.pause());
  scheduler.after(50, () => gate.resume());
  scheduler.after(60, () => tell('outside'));
  await runFor(100);
  assert.deepEqual(told, ['50 timer 10', '50 answer', '50 timer 20', '60 outside']);
});

test('what was cancelled while the process was paused does not happen', async () => {
  const { scheduler, gate, clock, told, tell, runFor } = world();
  const second = clock.after(20, () => tell('second'));
  clock.after(10, () => {
    tell('first');
    second.cancel();
  });
  gate.pause();
  scheduler.after(50, () => gate.resume());
  await runFor(100);
  assert.deepEqual(told, ['50 first']);
});

test('of a dead process nothing goes on', async () => {
  const { scheduler, gate, clock, told, tell, runFor } = world();
  void gate.start(async () => {
    tell('starts');
    await sleep(clock, 10);
    tell('slept');
    for (;;) {
      await nextTurn();
      if (scheduler.elapsedMs > 1_000) tell('still there');
    }
  });
  void gate.pass(scheduler.sleep(30)).then(() => tell('answer'));
  void gate.pass(scheduler.sleep(30).then(() => Promise.reject(new Error('error')))).catch(() => tell('error'));
  scheduler.after(20, () => gate.close());
  const end = await scheduler.run(() => false, 5_000);
  assert.deepEqual([told, end], [['0 starts', '10 slept'], 'idle']);
  void gate.start(async () => tell('started again'));
  await runFor(10);
  assert.equal(told.length, 2);
});

test('a paused process that dies does not wake', async () => {
  const { scheduler, gate, clock, told, tell, runFor } = world();
  clock.after(10, () => tell('timer'));
  gate.pause();
  scheduler.after(20, () => gate.close());
  scheduler.after(30, () => gate.resume());
  await runFor(100);
  assert.deepEqual(told, []);
});

test('turns of the event loop belong to the process that takes them', async () => {
  const { scheduler, gate, told, tell, runFor } = world();
  void gate.start(async () => {
    for (let turn = 0; turn < 3; turn++) {
      await nextTurn();
      tell(`turn ${turn}`);
      if (turn === 0) gate.pause();
    }
    await new Promise((resolve) => setImmediate(resolve));
    tell('global');
  });
  scheduler.after(50, () => gate.resume());
  await runFor(100);
  assert.deepEqual(told, ['0 turn 0', '50 turn 1', '50 turn 2', '50 global']);
});

test('a clock runs at its rate, and timers follow a change of it', async () => {
  const { scheduler, gate, told, tell, runFor } = world();
  const clock = new NodeClock(scheduler, gate, { rate: 2, wallOffsetMs: -1_000 });
  const startMs = scheduler.nowMs;
  clock.after(100, () => tell(`after 100: ${clock.monotonicMs()}`));
  clock.after(200, () => tell(`after 200: ${clock.monotonicMs()}`));
  scheduler.after(60, () => clock.setRate(0.5));
  await runFor(400);
  assert.deepEqual(told, ['50 after 100: 100', '220 after 200: 200']);
  assert.equal(clock.nowMs(), startMs - 1_000 + 290);
  clock.jump(5_000);
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [startMs + 4_290, 290]);
});

test('the same events give the same trace, others another', async () => {
  const hash = async (delayMs: number): Promise<string> => {
    const { scheduler, clock, runFor } = world();
    clock.after(delayMs, () => scheduler.trace.line('a', 'timer'));
    void nextTurn().then(() => scheduler.trace.line('a', 'turn'));
    await runFor(100);
    return scheduler.trace.hash;
  };
  assert.equal(await hash(10), await hash(10));
  assert.notEqual(await hash(10), await hash(10.001));
});
