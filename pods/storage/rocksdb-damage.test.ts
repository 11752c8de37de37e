/**
 * Real damage: bytes of a closed store's files are flipped, the store is opened and everything is read. A flip in an SST
 * file, in CURRENT or in the MANIFEST is reported as CORRUPTION; a flip in RocksDB's own log gives an older state, a
 * prefix of the batches. Wrong bytes are never served.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { hasCode } from '../kernel/errors.ts';
import { below, seededRandom } from '../kernel/random.ts';
import { openRocksdbStore } from './rocksdb-store.ts';
import { temporaryRocksdb } from './temporary-rocksdb.ts';

const batchCount = 3;
const batchSize = 60;
const everything = { start: Uint8Array.of(0), end: Uint8Array.of(0xff) };
const key = (batch: number, index: number): Uint8Array => Buffer.from(`batch ${batch} key ${String(index).padStart(3, '0')}`);
const value = (batch: number, index: number): string => `value ${batch} ${index} `.repeat(8);

/**
 * A closed store of three batches: in RocksDB's log, all in one SST file, or each in one of its own. (With several files
 * RocksDB may begin to merge them, and after meeting a bad block there it waits a second before it closes.)
 */
async function closedStore(context: TestContext, where: 'log' | 'one file' | 'three files'): Promise<string> {
  const { open, directory } = await temporaryRocksdb(context);
  const store = await open();
  for (let batch = 0; batch < batchCount; batch += 1) {
    await store.write(Array.from({ length: batchSize }, (_, index) => ({ kind: 'put', key: key(batch, index), value: Buffer.from(value(batch, index)) })));
    if (where === 'three files') await store.flush();
  }
  if (where === 'one file') await store.flush();
  await store.close();
  return directory;
}

/** Opens the store and reads everything: the count of whole batches found, or the error. Asserts that all bytes are right. */
async function readEverything(directory: string): Promise<number> {
  const store = await openRocksdbStore({ directory });
  try {
    const found: string[] = [];
    for await (const slice of store.scan(everything)) {
      for (const entry of slice) found.push(`${Buffer.from(entry.key).toString()}=${Buffer.from(entry.value).toString()}`);
    }
    const batches = found.length / batchSize;
    const expected = Array.from({ length: Math.ceil(batches) * batchSize }, (_, at) => {
      const [batch, index] = [Math.floor(at / batchSize), at % batchSize];
      return `${Buffer.from(key(batch, index)).toString()}=${value(batch, index)}`;
    });
    assert.deepEqual(found, expected);
    await store.verify();
    return batches;
  } finally {
    await store.close();
  }
}

/** Flips one bit at each of the positions, each in a fresh copy of the directory; the outcome of each. */
async function outcomesOfFlips(directory: string, file: string, positions: readonly number[]): Promise<Map<string, number[]>> {
  const sound = await readFile(join(directory, file));
  const outcomes = new Map<string, number[]>();
  const damaged = `${directory}-damaged`;
  for (const position of positions) {
    await rm(damaged, { recursive: true, force: true });
    await cp(directory, damaged, { recursive: true });
    const bytes = Buffer.from(sound);
    bytes[position] = (bytes[position] as number) ^ (1 << (position % 8));
    await writeFile(join(damaged, file), bytes);
    const outcome = await readEverything(damaged).then(
      (batches) => `${batches} batches`,
      (error: unknown) => {
        if (hasCode(error, 'CORRUPTION')) return 'CORRUPTION';
        throw error;
      },
    );
    outcomes.set(outcome, [...(outcomes.get(outcome) ?? []), position]);
  }
  return outcomes;
}

async function filesOf(directory: string, matches: (name: string) => boolean): Promise<string[]> {
  const names = (await readdir(directory)).filter(matches).sort();
  assert(names.length > 0);
  return names;
}

const every = (length: number, step: number): number[] => Array.from({ length: Math.ceil(length / step) }, (_, index) => index * step);

