/**
 * Ordered shutdown: named stages, each with its time, run in the order in which they were added. A stage that fails or
 * does not end in its time is logged and left behind, and the exit code becomes 1. A second signal ends the process at
 * once, unless it comes so soon that it is the first one, delivered twice.
 */

import type { Clock } from './clock.ts';
import { limits } from './limits.ts';
import type { Logger } from './logger.ts';

export interface ShutdownStage {
  readonly name: string;
  readonly timeoutMs: number;
  run(): Promise<void>;
}

export interface Shutdown {
  /** Stages run in order: what must stop first is added first. */
  add(stage: ShutdownStage): void;
  /** Runs the stages once; later calls get the same promise. Resolves to the exit code. */
  begin(reason: string): Promise<number>;
  readonly begun: boolean;
}

export function createShutdown(clock: Clock, logger: Logger): Shutdown {
  const stages: ShutdownStage[] = [];
  let running: Promise<number> | undefined;

  const run = async (reason: string): Promise<number> => {
    const startedMs = clock.monotonicMs();
    logger.info({ reason }, 'shutting down');
    let exitCode = 0;
    for (const stage of stages) {
      const outcome = await runStage(clock, stage);
      if (outcome.kind === 'done') logger.debug({ stage: stage.name }, 'shutdown stage done');
      else {
        exitCode = 1;
        if (outcome.kind === 'timeout') logger.error({ stage: stage.name, timeoutMs: stage.timeoutMs }, 'shutdown stage took too long and was left');
        else logger.error({ stage: stage.name, error: outcome.error }, 'shutdown stage failed');
      }
    }
    logger.info({ exitCode, tookMs: Math.round(clock.monotonicMs() - startedMs) }, 'shut down');
    return exitCode;
  };

  return {
    add: (stage) => void stages.push(stage),
    begin: (reason) => (running ??= run(reason)),
    get begun() {
      return running !== undefined;
    },
  };
}

type StageOutcome = { kind: 'done' } | { kind: 'timeout' } | { kind: 'failed'; error: unknown };

function runStage(clock: Clock, stage: ShutdownStage): Promise<StageOutcome> {
  return new Promise((resolve) => {
    const timer = clock.after(stage.timeoutMs, () => resolve({ kind: 'timeout' }));
    const settle = (outcome: StageOutcome): void => {
      timer.cancel();
      resolve(outcome);
    };
    Promise.resolve()
      .then(() => stage.run())
      .then(
        () => settle({ kind: 'done' }),
        (error: unknown) => settle({ kind: 'failed', error }),
      );
  });
}

/** The part of `process` that signals need; a test gives its own. */
export interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  exit(code: number): void;
}

/**
 * Begins the shutdown at SIGTERM or SIGINT and exits with its code; a second one exits at once with 128 + its number. The
 * same signal within `limits.sameSignalMs` is the first one again: who signals a process group reaches the server once
 * directly and once through the program that started it.
 */
export function exitOnSignals(source: SignalSource, shutdown: Shutdown, clock: Clock): void {
  let first: { readonly signal: string; readonly atMs: number } | undefined;
  for (const [signal, number] of [['SIGTERM', 15], ['SIGINT', 2]] as const) {
    source.on(signal, () => {
      if (first?.signal === signal && clock.monotonicMs() - first.atMs < limits.sameSignalMs) return;
      if (shutdown.begun) return source.exit(128 + number);
      first = { signal, atMs: clock.monotonicMs() };
      void shutdown.begin(signal).then((exitCode) => source.exit(exitCode));
    });
  }
}
