/**
 * Control groups of a cluster: one for the processes of each node and of the control plane, one for the pods of each node.
 * Whatever runs in a cluster is in one of them, so that all of it can be found again, also after a command that was killed.
 *
 *     <hierarchy>/shoal-cluster-main/node-1-system    containerd, kubelet, kube-proxy, the shims of containers
 *                                   /node-1           pods (kubelet's cgroupRoot)
 *
 * Version 1 has a hierarchy for each controller, version 2 a single one.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pause } from '../framework/timeouts.ts';
import { startTimeOf } from './process-table.ts';

const mountPoint = '/sys/fs/cgroup';
const isVersion2 = existsSync(join(mountPoint, 'cgroup.controllers'));

/** One directory for each hierarchy. */
const hierarchies: readonly string[] = isVersion2
  ? [mountPoint]
  : existsSync(mountPoint)
    ? readdirSync(mountPoint)
        .map((name) => join(mountPoint, name))
        .filter((directory) => existsSync(join(directory, 'cgroup.procs')))
    : [];

/** The file that takes the ids of the processes that shall be in this group: only this hierarchy is needed to find them. */
export function processesFile(group: string): string {
  return join(isVersion2 ? mountPoint : join(mountPoint, 'pids'), group, 'cgroup.procs');
}

export function makeControlGroup(group: string): void {
  for (const hierarchy of hierarchies) {
    let directory = hierarchy;
    for (const part of group.split('/')) {
      if (isVersion2) enableControllers(directory);
      directory = join(directory, part);
      if (!existsSync(directory)) mkdirSync(directory);
      // A new group of cpuset has no processor and takes no process until it is given some.
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        const path = join(directory, file);
        if (!isVersion2 && existsSync(path) && readFileSync(path, 'utf8').trim() === '') {
          writeFileSync(path, readFileSync(join(dirname(directory), file), 'utf8'));
        }
      }
    }
  }
}

/** Of processor time, beside each single process of the machine that is in no group: all pods of a cluster are in one. */
export function giveWeight(group: string, processCount: number): void {
  const [controller, file, weight] = isVersion2 ? ['', 'cpu.weight', 100 * processCount] : ['cpu', 'cpu.shares', 1_024 * processCount];
  const path = join(mountPoint, controller, group, file);
  if (existsSync(path)) writeFileSync(path, String(weight));
}

function enableControllers(directory: string): void {
  const controllers = readFileSync(join(directory, 'cgroup.controllers'), 'utf8').trim().split(' ');
  for (const controller of controllers.filter((name) => name !== '')) writeFileSync(join(directory, 'cgroup.subtree_control'), `+${controller}`);
}

/** Ids of all processes in the group and below it. */
export function processesIn(group: string): number[] {
  const pids = new Set<number>();
  for (const directory of directoriesOf(group)) {
    for (const line of readLines(join(directory, 'cgroup.procs'))) if (line !== '0') pids.add(Number(line));
  }
  return [...pids];
}

/** Ends all of them, at once. */
export async function killProcessesIn(groups: readonly string[], timeoutMs = 20_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const alive = groups.flatMap(processesIn).filter((pid) => startTimeOf(pid) !== undefined);
    if (alive.length === 0) return;
    if (performance.now() > endMs) throw new Error(`processes ${alive.join(', ')} do not end`);
    // Again and again, because a shim may be starting something just now.
    for (const pid of alive) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await pause(50);
  }
}

/** They must be without processes. */
export async function removeControlGroup(group: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const left = directoriesOf(group).filter((directory) => !tryRemove(directory));
    if (left.length === 0) return;
    if (attempt === 50) throw new Error(`control groups cannot be removed: ${left.join(', ')}`);
    await pause(100);
  }
}

function tryRemove(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** In all hierarchies, the deepest first. */
function directoriesOf(group: string): string[] {
  return hierarchies.flatMap((hierarchy) => below(join(hierarchy, group)));
}

function below(directory: string): string[] {
  if (!existsSync(directory)) return [];
  let names: string[];
  try {
    names = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return []; // Gone meanwhile.
  }
  return [...names.flatMap((name) => below(join(directory, name))), directory];
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '');
  } catch {
    return [];
  }
}