describe('damage to the files of a RocksDB store', () => {
  test('a flipped bit in any part of an SST file is reported', async (context) => {
    const seed = Number(process.env['SHOAL_SEED'] ?? randomInt(2 ** 32));
    context.diagnostic(`SHOAL_SEED=${seed}`);
    const directory = await closedStore(context, 'one file');
    const [file] = await filesOf(directory, (name) => name.endsWith('.sst'));
    const { length } = await readFile(join(directory, file as string));
    // A stride that visits data blocks, the filter (about 230 bytes), the index, properties and the footer.
    const step = 120 + below(seededRandom(seed), 24);
    const outcomes = await outcomesOfFlips(directory, file as string, every(length, step));
    assert.deepEqual([...outcomes.keys()], ['CORRUPTION'], JSON.stringify([...outcomes]));
  });

  test('a flipped bit in the MANIFEST is reported', async (context) => {
    const directory = await closedStore(context, 'three files');
    const [file] = await filesOf(directory, (name) => name.startsWith('MANIFEST-'));
    const { length } = await readFile(join(directory, file as string));
    const outcomes = await outcomesOfFlips(directory, file as string, every(length, 17));
    assert.deepEqual([...outcomes.keys()], ['CORRUPTION'], JSON.stringify([...outcomes]));
  });

  test('a flipped bit in CURRENT is reported; so are missing files', async (context) => {
    const directory = await closedStore(context, 'three files');
    const outcomes = await outcomesOfFlips(directory, 'CURRENT', every(15, 1));
    assert.deepEqual([...outcomes.keys()], ['CORRUPTION'], JSON.stringify([...outcomes]));
    const [manifest] = await filesOf(directory, (name) => name.startsWith('MANIFEST-'));
    const [sst] = await filesOf(directory, (name) => name.endsWith('.sst'));
    for (const missing of ['CURRENT', manifest as string, sst as string]) {
      const damaged = `${directory}-missing-${missing}`;
      await cp(directory, damaged, { recursive: true });
      await rm(join(damaged, missing));
      await assert.rejects(readEverything(damaged), (error) => hasCode(error, 'CORRUPTION'), missing);
    }
    const shorter = `${directory}-shorter`;
    await cp(directory, shorter, { recursive: true });
    await truncate(join(shorter, sst as string), 1_000);
    await assert.rejects(readEverything(shorter), (error) => hasCode(error, 'CORRUPTION'));
  });

  test("a flipped bit in RocksDB's log, or its torn end, gives a prefix of whole batches", async (context) => {
    const directory = await closedStore(context, 'log');
    const logs = await filesOf(directory, (name) => name.endsWith('.log'));
    const file = logs.at(-1) as string;
    const { length } = await readFile(join(directory, file));
    const outcomes = await outcomesOfFlips(directory, file, every(length, 523));
    assert.deepEqual([...outcomes.keys()], ['0 batches', '1 batches', '2 batches']);
    const torn = `${directory}-torn`;
    await cp(directory, torn, { recursive: true });
    await truncate(join(torn, file), length - 5);
    assert.equal(await readEverything(torn), 2);
    // The state that was found is the state from now on.
    assert.equal(await readEverything(torn), 2);
  });

  test('a torn end of the MANIFEST is what a crash leaves, and opens', async (context) => {
    const { open, directory } = await temporaryRocksdb(context);
    const store = await open();
    await store.write([{ kind: 'put', key: Buffer.from('key'), value: Buffer.from('value') }]);
    await store.close();
    const [file] = await filesOf(directory, (name) => name.startsWith('MANIFEST-'));
    const bytes = await readFile(join(directory, file as string));
    await writeFile(join(directory, file as string), Buffer.concat([bytes, Buffer.from('1122334450000161', 'hex')]));
    const again = await open();
    assert.equal(Buffer.from((await again.get(Buffer.from('key'))) ?? []).toString(), 'value');
  });

  test('another process cannot open a store that is open', async (context) => {
    const { open, directory } = await temporaryRocksdb(context);
    const store = await open();
    await assert.rejects(openRocksdbStore({ directory }), (error) => hasCode(error, 'UNAVAILABLE'));
    const program = `
      import { openRocksdbStore } from ${JSON.stringify(new URL('./rocksdb-store.ts', import.meta.url).href)};
      await openRocksdbStore({ directory: ${JSON.stringify(directory)} }).then(
        () => process.stdout.write('opened'),
        (error) => process.stdout.write(error.code),
      );`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await once(child, 'close');
    assert.equal(output, 'UNAVAILABLE');
    await store.write([{ kind: 'put', key: Buffer.from('still'), value: Buffer.from('writable') }]);
  });
});
