/** Shards on pods that answer as a test says, in simulated time, for the tests of the router. */

import type { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import type { ShardTarget } from '../domain/pod-service.ts';
import type { ShardContext, ShardSearch, ShardSearchAnswer, ShardService } from '../domain/shard-service.ts';
import { startDeadline } from '../kernel/deadline.ts';
import { ShoalError, type ErrorCode } from '../kernel/errors.ts';
import { noSpan } from '../kernel/span.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ShardPods, Routes } from './shard-client.ts';
import type { ShardRoute } from './routed-collection.ts';
import { Waiters } from './waiters.ts';

export interface PodCall {
  readonly pod: string;
  readonly method: keyof ShardService;
  readonly epoch: number;
  readonly atMs: number;
  readonly signal: AbortSignal;
  /** What follows the context. */
  readonly args: readonly unknown[];
}

type Behaviour = (call: PodCall) => Promise<unknown>;

export class TestPods implements ShardPods {
  readonly clock: SimulatedClock;
  readonly calls: PodCall[] = [];
  /** By pod; the default answers with the pod's name. */
  readonly behaviours = new Map<string, Behaviour>();

  constructor(clock: SimulatedClock) {
    this.clock = clock;
  }

  pod(name: string): { shard(target: ShardTarget): ShardService } {
    return {
      shard: ({ epoch }) =>
        new Proxy({} as ShardService, {
          get: (_, method) => (context: ShardContext, ...args: unknown[]) => {
            const call: PodCall = { pod: name, method: method as keyof ShardService, epoch, atMs: this.clock.monotonicMs(), signal: context.signal, args };
            this.calls.push(call);
            return (this.behaviours.get(name) ?? answers)(call);
          },
        }),
    };
  }

  /** Pods in the order in which they were asked. */
  get asked(): string[] {
    return this.calls.map(({ pod }) => pod);
  }
}

const answers: Behaviour = ({ pod }) => Promise.resolve(searchAnswer(pod));

export function fails(code: ErrorCode): Behaviour {
  return ({ pod }) => Promise.reject(new ShoalError(code, `${pod} says ${code}`));
}

/** First these errors, one a call, then answers. */
export function failsFirst(...codes: ErrorCode[]): Behaviour {
  return (call) => {
    const code = codes.shift();
    return code === undefined ? answers(call) : fails(code)(call);
  };
}

/** Answers after `delayMs`, unless it is cancelled. */
export function answersAfter(clock: SimulatedClock, delayMs: number): Behaviour {
  return (call) =>
    new Promise((resolve, reject) => {
      const timer = clock.after(delayMs, () => resolve(answers(call)));
      call.signal.addEventListener('abort', () => {
        timer.cancel();
        reject(call.signal.reason as Error);
      });
    });
}

/** One hit that is named after the pod. */
export function searchAnswer(pod: string): ShardSearchAnswer {
  return { hits: [{ id: pod, version: 1, score: 1 }], plan: 'scan', visitedCount: undefined, seq: 1 };
}

/** The routes of a test's shards, which it changes at will. */
export class TestRoutes implements Routes {
  readonly #waiters: Waiters;
  readonly #routes = new Map<string, ShardRoute>();
  readonly doubts: string[] = [];
  staleness: string | undefined;

  constructor(clock: SimulatedClock) {
    this.#waiters = new Waiters(clock);
  }

  set(route: ShardRoute): ShardRoute {
    this.#routes.set(route.shardUID, route);
    this.#waiters.wake(route.collectionObject);
    return route;
  }

  remove(route: ShardRoute): void {
    this.#routes.delete(route.shardUID);
    this.#waiters.wake(route.collectionObject);
  }

  current(route: ShardRoute): ShardRoute | undefined {
    return this.#routes.get(route.shardUID);
  }

  doubt(_: ShardRoute, about: 'collection' | 'shard'): void {
    this.doubts.push(about);
  }

  routeChanged(route: ShardRoute, withinMs: number, signal: AbortSignal): Promise<void> {
    return this.#waiters.until(route.collectionObject, () => this.current(route)?.version !== route.version, withinMs, signal);
  }

  outOfDate(): string | undefined {
    return this.staleness;
  }
}

/** The first of `pods` is the primary. */
export function testRoute(pods: readonly string[], changes: Partial<ShardRoute> = {}): ShardRoute {
  const route = { collectionObject: 'docs', collectionUID: 'docs-uid', shardUID: 'shard-0', index: 0, epoch: 1, primary: pods[0], inSync: pods, ...changes };
  return { ...route, version: JSON.stringify(route) };
}

export const testSearch: ShardSearch = {
  vector: Float32Array.of(1),
  topK: 1,
  ef: undefined,
  exact: false,
  filter: undefined,
  scoreThreshold: undefined,
  countVisited: false,
  consistency: { level: 'eventual' },
  includeVector: false,
  includePayload: false,
};

export function testContext(clock: SimulatedClock, timeoutMs: number): ShardContext {
  return { signal: startDeadline(clock, timeoutMs).signal, span: noSpan };
}

/** Lets time go on until the promise has settled. */
export async function settle<T>(clock: SimulatedClock, promise: Promise<T>, stepMs = 1): Promise<PromiseSettledResult<T>> {
  let outcome: PromiseSettledResult<T> | undefined;
  promise.then(
    (value) => (outcome = { status: 'fulfilled', value }),
    (reason: unknown) => (outcome = { status: 'rejected', reason }),
  );
  for (let turn = 0; outcome === undefined; turn++) {
    if (turn > 1_000_000) throw new Error('it never settles');
    await new Promise(setImmediate);
    if (outcome === undefined) clock.advance(stepMs);
  }
  return outcome;
}

/** The value, or the error's code. */
export async function outcomeOf<T>(clock: SimulatedClock, promise: T | Promise<T>, stepMs = 1): Promise<T | ErrorCode> {
  const outcome = await settle(clock, Promise.resolve(promise), stepMs);
  if (outcome.status === 'fulfilled') return outcome.value;
  if (outcome.reason instanceof ShoalError) return outcome.reason.code;
  throw outcome.reason;
}

/** Counts by name and labels. */
export class CountedMetrics implements Metrics {
  readonly counts: Record<string, number> = {};

  counter(name: string, labels: object): { add(amount: number): void } {
    const key = [name, ...Object.values(labels)].join(' ');
    return { add: (amount) => void (this.counts[key] = (this.counts[key] ?? 0) + amount) };
  }

  histogram(): { record(): void } {
    return { record: () => undefined };
  }

  observe(): () => void {
    return () => undefined;
  }
}
