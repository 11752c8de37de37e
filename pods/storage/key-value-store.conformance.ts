/** What every KeyValueStore does. An implementation's test gives a name and a way to open a new store, and adds its own. */

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, test, type TestContext } from 'node:test';

import { hasCode } from '../kernel/errors.ts';
import { below, seededRandom, type Random } from '../kernel/random.ts';
import type { KeyRange, KeyValueReader, KeyValueStore, WriteOperation } from './key-value-store.ts';

/** A store and the way to open it again after it was closed. */
export interface OpenedStore {
  readonly store: KeyValueStore;
  reopen(): Promise<KeyValueStore>;
}

export type OpenForTest = (context: TestContext) => Promise<OpenedStore>;

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const text = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString('latin1');
const put = (key: string, value: string): WriteOperation => ({ kind: 'put', key: bytes(key), value: bytes(value) });
const remove = (key: string): WriteOperation => ({ kind: 'delete', key: bytes(key) });
const removeRange = (start: string, end: string): WriteOperation => ({ kind: 'delete-range', start: bytes(start), end: bytes(end) });
const unavailable = (error: unknown): boolean => hasCode(error, 'UNAVAILABLE');
const everything = { start: bytes('\x00'), end: bytes('\xff\xff\xff\xff\xff') };

async function entries(reader: KeyValueReader, range: Partial<KeyRange> = {}): Promise<(readonly [string, string])[]> {
  const found: (readonly [string, string])[] = [];
  for await (const slice of reader.scan({ ...everything, ...range })) {
    assert(slice.length > 0, 'no slice is empty');
    for (const { key, value } of slice) found.push([text(key) as string, text(value) as string]);
  }
  return found;
}

