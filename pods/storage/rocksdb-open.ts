/**
 * Opens a RocksDB directory: the options and why, and the checks that RocksDB leaves out.
 *
 * What the binding leaves us to choose:
 *  - WAL: every write goes to it without a sync. A process that is killed loses nothing, a machine without power loses a
 *    suffix of whole batches, which the log replays. POINT_IN_TIME recovery stops at the first bad record, so that a
 *    flipped byte there gives an older state, a prefix of the batches, and never wrong bytes. A mode that refuses bad
 *    records would refuse a directory after a loss of power, and the log can repair both.
 *  - Bloom filter of 10 bits a key: most ids of an import are new, and asking for a missing key then reads no block.
 *  - All files stay open and all index and filter blocks in memory, outside the block cache: 2 to 3 bytes a key. The
 *    cache (32 MiB, the binding has no option) is for data blocks alone. RocksDB reads a filter when it opens the file,
 *    and goes on without it when it is damaged; with all files opened at the start, the statistics count it then.
 *  - Statistics, for that count, without histograms and timers.
 *  - Blocks of 4 KiB: 10 vectors of 100 dimensions, or 50 small payloads. A search reads single values from places that
 *    have nothing to do with one another, and each costs its block: reading, a checksum, a place in the cache. Against
 *    blocks of 8 KiB that takes half the bytes, and half a byte more of index for each key. Files say how large their
 *    blocks are, so a directory may hold both.
 *  - Compression is not compiled in; float vectors hardly compress anyway.
 *  - bytesPerSync 1 MiB: files are handed to the disk while they are written, so that the sync at their end is short and
 *    does not hold up the log's.
 */

import { mkdir, open, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { systemErrorCode } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import { rocksdbModule, type Rocksdb } from './rocksdb-binding.ts';
import { rocksdbError } from './rocksdb-errors.ts';
import { manifestDamage } from './rocksdb-manifest.ts';
import { corruptionError, diskFailedError, diskFullError } from './storage-errors.ts';

export interface RocksdbStoreOptions {
  /** Made when it is missing. */
  readonly directory: string;
  /** Bytes of writes held in memory before they go to a file; twice that at most. */
  readonly writeBufferBytes?: number;
}

export async function openRocksdb(options: RocksdbStoreOptions): Promise<Rocksdb> {
  const isNew = await checkDirectory(options.directory);
  const database = new rocksdbModule(options.directory, {
    createIfMissing: isNew,
    maxOpenFiles: -1,
    maxBackgroundJobs: 2,
    bytesPerSync: 1024 * 1024,
    walRecoveryMode: rocksdbModule.constants.walRecoveryMode.POINT_IN_TIME,
    enableStatistics: true,
    statsLevel: rocksdbModule.constants.statsLevel.EXCEPT_HISTOGRAM_OR_TIMERS,
    tableBlockSize: 4 * 1024,
    tableCacheIndexAndFilterBlocks: false,
    filterPolicy: new rocksdbModule.BloomFilterPolicy(10),
    writeBufferSize: options.writeBufferBytes ?? limits.storageWriteBufferBytes,
    maxWriteBufferNumber: 2,
  });
  try {
    await database.ready();
  } catch (error) {
    throw rocksdbError(error, `opening ${options.directory}`);
  }
  try {
    await assertNoBadBlocks(database);
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

/** CORRUPTION when RocksDB has met a bad block since it was opened, even one that it could do without. */
export async function assertNoBadBlocks(database: Rocksdb): Promise<void> {
  const statistics = (await database.getProperty('rocksdb.options-statistics')) ?? '';
  const count = /^rocksdb\.block\.checksum\.mismatch\.count COUNT : (\d+)$/m.exec(statistics)?.[1];
  // Without the count a damaged filter would go unseen.
  if (count === undefined) throw new Error('RocksDB does not count bad blocks; its version is not the one we know');
  if (count !== '0') throw corruptionError(`RocksDB met ${count} blocks that fail their checksum`);
}

/** True when there is no store in the directory yet. */
async function checkDirectory(directory: string): Promise<boolean> {
  try {
    await makeDurableDirectory(directory);
    const names = await readdir(directory);
    if (!names.includes('CURRENT')) {
      const orphan = names.find((name) => name.startsWith('MANIFEST-') || name.endsWith('.sst'));
      // RocksDB would make a new, empty store here and delete these files.
      if (orphan !== undefined) throw corruptionError(`${directory} has ${orphan} but no CURRENT`);
      return true;
    }
    const manifest = (await readFile(join(directory, 'CURRENT'), 'latin1')).trim();
    if (!names.includes(manifest)) throw corruptionError(`CURRENT names a file that ${directory} does not have`);
    const damage = manifestDamage(await readFile(join(directory, manifest)));
    if (damage !== undefined) throw corruptionError(`${manifest}: ${damage}`);
    return false;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOSPC') throw diskFullError(error);
    if (code !== undefined && /^E[A-Z]+$/.test(code)) throw diskFailedError(`cannot read ${directory} (${code})`, error);
    throw error;
  }
}

/** RocksDB syncs its directory but not the name of it. */
async function makeDurableDirectory(directory: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true });
  if (first === undefined) return;
  for (let made = directory; ; made = dirname(made)) {
    const parent = await open(dirname(made), 'r');
    try {
      await parent.sync();
    } finally {
      await parent.close();
    }
    if (made === first || dirname(made) === made) return;
  }
}
