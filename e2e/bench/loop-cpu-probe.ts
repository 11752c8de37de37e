/**
 * Loaded into the server with `--import` when the benchmark wants to know what its event loop does; a server started
 * without it pays nothing. Two measures, both of CPU time of the main thread (a busy machine stretches wall-clock time):
 *
 *   turn       from one check phase of the loop to the next: all callbacks of one turn together, an upper bound of each.
 *              An immediate without a reference runs once per turn and does not keep the loop from sleeping.
 *   callback   from one outermost callback to the next, as `async_hooks` sees them; its ticks and promises count in.
 *
 * The parent asks over IPC; see event-loop.ts for the messages.
 */

import { createHook, executionAsyncResource } from 'node:async_hooks';
import { Session, type Profiler } from 'node:inspector/promises';
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';
import type { LoopReport, ProbeAnswer, ProbeQuestion, SlowSpan } from './probe-messages.ts';

const slowestKept = 8;

function probe(answer: (message: ProbeAnswer) => void): void {
  const turns = new SpanRecorder();
  const callbacks = new SpanRecorder();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();

  const everyTurn = (): void => {
    turns.next('turn');
    setImmediate(everyTurn).unref();
  };
  setImmediate(everyTurn).unref();

  let depth = 0;
  createHook({
    before() {
      if (depth++ > 0) return;
      const name = (executionAsyncResource() as { constructor?: { name?: string } }).constructor?.name ?? 'Object';
      // Ticks and microtasks belong to the callback that queued them.
      if (name !== 'Object' && name !== 'AsyncResource') callbacks.next(name);
    },
    after() {
      depth--;
    },
    // Left out of the types so far.
    ...{ trackPromises: false },
  }).enable();

  let session: Session | undefined;
  const reset = (): void => {
    turns.reset();
    callbacks.reset();
    delay.reset();
  };
  const handle = async (question: ProbeQuestion): Promise<ProbeAnswer> => {
    switch (question) {
      case 'reset':
        reset();
        return { question };
      case 'report':
        return { question, report: { turns: turns.report(), callbacks: callbacks.report(), delayMaxMs: delay.max / 1e6, delayP99Ms: delay.percentile(99) / 1e6 } satisfies LoopReport };
      case 'profile-start':
        session = new Session();
        session.connect();
        await session.post('Profiler.enable');
        await session.post('Profiler.setSamplingInterval', { interval: 500 });
        await session.post('Profiler.start');
        reset();
        return { question };
      case 'profile-stop': {
        const slowest = callbacks.report().slowest;
        const { profile } = (await session!.post('Profiler.stop')) as { profile: Profiler.Profile };
        session!.disconnect();
        return { question, profile, slowest };
      }
    }
  };
  process.on('message', (question: ProbeQuestion) => void handle(question).then(answer));
  process.channel?.unref();
}

/** CPU time between calls of `next`, given to the name of the call that began it. */
class SpanRecorder {
  readonly #cpuNanoseconds = createHistogram();
  #slowest: SlowSpan[] = [];
  #name = 'start';
  #sinceCpuMicros = cpuMicros();
  #sinceMicros = nowMicros();

  next(name: string): void {
    const cpu = cpuMicros();
    const now = nowMicros();
    const spentMicros = cpu - this.#sinceCpuMicros;
    if (spentMicros > 0) this.#cpuNanoseconds.record(Math.round(spentMicros * 1_000));
    const least = this.#slowest.length < slowestKept ? 0 : this.#slowest.at(-1)!.cpuMs;
    if (spentMicros / 1_000 > least) {
      this.#slowest.push({ name: this.#name, cpuMs: spentMicros / 1_000, startMicros: this.#sinceMicros, endMicros: now });
      this.#slowest.sort((a, b) => b.cpuMs - a.cpuMs).splice(slowestKept);
    }
    [this.#name, this.#sinceCpuMicros, this.#sinceMicros] = [name, cpu, now];
  }

  reset(): void {
    this.#cpuNanoseconds.reset();
    this.#slowest = [];
    [this.#name, this.#sinceCpuMicros, this.#sinceMicros] = ['reset', cpuMicros(), nowMicros()];
  }

  report(): LoopReport['turns'] {
    const histogram = this.#cpuNanoseconds;
    const of = (fraction: number): number => histogram.percentile(fraction) / 1e6;
    return { count: histogram.count, cpuMaxMs: histogram.count === 0 ? 0 : histogram.max / 1e6, cpuP999Ms: of(99.9), cpuP99Ms: of(99), cpuP50Ms: of(50), slowest: this.#slowest };
  }
}

function cpuMicros(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** The clock of V8's profiles. */
function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

// Workers inherit the flags of the process.
if (isMainThread && process.send !== undefined) probe((answer) => process.send!(answer));
