import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import { ReplicaChoice } from './replica-choice.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 7);
const pods = ['a', 'b', 'c'];

function shares(choice: ReplicaChoice, count: number, afterEach: (pod: string) => void = () => undefined): Record<string, number> {
  const chosen: Record<string, number> = { a: 0, b: 0, c: 0 };
  for (let i = 0; i < count; i++) {
    const pod = choice.choose('s', pods);
    chosen[pod]!++;
    afterEach(pod);
  }
  return chosen;
}

test(`equals get equal shares (seed ${seed})`, () => {
  const chosen = shares(new ReplicaChoice(new SimulatedClock(), seededRandom(seed)), 3_000);
  for (const [pod, count] of Object.entries(chosen)) assert.ok(count > 850 && count < 1_150, `${pod} got ${count} of 3000`);
});

test('requests under way spread over all: never two more at one than at another', () => {
  const choice = new ReplicaChoice(new SimulatedClock(), seededRandom(seed));
  const inFlight = shares(choice, 300, (pod) => choice.began(pod));
  assert.deepEqual(Object.fromEntries(pods.map((pod) => [pod, choice.inFlightCount(pod)])), inFlight);
  assert.ok(Math.max(...Object.values(inFlight)) - Math.min(...Object.values(inFlight)) <= 6, JSON.stringify(inFlight));
});

test('the one with fewer under way goes before the faster one', () => {
  const choice = new ReplicaChoice(new SimulatedClock(), seededRandom(seed));
  choice.measured('s', 'a', 1);
  choice.measured('s', 'b', 100);
  assert.equal(choice.choose('s', ['a', 'b']), 'a');
  choice.began('a');
  assert.equal(choice.choose('s', ['a', 'b']), 'b');
  choice.ended('a');
  assert.equal(choice.choose('s', ['a', 'b']), 'a');
});

test('latency is of the shard, and fades: who was slow is tried again', () => {
  const clock = new SimulatedClock();
  const choice = new ReplicaChoice(clock, seededRandom(seed));
  choice.measured('s', 'a', 1_000);
  choice.measured('s', 'b', 20);
  assert.equal(choice.choose('s', ['a', 'b']), 'b');
  for (let second = 0; second < 40; second++) {
    clock.advance(1_000);
    choice.measured('s', 'b', 20);
  }
  assert.equal(choice.choose('s', ['a', 'b']), 'a');
  choice.measured('other', 'b', 1);
  assert.equal(choice.choose('other', ['a', 'b']), 'a', 'of another shard nothing is known of a');
});

test('who failed is passed over for a while, unless all failed', () => {
  const clock = new SimulatedClock();
  const choice = new ReplicaChoice(clock, seededRandom(seed));
  choice.failed('s', 'a');
  assert.equal(shares(choice, 100)['a'], 0);
  choice.failed('s', 'b');
  choice.failed('s', 'c');
  assert.ok(shares(choice, 100)['a']! > 0);
  clock.advance(limits.replicaAvoidedMs);
  assert.ok(shares(choice, 100)['a']! > 0);
});