export function keyValueStoreConformance(name: string, open: OpenForTest): void {
  describe(`${name}: KeyValueStore`, () => {
    test('put, get, replace, delete', async (context) => {
      const { store } = await open(context);
      assert.equal(await store.get(bytes('a')), undefined);
      await store.write([put('a', '1'), put('b', '')]);
      assert.deepEqual([text(await store.get(bytes('a'))), text(await store.get(bytes('b')))], ['1', '']);
      await store.write([put('a', '2'), remove('b'), remove('never there')]);
      assert.deepEqual([text(await store.get(bytes('a'))), await store.get(bytes('b'))], ['2', undefined]);
      await store.write([]);
    });

    test('operations of one batch take effect in their order', async (context) => {
      const { store } = await open(context);
      await store.write([put('a', '1'), put('a', '2'), put('b', '1'), remove('b'), remove('c'), put('c', '3')]);
      await store.write([put('d', '1'), removeRange('d', 'e'), put('da', '2')]);
      assert.deepEqual(await entries(store), [['a', '2'], ['c', '3'], ['da', '2']]);
    });

    test('a batch shows as a whole or not at all', async (context) => {
      const { store } = await open(context);
      const keys = Array.from({ length: 50 }, (_, index) => `key ${String(index).padStart(2, '0')}`);
      await store.write(keys.map((key) => put(key, '0')));
      let writing = true;
      const writer = (async () => {
        for (let round = 1; round <= 60; round += 1) await store.write(keys.map((key) => put(key, String(round))));
        writing = false;
      })();
      while (writing) {
        const values = new Set((await entries(store)).map(([, value]) => value));
        assert.equal(values.size, 1, `one view holds values of several batches: ${[...values].join(', ')}`);
        await new Promise(setImmediate);
      }
      await writer;
    });

    test('writes that do not wait for each other keep their order', async (context) => {
      const { store } = await open(context);
      await Promise.all(Array.from({ length: 200 }, (_, index) => store.write([put('a', String(index)), put(`b${index}`, '')])));
      assert.equal(text(await store.get(bytes('a'))), '199');
      assert.equal((await entries(store)).length, 201);
    });

    test('delete-range takes its start and leaves its end', async (context) => {
      const table: [start: string, end: string, left: string][] = [
        ['b', 'd', 'ade'], ['a', 'b', 'bcde'], ['\x00', '\xff', ''], ['c', 'c', 'abcde'], ['d', 'b', 'abcde'], ['bb', 'cc', 'abde'], ['f', 'z', 'abcde'],
      ];
      const { store } = await open(context);
      for (const [start, end, left] of table) {
        await store.write([...'abcde'].map((key) => put(key, key)));
        await store.write([removeRange(start, end)]);
        assert.deepEqual((await entries(store)).map(([key]) => key).join(''), left, `${start} to ${end}`);
      }
    });

    test('keys order by unsigned bytes, a prefix before what continues it', async (context) => {
      const { store } = await open(context);
      const ordered = ['\x00', '\x00\x00', '\x00\xff', '\x01', 'a', 'a\x00', 'a\x7f', 'a\x80', 'a\xff', 'a\xff\xff', 'b', '\x7f', '\x80', '\xfe\xff', '\xff', '\xff\x00', '\xff\xff'];
      await store.write(ordered.toReversed().map((key) => put(key, `value of ${key}`)));
      const expected = ordered.map((key) => [key, `value of ${key}`]);
      assert.deepEqual(await entries(store), expected);
      assert.deepEqual(await entries(store, { reverse: true }), expected.toReversed());
      for (const key of ordered) assert.equal(text(await store.get(bytes(key))), `value of ${key}`);
      assert.deepEqual(await entries(store, { start: bytes('a'), end: bytes('a\xff') }), expected.slice(4, 8));
      assert.deepEqual(await entries(store, { start: bytes('a'), end: bytes('a\xff'), reverse: true }), expected.slice(4, 8).toReversed());
    });

    test('scans: bounds, limit, direction, keys only', async (context) => {
      const { store } = await open(context);
      const keys = Array.from({ length: 1_000 }, (_, index) => `key ${String(index).padStart(4, '0')}`);
      await store.write(keys.map((key) => put(key, `value of ${key}`)));
      const scanned = async (range: Partial<KeyRange>): Promise<string[]> => (await entries(store, range)).map(([key]) => key);
      assert.deepEqual(await scanned({}), keys);
      assert.deepEqual(await scanned({ reverse: true }), keys.toReversed());
      for (const limit of [0, 1, 31, 32, 33, 96, 256, 257, 999, 1_000, 1_001]) {
        assert.deepEqual(await scanned({ limit }), keys.slice(0, limit), `limit ${limit}`);
        assert.deepEqual(await scanned({ limit, reverse: true }), keys.toReversed().slice(0, limit), `limit ${limit}, reverse`);
      }
      const part = { start: bytes('key 0100'), end: bytes('key 0400') };
      assert.deepEqual(await scanned(part), keys.slice(100, 400));
      assert.deepEqual(await scanned({ ...part, reverse: true, limit: 10 }), keys.slice(390, 400).toReversed());
      assert.deepEqual(await scanned({ start: bytes('x'), end: bytes('z') }), []);
      assert.deepEqual(await scanned({ start: bytes('key 0400'), end: bytes('key 0100') }), []);
      assert.deepEqual(await scanned({ start: bytes('key 0100'), end: bytes('key 0100') }), []);
      assert.deepEqual((await entries(store, { keysOnly: true, limit: 2 })), [['key 0000', ''], ['key 0001', '']]);
    });

    test('a scan sees the state of its start, whatever is written meanwhile', async (context) => {
      const { store } = await open(context);
      const keys = Array.from({ length: 2_000 }, (_, index) => `key ${String(index).padStart(4, '0')}`);
      await store.write(keys.map((key) => put(key, 'old')));
      const found: string[] = [];
      for await (const slice of store.scan(everything)) {
        if (found.length === 0) {
          await store.write([...keys.map((key) => put(key, 'new')), put('key 0001+', 'new'), removeRange('key 1000', 'key 1500')]);
          await store.flush();
        }
        for (const { value } of slice) found.push(text(value) as string);
      }
      assert.deepEqual([found.length, new Set(found)], [2_000, new Set(['old'])]);
      assert.equal((await entries(store)).length, 1_501);
    });

    test('a snapshot keeps its view until it is closed', async (context) => {
      const { store } = await open(context);
      await store.write([put('a', '1'), put('b', '1')]);
      const snapshot = store.snapshot();
      await store.write([put('a', '2'), remove('b'), put('c', '2')]);
      await store.flush();
      assert.deepEqual((await snapshot.getMany([bytes('a'), bytes('b'), bytes('c')])).map(text), ['1', '1', undefined]);
      assert.equal(text(await snapshot.get(bytes('b'))), '1');
      assert.deepEqual(await entries(snapshot), [['a', '1'], ['b', '1']]);
      assert.deepEqual(await entries(store), [['a', '2'], ['c', '2']]);
      await snapshot.close();
      await snapshot.close();
      await assert.rejects(snapshot.get(bytes('a')), unavailable);
      await assert.rejects(entries(snapshot), unavailable);
    });

    test('an aborted scan rejects with the reason, before and between slices', async (context) => {
      const { store } = await open(context);
      await store.write(Array.from({ length: 3_000 }, (_, index) => put(`key ${index}`, 'value')));
      const reason = new Error('no longer wanted');
      await assert.rejects(async () => {
        for await (const slice of store.scan(everything, AbortSignal.abort(reason))) assert.fail(`a slice of ${slice.length}`);
      }, reason);
      const controller = new AbortController();
      let slices = 0;
      await assert.rejects(async () => {
        for await (const slice of store.scan(everything, controller.signal)) {
          slices += Math.sign(slice.length);
          controller.abort(reason);
        }
      }, reason);
      assert.equal(slices, 1);
      for await (const slice of store.scan(everything)) if (slice.length > 0) break;
      await assert.rejects(store.verify(AbortSignal.abort(reason)), reason);
    });

    test('getMany answers in the order of the keys, for missing and repeated ones too', async (context) => {
      const { store } = await open(context);
      await store.write([put('a', '1'), put('b', ''), put('c', '3')]);
      const keys = ['c', 'x', 'a', 'c', 'b', 'x', 'a'];
      assert.deepEqual((await store.getMany(keys.map(bytes))).map(text), ['3', undefined, '1', '3', '', undefined, '1']);
      assert.deepEqual(await store.getMany([]), []);
      await store.write(Array.from({ length: 3_000 }, (_, index) => put(`key ${index}`, `value ${index}`)));
      const many = Array.from({ length: 3_000 }, (_, index) => bytes(`key ${2_999 - index}`));
      assert.deepEqual((await store.getMany(many)).map(text), many.map((_, index) => `value ${2_999 - index}`));
    });

    test('what it takes and gives are copies', async (context) => {
      const { store } = await open(context);
      const key = bytes('key');
      const value = bytes('value');
      await store.write([{ kind: 'put', key, value }]);
      key.fill(0);
      value.fill(0);
      const got = await store.get(bytes('key'));
      assert.equal(text(got), 'value');
      got?.fill(0);
      for await (const slice of store.scan(everything)) for (const entry of slice) entry.value.fill(0);
      assert.deepEqual(await entries(store), [['key', 'value']]);
    });

    test('large values', async (context) => {
      const { store } = await open(context);
      const sizes = [1, 4_095, 65_536, 1_048_576, 1_048_577];
      const value = (size: number): Buffer => Buffer.alloc(size, `${size} `);
      await store.write(sizes.map((size) => ({ kind: 'put', key: bytes(`size ${size}`), value: value(size) })));
      await store.flush();
      for (const size of sizes) assert(value(size).equals((await store.get(bytes(`size ${size}`))) as Uint8Array), `${size} bytes`);
      let scanned = 0;
      for await (const slice of store.scan(everything)) for (const entry of slice) scanned += entry.value.length;
      assert.equal(scanned, sizes.reduce((sum, size) => sum + size, 0));
    });

    test('what was flushed is there when it opens again, and compaction loses nothing', async (context) => {
      const { store, reopen } = await open(context);
      for (let round = 0; round < 5; round += 1) {
        await store.write(Array.from({ length: 200 }, (_, index) => put(`key ${index}`, `round ${round}`)));
        await store.flush();
      }
      await store.write([removeRange('key 1', 'key 2')]);
      await store.flush();
      await store.compact(everything.start, everything.end);
      await store.compact(bytes('b'), bytes('a'));
      const before = await entries(store);
      assert.equal(before.length, 89);
      await store.close();
      const again = await reopen();
      assert.deepEqual(await entries(again), before);
      assert.equal((await again.verify()).entries, 89);
      await again.write([put('after', 'reopening')]);
      assert.equal(text(await again.get(bytes('after'))), 'reopening');
    });

    test('verify counts what is stored, statistics are numbers', async (context) => {
      const { store } = await open(context);
      assert.deepEqual(await store.verify(), { entries: 0, bytes: 0 });
      await store.write([put('a', '1'), put('bb', '22'), put('c', '3'), remove('c')]);
      assert.deepEqual(await store.verify(), { entries: 2, bytes: 6 });
      await store.flush();
      const { sizeBytes, memoryBytes } = await store.statistics();
      assert(sizeBytes > 0 && memoryBytes > 0, `${sizeBytes} ${memoryBytes}`);
    });

    test('a closed store rejects every call', async (context) => {
      const { store } = await open(context);
      await store.write([put('a', '1')]);
      const snapshot = store.snapshot();
      const scan = store.scan(everything)[Symbol.asyncIterator]();
      await scan.next();
      const last = store.write([put('b', '2')]);
      await Promise.all([store.close(), store.close(), last]);
      await assert.rejects(store.get(bytes('a')), unavailable);
      await assert.rejects(store.getMany([bytes('a')]), unavailable);
      await assert.rejects(store.write([put('a', '1')]), unavailable);
      await assert.rejects(store.flush(), unavailable);
      await assert.rejects(store.verify(), unavailable);
      await assert.rejects(store.compact(bytes('a'), bytes('b')), unavailable);
      await assert.rejects(store.statistics(), unavailable);
      await assert.rejects(entries(store), unavailable);
      await assert.rejects(snapshot.get(bytes('a')), unavailable);
      assert.throws(() => store.snapshot(), unavailable);
      await snapshot.close();
    });

    test('an empty key is a mistake of the caller', async (context) => {
      const { store } = await open(context);
      await assert.rejects(store.get(bytes('')), { code: 'ERR_ASSERTION' });
      await assert.rejects(store.write([put('', 'value')]), { code: 'ERR_ASSERTION' });
    });

    test('random operations agree with a sorted list', async (context) => {
      const seed = Number(process.env['SHOAL_SEED'] ?? randomInt(2 ** 32));
      context.diagnostic(`SHOAL_SEED=${seed}`);
      const opened = await open(context);
      await agreeWithModel(opened, seededRandom(seed));
    });
  });
}

