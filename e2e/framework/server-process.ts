/**
 * The real server as a child process: started on free ports, its addresses read from what it prints, ended or killed at
 * will. Whatever happens to the test, no server outlives it.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { atEnd } from './cleanup.ts';
import { serverEnvironment, serverFlags } from './server-runtime.ts';
import { timeoutsMs, within } from './timeouts.ts';

export const checkout = join(import.meta.dirname, '..', '..');

/** Given to every server that a suite starts with `withKey`: the same key over all its restarts. */
export const suiteKey = 'e2e-suite-key-with-every-right';

export interface ServerOptions {
  readonly dataDirectory: string;
  /** Further flags of `shoal standalone`. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** A program and its arguments that run the server, such as strace. */
  readonly under?: readonly string[];
  /** False: the server makes a key of its own at its first start. */
  readonly withKey?: boolean;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ServerProcess {
  readonly pid: number;
  readonly httpUrl: string;
  readonly grpcAddress: string;
  readonly key: string;
  /** From spawning it to its greeting. */
  readonly startMs: number;
  /** What it printed: standard output, and the log lines on standard error. */
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: Promise<Exit>;
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<Exit>;
}

/** A server that ended instead of serving. */
export class ServerRefusedError extends Error {
  readonly exit: Exit;
  readonly stderr: string;

  constructor(exit: Exit, stderr: string) {
    super(`the server ended with ${exit.code ?? exit.signal} before it served:\n${stderr}`);
    this.exit = exit;
    this.stderr = stderr;
  }
}

const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => killGroup(child)));

/** Resolves when the server has printed where it serves; rejects with ServerRefusedError when it ends before. */
export async function startServer(t: TestContext, options: ServerOptions): Promise<ServerProcess> {
  const startedMs = performance.now();
  const child = spawnServer(options);
  atEnd(t, () => killGroup(child));
  const output = { stdout: '', stderr: '' };
  const exit = exitOf(child);
  const greeting = new Promise<void>((resolve, reject) => {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
      if (output.stdout.includes('\n\n\n') || /Try it:\n(.*\n){3}/.test(output.stdout)) resolve();
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    exit.then((ended) => reject(new ServerRefusedError(ended, output.stderr)), reject);
  });
  await within(timeoutsMs.serverStart, 'starting the server', greeting);
  const find = (pattern: RegExp): string => {
    const found = pattern.exec(output.stdout)?.[1];
    if (found === undefined) throw new Error(`the server's greeting lacks ${pattern}:\n${output.stdout}`);
    return found;
  };
  const server: ServerProcess = {
    pid: child.pid!,
    httpUrl: find(/^ {2}HTTP +(\S+)/m),
    grpcAddress: find(/^ {2}gRPC +(\S+)/m),
    key: options.withKey === false ? (/^ {2}key +(\S+)/m.exec(output.stdout)?.[1] ?? '') : suiteKey,
    startMs: performance.now() - startedMs,
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    exit,
    async end(signal) {
      if (signal === 'SIGKILL') killGroup(child);
      else if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return within(timeoutsMs.serverStop, `ending the server by ${signal}`, exit);
    },
  };
  return server;
}

/** Starts a server that is not expected to serve long: the caller kills it when it likes, without waiting for a greeting. */
export function spawnUntilKilled(t: TestContext, options: ServerOptions): { kill(): Promise<Exit> } {
  const child = spawnServer(options);
  atEnd(t, () => killGroup(child));
  const exit = exitOf(child);
  child.stdout!.resume();
  child.stderr!.resume();
  return {
    kill() {
      killGroup(child);
      return within(timeoutsMs.serverStop, 'killing the server', exit);
    },
  };
}

function spawnServer({ dataDirectory, flags = [], environment = {}, under = [], withKey = true }: ServerOptions): ChildProcess {
  const [program, ...args] = [
    ...under,
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    ...serverFlags,
    join(checkout, 'shoal.ts'),
    'standalone',
    ...['--http-port', '0', '--grpc-port', '0', '--data-dir', dataDirectory],
    ...flags,
  ];
  const child = spawn(program!, args, {
    // A group of its own, so that a wrapper (strace, unshare) and what it runs end together.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...serverEnvironment, ...cleanEnvironment(), ...(withKey ? { SHOAL_API_KEYS: suiteKey } : {}), ...environment },
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** The environment without what would configure a server or a client behind the test's back. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SHOAL_') && name !== 'API_KEYS' && !/^(https?|all|no|grpc)_proxy$/i.test(name));
  return { UV_THREADPOOL_SIZE: '8', NODE_COMPILE_CACHE: join(checkout, 'node_modules', '.cache', 'node-compile'), ...Object.fromEntries(kept), NODE_OPTIONS: '' };
}

function exitOf(child: ChildProcess): Promise<Exit> {
  const exit = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    // 'close' comes after the last of its output.
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  exit.catch(() => undefined);
  return exit;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Ended meanwhile.
  }
}
