/** The machine: what it is, and which core does what. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { say } from './report.ts';

export const serverCore = 0;
export const clientCore = 1;

export interface MachineFacts {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  /** Whether the server has core 0 and the client core 1 to themselves, as far as this benchmark is concerned. */
  readonly pinned: boolean;
  /** Over the last minute, before the benchmark began: well above 0 means that others are using the machine. */
  readonly loadBefore: number;
}

/** Server and client are measured through /proc. */
export function requireLinux(): void {
  if (!existsSync('/proc/self/stat')) throw new Error('the benchmark measures processes through /proc, which only Linux has');
}

/** Moves this process to the client's core. False where that cannot be done. */
export function pinClient(): boolean {
  if (availableParallelism() < 2) return false;
  try {
    pinTo(String(clientCore), process.pid);
    return true;
  } catch {
    say('taskset is missing or may not pin: server and client share the cores');
    return false;
  }
}

/** What this process starts from now on may use all cores again, as it itself. */
export function unpinClient(): void {
  pinTo(`0-${cpus().length - 1}`, process.pid);
}

export function pinServer(pid: number): void {
  pinTo(String(serverCore), pid);
}

/** Moves every thread of the process, and those it will start. */
function pinTo(cores: string, pid: number): void {
  execFileSync('taskset', ['-acp', cores, String(pid)], { stdio: 'ignore' });
}

export function machineFacts(pinned: boolean, loadBefore: number): MachineFacts {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()}`,
    node: process.version,
    pinned,
    loadBefore,
  };
}

export function loadNow(): number {
  return loadavg()[0]!;
}

export function versionsOfPackages(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => [name, (JSON.parse(readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url), 'utf8')) as { version: string }).version]),
  );
}
