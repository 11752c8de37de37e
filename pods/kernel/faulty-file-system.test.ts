/** Beside the rules of every file system: what a crash may take, and what it must leave. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { faultyFileSystem, type FaultyFileSystem } from './faulty-file-system.ts';
import { fileSystemConformance } from './file-system.conformance.ts';
import { systemErrorCode } from './file-system.ts';
import { seededRandom } from './random.ts';

fileSystemConformance('faultyFileSystem', async () => {
  const fileSystem = faultyFileSystem({ random: seededRandom(1) });
  await fileSystem.makeDirectory('/data');
  return { fileSystem: fileSystem.mount(), directory: '/data', dispose: async () => undefined };
});

const sector = (value: number): Uint8Array => new Uint8Array(512).fill(value);
const isCode = (code: string) => (error: unknown): boolean => systemErrorCode(error) === code;

async function prepared(seed: number): Promise<FaultyFileSystem> {
  const fileSystem = faultyFileSystem({ random: seededRandom(seed) });
  await fileSystem.makeDirectory('/d');
  const handle = await fileSystem.open('/d/f', 'create');
  await handle.write([sector(1), sector(1)], 0);
  await handle.sync();
  await fileSystem.syncDirectory('/d');
  return fileSystem;
}

/** Runs `change` and a crash under many seeds; returns how each ended, so that a test can compare with what may happen. */
async function endings(change: (fileSystem: FaultyFileSystem) => Promise<void>): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  for (let seed = 0; seed < 200; seed++) {
    const fileSystem = await prepared(seed);
    await change(fileSystem);
    fileSystem.crash();
    const files: string[] = [];
    for (const name of await fileSystem.list('/d')) files.push(`${name}:${digest((await fileSystem.readFile(`/d/${name}`))!)}`);
    const ending = files.join(' ');
    seen.set(ending, (seen.get(ending) ?? 0) + 1);
  }
  return seen;
}

/** One digit for each whole sector that has one value throughout, `?` for a mixed one, `+` for a part of one. */
function digest(content: Uint8Array): string {
  let text = '';
  for (let start = 0; start < content.length; start += 512) {
    const part = content.subarray(start, start + 512);
    text += part.length < 512 ? '+' : part.every((value) => value === part[0]) ? `${part[0]}` : '?';
  }
  return text;
}

describe('a crash', () => {
  test('takes nothing that was synced', async () => {
    assert.deepEqual(await endings(async () => undefined), new Map([['f:11', 200]]));
  });

  test('leaves unsynced appends whole, gone, cut short, or with holes of zeros', async () => {
    const seen = await endings(async (fileSystem) => {
      const handle = await fileSystem.open('/d/f', 'update');
      await handle.write([sector(2), sector(3)], 1024);
    });
    const allowed = new Set(['f:1123', 'f:11', 'f:11+', 'f:112', 'f:112+', 'f:1100', 'f:1103', 'f:1120']);
    assert.deepEqual([...seen.keys()].filter((ending) => !allowed.has(ending)), []);
    for (const expected of ['f:1123', 'f:11', 'f:11+', 'f:112+', 'f:1100', 'f:1103', 'f:1120']) {
      assert.ok(seen.has(expected), `never saw ${expected}`);
    }
  });

  test('leaves each overwritten sector old or new', async () => {
    const seen = await endings(async (fileSystem) => {
      const handle = await fileSystem.open('/d/f', 'update');
      await handle.write([sector(8), sector(9)], 0);
    });
    assert.deepEqual(new Set(seen.keys()), new Set(['f:11', 'f:89', 'f:19', 'f:81']));
  });

  test('undoes an unsynced truncation or does not', async () => {
    const seen = await endings(async (fileSystem) => (await fileSystem.open('/d/f', 'update')).truncate(512));
    assert.deepEqual(new Set(seen.keys()), new Set(['f:1', 'f:11']));
  });

  test('keeps or loses a new name, and keeps it after syncDirectory', async () => {
    const create = async (fileSystem: FaultyFileSystem): Promise<void> => {
      const handle = await fileSystem.open('/d/g', 'create');
      await handle.write([sector(5)], 0);
      await handle.sync();
    };
    assert.deepEqual(new Set((await endings(create)).keys()), new Set(['f:11', 'f:11 g:5']));
    const durable = await endings(async (fileSystem) => {
      await create(fileSystem);
      await fileSystem.syncDirectory('/d');
    });
    assert.deepEqual(durable, new Map([['f:11 g:5', 200]]));
  });

  test('undoes a rename or does not, but never loses both names', async () => {
    const seen = await endings((fileSystem) => fileSystem.rename('/d/f', '/d/g'));
    assert.deepEqual(new Set(seen.keys()), new Set(['f:11', 'g:11']));
  });

  test('brings a removed name back until syncDirectory', async () => {
    assert.deepEqual(new Set((await endings((fileSystem) => fileSystem.remove('/d/f'))).keys()), new Set(['', 'f:11']));
  });

  test('ends every handle and mount from before', async () => {
    const fileSystem = await prepared(3);
    const mount = fileSystem.mount();
    const handle = await mount.open('/d/f', 'update');
    fileSystem.crash();
    await assert.rejects(handle.write([sector(2)], 0), isCode('EIO'));
    await assert.rejects(handle.sync(), isCode('EIO'));
    await assert.rejects(mount.list('/d'), isCode('EIO'));
    assert.deepEqual(await fileSystem.mount().list('/d'), ['f']);
  });
});

