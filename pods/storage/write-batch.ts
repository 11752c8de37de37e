/** What a batch of writes must look like; a wrong one is a programmer's error, in every implementation alike. */

import assert from 'node:assert/strict';

import type { WriteOperation } from './key-value-store.ts';

/** The empty key is not used: RocksDB's iterators take it for "no bound". */
export function assertKey(key: Uint8Array): void {
  assert(key.length > 0, 'a key has at least one byte');
}

/** Checks the keys; returns the bytes that the batch carries. */
export function assertBatch(batch: readonly WriteOperation[]): number {
  let bytes = 0;
  for (const operation of batch) {
    if (operation.kind === 'delete-range') {
      assertKey(operation.end);
      bytes += operation.start.length + operation.end.length;
    } else {
      assertKey(operation.key);
      bytes += operation.key.length + (operation.kind === 'put' ? operation.value.length : 0);
    }
  }
  return bytes;
}
