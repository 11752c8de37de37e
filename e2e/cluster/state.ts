/**
 * Which clusters there are on this machine: a directory each, with the number that its addresses follow from. A lock keeps
 * two commands from changing one cluster at once.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterNumberMax, clustersDirectory, describeCluster, type Cluster } from './description.ts';
import { startTimeOf } from './process-table.ts';
import { ClusterError } from './cluster-error.ts';
import { mustBeRoot } from './prerequisites.ts';

const fileName = 'cluster.json';

export function clusterNames(): string[] {
  if (!existsSync(clustersDirectory)) return [];
  return readdirSync(clustersDirectory)
    .filter((name) => existsSync(join(clustersDirectory, name, fileName)))
    .sort();
}

export function findCluster(name: string): Cluster | undefined {
  const file = join(clustersDirectory, name, fileName);
  if (!existsSync(file)) return undefined;
  return describeCluster(name, (JSON.parse(readFileSync(file, 'utf8')) as { number: number }).number);
}

/** Gives it the first free number if it is new. */
export function registerCluster(name: string): Cluster {
  const found = findCluster(name);
  if (found !== undefined) return found;
  const taken = new Set(clusterNames().map((other) => findCluster(other)!.number));
  for (let number = 0; number <= clusterNumberMax; number++) {
    if (taken.has(number) || !reserve(number, name)) continue;
    const cluster = describeCluster(name, number);
    mkdirSync(cluster.directory, { recursive: true });
    writeFileSync(join(cluster.directory, fileName), `${JSON.stringify({ number })}\n`);
    return cluster;
  }
  throw new ClusterError(`there are ${taken.size} clusters already (${clusterNames().join(', ')}); take one down first`);
}

/** Two clusters that are made at the same time shall not have one number. */
function reserve(number: number, name: string): boolean {
  const file = reservation(number);
  try {
    writeFileSync(file, name, { flag: 'wx' });
  } catch {
    // Of a command that died before the cluster had a directory, perhaps this one's.
    return readFileSync(file, 'utf8') === name;
  }
  return true;
}

function reservation(number: number): string {
  return join(clustersDirectory, `.number-${number}`);
}

export function forgetCluster(cluster: Cluster): void {
  rmSync(cluster.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  rmSync(reservation(cluster.number), { force: true });
}

/** One command at a time for each cluster; a command that died holds nothing. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  mustBeRoot();
  mkdirSync(clustersDirectory, { recursive: true });
  const file = join(clustersDirectory, `.${name}.lock`);
  const mine = JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) });
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(file);
    if (holder !== undefined && startTimeOf(holder.pid) === holder.startTime) {
      throw new ClusterError(`another command is at work on cluster ${name} (process ${holder.pid}); wait for its end`);
    }
    rmSync(file, { force: true });
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function readHolder(file: string): { readonly pid: number; readonly startTime: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { pid: number; startTime: string };
  } catch {
    return undefined;
  }
}
