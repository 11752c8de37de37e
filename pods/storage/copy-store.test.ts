import assert from 'node:assert/strict';
import { test } from 'node:test';

import { copyStore } from './copy-store.ts';
import type { KeyValueReader, WriteOperation } from './key-value-store.ts';
import { replicaSpan, keyWithLabel } from './keys.ts';
import { openMemoryStore } from './memory-store.ts';
import { openRocksdbStore } from './rocksdb-store.ts';
import { temporaryRocksdb } from './temporary-rocksdb.ts';

const everything = { start: Uint8Array.of(0), end: Uint8Array.of(0xff) };
const put = (replica: number, label: number, value: string): WriteOperation => ({
  kind: 'put',
  key: keyWithLabel(replica, 'vector', label),
  value: Buffer.from(value),
});

async function entries(reader: KeyValueReader): Promise<string[]> {
  const found: string[] = [];
  for await (const slice of reader.scan(everything)) {
    for (const { key, value } of slice) found.push(`${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString()}`);
  }
  return found;
}

test('a copy is the state of its start, while writes go on; it opens as a store of its own', async (context) => {
  const { open, directory } = await temporaryRocksdb(context);
  const source = await open();
  for (let batch = 0; batch < 20; batch += 1) {
    await source.write(Array.from({ length: 500 }, (_, index) => put(1 + (batch % 2), batch * 500 + index, `value ${index}`)));
  }
  const before = await entries(source);
  const targetDirectory = `${directory}-copy`;
  const target = await openRocksdbStore({ directory: targetDirectory });
  let copying = true;
  const copied = copyStore(source, target, everything).finally(() => (copying = false));
  let writes = 0;
  do {
    await source.write([put(1, writes, 'changed'), put(3, writes, 'new'), { kind: 'delete', key: keyWithLabel(2, 'vector', writes) }]);
    writes += 1;
  } while (copying);
  assert.equal((await copied).entries, 10_000);
  await target.close();
  const again = await openRocksdbStore({ directory: targetDirectory });
  assert.deepEqual(await entries(again), before);
  await again.close();
});

test('a copy of a span has only that span; an aborted copy rejects', async () => {
  const source = openMemoryStore();
  await source.write([1, 2, 3].flatMap((replica) => [put(replica, 1, 'one'), put(replica, 2, 'two')]));
  const target = openMemoryStore();
  assert.deepEqual(await copyStore(source, target, replicaSpan(2)), { entries: 2, bytes: 2 * 9 + 6 });
  assert.deepEqual(await entries(target), ['000000020300000001 one', '000000020300000002 two']);
  const reason = new Error('no longer wanted');
  await assert.rejects(copyStore(source, openMemoryStore(), everything, AbortSignal.abort(reason)), reason);
});
