/** Aim: who counts as silent or out of reach, and when; and that a standstill of this process is nobody's silence. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { sleep } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { PodService } from '../domain/pod-service.ts';
import { StandstillClock } from './controller.fixture.ts';
import { PodProber } from './pod-prober.ts';

type Behaviour = 'answers' | 'refuses' | 'hangs';

function open(t: TestContext): { clock: StandstillClock; prober: PodProber; become: (how: Behaviour) => void; events: string[]; pass: (ms: number) => Promise<void>; asked: () => number } {
  const clock = new StandstillClock();
  const startMs = clock.monotonicMs();
  let behaviour: Behaviour = 'answers';
  const events: string[] = [];
  let askedCount = 0;
  const service = {
    async report(signal: AbortSignal) {
      askedCount++;
      await sleep(clock, 30, signal);
      if (behaviour === 'hangs') await sleep(clock, 1_000_000, signal);
      if (behaviour === 'refuses') throw new ShoalError('UNAVAILABLE', 'refused');
      return { pod: 'a', podUID: 'u', session: 's', freeBytes: 1, replicas: [] };
    },
  } as unknown as PodService;
  const prober = new PodProber({
    pods: { pod: () => service },
    clock,
    onChange: (now, before) => {
      const state = (pod: typeof now): string => (pod.isSilent ? 'silent' : pod.isReachable ? 'reachable' : 'unreachable');
      if (state(now) !== state(before)) events.push(`${state(now)} at ${clock.monotonicMs() - startMs}`);
    },
  });
  t.after(() => prober.close());
  prober.start();
  prober.know('a');
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 10) {
      clock.advance(10);
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    }
  };
  return { clock, prober, become: (how) => (behaviour = how), events, pass, asked: () => askedCount };
}

test('a pod that answers is asked twice a second, and at once at first', async (t) => {
  const { events, pass, asked } = open(t);
  await pass(5_040);
  assert.deepEqual([events, asked()], [['reachable at 30'], 11]);
});

test('a pod that refuses is out of reach at once, and silent 2 s after the last question that it answered', async (t) => {
  const { become, events, pass } = open(t);
  await pass(1_200);
  become('refuses');
  await pass(3_000);
  become('answers');
  await pass(1_000);
  assert.deepEqual(events, ['reachable at 30', 'unreachable at 1530', 'silent at 3000', 'reachable at 4530']);
});

test('a pod that hangs is out of reach soon, and silent no later than one that refuses; questions do not pile up', async (t) => {
  const { become, events, pass, asked } = open(t);
  await pass(1_200);
  become('hangs');
  await pass(3_000);
  assert.deepEqual(events, ['reachable at 30', 'unreachable at 2500', 'silent at 3000']);
  await pass(20_000);
  assert(asked() <= 3 + 4 * 12, `${asked()} questions`);
});

test('a standstill of this process makes nobody silent; a pod that is gone since is found out as always', async (t) => {
  const { clock, become, events, pass } = open(t);
  await pass(1_200);
  clock.standStill(60_000);
  await pass(3_000);
  assert.deepEqual(events.filter((event) => event.startsWith('silent')), []);
  clock.standStill(60_000);
  become('refuses');
  await pass(1_700);
  assert.deepEqual(events.filter((event) => event.startsWith('silent')), []);
  await pass(900);
  assert.equal(events.filter((event) => event.startsWith('silent')).length, 1);
});

test('a question more gives what is known after it', async (t) => {
  const { prober, pass, become } = open(t);
  await pass(600);
  const asked = prober.ask('a');
  become('refuses');
  await pass(100);
  assert.equal((await asked)?.isReachable, false);
  assert.equal(await prober.ask('other'), undefined);
});
