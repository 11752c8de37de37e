/** What the benchmark asks the probe in the server, and what that answers. */

import type { Profiler } from 'node:inspector/promises';

export type ProbeQuestion = 'reset' | 'report' | 'profile-start' | 'profile-stop';

export interface ProbeAnswer {
  readonly question: ProbeQuestion;
  readonly report?: LoopReport;
  readonly profile?: Profiler.Profile;
  /** Callbacks since `profile-start`. */
  readonly slowest?: readonly SlowSpan[];
}

export interface LoopReport {
  readonly turns: SpanFigures;
  readonly callbacks: SpanFigures;
  /** Wall-clock time by which timers came late. */
  readonly delayMaxMs: number;
  readonly delayP99Ms: number;
}

export interface SpanFigures {
  readonly count: number;
  readonly cpuMaxMs: number;
  readonly cpuP999Ms: number;
  readonly cpuP99Ms: number;
  readonly cpuP50Ms: number;
  readonly slowest: readonly SlowSpan[];
}

/** A stretch of the main thread; times are those of the process's monotonic clock. */
export interface SlowSpan {
  readonly name: string;
  readonly cpuMs: number;
  readonly startMicros: number;
  readonly endMicros: number;
}
