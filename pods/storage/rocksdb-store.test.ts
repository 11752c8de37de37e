import { keyValueStoreConformance } from './key-value-store.conformance.ts';
import { temporaryRocksdb } from './temporary-rocksdb.ts';

keyValueStoreConformance('rocksdb', async (context) => {
  const { open } = await temporaryRocksdb(context);
  return { store: await open(), reopen: open };
});
