/**
 * Processes that get no more than a part of a core, by control groups of the kernel, as Kubernetes limits a container:
 * so much CPU time in each 100 ms. Version 1 (a mount of its own for cpu) or 2 (one mount for all). It takes root.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { atEnd, type Owner } from '../../framework/cleanup.ts';
import { say } from '../report.ts';

const periodMicros = 100_000;
const groupPrefix = 'shoal-bench-';

export interface Throttling {
  readonly periods: number;
  /** Of them, those in which the process used all it had. */
  readonly throttled: number;
}

export class CpuLimits {
  readonly how: string;
  readonly #version: 1 | 2;
  readonly #parent: string;
  readonly #groups = new Map<number, string>();

  /** Undefined, with the reason, where this machine or user cannot do it. To be called before the processes' owner starts them: the groups go last. */
  static open(owner: Owner): CpuLimits | string {
    const mount = findMount();
    if (mount === undefined) return 'no control groups for cpu are mounted';
    removeLeftOver(mount.directory);
    const parent = join(mount.directory, `${groupPrefix}${process.pid}`);
    try {
      mkdirSync(parent);
      if (mount.version === 2) {
        writeFileSync(join(mount.directory, 'cgroup.subtree_control'), '+cpu');
        writeFileSync(join(parent, 'cgroup.subtree_control'), '+cpu');
      }
    } catch (error) {
      if (existsSync(parent)) rmdirSync(parent);
      return `control groups (version ${mount.version}) refuse it: ${(error as Error).message}`;
    }
    const limits = new CpuLimits(mount.version, parent);
    atEnd(owner, () => limits.#remove());
    return limits;
  }

  private constructor(version: 1 | 2, parent: string) {
    this.#version = version;
    this.#parent = parent;
    this.how = `control groups, version ${version}, periods of ${periodMicros / 1_000} ms`;
  }

  /** All threads of the process together, from now on. */
  set(pid: number, cores: number): void {
    const group = join(this.#parent, String(pid));
    if (!existsSync(group)) mkdirSync(group);
    const quota = String(Math.round(cores * periodMicros));
    if (this.#version === 2) writeFileSync(join(group, 'cpu.max'), `${quota} ${periodMicros}`);
    else {
      writeFileSync(join(group, 'cpu.cfs_period_us'), String(periodMicros));
      writeFileSync(join(group, 'cpu.cfs_quota_us'), quota);
    }
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
    this.#groups.set(pid, group);
  }

  throttling(pid: number): Throttling {
    const stat = readFileSync(join(this.#groups.get(pid)!, 'cpu.stat'), 'utf8');
    const field = (name: string): number => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(stat)?.[1] ?? NaN);
    return { periods: field('nr_periods'), throttled: field('nr_throttled') };
  }

  /** The processes have ended. */
  #remove(): void {
    for (const group of this.#groups.values()) rmdirSync(group);
    rmdirSync(this.#parent);
  }
}

/** Groups of benchmarks that were interrupted. One that still has processes stays. */
function removeLeftOver(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(groupPrefix) || existsSync(`/proc/${name.slice(groupPrefix.length)}`)) continue;
    const parent = join(directory, name);
    const groups = readdirSync(parent, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    try {
      for (const group of [...groups.map((entry) => join(parent, entry.name)), parent]) rmdirSync(group);
    } catch (error) {
      say(`${parent} stays: ${(error as Error).message}`);
    }
  }
}

function findMount(): { readonly version: 1 | 2; readonly directory: string } | undefined {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n').map((line) => line.split(' '));
  const first = mounts.find(([, , type, options]) => type === 'cgroup' && options!.split(',').includes('cpu'));
  if (first !== undefined) return { version: 1, directory: first[1]! };
  const second = mounts.find(([, directory, type]) => type === 'cgroup2' && readFileSync(join(directory!, 'cgroup.controllers'), 'utf8').split(/\s/).includes('cpu'));
  return second === undefined ? undefined : { version: 2, directory: second[1]! };
}
