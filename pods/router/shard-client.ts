/**
 * Requests of shards, sent to the pods that hold them (in this process, or over the network): to the primary
 * or, where the consistency allows it, to any replica in sync. What failed without a result that counts is sent again
 * (`retry-rule.ts`) until the request's signal aborts, at most `limits.shardRetryMsMax` after its first failure:
 *
 *     send ──► answered
 *      ▲  └──► failed ──► another replica that may answer                       at once
 *      │              └─► none: wait until the map changes, or for a while ──┐
 *      └─────────────────────────────────────────────────────────────────────┘
 */

import type { Clock } from '../kernel/clock.ts';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Random } from '../kernel/random.ts';
import type { Consistency } from '../domain/consistency.ts';
import type { PodService } from '../domain/pod-service.ts';
import type { ShardContext, ShardService } from '../domain/shard-service.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Hedging } from './hedging.ts';
import { ReplicaChoice } from './replica-choice.ts';
import { ReplicaRace } from './replica-race.ts';
import { requestKinds } from './request-kinds.ts';
import { contradictsMap, leavesDoubt, mayBeSentAgain, type Repeatability } from './retry-rule.ts';
import type { ShardRoute } from './routed-collection.ts';
import { askWhileItLeads } from './succession.ts';

/** What the client needs of the cluster map. */
export interface Routes {
  /** The newest route of the same shard; undefined when nothing is routed to it any more. */
  current(route: ShardRoute): ShardRoute | undefined;
  /** A pod sees it otherwise, or cannot be reached while the map may be old. */
  doubt(route: ShardRoute, about: 'collection' | 'shard'): void;
  /** Resolves when the route has changed, or after `withinMs`. */
  routeChanged(route: ShardRoute, withinMs: number, signal: AbortSignal): Promise<void>;
  /** Why the map may be old. */
  outOfDate(): string | undefined;
}

/** What it needs of a `PodClient`. */
export interface ShardPods {
  pod(name: string): Pick<PodService, 'shard'>;
}

export interface ShardClientOptions {
  readonly pods: ShardPods;
  readonly routes: Routes;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
}

type Send<Answer> = (service: ShardService, context: ShardContext) => Promise<Answer>;

interface Request<Answer> {
  readonly name: keyof ShardService;
  readonly consistency?: Consistency | undefined;
  readonly repeatability: Repeatability;
  readonly send: Send<Answer>;
}

export class ShardClient {
  readonly #options: ShardClientOptions;
  readonly #race: ReplicaRace;
  readonly #services = new WeakMap<ShardRoute, ShardService>();

  constructor(options: ShardClientOptions) {
    const { clock, random, metrics } = options;
    this.#options = options;
    this.#race = new ReplicaRace({ choice: new ReplicaChoice(clock, random), hedging: new Hedging(), clock, metrics });
  }

  /** STALE_EPOCH when nothing is routed to the shard any more: the caller has to route anew. */
  shard(route: ShardRoute): ShardService {
    let service = this.#services.get(route);
    if (service === undefined) this.#services.set(route, (service = this.#serviceOf(route)));
    return service;
  }

