/**
 * The part of a file system that Shoal's own files need (log segments, checkpoints, metadata objects), behind a seam so
 * that `faulty-file-system.ts` can lose unsynced writes, tear, flip bits, fill up and fail, by seed. RocksDB has its own.
 *
 * Rules that callers rely on, and that every implementation keeps:
 *  - bytes are durable only after `sync()` of the file; a new name only after `syncDirectory()` of its directory;
 *  - `rename` replaces the target atomically;
 *  - a missing file or directory is `undefined` or an empty list, never an exception, except where `open` or `rename`
 *    needs it;
 *  - a failure is an Error whose `code` is the operating system's name for it (ENOENT, EEXIST, ENOSPC, EIO).
 */

export interface FileHandle {
  /** Writes `chunks` one after another at `offset`; resolves when the operating system has all of them. */
  write(chunks: readonly Uint8Array[], offset: number): Promise<void>;
  /** Fills `target` from `offset`; resolves to the byte count read, less than `target.length` only at the end of the file. */
  read(target: Uint8Array, offset: number): Promise<number>;
  sizeBytes(): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  /** fdatasync: data and size are on the disk afterwards. A failed sync is final: what was unsynced may be gone. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export type OpenMode = 'read' | 'create' | 'update';

export interface FileSystem {
  /** `read`: must exist. `create`: must not exist; read and write. `update`: must exist; read and write. */
  open(path: string, mode: OpenMode): Promise<FileHandle>;
  /** The whole file, or undefined when there is none. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** Names in `directory`, sorted; empty when it does not exist. */
  list(directory: string): Promise<string[]>;
  /** Makes the directory and those above it; their names are durable when it resolves. Nothing happens when it exists. */
  makeDirectory(directory: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a directory with all it holds; nothing happens when there is none. */
  remove(path: string): Promise<void>;
  syncDirectory(directory: string): Promise<void>;
  /** Fraction in [0, 1] of the file system under `directory` that is used, and the free bytes. */
  usage(directory: string): Promise<{ usedFraction: number; freeBytes: number }>;
}

/** The operating system's name of a failure, such as ENOSPC, or undefined when the error has none. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
