/** A consistent copy of one store in another, made while the first is serving: backup, and moving to another engine. */

import { limits } from '../kernel/limits.ts';
import type { KeyValueReader, KeyValueStore, WriteOperation } from './key-value-store.ts';
import type { KeySpan } from './keys.ts';

/**
 * Copies what `source`, a store or a snapshot, holds in `span` at the moment of the call into `target`, and flushes it.
 * Writes to the source meanwhile do not show in the copy: a scan is one view. When it rejects, the target holds a part
 * and is to be thrown away.
 */
export async function copyStore(
  source: KeyValueReader,
  target: KeyValueStore,
  span: KeySpan,
  signal?: AbortSignal,
): Promise<{ entries: number; bytes: number }> {
  let entries = 0;
  let bytes = 0;
  let batch: WriteOperation[] = [];
  let batchBytes = 0;
  const write = async (): Promise<void> => {
    if (batch.length > 0) await target.write(batch);
    batch = [];
    batchBytes = 0;
  };
  for await (const slice of source.scan({ start: span.start, end: span.end }, signal)) {
    for (const { key, value } of slice) {
      batch.push({ kind: 'put', key, value });
      batchBytes += key.length + value.length;
      bytes += key.length + value.length;
    }
    entries += slice.length;
    if (batch.length >= limits.storageWriteGroupOperationCountMax || batchBytes >= limits.storageWriteGroupBytesMax) await write();
  }
  await write();
  await target.flush();
  return { entries, bytes };
}
