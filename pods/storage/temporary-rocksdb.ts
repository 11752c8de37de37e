/** For tests: a directory for RocksDB that goes away with the test, and every store that was opened in it with it. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { KeyValueStore } from './key-value-store.ts';
import { openRocksdbStore } from './rocksdb-store.ts';

export interface TemporaryRocksdb {
  readonly directory: string;
  open(): Promise<KeyValueStore>;
}

export async function temporaryRocksdb(context: TestContext): Promise<TemporaryRocksdb> {
  const parent = await mkdtemp(join(tmpdir(), 'shoal-storage-'));
  const directory = join(parent, 'deep', 'store');
  const opened: KeyValueStore[] = [];
  context.after(async () => {
    for (const store of opened) await store.close();
    await rm(parent, { recursive: true, force: true });
  });
  return {
    directory,
    async open() {
      const store = await openRocksdbStore({ directory });
      opened.push(store);
      return store;
    },
  };
}
