/**
 * One read that any replica in sync may answer: sent to one, to the next where one fails, and to a second one where the
 * first is late. The first answer wins, and the others are cancelled.
 */

import type { Clock } from '../kernel/clock.ts';
import { inheritDeadline } from '../kernel/deadline.ts';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import type { ShardContext } from '../domain/shard-service.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Hedging } from './hedging.ts';
import type { ReplicaChoice } from './replica-choice.ts';
import { mayBeSentAgain } from './retry-rule.ts';

export interface ReplicaRaceOptions {
  readonly choice: ReplicaChoice;
  readonly hedging: Hedging;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export interface RacedRead<Answer> {
  readonly shardUID: string;
  /** In sync, the primary first; more than one. */
  readonly pods: readonly string[];
  /** Who has the answer for sure, where others may lack what the caller has seen already. */
  readonly lateGoesTo: string | undefined;
  readonly context: ShardContext;
  readonly ask: (pod: string, context: ShardContext) => Promise<Answer>;
}

interface Attempt {
  readonly pod: string;
  readonly isHedge: boolean;
  readonly startedMs: number;
  readonly abort: AbortController;
}

export class ReplicaRace {
  readonly #options: ReplicaRaceOptions;

  constructor(options: ReplicaRaceOptions) {
    this.#options = options;
  }

  /** Rejects with the error of the last replica that was asked, or with one that says the request itself is wrong. */
  run<Answer>({ shardUID, pods, lateGoesTo, context, ask }: RacedRead<Answer>): Promise<Answer> {
    const { choice, hedging, clock, metrics } = this.#options;
    const { signal, span } = context;
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const untried = new Set(pods);
      const running = new Set<Attempt>();
      let isOver = false;

      const end = (reason: ShoalError): void => {
        isOver = true;
        late.cancel();
        overdue.cancel();
        signal.removeEventListener('abort', onAbort);
        for (const attempt of running) {
          // Given up: it would have taken longer still.
          choice.measured(shardUID, attempt.pod, clock.monotonicMs() - attempt.startedMs);
          attempt.abort.abort(reason);
        }
      };
      const onAbort = (): void => {
        end(signal.reason as ShoalError);
        reject(signal.reason as Error);
      };
      const start = (pod: string, isHedge: boolean): void => {
        untried.delete(pod);
        const attempt: Attempt = { pod, isHedge, startedMs: clock.monotonicMs(), abort: new AbortController() };
        inheritDeadline(attempt.abort.signal, signal);
        running.add(attempt);
        choice.began(pod);
        void asked(() => ask(pod, { signal: attempt.abort.signal, span })).then(
          (answer) => arrived(attempt, () => won(attempt, answer)),
          (error: unknown) => arrived(attempt, () => failed(attempt, error)),
        );
      };
      const arrived = (attempt: Attempt, then: () => void): void => {
        running.delete(attempt);
        choice.ended(attempt.pod);
        if (!isOver) then();
      };
      const won = (attempt: Attempt, answer: Answer): void => {
        const tookMs = clock.monotonicMs() - attempt.startedMs;
        choice.measured(shardUID, attempt.pod, tookMs);
        hedging.measured(shardUID, tookMs);
        if (attempt.isHedge) metrics.counter('routerHedges', { outcome: 'won' }).add(1);
        end(new ShoalError('CANCELLED', 'another replica answered first'));
        resolve(answer);
      };
      const failed = (attempt: Attempt, error: unknown): void => {
        const { code } = asShoalError(error);
        if (!mayBeSentAgain(code, 'read')) {
          end(new ShoalError('CANCELLED', 'another replica refused the request'));
          return reject(error as Error);
        }
        choice.failed(shardUID, attempt.pod);
        if (untried.size > 0 && running.size === 0) {
          metrics.counter('routerFailovers', { code }).add(1);
          return start(choice.choose(shardUID, [...untried]), false);
        }
        if (running.size > 0) return;
        end(new ShoalError('CANCELLED', 'no replica answered'));
        reject(error as Error);
      };
      const hedge = (why: 'late' | 'overdue'): void => {
        if (running.size !== 1 || untried.size === 0 || !hedging.spend(why)) return;
        metrics.counter('routerHedges', { outcome: 'sent' }).add(1);
        start(lateGoesTo !== undefined && untried.has(lateGoesTo) ? lateGoesTo : choice.choose(shardUID, [...untried]), true);
      };

      signal.addEventListener('abort', onAbort, { once: true });
      hedging.earn();
      const late = clock.after(hedging.delayMs(shardUID), () => hedge('late'));
      const overdue = clock.after(hedging.overdueMs(shardUID), () => {
        // It seems to hang: others that read had better not wait for it too.
        for (const attempt of running) choice.failed(shardUID, attempt.pod);
        hedge('overdue');
      });
      start(choice.choose(shardUID, pods), false);
    });
  }
}

/** What the pod throws at once is a failure like any other. */
async function asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  return ask();
}
