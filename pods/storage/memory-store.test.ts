import { keyValueStoreConformance } from './key-value-store.conformance.ts';
import { openMemoryStore } from './memory-store.ts';
import { SortedMap } from './sorted-map.ts';

keyValueStoreConformance('memory', async () => {
  const map = new SortedMap();
  return { store: openMemoryStore(map), reopen: async () => openMemoryStore(map) };
});
