/**
 * What a server uses with all its processes, from /proc: some start others, and some of those end before we look. A process that
 * ended counts as long as a parent of the tree has waited for it, because the kernel adds its time to that parent's.
 */

import { readdirSync } from 'node:fs';
import { kilobytes, microsecondsPerTick, readOrEmpty, statFields } from '../process-usage.ts';

export interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** User and system time of its threads, and of the children it has waited for. */
  readonly cpuMicros: number;
}

/** One line of /proc/<pid>/stat. */
export function parseStat(stat: string): ProcessRow {
  const fields = statFields(stat);
  const ticks = fields[11]! + fields[12]! + fields[13]! + fields[14]!;
  return { pid: parseInt(stat, 10), parent: fields[1]!, session: fields[3]!, cpuMicros: ticks * microsecondsPerTick };
}

/** The root, what descends from it, and what else is in a session that it leads (a child whose parent has ended). */
export function treeOf(root: number, rows: readonly ProcessRow[]): ProcessRow[] {
  const tree = new Set([root]);
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent, session } of rows) {
      if (tree.has(pid) || !(tree.has(parent) || session === root)) continue;
      tree.add(pid);
      grown = true;
    }
  }
  return rows.filter(({ pid }) => tree.has(pid));
}

export function treeCpuMicros(root: number): number {
  return treeOf(root, readProcesses()).reduce((sum, { cpuMicros }) => sum + cpuMicros, 0);
}

export interface TreeMemory {
  readonly processes: number;
  readonly residentBytes: number;
  /** Not backed by a file: what it cannot give back. */
  readonly anonymousBytes: number;
}

export function treeMemory(root: number): TreeMemory {
  const statuses = treeOf(root, readProcesses()).map(({ pid }) => readOrEmpty(`/proc/${pid}/status`));
  const sum = (field: string): number => statuses.reduce((total, status) => total + kilobytes(status, field) * 1024, 0);
  return { processes: statuses.length, residentBytes: sum('VmRSS'), anonymousBytes: sum('RssAnon') };
}

function readProcesses(): ProcessRow[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readOrEmpty(`/proc/${name}/stat`))
    .filter((stat) => stat !== '')
    .map(parseStat);
}
