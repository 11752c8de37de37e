/** What a process uses, from /proc. */

import { readdirSync, readFileSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** The kernel reports CPU time to user space in hundredths of a second, whatever its own tick. */
export const microsecondsPerTick = 10_000;

/** The fields of /proc/<pid>/stat behind the second, the program's name, which may hold spaces and brackets. */
export function statFields(stat: string): number[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ').map(Number);
}

/** A field of /proc/<pid>/status; 0 where it is missing, as in a process that has just ended. */
export function kilobytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
}

/** User and system time of all threads of the process, those that have ended too. */
export function cpuMicroseconds(pid: number): number {
  const fields = statFields(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return (fields[11]! + fields[12]!) * microsecondsPerTick;
}

export interface MeasuredProcess {
  /** What tables call it. */
  readonly role: string;
  readonly pid: number;
}

/** CPU time so far of all of them. */
export function cpuOfAll(processes: readonly { readonly pid: number }[]): number {
  return processes.reduce((sum, { pid }) => sum + cpuMicroseconds(pid), 0);
}

/** CPU time so far by kind of thread, such as `gateway: event loop`. What a thread that has ended took is not in it. */
export function cpuByThreads(processes: readonly MeasuredProcess[]): ReadonlyMap<string, number> {
  const cpu = new Map<string, number>();
  for (const { role, pid } of processes) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const stat = readOrEmpty(`/proc/${pid}/task/${thread}/stat`);
      if (stat === '') continue;
      const fields = statFields(stat);
      const kind = `${role}: ${Number(thread) === pid ? 'event loop' : kindOfThread(nameIn(stat))}`;
      cpu.set(kind, (cpu.get(kind) ?? 0) + (fields[11]! + fields[12]!) * microsecondsPerTick);
    }
  }
  return cpu;
}

function kindOfThread(name: string): string {
  if (/^(V8Worker|DelayedTask|SignalInsp)/.test(name)) return 'V8';
  if (name === 'shoal-index') return 'vector core';
  return 'files and store';
}

function nameIn(stat: string): string {
  return stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
}

/** A process or thread may end between the listing and the look. */
export function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export interface MemoryUse {
  readonly residentBytes: number;
  /** Not backed by a file: what the process cannot give back. */
  readonly anonymousBytes: number;
  /** Pages of mappings that are locked: they cannot be given back either. */
  readonly lockedBytes: number;
  readonly residentPeakBytes: number;
}

export function memoryUse(pid: number): MemoryUse {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => kilobytes(status, name) * 1024;
  return { residentBytes: field('VmRSS'), anonymousBytes: field('RssAnon'), lockedBytes: field('VmLck'), residentPeakBytes: field('VmHWM') };
}

/** Space that the files under a directory take on the disk, in all and by entry of the directory. */
export async function diskUse(directory: string): Promise<{ totalBytes: number; byEntry: Record<string, number> }> {
  const byEntry: Record<string, number> = {};
  for (const entry of await readdir(directory)) byEntry[entry] = await sizeOnDisk(join(directory, entry));
  return { totalBytes: Object.values(byEntry).reduce((sum, bytes) => sum + bytes, 0), byEntry };
}

async function sizeOnDisk(path: string): Promise<number> {
  try {
    const entry = await lstat(path);
    if (!entry.isDirectory()) return entry.blocks * 512;
    const sizes = await Promise.all((await readdir(path)).map((name) => sizeOnDisk(join(path, name))));
    return sizes.reduce((sum, bytes) => sum + bytes, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0; // Deleted while we looked: the server goes on working.
    throw error;
  }
}
