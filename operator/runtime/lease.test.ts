/**
 * Aim: whatever the API server and the processes do (answers that are late or lost, requests that are refused, processes that
 * stand still), no two operators lead at one instant, and one leads again soon after the trouble ends.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seedOf } from '../../e2e/framework/seed.ts';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import type { Clock } from '../../pods/kernel/clock.ts';
import { ShoalError } from '../../pods/kernel/errors.ts';
import { limits } from '../../pods/kernel/limits.ts';
import { silentLogger } from '../../pods/kernel/logger.ts';
import type { Random } from '../../pods/kernel/random.ts';
import { Lease } from './lease.ts';

interface Stored {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly spec: object;
}

/** One Lease with compare-and-swap; requests and answers take a while, and some are lost. */
class Store {
  lossFraction = 0;
  object: Stored | undefined;
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  #version = 0;

  constructor(clock: SimulatedClock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** As the process of `clock` sees it: an answer waits while it stands still. */
  client(clock: Clock): { read(): Promise<unknown>; write(request: { readonly method: string; readonly body?: unknown }): Promise<unknown> } {
    return {
      read: () => this.#through(clock, () => this.object),
      write: ({ method, body }) =>
        this.#through(clock, () => {
          const written = body as { metadata: { name: string; resourceVersion?: string }; spec: object };
          if (method === 'POST' ? this.object !== undefined : this.object?.metadata.resourceVersion !== written.metadata.resourceVersion) throw new ShoalError('CONFLICT', 'it has changed');
          this.object = { metadata: { name: written.metadata.name, resourceVersion: String(++this.#version) }, spec: written.spec };
          return this.object;
        }),
    };
  }

  async #through<T>(clock: Clock, work: () => T): Promise<T> {
    await this.#pause(this.#clock);
    if (this.#isLost()) throw new ShoalError('UNAVAILABLE', 'the request was lost');
    const answer = work();
    await this.#pause(clock);
    if (this.#isLost()) throw new ShoalError('OUTCOME_UNKNOWN', 'the answer was lost');
    return answer;
  }

  #isLost(): boolean {
    return this.#random.fraction() < this.lossFraction;
  }

  #pause(clock: Clock): Promise<void> {
    const longMs = this.#random.fraction() < this.lossFraction / 2 ? 6_000 : 60;
    return new Promise((resolve) => void clock.after(this.#random.fraction() * longMs, resolve));
  }
}

/** A clock whose timers do not fire while its process stands still; time goes on meanwhile. */
class ProcessClock implements Clock {
  readonly #clock: SimulatedClock;
  stillUntilMs = -Infinity;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  nowMs = (): number => this.#clock.nowMs();
  monotonicMs = (): number => this.#clock.monotonicMs();

  after(delayMs: number, callback: () => void): { cancel(): void } {
    let timer = this.#clock.after(delayMs, () => {
      const leftMs = this.stillUntilMs - this.#clock.monotonicMs();
      if (leftMs <= 0) return callback();
      timer = this.#clock.after(leftMs, callback);
    });
    return { cancel: () => timer.cancel() };
  }
}

interface Candidate {
  readonly lease: Lease;
  readonly clock: ProcessClock;
  isLost: boolean;
}

const stepMs = 50;

async function advance(clock: SimulatedClock, ms: number, each: () => void): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(stepMs);
    for (let turn = 0; turn < 12; turn++) await Promise.resolve();
    each();
  }
}

test('never two leaders, and one again when the trouble is over', async (t) => {
  const { random } = seedOf(t);
  let takeovers = 0;
  for (let run = 0; run < 20; run++) {
    const clock = new SimulatedClock();
    const store = new Store(clock, random);
    let names = 0;
    const start = (): Candidate => {
      const own = new ProcessClock(clock);
      const candidate: Candidate = {
        isLost: false,
        clock: own,
        lease: new Lease({ client: store.client(own), namespace: 'n', name: 'l', identity: `operator-${names++}`, clock: own, logger: silentLogger, onLost: () => (candidate.isLost = true) }),
      };
      candidate.lease.acquire().catch(() => undefined);
      return candidate;
    };
    const candidates = [start(), start(), start()];
    let leader: Candidate | undefined;
    const check = (): void => {
      const leading = candidates.filter(({ lease }) => lease.isHeld);
      assert.ok(leading.length <= 1, 'two operators lead');
      if (leading[0] !== undefined && leading[0] !== leader) {
        leader = leading[0];
        takeovers++;
      }
      // A process that has lost it ends, and Kubernetes starts another one.
      for (const [index, candidate] of candidates.entries()) if (candidate.isLost) candidates[index] = start();
    };
    for (let phase = 0; phase < 6; phase++) {
      store.lossFraction = phase % 2 === 0 ? 0.02 : random.fraction() * 0.9;
      const victim = candidates[random.uint32() % candidates.length]!;
      if (random.fraction() < 0.5) victim.clock.stillUntilMs = clock.monotonicMs() + random.fraction() * 2 * limits.leaseTakeoverMs;
      await advance(clock, 20_000, check);
    }
    store.lossFraction = 0;
    await advance(clock, 2 * limits.leaseTakeoverMs + 20_000, check);
    assert.equal(candidates.filter(({ lease }) => lease.isHeld).length, 1, 'nobody leads');
    await Promise.all([...candidates.map(({ lease }) => lease.close()), advance(clock, 10_000, () => undefined)]);
  }
  t.diagnostic(`${takeovers} times somebody began to lead`);
  assert.ok(takeovers > 40);
});

test('given back, it is taken at once', async () => {
  const clock = new SimulatedClock();
  const store = new Store(clock, { uint32: () => 0, fraction: () => 0.5, uuid: () => 'u' });
  const make = (identity: string): Lease => new Lease({ client: store.client(clock), namespace: 'n', name: 'l', identity, clock, logger: silentLogger, onLost: () => assert.fail('it was lost') });
  const [first, second] = [make('first'), make('second')];
  void first.acquire();
  await advance(clock, 500, () => undefined);
  second.acquire().catch(() => undefined);
  await advance(clock, 30_000, () => assert.deepEqual([first.isHeld, second.isHeld], [true, false]));
  const closing = first.close();
  await advance(clock, 2 * limits.leaseRenewMs, () => undefined);
  await closing;
  assert.deepEqual([first.isHeld, second.isHeld], [false, true]);
  assert.throws(() => first.assertHeld(), { code: 'UNAVAILABLE' });
  await Promise.all([second.close(), advance(clock, 1_000, () => undefined)]);
});