  #serviceOf(route: ShardRoute): ShardService {
    const read = <Answer>(name: keyof ShardService, context: ShardContext, consistency: Consistency | undefined, send: Send<Answer>): Promise<Answer> =>
      this.#run(route, context, { name, repeatability: 'read', send, consistency });
    return {
      write: (context, write, idempotency) =>
        this.#run(route, context, {
          name: 'write',
          repeatability: idempotency === undefined ? 'write' : 'recognised-write',
          send: (service, at) => service.write(at, write, idempotency),
        }),
      deleteMatching: (context, filter) => this.#deleteMatching(route, context, filter),
      get: (context, request) => read('get', context, request.consistency, (service, at) => service.get(at, request)),
      scroll: (context, request) => read('scroll', context, request.consistency, (service, at) => service.scroll(at, request)),
      count: (context, request) => read('count', context, request.consistency, (service, at) => service.count(at, request)),
      search: (context, request) => read('search', context, request.consistency, (service, at) => service.search(at, request)),
      getRecord: (context, key) => read('getRecord', context, undefined, (service, at) => service.getRecord(at, key)),
      scanRecords: (context, request) => read('scanRecords', context, undefined, (service, at) => service.scanRecords(at, request)),
      describe: (context) => read('describe', context, undefined, (service, at) => service.describe(at)),
    };
  }

  /** Works in chunks: what an attempt deleted before it failed counts too. */
  async #deleteMatching(route: ShardRoute, context: ShardContext, filter: Parameters<ShardService['deleteMatching']>[1]): ReturnType<ShardService['deleteMatching']> {
    let deletedBefore = 0;
    const send: Send<Awaited<ReturnType<ShardService['deleteMatching']>>> = async (service, at) => {
      try {
        return await service.deleteMatching(at, filter);
      } catch (error) {
        if (error instanceof ShoalError) deletedBefore += Number(error.details['deletedCount'] ?? 0);
        throw error;
      }
    };
    try {
      const { deletedCount, token } = await this.#run(route, context, { name: 'deleteMatching', repeatability: 'write', send });
      return { deletedCount: deletedBefore + deletedCount, token };
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
      throw new ShoalError(error.code, error.message, { details: { ...error.details, deletedCount: deletedBefore }, cause: error });
    }
  }

  async #run<Answer>(known: ShardRoute, context: ShardContext, request: Request<Answer>): Promise<Answer> {
    const { routes, clock } = this.#options;
    let firstFailureMs: number | undefined;
    let failureCount = 0;
    let mayBeDone = false;
    for (;;) {
      const route = routes.current(known);
      if (route === undefined) throw inDoubt(mayBeDone, new ShoalError('STALE_EPOCH', `nothing is routed to shard ${known.shardUID} any more`));
      try {
        return await this.#send(route, context, request);
      } catch (error) {
        const failure = asShoalError(error);
        if (context.signal.aborted) throw explained(context.signal, failure);
        if (!mayBeSentAgain(failure.code, request.repeatability) || requestKinds[request.name].fails === 'at-once') throw inDoubt(mayBeDone, error);
        mayBeDone ||= request.repeatability !== 'read' && leavesDoubt(failure.code);
        const nowMs = clock.monotonicMs();
        firstFailureMs ??= nowMs;
        if (nowMs - firstFailureMs >= limits.shardRetryMsMax) throw inDoubt(mayBeDone, error);
        this.#options.metrics.counter('routerRetries', { operation: request.name, code: failure.code }).add(1);
        failureCount = await this.#pause(route, failure, failureCount, context.signal);
      }
    }
  }

  #send<Answer>(route: ShardRoute, context: ShardContext, { name, consistency, repeatability, send }: Request<Answer>): Promise<Answer> {
    const { primary, inSync } = route;
    if (primary === undefined) throw new ShoalError('NOT_PRIMARY', `shard ${route.shardUID} has no primary yet`);
    const ask = (pod: string, at: ShardContext): Promise<Answer> => send(this.#options.pods.pod(pod).shard(route), at);
    const anyReplica = requestKinds[name].answeredBy === 'by-consistency' && consistency?.level !== 'linearizable';
    if (!anyReplica || inSync.length === 1) return this.#askPrimary(primary, route, context, repeatability, ask);
    return this.#race.run({ shardUID: route.shardUID, pods: inSync, lateGoesTo: consistency?.level === 'session' ? primary : undefined, context, ask });
  }

  /** Of a write that nobody would recognise when it came again, only this primary can tell what became. Where nobody else is in sync, nobody follows. */
  #askPrimary<Answer>(primary: string, route: ShardRoute, context: ShardContext, repeatability: Repeatability, ask: (pod: string, at: ShardContext) => Promise<Answer>): Promise<Answer> {
    const { clock, routes } = this.#options;
    if (repeatability === 'write' || route.inSync.length === 1) return ask(primary, context);
    const succeeded = (): ShoalError | undefined => {
      const next = routes.current(route)?.primary;
      if (next === primary) return undefined;
      const [code, outcome] = repeatability === 'read' ? (['UNAVAILABLE', ''] as const) : (['OUTCOME_UNKNOWN', '; the write may or may not have happened'] as const);
      return new ShoalError(code, `${primary} has not answered, and ${next ?? 'nobody'} leads now${outcome}`);
    };
    return askWhileItLeads({ clock, signal: context.signal, succeeded, ask: (signal) => ask(primary, { ...context, signal }) });
  }

  /** Waits for news of the shard, or a growing time with chance in it. Resolves to the failures since the last news. */
  async #pause(route: ShardRoute, failure: ShoalError, failureCount: number, signal: AbortSignal): Promise<number> {
    const { routes, random } = this.#options;
    const isNews = (): boolean => routes.current(route)?.version !== route.version;
    // Where there are news already the next attempt follows at once, but for the first, short pause.
    const known = isNews();
    if (!known && contradictsMap(failure.code)) routes.doubt(route, failure.code === 'STALE_EPOCH' ? 'collection' : 'shard');
    else if (!known && routes.outOfDate() !== undefined) routes.doubt(route, 'shard');
    const longestMs = Math.min(limits.shardRetryPauseMsMax, limits.shardRetryFirstPauseMs * 2 ** (known ? 0 : failureCount));
    const pauseMs = longestMs * (0.5 + random.fraction() / 2);
    try {
      await routes.routeChanged(known ? (routes.current(route) ?? route) : route, pauseMs, signal);
    } catch (error) {
      if (signal.aborted) throw explained(signal, failure);
      throw error;
    }
    return known || isNews() ? 0 : failureCount + 1;
  }
}

/** That this attempt did nothing says nothing of one before it whose fate is not known. */
function inDoubt(mayBeDone: boolean, error: unknown): unknown {
  const failure = asShoalError(error);
  if (!mayBeDone || failure.code === 'OUTCOME_UNKNOWN') return error;
  return new ShoalError('OUTCOME_UNKNOWN', `an earlier attempt may or may not have been done; the last one met: ${failure.message}`, { details: { ...failure.details, lastCode: failure.code }, cause: failure });
}

/** The signal's own reason, with what the last attempt had met. */
function explained(signal: AbortSignal, failure: ShoalError): unknown {
  const reason: unknown = signal.reason;
  if (!(reason instanceof ShoalError) || failure === reason || failure.code === reason.code) return reason;
  return new ShoalError(reason.code, `${reason.message}; before that: ${failure.message}`, { details: { ...reason.details, lastCode: failure.code }, cause: failure });
}