describe('faults', () => {
  test('a kill loses nothing, and a crash after it may', async () => {
    const endingsSeen = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const fileSystem = await prepared(seed);
      const handle = await fileSystem.open('/d/f', 'update');
      await handle.write([sector(2)], 1024);
      fileSystem.kill();
      assert.equal(digest((await fileSystem.readFile('/d/f'))!), '112');
      fileSystem.crash();
      endingsSeen.add(digest((await fileSystem.readFile('/d/f'))!));
    }
    assert.ok(endingsSeen.has('11') && endingsSeen.has('112'), [...endingsSeen].join());
  });

  test('after a failed sync the bytes can be read, and a later sync does not bring them to the disk', async () => {
    let lost = 0;
    for (let seed = 0; seed < 50; seed++) {
      const fileSystem = await prepared(seed);
      const handle = await fileSystem.open('/d/f', 'update');
      await handle.write([sector(2)], 1024);
      fileSystem.failNext({ operation: 'sync', code: 'EIO' });
      await assert.rejects(handle.sync(), isCode('EIO'));
      assert.equal(digest((await fileSystem.readFile('/d/f'))!), '112');
      await handle.sync();
      fileSystem.crash();
      if (digest((await fileSystem.readFile('/d/f'))!) === '110') lost++;
    }
    assert.ok(lost > 0 && lost < 50, `${lost} of 50`);
  });

  test('a full disk takes what fits, says ENOSPC, and shows in usage', async () => {
    const fileSystem = await prepared(1);
    fileSystem.setCapacity(2048);
    assert.deepEqual(await fileSystem.usage('/d'), { usedFraction: 0.5, freeBytes: 1024 });
    const handle = await fileSystem.open('/d/f', 'update');
    await assert.rejects(handle.write([sector(2), sector(3), sector(4)], 1024), isCode('ENOSPC'));
    assert.equal(digest((await fileSystem.readFile('/d/f'))!), '1123');
    await handle.write([sector(6)], 0);
    assert.deepEqual(await fileSystem.usage('/d'), { usedFraction: 1, freeBytes: 0 });
  });

  test('a planned fault meets the operation and path it names, after those it skips', async () => {
    const fileSystem = await prepared(1);
    fileSystem.failNext({ operation: 'read', code: 'EIO', path: '/f', skip: 1 });
    const handle = await fileSystem.open('/d/f', 'update');
    await handle.read(new Uint8Array(1), 0);
    await assert.rejects(handle.read(new Uint8Array(1), 0), isCode('EIO'));
    await handle.read(new Uint8Array(1), 0);
  });

  test('a flipped bit stays flipped', async () => {
    const fileSystem = await prepared(1);
    fileSystem.flip('/d/f', 3, 7);
    assert.equal((await fileSystem.readFile('/d/f'))![3], 129);
    fileSystem.crash();
    assert.equal((await fileSystem.readFile('/d/f'))![3], 129);
  });

  test('the same seed gives the same run', async () => {
    const run = async (): Promise<string> => {
      const fileSystem = faultyFileSystem({ random: seededRandom(7), faults: { writeError: 0.2, syncError: 0.2, delay: 0.3 } });
      await fileSystem.makeDirectory('/d');
      const handle = await fileSystem.open('/d/f', 'create');
      let story = '';
      for (let round = 0; round < 50; round++) {
        story += await handle.write([sector(round)], round * 512).then(() => 'w', () => '!');
        story += await handle.sync().then(() => 's', () => '?');
      }
      await fileSystem.syncDirectory('/d').catch(() => undefined);
      fileSystem.crash();
      return story + digest((await fileSystem.readFile('/d/f')) ?? new Uint8Array());
    };
    assert.equal(await run(), await run());
  });
});
