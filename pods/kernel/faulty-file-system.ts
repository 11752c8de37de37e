/**
 * A file system in memory that does what real ones do at the worst moment, repeatably: with the same random source and
 * the same calls it fails in the same way. No timers and no real files, so a test can run thousands of crashes.
 *
 *  - `crash()` is a power loss: of what was not synced, files keep all, none, the beginning, or scattered sectors (the
 *    rest being zeros or what was there before, never rubbish); names not synced may vanish, come back, or stay.
 *  - `kill()` ends the process alone: the page cache survives it.
 *  - After either, handles and mounts from before fail, so that a process that is gone cannot write any more.
 *  - Errors, a full disk, flipped bits and delays come by plan (`failNext`, `flip`, `setCapacity`) or by chance (`faults`).
 */

import type { FileHandle, FileSystem, OpenMode } from './file-system.ts';
import { below, type Random } from './random.ts';
import { VolatileFile } from './volatile-file.ts';

export type FaultyOperation = 'write' | 'read' | 'sync' | 'truncate' | 'open' | 'remove' | 'rename' | 'syncDirectory';

/** Chances in [0, 1] that one operation goes wrong; mutable, so that a test can switch them on and off. */
export interface Faults {
  writeError: number;
  readError: number;
  syncError: number;
  /** A read first flips one bit of what it is about to return, for good. */
  bitFlip: number;
  /** An operation lets others go first. */
  delay: number;
}

export interface PlannedFault {
  readonly operation: FaultyOperation;
  readonly code: 'EIO' | 'ENOSPC';
  /** Only on paths that contain this. */
  readonly path?: string;
  /** Lets this many matching operations pass first. */
  readonly skip?: number;
}

export interface FaultyFileSystemOptions {
  readonly random: Random;
  readonly faults?: Partial<Faults>;
  readonly capacityBytes?: number;
}

type Directory = Map<string, Node>;
type Node = { readonly kind: 'file'; readonly file: VolatileFile } | { readonly kind: 'directory'; readonly cached: Directory; readonly onDisk: Directory };
type DirectoryNode = Extract<Node, { kind: 'directory' }>;

/** Throws when the process that asks is gone. */
type Alive = () => void;

/** A change of names that is in the cache and perhaps not on the disk. */
interface NameChange {
  readonly directories: readonly DirectoryNode[];
  applyToDisk(): void;
}

export class FaultyFileSystem implements FileSystem {
  readonly faults: Faults;
  readonly #random: Random;
  readonly #root: DirectoryNode = emptyDirectory();
  #nameChanges: NameChange[] = [];
  #planned: { fault: PlannedFault; skip: number }[] = [];
  #capacityBytes: number;
  #boot = 0;
  /** Never ends: the whole machine's view. */
  readonly #asMachine = this.#seenBy(() => undefined);

  constructor(options: FaultyFileSystemOptions) {
    this.#random = options.random;
    this.#capacityBytes = options.capacityBytes ?? Infinity;
    this.faults = { writeError: 0, readError: 0, syncError: 0, bitFlip: 0, delay: 0, ...options.faults };
  }

  /** The file system as one process sees it: it fails for good at the next `crash` or `kill`. */
  mount(): FileSystem {
    const boot = this.#boot;
    return this.#seenBy(() => this.#mustBeUp(boot));
  }

