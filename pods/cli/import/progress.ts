/** How far a long command is: a bar on a terminal, else a line every few seconds. */

import type { Terminal } from '../terminal.ts';

const lineIntervalMs = 5_000;
const barIntervalMs = 200;
const rateWindowMs = 10_000;

export interface Progress {
  /** `fraction` from 0 to 1, or undefined when the end is not known. */
  update(points: number, fraction: number | undefined): void;
  /** A line that stays. */
  note(text: string): void;
  stop(): void;
}

export const silentProgress: Progress = { update: () => undefined, note: () => undefined, stop: () => undefined };

export async function startProgress(terminal: Terminal, quiet: boolean, verb: string): Promise<Progress> {
  if (quiet) return { ...silentProgress, note: (text) => void terminal.stderr.write(`${text}\n`) };
  return terminal.interactive ? barProgress(terminal, verb) : lineProgress(terminal, verb);
}

function lineProgress(terminal: Terminal, verb: string): Progress {
  const meter = rateMeter(terminal);
  let shownMs = terminal.clock.monotonicMs();
  return {
    update(points, fraction) {
      meter.add(points, fraction);
      if (terminal.clock.monotonicMs() - shownMs < lineIntervalMs) return;
      shownMs = terminal.clock.monotonicMs();
      terminal.stderr.write(`${verb} ${statusText(points, fraction, meter)}\n`);
    },
    note: (text) => void terminal.stderr.write(`${text}\n`),
    stop: () => undefined,
  };
}

async function barProgress(terminal: Terminal, verb: string): Promise<Progress> {
  const { SingleBar, Presets } = (await import('cli-progress')).default;
  const bar = new SingleBar({ format: `${verb} {bar} {status}`, stream: terminal.stderr as NodeJS.WriteStream, hideCursor: true, clearOnComplete: false, barsize: 24 }, Presets.shades_classic);
  const meter = rateMeter(terminal);
  bar.start(1000, 0, { status: '' });
  let shownMs = -Infinity;
  let last: (() => void) | undefined;
  return {
    update(points, fraction) {
      meter.add(points, fraction);
      last = () => bar.update(Math.round((fraction ?? 0) * 1000), { status: statusText(points, fraction, meter) });
      if (terminal.clock.monotonicMs() - shownMs < barIntervalMs) return;
      shownMs = terminal.clock.monotonicMs();
      last();
    },
    note(text) {
      // Over the bar, which is drawn again below.
      terminal.stderr.write(`\r\u001b[K${text}\n`);
    },
    stop() {
      last?.();
      bar.stop();
    },
  };
}

interface RateMeter {
  add(points: number, fraction: number | undefined): void;
  pointsPerSecond(): number;
  secondsLeft(): number | undefined;
}

/** Rates of the last seconds, so that a slow start or a pause does not colour the rest. */
function rateMeter(terminal: Terminal): RateMeter {
  const samples: { atMs: number; points: number; fraction: number | undefined }[] = [];
  const span = (): { ms: number; points: number; fraction: number | undefined } => {
    const first = samples[0];
    const last = samples.at(-1);
    if (first === undefined || last === undefined) return { ms: 0, points: 0, fraction: undefined };
    const fraction = first.fraction === undefined || last.fraction === undefined ? undefined : last.fraction - first.fraction;
    return { ms: last.atMs - first.atMs, points: last.points - first.points, fraction };
  };
  return {
    add(points, fraction) {
      const atMs = terminal.clock.monotonicMs();
      samples.push({ atMs, points, fraction });
      while (samples.length > 2 && (atMs - samples[0]!.atMs > rateWindowMs || samples.length > 1_000)) samples.shift();
    },
    pointsPerSecond() {
      const { ms, points } = span();
      return ms === 0 ? 0 : (points / ms) * 1_000;
    },
    secondsLeft() {
      const { ms, fraction } = span();
      const done = samples.at(-1)?.fraction;
      return fraction === undefined || fraction <= 0 || done === undefined ? undefined : ((1 - done) / fraction) * (ms / 1_000);
    },
  };
}

function statusText(points: number, fraction: number | undefined, meter: RateMeter): string {
  const left = meter.secondsLeft();
  const parts = [`${points.toLocaleString('en')} points`, `${Math.round(meter.pointsPerSecond()).toLocaleString('en')}/s`];
  if (fraction !== undefined) parts.unshift(`${(fraction * 100).toFixed(1)} %`);
  if (left !== undefined) parts.push(`${durationText(left)} left`);
  return parts.join(', ');
}

export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
