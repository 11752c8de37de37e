/** The server as a process of its own, on its own core, started, watched, killed and started again on the same data. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serverEnvironment, serverFlags } from '../framework/server-runtime.ts';
import { serverCore } from './machine.ts';
import type { MeasuredProcess } from './process-usage.ts';

const program = fileURLToPath(new URL('../../shoal.ts', import.meta.url));
/** Node's flag that loads the probe of the event loop; it takes a channel to this process too. */
export const probeFlag = `--import=${new URL('./loop-cpu-probe.ts', import.meta.url).href}`;

export const apiKey = 'benchmark-key-benchmark-key-benchmark-key';

export interface ServerOptions {
  readonly dataDirectory: string;
  readonly pinned: boolean;
  /** Load the probe of the event loop into the server; see loop-cpu-probe.ts. */
  readonly withProbe?: boolean;
  readonly flags?: readonly string[];
}

/** A server as those see it who ask it and measure it, be it one process or several. */
export interface AskedServer {
  readonly address: string;
  /** Where it is not the benchmark's own. */
  readonly apiKey?: string;
  readonly processes: readonly MeasuredProcess[];
}

export interface ServerProcess extends AskedServer {
  readonly pid: number;
  readonly child: ChildProcess;
  /** `performance.now()` of the moment before the process was made. */
  readonly startedMs: number;
  /** When it said that everything serves. */
  readonly readyMs: number;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number | null>;
}

export async function startServer({ dataDirectory, pinned, withProbe = false, flags = [] }: ServerOptions): Promise<ServerProcess> {
  const grpcPort = await freePort();
  const args = [
    '--disable-warning=ExperimentalWarning',
    ...serverFlags,
    ...(withProbe ? [probeFlag] : []),
    program,
    'standalone',
    ...['--data-dir', dataDirectory, '--http-port', '0', '--grpc-port', String(grpcPort), '--log-level', 'warn'],
    ...flags,
  ];
  const [command, commandArgs] = pinned ? ['taskset', ['-c', String(serverCore), process.execPath, ...args]] : [process.execPath, args];
  const log = openSync(`${dataDirectory}.log`, 'a');
  const startedMs = performance.now();
  const child = spawn(command, commandArgs, {
    stdio: ['ignore', 'pipe', log, ...(withProbe ? (['ipc'] as const) : [])],
    env: { UV_THREADPOOL_SIZE: '8', ...serverEnvironment, ...process.env, API_KEYS: apiKey },
    serialization: 'advanced',
  });
  closeSync(log);
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  running.add(child);
  void ended.then(() => running.delete(child));
  await Promise.race([
    greeting(child),
    ended.then(([code]) => {
      throw new Error(`the server ended with exit code ${code} before it served:\n${readFileSync(`${dataDirectory}.log`, 'utf8').slice(-4_000)}`);
    }),
  ]);
  const pid = child.pid!;
  return {
    address: `127.0.0.1:${grpcPort}`,
    processes: [{ role: 'standalone', pid }],
    pid,
    child,
    startedMs,
    readyMs: performance.now(),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      child.kill('SIGTERM');
      return (await ended)[0];
    },
  };
}

const running = new Set<ChildProcess>();

/** For the end of the benchmark, whichever way it comes. */
export function killServers(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** A directory for data, and beside it a file for the server's log lines. */
export async function makeDataDirectory(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'shoal-bench-')), 'data');
}

export async function removeDataDirectory(directory: string): Promise<void> {
  await rm(join(directory, '..'), { recursive: true, force: true });
}

/** The server prints its addresses once it serves. */
function greeting(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout!.setEncoding('utf8');
    child.stdout!.on('data', (part: string) => {
      text += part;
      if (text.includes('gRPC')) resolve();
    });
  });
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
