/** A store whose calls take a few turns of the event loop, as those of a real one do, by seed. */

import { below, type Random } from '../../../pods/kernel/random.ts';
import type { KeyValueStore } from '../../../pods/storage/key-value-store.ts';

export function slowStore(store: KeyValueStore, random: Random): KeyValueStore {
  const pause = async (): Promise<void> => {
    for (let turn = random.fraction() < 0.3 ? below(random, 4) : 0; turn > 0; turn--) await new Promise(setImmediate);
  };
  return {
    async get(key) {
      const value = await store.get(key);
      await pause();
      return value;
    },
    async getMany(keys) {
      await pause();
      return store.getMany(keys);
    },
    async *scan(range, signal) {
      for await (const slice of store.scan(range, signal)) {
        await pause();
        yield slice;
      }
    },
    async write(batch) {
      await store.write(batch);
      await pause();
    },
    async flush() {
      await pause();
      await store.flush();
    },
    snapshot: () => store.snapshot(),
    verify: (signal) => store.verify(signal),
    compact: (start, end) => store.compact(start, end),
    statistics: () => store.statistics(),
    close: () => store.close(),
  };
}
