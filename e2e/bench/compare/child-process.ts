/** Processes that the benchmark starts: each leads a session of its own, so that nothing of it is left when it shall end. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const stopGraceMs = 60_000;
const running = new Set<ChildProcess>();

export interface ProcessSettings {
  readonly core: number | undefined;
  readonly logPath: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Whether we talk to it through stdin and stdout; otherwise stdout goes into its log too. */
  readonly piped?: boolean;
}

export interface OwnProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly startedMs: number;
  /** Rejects with the end of its log when it ends before we stop it. */
  readonly failed: Promise<never>;
  /** SIGTERM, and what has not ended after a minute is killed. */
  stop(): Promise<void>;
}

export function startProcess(command: string, args: readonly string[], { core, logPath, env, cwd, piped = false }: ProcessSettings): OwnProcess {
  const [program, programArgs] = core === undefined ? [command, args] : ['taskset', ['-c', String(core), command, ...args]];
  const log = openSync(logPath, 'a');
  const startedMs = performance.now();
  const child = spawn(program, programArgs, {
    stdio: piped ? ['pipe', 'pipe', log] : ['ignore', log, log],
    detached: true,
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  closeSync(log);
  running.add(child);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`));
  });
  void ended.then(() => running.delete(child));
  const failed = ended.then((how) => {
    throw new Error(`${command}: ${how}\n${readFileSync(logPath, 'utf8').slice(-1_500)}`);
  });
  failed.catch(() => {});
  return {
    child,
    pid: child.pid ?? -1,
    startedMs,
    failed,
    async stop() {
      signalGroup(child, 'SIGTERM');
      const impatience = new AbortController();
      await Promise.race([ended, sleep(stopGraceMs, undefined, { signal: impatience.signal }).catch(() => {})]);
      impatience.abort();
      signalGroup(child, 'SIGKILL');
      await ended;
    },
  };
}

/** For the end of the benchmark, whichever way it comes. */
export function killOwnProcesses(): void {
  for (const child of running) signalGroup(child, 'SIGKILL');
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // All of it has ended.
  }
}

/** Runs a command to its end, at a lower priority; throws with the end of what it said. */
export async function runCommand(command: string, args: readonly string[], timeoutMs: number): Promise<string> {
  const child = spawn('nice', ['-n', '10', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), timeoutMs);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${signal === null ? `exit code ${code}` : `${signal}, after at most ${timeoutMs / 1_000} s`}\n${output.trim().slice(-1_000)}`);
    return output;
  } finally {
    clearTimeout(timer);
    running.delete(child);
  }
}

/** Asks until an answer comes; gives up when the process has ended. */
export async function waitFor<Result>(what: string, own: Pick<OwnProcess, 'failed'>, timeoutMs: number, ask: () => Promise<Result>): Promise<Result> {
  const giveUpMs = performance.now() + timeoutMs;
  const asking = async (): Promise<Result> => {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (performance.now() > giveUpMs) throw new Error(`${what}: not after ${timeoutMs / 1_000} s`, { cause: error });
        await sleep(20);
      }
    }
  };
  return Promise.race([asking(), own.failed]);
}

export function programExists(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined;
}
