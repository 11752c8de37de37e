/**
 * The layout of a data directory, and its format version: a newer one is refused, an older one would be migrated here.
 *
 *     FORMAT          {"format": 1, …}; written last when the directory is made
 *     log/            the pod's log
 *     store/          the pod's RocksDB
 *     checkpoints/    per replica number
 *     metadata/       the cluster's objects (standalone only)
 */

import { join } from 'node:path';
import { ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';

export const directoryFormat = 1;

export interface DataDirectory {
  readonly root: string;
  readonly log: string;
  readonly store: string;
  readonly metadata: string;
  checkpoints(localReplica: number): string;
}

export function dataDirectoryLayout(root: string): DataDirectory {
  return {
    root,
    log: join(root, 'log'),
    store: join(root, 'store'),
    metadata: join(root, 'metadata'),
    checkpoints: (localReplica) => join(root, 'checkpoints', String(localReplica)),
  };
}

/** Makes the directory, or checks that it is one of ours and of a format that this version reads. */
export async function openDataDirectory(fileSystem: FileSystem, root: string, version: string): Promise<DataDirectory> {
  const layout = dataDirectoryLayout(root);
  const formatFile = join(root, 'FORMAT');
  const stored = await fileSystem.readFile(formatFile);
  if (stored !== undefined) {
    checkFormat(root, stored);
    return layout;
  }
  // Only what a first start that was cut off leaves may be there, and what a new file system has in its root.
  const strange = (await fileSystem.list(root)).filter((name) => !['lost+found', 'FORMAT.new', 'log', 'store', 'checkpoints', 'metadata'].includes(name));
  if (strange.length > 0) {
    throw new ShoalError('INVALID_ARGUMENT', `${root} is not empty and not a Shoal data directory (it has "${strange[0]}"); choose another --data-dir`, {
      details: { field: 'data-dir' },
    });
  }
  for (const directory of [root, layout.log, layout.store, join(root, 'checkpoints'), layout.metadata]) await fileSystem.makeDirectory(directory);
  await fileSystem.remove(`${formatFile}.new`);
  const file = await fileSystem.open(`${formatFile}.new`, 'create');
  try {
    await file.write([new TextEncoder().encode(`${JSON.stringify({ format: directoryFormat, createdBy: version })}\n`)], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await fileSystem.rename(`${formatFile}.new`, formatFile);
  await fileSystem.syncDirectory(root);
  return layout;
}

function checkFormat(root: string, stored: Uint8Array): void {
  let format: unknown;
  try {
    format = (JSON.parse(new TextDecoder().decode(stored)) as { format?: unknown }).format;
  } catch (cause) {
    throw new ShoalError('CORRUPTION', `${join(root, 'FORMAT')} cannot be read`, { cause });
  }
  if (typeof format !== 'number' || format < 1) throw new ShoalError('CORRUPTION', `${join(root, 'FORMAT')} names no format`);
  if (format > directoryFormat) {
    throw new ShoalError('FORMAT_TOO_NEW', `${root} has format ${format}; this version reads up to ${directoryFormat}`, {
      details: { found: format, limit: directoryFormat },
    });
  }
}