/** The model: a plain Map; sorted when it is compared. Keys come from a small alphabet, so that they meet. */
async function agreeWithModel(opened: OpenedStore, random: Random): Promise<void> {
  let { store } = opened;
  let model = new Map<string, string>();
  const alphabet = ['\x00', '\x01', 'a', '\x7f', '\x80', '\xff'];
  const randomKey = (): string => Array.from({ length: 1 + below(random, 4) }, () => alphabet[below(random, alphabet.length)]).join('');
  const inOrder = (map: Map<string, string>): [string, string][] => [...map].sort(([a], [b]) => Buffer.compare(bytes(a), bytes(b)));
  for (let round = 0; round < 250; round += 1) {
    const batch: WriteOperation[] = [];
    const after = new Map(model);
    for (let count = below(random, 12); count > 0; count -= 1) {
      const kind = below(random, 20);
      const key = randomKey();
      if (kind < 13) {
        const value = 'v'.repeat(below(random, 40));
        batch.push(put(key, value));
        after.set(key, value);
      } else if (kind < 19) {
        batch.push(remove(key));
        after.delete(key);
      } else {
        const end = randomKey();
        batch.push(removeRange(key, end));
        // Latin-1 text compares as its bytes do.
        for (const existing of after.keys()) if (existing >= key && existing < end) after.delete(existing);
      }
    }
    const snapshot = store.snapshot();
    await store.write(batch);
    if (below(random, 25) === 0) await store.flush();
    if (below(random, 40) === 0) await store.compact(bytes(randomKey()), bytes(randomKey()));
    const [start, end] = [randomKey(), randomKey()];
    const reverse = below(random, 2) === 1;
    const limit = below(random, 3) === 0 ? below(random, 10) : 1_000_000;
    const expected = (map: Map<string, string>): [string, string][] => {
      const within = inOrder(map).filter(([key]) => key >= start && key < end);
      return (reverse ? within.reverse() : within).slice(0, limit);
    };
    const range = { start: bytes(start), end: bytes(end), reverse, limit };
    assert.deepEqual(await entries(store, range), expected(after), `round ${round}`);
    assert.deepEqual(await entries(snapshot, range), expected(model), `round ${round}, snapshot`);
    const keys = Array.from({ length: 8 }, randomKey);
    assert.deepEqual((await store.getMany(keys.map(bytes))).map(text), keys.map((key) => after.get(key)), `round ${round}, getMany`);
    await snapshot.close();
    model = after;
    if (below(random, 80) === 0) {
      await store.flush();
      await store.close();
      store = await opened.reopen();
    }
  }
  assert.deepEqual(await entries(store), inOrder(model));
}
