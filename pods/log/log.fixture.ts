/** What the log's tests share: small logs in memory, and their files as bytes that a test may damage. */

import { systemClock } from '../kernel/clock.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { seededRandom } from '../kernel/random.ts';
import type { LogEntry, PodLog, ReplicaLog } from './log.ts';
import { openPodLog, type PodLogOptions } from './pod-log.ts';

export const logDirectory = '/data/log';

export const memoryDisk = (seed = 1): FaultyFileSystem => faultyFileSystem({ random: seededRandom(seed) });

export function openLog(fileSystem: FileSystem, options: Partial<PodLogOptions> = {}): Promise<PodLog> {
  return openPodLog({ directory: logDirectory, fileSystem, clock: systemClock, ...options });
}

/** Entries from `fromSeq` on with one payload each. */
export function entriesOf(term: number, fromSeq: number, ...payloads: (string | Uint8Array)[]): LogEntry[] {
  return payloads.map((payload, index) => ({
    term,
    seq: fromSeq + index,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
  }));
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

/** All that a replica's log holds, as "term.seq payload". */
export async function contents(replica: ReplicaLog): Promise<string[]> {
  const entries = await collect(replica.read(replica.firstSeq, replica.lastSeq));
  return entries.map(({ term, seq, payload }) => `${term}.${seq} ${Buffer.from(payload).toString('latin1')}`);
}

export type Files = ReadonlyMap<string, Uint8Array>;

export async function filesOf(fileSystem: FileSystem): Promise<Files> {
  const files = new Map<string, Uint8Array>();
  for (const name of await fileSystem.list(logDirectory)) {
    files.set(name, (await fileSystem.readFile(`${logDirectory}/${name}`))!);
  }
  return files;
}

export async function diskWith(files: Files): Promise<FaultyFileSystem> {
  const disk = memoryDisk();
  await disk.makeDirectory(logDirectory);
  for (const [name, bytes] of files) {
    const handle = await disk.open(`${logDirectory}/${name}`, 'create');
    await handle.write([bytes], 0);
    await handle.sync();
    await handle.close();
  }
  await disk.syncDirectory(logDirectory);
  return disk;
}
