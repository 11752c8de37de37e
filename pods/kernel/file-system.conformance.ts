/** What every file system must do, as tests: an implementation's own test imports this and gives it a factory. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemErrorCode, type FileSystem } from './file-system.ts';

export interface FileSystemUnderTest {
  readonly fileSystem: FileSystem;
  /** An empty directory, which exists. */
  readonly directory: string;
  dispose(): Promise<void>;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

export function fileSystemConformance(name: string, make: () => Promise<FileSystemUnderTest>): void {
  describe(`${name} keeps the rules of a file system`, () => {
    let subject: FileSystemUnderTest;
    let fileSystem: FileSystem;
    let counter = 0;
    const freshPath = (): string => `${subject.directory}/file-${counter++}`;

    before(async () => {
      subject = await make();
      fileSystem = subject.fileSystem;
    });
    after(() => subject.dispose());

    async function fileWith(content: Uint8Array): Promise<string> {
      const path = freshPath();
      const handle = await fileSystem.open(path, 'create');
      await handle.write([content], 0);
      await handle.close();
      return path;
    }

    async function content(path: string): Promise<number[] | undefined> {
      const found = await fileSystem.readFile(path);
      return found === undefined ? undefined : [...found];
    }

    test('chunks are written one after another, and read back by offset', async () => {
      const path = freshPath();
      const handle = await fileSystem.open(path, 'create');
      await handle.write([bytes(1, 2), bytes(), bytes(3, 4, 5)], 0);
      await handle.write([bytes(9)], 1);
      const target = new Uint8Array(3);
      assert.equal(await handle.read(target, 1), 3);
      assert.deepEqual([...target], [9, 3, 4]);
      assert.equal(await handle.sizeBytes(), 5);
      await handle.sync();
      await handle.close();
      assert.deepEqual(await content(path), [1, 9, 3, 4, 5]);
    });

    test('a read past the end returns what there is', async () => {
      const handle = await fileSystem.open(await fileWith(bytes(1, 2, 3)), 'read');
      const target = new Uint8Array(8);
      assert.equal(await handle.read(target, 1), 2);
      assert.deepEqual([...target.subarray(0, 2)], [2, 3]);
      assert.equal(await handle.read(target, 3), 0);
      assert.equal(await handle.read(target, 99), 0);
      await handle.close();
    });

    test('a write past the end leaves zeros between', async () => {
      const path = await fileWith(bytes(1));
      const handle = await fileSystem.open(path, 'update');
      await handle.write([bytes(7)], 4);
      await handle.close();
      assert.deepEqual(await content(path), [1, 0, 0, 0, 7]);
    });

    test('truncate cuts, and what grows again is zeros', async () => {
      const path = await fileWith(bytes(1, 2, 3, 4));
      const handle = await fileSystem.open(path, 'update');
      await handle.truncate(1);
      assert.equal(await handle.sizeBytes(), 1);
      await handle.truncate(3);
      await handle.close();
      assert.deepEqual(await content(path), [1, 0, 0]);
    });

    const refused = [
      { what: 'reading a missing file', mode: 'read', exists: false, code: 'ENOENT' },
      { what: 'updating a missing file', mode: 'update', exists: false, code: 'ENOENT' },
      { what: 'creating an existing file', mode: 'create', exists: true, code: 'EEXIST' },
    ] as const;
    for (const { what, mode, exists, code } of refused) {
      test(`${what} fails with ${code}`, async () => {
        const path = exists ? await fileWith(bytes(1)) : freshPath();
        await assert.rejects(fileSystem.open(path, mode), (error) => systemErrorCode(error) === code);
      });
    }

    test('a handle for reading refuses writes', async () => {
      const path = await fileWith(bytes(1));
      const handle = await fileSystem.open(path, 'read');
      await assert.rejects(handle.write([bytes(2)], 0));
      await assert.rejects(handle.truncate(0));
      await handle.close();
      assert.deepEqual(await content(path), [1]);
    });

    test('what is missing is undefined, empty, or already removed', async () => {
      assert.equal(await fileSystem.readFile(freshPath()), undefined);
      assert.deepEqual(await fileSystem.list(freshPath()), []);
      await fileSystem.remove(freshPath());
      await fileSystem.remove(`${freshPath()}/below`);
    });

    test('directories are made with those above, listed sorted, and removed whole', async () => {
      const top = freshPath();
      const inner = `${top}/a/b`;
      await fileSystem.makeDirectory(inner);
      await fileSystem.makeDirectory(inner);
      for (const name of ['z', 'c', 'm']) await (await fileSystem.open(`${inner}/${name}`, 'create')).close();
      await fileSystem.syncDirectory(inner);
      assert.deepEqual(await fileSystem.list(inner), ['c', 'm', 'z']);
      assert.deepEqual(await fileSystem.list(top), ['a']);
      await fileSystem.remove(top);
      assert.deepEqual(await fileSystem.list(inner), []);
      assert.equal(await fileSystem.readFile(`${inner}/c`), undefined);
    });

    test('rename replaces the target', async () => {
      const from = await fileWith(bytes(1));
      const to = await fileWith(bytes(2));
      await fileSystem.rename(from, to);
      assert.deepEqual(await content(to), [1]);
      assert.equal(await content(from), undefined);
      await assert.rejects(fileSystem.rename(from, to), (error) => systemErrorCode(error) === 'ENOENT');
    });

    test('a removed file can still be read through a handle opened before', async () => {
      const path = await fileWith(bytes(5));
      const handle = await fileSystem.open(path, 'read');
      await fileSystem.remove(path);
      const target = new Uint8Array(1);
      assert.equal(await handle.read(target, 0), 1);
      assert.deepEqual([...target], [5]);
      await handle.close();
    });

    test('a closed handle fails', async () => {
      const handle = await fileSystem.open(await fileWith(bytes(1)), 'update');
      await handle.close();
      await assert.rejects(handle.read(new Uint8Array(1), 0));
      await assert.rejects(handle.write([bytes(1)], 0));
    });

    test('usage is a fraction and a count', async () => {
      const { usedFraction, freeBytes } = await fileSystem.usage(subject.directory);
      assert.ok(usedFraction >= 0 && usedFraction <= 1, `${usedFraction}`);
      assert.ok(freeBytes >= 0, `${freeBytes}`);
    });
  });
}
