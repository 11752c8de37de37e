/** A `RecordStore` in memory, for tests. It hands out nothing that a caller could change. */

import type { RecordStore, StoredRecord } from '../api/records.ts';
import { ShoalError } from '../kernel/errors.ts';

export function memoryRecords(): RecordStore & { readonly all: Map<string, StoredRecord>; scanCount: number } {
  const all = new Map<string, StoredRecord>();
  return {
    all,
    scanCount: 0,
    get: async (_context, key) => all.get(key),
    async put(_context, key, value, expectedVersion) {
      const version = all.get(key)?.version ?? 0;
      if (expectedVersion !== undefined && expectedVersion !== version) throw new ShoalError('CONFLICT', `${key} has version ${version}`);
      all.set(key, { key, value: value.slice(), version: version + 1 });
      return { version: version + 1 };
    },
    delete: async (_context, key) => all.delete(key),
    async scan(_context, prefix, { after, limit }) {
      this.scanCount++;
      const keys = [...all.keys()].filter((key) => key.startsWith(prefix) && (after === undefined || key > after)).sort();
      return keys.slice(0, limit).map((key) => all.get(key)!);
    },
  };
}
