/** The file system of the operating system, through `node:fs`. Everything runs on libuv's threads. */

import { constants, promises as fs } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemErrorCode, type FileHandle, type FileSystem, type OpenMode } from './file-system.ts';

const openFlags: Record<OpenMode, number> = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  update: constants.O_RDWR,
};

export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    return new NodeFileHandle(await fs.open(path, openFlags[mode], 0o640));
  },

  readFile: (path) => unlessMissing(fs.readFile(path), undefined),

  async list(directory) {
    const names = await unlessMissing(fs.readdir(directory), []);
    return names.sort();
  },

  async makeDirectory(directory) {
    const firstMade = await fs.mkdir(directory, { recursive: true, mode: 0o750 });
    if (firstMade === undefined) return;
    const stopAt = dirname(resolve(firstMade));
    let parent = resolve(directory);
    do {
      parent = dirname(parent);
      await syncDirectory(parent);
    } while (parent !== stopAt);
  },

  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
  syncDirectory,

  async usage(directory) {
    const { blocks, bavail, bsize } = await fs.statfs(directory);
    return { usedFraction: blocks === 0 ? 0 : 1 - bavail / blocks, freeBytes: bavail * bsize };
  },
};

class NodeFileHandle implements FileHandle {
  readonly #handle: fs.FileHandle;

  constructor(handle: fs.FileHandle) {
    this.#handle = handle;
  }

  async write(chunks: readonly Uint8Array[], offset: number): Promise<void> {
    let rest = chunks.filter((chunk) => chunk.length > 0);
    let position = offset;
    while (rest.length > 0) {
      const { bytesWritten } = await this.#handle.writev(rest, position);
      position += bytesWritten;
      rest = withoutFirst(rest, bytesWritten);
    }
  }

  async read(target: Uint8Array, offset: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const { bytesRead } = await this.#handle.read(target, filled, target.length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  async sizeBytes(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes);
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** What remains of `chunks` after a write took only the first `byteCount` bytes of them. */
function withoutFirst(chunks: Uint8Array[], byteCount: number): Uint8Array[] {
  let skipped = 0;
  for (const [index, chunk] of chunks.entries()) {
    if (skipped + chunk.length > byteCount) return [chunk.subarray(byteCount - skipped), ...chunks.slice(index + 1)];
    skipped += chunk.length;
  }
  return [];
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function unlessMissing<T, M>(pending: Promise<T>, missing: M): Promise<T | M> {
  try {
    return await pending;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return missing;
    throw error;
  }
}
