import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { manifestDamage } from './rocksdb-manifest.ts';
import { temporaryRocksdb } from './temporary-rocksdb.ts';

/** The MANIFEST that RocksDB wrote for `flushes` files; each names its first and last key, so that long keys fill it. */
async function realManifest(context: TestContext, flushes: number, keyBytes: number): Promise<Buffer> {
  const { open, directory } = await temporaryRocksdb(context);
  const store = await open();
  for (let flush = 0; flush < flushes; flush += 1) {
    await store.write([{ kind: 'put', key: Buffer.alloc(keyBytes, `key ${flush} `), value: Buffer.from('value') }]);
    await store.flush();
  }
  await store.close();
  const name = (await readdir(directory)).find((file) => file.startsWith('MANIFEST-'));
  return readFile(join(directory, name as string));
}

test('every flip of a bit in a real MANIFEST is seen', async (context) => {
  const manifest = await realManifest(context, 3, 20);
  assert.equal(manifestDamage(manifest), undefined);
  for (let bit = 0; bit < manifest.length * 8; bit += 1) {
    const flipped = Buffer.from(manifest);
    flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
    assert.notEqual(manifestDamage(flipped), undefined, `bit ${bit} of ${manifest.length * 8}`);
  }
});

test('a MANIFEST of several blocks is sound, and a flip in each of them is seen', async (context) => {
  const manifest = await realManifest(context, 30, 3_000);
  assert(manifest.length > 3 * 32_768, `${manifest.length} bytes`);
  assert.equal(manifestDamage(manifest), undefined);
  for (let at = 100; at < manifest.length; at += 1_777) {
    const flipped = Buffer.from(manifest);
    flipped[at] = (flipped[at] as number) ^ 0x10;
    assert.notEqual(manifestDamage(flipped), undefined, `byte ${at}`);
  }
});

test('whatever a crash cuts off at the end is no damage', async (context) => {
  const manifest = await realManifest(context, 3, 20);
  for (let length = 0; length <= manifest.length; length += 1) {
    assert.equal(manifestDamage(manifest.subarray(0, length)), undefined, `${length} of ${manifest.length} bytes`);
  }
  assert.equal(manifestDamage(Buffer.concat([manifest, Buffer.alloc(4_096)])), undefined);
});