  /** Power loss. */
  crash(): void {
    this.#boot++;
    for (const change of this.#nameChanges) if (this.#random.fraction() < 0.5) change.applyToDisk();
    this.#nameChanges = [];
    const files = new Set<VolatileFile>();
    const settle = (directory: DirectoryNode): void => {
      directory.cached.clear();
      for (const [name, node] of directory.onDisk) {
        directory.cached.set(name, node);
        if (node.kind === 'file') files.add(node.file);
        else settle(node);
      }
    };
    settle(this.#root);
    for (const file of files) file.losePower(this.#random);
  }

  /** The process ends; the machine, and with it the page cache, goes on. */
  kill(): void {
    this.#boot++;
  }

  failNext(fault: PlannedFault): void {
    this.#planned.push({ fault, skip: fault.skip ?? 0 });
  }

  setCapacity(capacityBytes: number): void {
    this.#capacityBytes = capacityBytes;
  }

  /** Flips one bit of a file, as rot on the disk would. */
  flip(path: string, offset: number, bit: number): void {
    this.#file(path).flip(offset, bit);
  }

  open(path: string, mode: OpenMode): Promise<FileHandle> {
    return this.#asMachine.open(path, mode);
  }
  readFile(path: string): Promise<Uint8Array | undefined> {
    return this.#asMachine.readFile(path);
  }
  list(directory: string): Promise<string[]> {
    return this.#asMachine.list(directory);
  }
  makeDirectory(directory: string): Promise<void> {
    return this.#asMachine.makeDirectory(directory);
  }
  rename(from: string, to: string): Promise<void> {
    return this.#asMachine.rename(from, to);
  }
  remove(path: string): Promise<void> {
    return this.#asMachine.remove(path);
  }
  syncDirectory(directory: string): Promise<void> {
    return this.#asMachine.syncDirectory(directory);
  }
  usage(directory: string): Promise<{ usedFraction: number; freeBytes: number }> {
    return this.#asMachine.usage(directory);
  }

  /** Every operation asks `alive` before it begins and again before it changes anything. */
  #seenBy(alive: Alive): FileSystem {
    const checked = async <T>(call: () => T): Promise<Awaited<T>> => {
      alive();
      return await call();
    };
    return {
      open: (path, mode) => checked(() => this.#open(alive, path, mode)),
      readFile: (path) => checked(() => this.#readFile(alive, path)),
      list: (directory) => checked(() => this.#list(directory)),
      makeDirectory: (directory) => checked(() => this.#makeDirectory(directory)),
      rename: (from, to) => checked(() => this.#rename(alive, from, to)),
      remove: (path) => checked(() => this.#remove(alive, path)),
      syncDirectory: (directory) => checked(() => this.#syncDirectory(alive, directory)),
      usage: () => checked(() => this.#usage()),
    };
  }

  async #open(alive: Alive, path: string, mode: OpenMode): Promise<FileHandle> {
    await this.#step(alive, 'open', path);
    const { directory, name } = this.#parent(path);
    let node = directory.cached.get(name);
    if (mode === 'create') {
      if (node !== undefined) throw systemError('EEXIST', path);
      const made: Node = { kind: 'file', file: new VolatileFile() };
      directory.cached.set(name, made);
      this.#nameChanges.push({ directories: [directory], applyToDisk: () => directory.onDisk.set(name, made) });
      node = made;
    }
    if (node === undefined) throw systemError('ENOENT', path);
    if (node.kind === 'directory') throw systemError('EISDIR', path);
    return this.#handle(node.file, path, mode);
  }

  async #readFile(alive: Alive, path: string): Promise<Uint8Array | undefined> {
    const node = this.#find(path);
    if (node === undefined) return undefined;
    if (node.kind === 'directory') throw systemError('EISDIR', path);
    await this.#step(alive, 'read', path);
    this.#rot(node.file, 0, node.file.sizeBytes);
    return node.file.content();
  }

  #list(directory: string): string[] {
    const node = this.#find(directory);
    if (node === undefined) return [];
    if (node.kind === 'file') throw systemError('ENOTDIR', directory);
    return [...node.cached.keys()].sort();
  }

  #makeDirectory(directory: string): void {
    let at = this.#root;
    for (const name of partsOf(directory)) {
      let next = at.cached.get(name);
      if (next === undefined) {
        next = emptyDirectory();
        at.cached.set(name, next);
      }
      if (next.kind === 'file') throw systemError('EEXIST', directory);
      at.onDisk.set(name, next);
      at = next;
    }
  }

  async #rename(alive: Alive, from: string, to: string): Promise<void> {
    await this.#step(alive, 'rename', from);
    const source = this.#parent(from);
    const target = this.#parent(to);
    const node = source.directory.cached.get(source.name);
    if (node === undefined) throw systemError('ENOENT', from);
    source.directory.cached.delete(source.name);
    target.directory.cached.set(target.name, node);
    this.#nameChanges.push({
      directories: [source.directory, target.directory],
      applyToDisk() {
        if (source.directory.onDisk.get(source.name) === node) source.directory.onDisk.delete(source.name);
        target.directory.onDisk.set(target.name, node);
      },
    });
  }

  async #remove(alive: Alive, path: string): Promise<void> {
    await this.#step(alive, 'remove', path);
    const parts = partsOf(path);
    const parent = this.#directory(parts.slice(0, -1));
    const node = parent?.cached.get(parts.at(-1) ?? '');
    if (parent !== undefined && node !== undefined) this.#removeNode(parent, parts.at(-1)!, node);
  }

  async #syncDirectory(alive: Alive, directory: string): Promise<void> {
    await this.#step(alive, 'syncDirectory', directory);
    const node = this.#directory(partsOf(directory));
    if (node === undefined) throw systemError('ENOENT', directory);
    const left: NameChange[] = [];
    for (const change of this.#nameChanges) {
      if (change.directories.includes(node)) change.applyToDisk();
      else left.push(change);
    }
    this.#nameChanges = left;
  }

  #usage(): { usedFraction: number; freeBytes: number } {
    if (this.#capacityBytes === Infinity) return { usedFraction: 0, freeBytes: Number.MAX_SAFE_INTEGER };
    const usedBytes = allocatedBytes(this.#root);
    const usedFraction = this.#capacityBytes === 0 ? 1 : Math.min(1, usedBytes / this.#capacityBytes);
    return { usedFraction, freeBytes: Math.max(0, this.#capacityBytes - usedBytes) };
  }

  #handle(file: VolatileFile, path: string, mode: OpenMode): FileHandle {
    const boot = this.#boot;
    let open = true;
    const step = async (operation: FaultyOperation, failed?: () => void): Promise<void> => {
      this.#mustBeUp(boot);
      if (!open) throw systemError('EBADF', path);
      if (mode === 'read' && (operation === 'write' || operation === 'truncate')) throw systemError('EBADF', path);
      await this.#step(() => this.#mustBeUp(boot), operation, path, failed);
    };
    return {
      write: async (chunks, offset) => {
        const bytes = joined(chunks);
        const writePart = (): void => file.write(bytes.subarray(0, below(this.#random, bytes.length + 1)), offset);
        await step('write', writePart);
        const room = this.#room(file, offset);
        file.write(bytes.subarray(0, room), offset);
        if (bytes.length > room) throw systemError('ENOSPC', path);
      },
      read: async (target, offset) => {
        await step('read');
        this.#rot(file, offset, Math.min(offset + target.length, file.sizeBytes));
        return file.read(target, offset);
      },
      sizeBytes: async () => {
        this.#mustBeUp(boot);
        return file.sizeBytes;
      },
      truncate: async (sizeBytes) => {
        await step('truncate');
        file.truncate(sizeBytes);
      },
      sync: async () => {
        await step('sync', () => file.failSync(this.#random));
        file.sync();
      },
      close: async () => {
        open = false;
      },
    };
  }

  /** Lets others go first, then fails if the plan or chance wants it; `failed` does what such a failure leaves behind. */
  async #step(alive: Alive, operation: FaultyOperation, path: string, failed?: () => void): Promise<void> {
    if (this.faults.delay > 0 && this.#random.fraction() < this.faults.delay) await new Promise(setImmediate);
    alive();
    const code = this.#plannedCode(operation, path) ?? this.#chanceCode(operation);
    if (code === undefined) return;
    failed?.();
    throw systemError(code, path);
  }

  #plannedCode(operation: FaultyOperation, path: string): string | undefined {
    for (const [index, planned] of this.#planned.entries()) {
      if (planned.fault.operation !== operation || !path.includes(planned.fault.path ?? '')) continue;
      if (planned.skip-- > 0) continue;
      this.#planned.splice(index, 1);
      return planned.fault.code;
    }
    return undefined;
  }

  #chanceCode(operation: FaultyOperation): string | undefined {
    const { writeError, readError, syncError } = this.faults;
    const chance = { write: writeError, read: readError, sync: syncError, syncDirectory: syncError }[operation as string] ?? 0;
    return chance > 0 && this.#random.fraction() < chance ? 'EIO' : undefined;
  }

  #rot(file: VolatileFile, from: number, end: number): void {
    if (end <= from || this.faults.bitFlip === 0 || this.#random.fraction() >= this.faults.bitFlip) return;
    file.flip(from + below(this.#random, end - from), below(this.#random, 8));
  }

  /** How many bytes may be written at `offset` before the disk is full. */
  #room(file: VolatileFile, offset: number): number {
    if (this.#capacityBytes === Infinity) return Infinity;
    const free = this.#capacityBytes - allocatedBytes(this.#root);
    return Math.max(0, file.allocatedBytes + Math.max(0, free) - offset);
  }

  #removeNode(parent: DirectoryNode, name: string, node: Node): void {
    if (node.kind === 'directory') for (const [below, child] of [...node.cached]) this.#removeNode(node, below, child);
    parent.cached.delete(name);
    this.#nameChanges.push({
      directories: [parent],
      applyToDisk() {
        if (parent.onDisk.get(name) === node) parent.onDisk.delete(name);
      },
    });
  }

  #mustBeUp(boot: number): void {
    if (boot !== this.#boot) throw systemError('EIO', 'a file system that crashed');
  }

  #file(path: string): VolatileFile {
    const node = this.#find(path);
    if (node?.kind !== 'file') throw systemError('ENOENT', path);
    return node.file;
  }

  #find(path: string): Node | undefined {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) return this.#root;
    return this.#directory(parts)?.cached.get(name);
  }

  #directory(parts: readonly string[]): DirectoryNode | undefined {
    let at: DirectoryNode = this.#root;
    for (const name of parts) {
      const next = at.cached.get(name);
      if (next?.kind !== 'directory') return undefined;
      at = next;
    }
    return at;
  }

  #parent(path: string): { directory: DirectoryNode; name: string } {
    const parts = partsOf(path);
    const name = parts.pop();
    const directory = this.#directory(parts);
    if (name === undefined || directory === undefined) throw systemError('ENOENT', path);
    return { directory, name };
  }
}

export function faultyFileSystem(options: FaultyFileSystemOptions): FaultyFileSystem {
  return new FaultyFileSystem(options);
}

function emptyDirectory(): DirectoryNode {
  return { kind: 'directory', cached: new Map(), onDisk: new Map() };
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function allocatedBytes(directory: DirectoryNode): number {
  let total = 0;
  for (const node of directory.cached.values()) total += node.kind === 'file' ? node.file.allocatedBytes : allocatedBytes(node);
  return total;
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
