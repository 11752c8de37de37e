/** What the command line does to a data directory that no server has open: restore into it, verify it. */

import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { systemClock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { nodeFileSystem } from '../kernel/node-file-system.ts';
import { systemRandom } from '../kernel/random.ts';
import { programVersion } from '../kernel/version.ts';
import { openPodLog } from '../log/pod-log.ts';
import { restoreBackup as restore } from '../service/backup.ts';
import { openDataDirectory } from '../service/data-directory.ts';
import { ReplicaRegistry } from '../service/replica-registry.ts';
import { verifyParts, type Verification } from '../service/verify.ts';
import { openRocksdbStore } from '../storage/rocksdb-store.ts';

export function restoreBackup({ from, to }: { readonly from: string; readonly to: string }): ReturnType<typeof restore> {
  return restore({ from: resolve(from), to: resolve(to) });
}

/** Opening cuts a torn tail off the log, as a start would; nothing else is changed. */
export async function verifyDirectory({ dataDirectory }: { readonly dataDirectory: string }): Promise<Verification> {
  const root = resolve(dataDirectory);
  if ((await stat(join(root, 'FORMAT')).catch(() => undefined)) === undefined) {
    throw new ShoalError('INVALID_ARGUMENT', `${root} is not a Shoal data directory`, { details: { field: 'data-dir' } });
  }
  const directory = await openDataDirectory(nodeFileSystem, root, programVersion());
  const store = await openRocksdbStore({ directory: directory.store });
  try {
    const log = await openPodLog({ directory: directory.log, fileSystem: nodeFileSystem, clock: systemClock });
    try {
      const registry = await ReplicaRegistry.open(store, systemRandom);
      return await verifyParts({ fileSystem: nodeFileSystem, directory, log, store, replicas: registry.all() }, new AbortController().signal);
    } finally {
      await log.close();
    }
  } finally {
    await store.close();
  }
}
