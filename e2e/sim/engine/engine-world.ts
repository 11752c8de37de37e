/** What all parts of a life share: the machine and the process on it, chance, time, and the work that is under way. */

import assert from 'node:assert/strict';
import type { RequestContext } from '../../../pods/api/context.ts';
import type { Idempotency } from '../../../pods/domain/write.ts';
import { ShoalError, type ErrorCode } from '../../../pods/kernel/errors.ts';
import { below, seededRandom, type Random } from '../../../pods/kernel/random.ts';
import { noSpan } from '../../../pods/kernel/span.ts';
import type { CollectionModel } from './collection-model.ts';
import { Machine, type EngineProcess } from './machine.ts';

/** More turns than any request needs when nothing is broken. */
export const turnCountMax = 6_000;
export const allParts = { includeVector: true, includePayload: true, consistency: { level: 'linearizable' } } as const;

/** Errors that say that nothing was done. */
export const refusals: readonly ErrorCode[] = ['STORAGE_READ_ONLY', 'UNAVAILABLE', 'NOT_PRIMARY', 'OVERLOADED', 'SHUTTING_DOWN'];
const doubts: readonly ErrorCode[] = ['OUTCOME_UNKNOWN', 'CANCELLED'];

export class EngineWorld {
  readonly story: string[] = [];
  readonly counts = new Map<string, number>();
  readonly random: Random;
  readonly machine: Machine;
  process!: EngineProcess;
  readonly collections = new Map<string, CollectionModel>();
  readonly inFlight = new Set<Promise<void>>();
  failure: Error | undefined;
  mustCrash = false;
  /** Bits have flipped. */
  isDamaged = false;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.machine = new Machine(this.random);
  }

  context(idempotency?: Idempotency, signal: AbortSignal = new AbortController().signal): RequestContext {
    const identity = { subject: 'simulation', actions: ['read', 'write', 'admin'], collections: 'all' } as const;
    return { requestId: 'simulated', identity, signal, span: noSpan, ...(idempotency === undefined ? {} : { idempotency }) };
  }

  /** Remembers a failed check of work that nobody awaits. */
  track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => void (this.failure ??= error as Error))
      .finally(() => this.inFlight.delete(tracked));
    this.inFlight.add(tracked);
  }

  /** Lets errors pass that a broken disk explains. */
  guard(what: string, work: Promise<unknown>): Promise<void> {
    const process = this.process;
    const guarded = work.then(
      () => undefined,
      (error: unknown) => void (process === this.process && this.expectedCode(what, error)),
    );
    this.track(guarded);
    return guarded;
  }

  expectedCode(what: string, error: unknown): ErrorCode | undefined {
    const code = error instanceof ShoalError ? error.code : undefined;
    if (code !== undefined && (refusals.includes(code) || doubts.includes(code))) return code;
    // What a checkpoint meets on a broken disk stays within the shard.
    if (what === 'checkpoint' && error instanceof Error && 'code' in error) return undefined;
    this.failure ??= new Error(`${what} failed: ${String(error)}`, { cause: error });
    return undefined;
  }

  /** Alone of its kind, but requests that are under way go on. A crash may come in the middle. */
  async exclusive(what: string, work: () => Promise<void>): Promise<void> {
    this.count(what);
    const done = this.guard(what, work());
    if (this.chance(0.2)) {
      await this.turns(this.below(30));
      this.mustCrash = true;
      return;
    }
    // A process that fails meanwhile may leave it unanswered.
    await this.drive(done, () => this.process.failure() !== undefined);
  }

  /** Lets the world go on until the work has settled, or is given up: then it answers nothing. */
  async drive<T>(work: Promise<T>): Promise<T>;
  async drive<T>(work: Promise<T>, isGivenUp: () => boolean): Promise<T | undefined>;
  async drive<T>(work: Promise<T>, isGivenUp = (): boolean => false): Promise<T | undefined> {
    let isSettled = false;
    const settled = (): void => void (isSettled = true);
    work.then(settled, settled);
    for (let turn = 0; !isSettled; turn++) {
      if (isGivenUp()) return undefined;
      assert(turn < turnCountMax, 'a request never ends');
      await this.turns(1);
      this.machine.clock.advance(this.below(40));
    }
    return work;
  }

  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
  }

  pickCollection(): [string, CollectionModel] | undefined {
    const all = [...this.collections];
    return all.length === 0 ? undefined : this.pick(all);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  shuffled<T>(values: readonly T[]): T[] {
    return values.map((value) => [this.random.fraction(), value] as const).sort(([a], [b]) => a - b).map(([, value]) => value);
  }

  below(bound: number): number {
    return below(this.random, bound);
  }

  chance(probability: number): boolean {
    return this.random.fraction() < probability;
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  tell(line: string): void {
    this.story.push(line);
  }
}
