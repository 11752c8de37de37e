/**
 * One process of a cluster as a child: started again and again in the same place, with the same ports; its output goes to
 * one file over all its lives. Ended by its own id, and never left behind.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout, cleanEnvironment, type Exit } from '../server-process.ts';
import { eventually, pause, timeoutsMs, within } from '../timeouts.ts';

export interface ClusterProcessOptions {
  /** What logs and failures call it. */
  readonly name: string;
  /** The first word after `shoal`. */
  readonly command: 'pod' | 'gateway' | 'failover-controller' | 'operator';
  /** Read anew at each start. */
  readonly flags: () => readonly string[];
  readonly readyUrl: string;
  /** Where its output is appended. */
  readonly logFile: string;
  /** A program and its arguments that run it, such as `ip netns exec …`. */
  readonly under?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Read anew at each start, like `flags`. */
  readonly extraFlags?: () => readonly string[];
  /** Of Node itself. */
  readonly nodeFlags?: readonly string[];
  /** It can talk to this process over IPC; see `child`. */
  readonly withChannel?: boolean;
}

const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class ClusterProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #options: ClusterProcessOptions;
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> | undefined;
  /** Ends that nobody asked for. */
  readonly unexpectedExits: Exit[] = [];
  #isEnding = false;

  constructor(options: ClusterProcessOptions) {
    this.#options = options;
    this.name = options.name;
    this.logFile = options.logFile;
  }

  get pid(): number {
    if (!this.isRunning) throw new Error(`${this.name} does not run`);
    return this.#child!.pid!;
  }

  get child(): ChildProcess {
    if (!this.isRunning) throw new Error(`${this.name} does not run`);
    return this.#child!;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** It has ended, and nobody asked for that. */
  get hasFallen(): boolean {
    return this.#child !== undefined && !this.isRunning && !this.#isEnding;
  }

  /** Does not wait until it serves. */
  spawn(): void {
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const { command, flags, under = [], environment = {}, extraFlags = () => [], nodeFlags = [], withChannel = false } = this.#options;
    const [program, ...args] = [...under, process.execPath, '--disable-warning=ExperimentalWarning', ...nodeFlags, join(checkout, 'shoal.ts'), command, ...flags(), ...extraFlags()];
    const output = openSync(this.logFile, 'a');
    const child = spawn(program!, args, {
      stdio: ['ignore', output, output, ...(withChannel ? (['ipc'] as const) : [])],
      env: { ...cleanEnvironment(), ...environment },
      serialization: 'advanced',
    });
    closeSync(output);
    running.add(child);
    this.#isEnding = false;
    this.#child = child;
    this.#exit = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        running.delete(child);
        if (!this.#isEnding) this.unexpectedExits.push({ code, signal });
        resolve({ code, signal });
      });
    });
    this.#exit.catch(() => undefined);
  }

  /** Until it says that it is ready. */
  async ready(timeoutMs: number = timeoutsMs.serverStart): Promise<void> {
    await eventually(timeoutMs, `${this.name} to be ready`, async () => {
      if (!this.isRunning) throw new Error(`${this.name} ended before it was ready:\n${lastLines(this.logFile, 20)}`);
      return (await answers(this.#options.readyUrl)) ? true : undefined;
    });
  }

  /** Until it runs and says that it is not ready. */
  async unready(): Promise<void> {
    await eventually(timeoutsMs.serverStart, `${this.name} to say that it is not ready`, async () => {
      const response = await fetch(this.#options.readyUrl, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
      await response?.arrayBuffer();
      return response?.status === 503 ? true : undefined;
    });
  }

  async start(): Promise<void> {
    this.spawn();
    await this.ready();
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child!.kill(signal);
  }

  /** Stands still, with all its connections open, until `resume`. */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  kill(): Promise<Exit | undefined> {
    return this.end('SIGKILL');
  }

  /** Sends the signal and waits for the end; undefined when it does not run. */
  async end(signal: NodeJS.Signals): Promise<Exit | undefined> {
    if (!this.isRunning) return undefined;
    this.#isEnding = true;
    this.#child!.kill(signal);
    try {
      return await within(timeoutsMs.serverStop + (signal === 'SIGTERM' ? 60_000 : 0), `ending ${this.name} by ${signal}`, this.#exit!);
    } catch (error) {
      this.#child!.kill('SIGKILL');
      await this.#exit;
      throw error;
    }
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    await pause(20);
    return false;
  }
}

function lastLines(file: string, count: number): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
}
