/** A program of the control plane as a child process: its output kept for the failure that may come, ended by its id. */

import { spawn, type ChildProcess } from 'node:child_process';
import { timeoutsMs, within } from '../timeouts.ts';

const outputLineCountMax = 60;

/** What SIGTERM is given before SIGKILL: an API server with open watches of custom resources takes minutes to end by itself. */
const graceMs = 3_000;

const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export interface ControlPlaneProcess {
  readonly pid: number;
  readonly hasEnded: boolean;
  /** The last lines that it printed. */
  readonly output: string;
  signal(signal: NodeJS.Signals): void;
  /** Sends the signal, SIGKILL a while later, and waits for the end. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export function startProcess(program: string, flags: Readonly<Record<string, string>>): ControlPlaneProcess {
  const child = spawn(
    program,
    Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  running.add(child);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      lines.push(...text.trimEnd().split('\n'));
      lines.splice(0, lines.length - outputLineCountMax);
    });
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.once('error', (error) => lines.push(error.message));
  child.once('exit', () => running.delete(child));
  const hasEnded = (): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    get hasEnded() {
      return hasEnded();
    },
    get output() {
      return lines.join('\n');
    },
    signal(signal) {
      if (!hasEnded()) child.kill(signal);
    },
    async end(signal) {
      if (hasEnded()) return;
      child.kill(signal);
      // One that is stopped hears nothing but this and SIGKILL.
      child.kill('SIGCONT');
      const late = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await within(timeoutsMs.serverStop, `ending ${program}`, ended).finally(() => clearTimeout(late));
    },
  };
}
