/** Aim: what hangs holds up few reads, also when ordinary lateness has used up what may be sent twice. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import { Hedging } from './hedging.ts';
import { ReplicaChoice } from './replica-choice.ts';
import { ReplicaRace } from './replica-race.ts';
import { CountedMetrics, outcomeOf, testContext } from './router.fixture.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 5);

/** The pod `hung` never answers; reads prefer it, because it is not known to be slow. */
function setUp() {
  const clock = new SimulatedClock();
  const choice = new ReplicaChoice(clock, seededRandom(seed));
  const hedging = new Hedging();
  while (hedging.spend('late'));
  choice.measured('s', 'sound', 1);
  const race = new ReplicaRace({ choice, hedging, clock, metrics: new CountedMetrics() });
  const asked: string[] = [];
  const read = (): Promise<string> =>
    race.run({
      shardUID: 's',
      pods: ['hung', 'sound'],
      lateGoesTo: undefined,
      context: testContext(clock, 30_000),
      ask: (pod) => {
        asked.push(pod);
        return pod === 'hung' ? new Promise(() => undefined) : Promise.resolve(pod);
      },
    });
  return { clock, choice, hedging, asked, read };
}

test('an overdue read goes to another replica out of what is kept for that', async () => {
  const { clock, asked, read } = setUp();
  const startMs = clock.monotonicMs();
  assert.equal(await outcomeOf(clock, read()), 'sound');
  assert.deepEqual([asked, clock.monotonicMs() - startMs], [['hung', 'sound'], limits.hedgeOverdueMs]);
});

test('a replica with an overdue read is passed over by others at once, also when none is left to send twice', async () => {
  const { clock, choice, hedging, asked, read } = setUp();
  // So busy that the one that hangs would be the better choice.
  for (let i = 0; i < 5; i++) choice.began('sound');
  while (hedging.spend('overdue'));
  const held = outcomeOf(clock, read());
  const overdueAtMs = clock.monotonicMs() + limits.hedgeOverdueMs;
  while (clock.monotonicMs() < overdueAtMs + 10) await new Promise(setImmediate);
  asked.length = 0;
  for (let i = 0; i < 20; i++) assert.equal(await outcomeOf(clock, read()), 'sound');
  assert.deepEqual([...new Set(asked)], ['sound']);
  assert.equal(await held, 'DEADLINE_EXCEEDED');
});
