/**
 * Programs of a cluster as processes that outlive the command which starts them. Each is recorded by its id and start time,
 * and ended by them.
 *
 *     <cluster>/processes/<name>.json    {pid, startTime}
 *     <cluster>/logs/<name>.log          what it prints
 */

import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../framework/timeouts.ts';
import { processesFile } from './control-groups.ts';
import { searchPath } from './command.ts';
import type { Cluster, Place } from './description.ts';
import { startTimeOf } from './process-table.ts';

export interface ProcessSpec {
  /** Of the cluster's processes none other has it. */
  readonly name: string;
  /** The network and the control group that it runs in. */
  readonly place: Place;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export type Flags = Readonly<Record<string, string>>;

export function flagList(flags: Flags): string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

const logBytesMax = 64 * 1024 * 1024;
const graceMs = 5_000;

interface Recorded {
  readonly pid: number;
  readonly startTime: string;
}

/** Nothing happens when it runs already. */
export function startProcess(cluster: Cluster, spec: ProcessSpec): void {
  if (isRunning(cluster, spec.name)) return;
  const log = logFile(cluster, spec.name);
  mkdirSync(join(cluster.directory, 'processes'), { recursive: true });
  mkdirSync(join(cluster.directory, 'logs'), { recursive: true });
  if (existsSync(log) && statSync(log).size > logBytesMax) truncateSync(log);
  const output = openSync(log, 'a');
  try {
    // It enters its control group by itself, before it can start anything that would be outside of it.
    const enter = 'echo $$ > "$0" && exec "$@"';
    const command = ['nsenter', `--net=/run/netns/${spec.place.namespace}`, '--', spec.program, ...spec.args];
    const child = spawn('sh', ['-c', enter, processesFile(spec.place.controlGroup), ...command], {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: cluster.directory,
      env: { PATH: searchPath(), HOME: '/root', ...spec.env },
    });
    if (child.pid === undefined) throw new Error(`${spec.name} cannot be started`);
    child.once('error', () => undefined);
    child.unref();
    const recorded: Recorded = { pid: child.pid, startTime: startTimeOf(child.pid) ?? '' };
    writeFileSync(recordFile(cluster, spec.name), JSON.stringify(recorded));
  } finally {
    closeSync(output);
  }
}

export function isRunning(cluster: Cluster, name: string): boolean {
  return pidOf(cluster, name) !== undefined;
}

export function pidOf(cluster: Cluster, name: string): number | undefined {
  const recorded = readRecord(cluster, name);
  return recorded !== undefined && startTimeOf(recorded.pid) === recorded.startTime ? recorded.pid : undefined;
}

/** SIGKILL follows when it does not heed the signal. */
export async function stopProcess(cluster: Cluster, name: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  const pid = pidOf(cluster, name);
  if (pid !== undefined) {
    const startedMs = performance.now();
    process.kill(pid, signal);
    process.kill(pid, 'SIGCONT');
    while (pidOf(cluster, name) === pid) {
      if (performance.now() - startedMs > graceMs) process.kill(pid, 'SIGKILL');
      await pause(20);
    }
  }
  rmSync(recordFile(cluster, name), { force: true });
}

/** The last lines of what it printed, for the failure that may come. */
export function lastLines(cluster: Cluster, name: string, count = 20): string {
  const log = logFile(cluster, name);
  if (!existsSync(log)) return '';
  return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
}

export function logFile(cluster: Cluster, name: string): string {
  return join(cluster.directory, 'logs', `${name}.log`);
}

function recordFile(cluster: Cluster, name: string): string {
  return join(cluster.directory, 'processes', `${name}.json`);
}

function readRecord(cluster: Cluster, name: string): Recorded | undefined {
  try {
    return JSON.parse(readFileSync(recordFile(cluster, name), 'utf8')) as Recorded;
  } catch {
    return undefined;
  }
}
