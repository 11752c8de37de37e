/**
 * The machine under one data pod: a disk and a store on it, which a power loss hits at the same instant. A process sees
 * them through its gate, with the time that real ones take. They outlive processes; a replaced machine is a new one.
 */

import { dirname } from 'node:path';
import { hasCode } from '../../../pods/kernel/errors.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../../../pods/kernel/faulty-file-system.ts';
import type { FileHandle, FileSystem } from '../../../pods/kernel/file-system.ts';
import { below, type Random } from '../../../pods/kernel/random.ts';
import { openFaultyStore, type FaultyStore } from '../../../pods/storage/faulty-store.ts';
import type { KeyRange, KeyValueReader, KeyValueStore } from '../../../pods/storage/key-value-store.ts';
import type { Gate } from './gate.ts';
import type { Scheduler } from './scheduler.ts';

/** Milliseconds, exponential with these means. */
const syncMsMean = 1;
const writeMsMean = 0.1;
const readMsMean = 0.1;
const storeMsMean = 0.05;
const wholeStore: KeyRange = { start: new Uint8Array([0]), end: new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff]) };

export class PodMachine {
  readonly disk: FaultyFileSystem;
  /** How many times slower than usual. */
  slowness = 1;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  #store: FaultyStore | undefined;
  #isStoreOpen = false;

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.disk = faultyFileSystem({ random });
  }

  get store(): FaultyStore | undefined {
    return this.#isStoreOpen ? this.#store : undefined;
  }

  /** As the process behind the gate has it. */
  fileSystem(gate: Gate): FileSystem {
    const mounted = this.disk.mount();
    const timed = <T>(meanMs: number, operation: () => Promise<T>): Promise<T> => this.#timed(gate, meanMs, operation);
    const handle = (file: FileHandle): FileHandle => ({
      // The caller may use its buffers again only when it has the answer, so they need no copy.
      write: (chunks, offset) => timed(writeMsMean, () => file.write(chunks, offset)),
      read: (target, offset) => timed(readMsMean, () => file.read(target, offset)),
      sizeBytes: () => gate.pass(file.sizeBytes()),
      truncate: (sizeBytes) => timed(writeMsMean, () => file.truncate(sizeBytes)),
      sync: () => timed(syncMsMean, () => file.sync()),
      close: () => gate.pass(file.close()),
    });
    return {
      open: async (path, mode) => handle(await timed(readMsMean, () => mounted.open(path, mode))),
      readFile: (path) => timed(readMsMean, () => mounted.readFile(path)),
      list: (directory) => timed(readMsMean, () => mounted.list(directory)),
      makeDirectory: (directory) => timed(syncMsMean, () => mounted.makeDirectory(directory)),
      rename: (from, to) => timed(writeMsMean, () => mounted.rename(from, to)),
      remove: (path) => timed(writeMsMean, () => mounted.remove(path)),
      syncDirectory: (directory) => timed(syncMsMean, () => mounted.syncDirectory(directory)),
      usage: (directory) => gate.pass(mounted.usage(directory)),
    };
  }

  /** Opens the store as the last process left it. One process at a time. */
  openStore(gate: Gate): KeyValueStore {
    const store = this.#store === undefined ? openFaultyStore(this.#random) : this.#store.reopen();
    this.#store = store;
    this.#isStoreOpen = true;
    return this.#gated(store, gate);
  }

  /** The process ends; with a power loss, what was not synced may go with it. */
  end(how: 'power loss' | 'kill'): void {
    if (how === 'power loss') this.disk.crash();
    else this.disk.kill();
    if (this.#isStoreOpen) this.#store!.crash();
    this.#isStoreOpen = false;
  }

  repair(): void {
    this.slowness = 1;
    this.disk.setCapacity(Infinity);
    Object.assign(this.disk.faults, { writeError: 0, readError: 0, syncError: 0, bitFlip: 0 });
    this.#store?.setFaults({ writeErrors: 0, flushErrors: 0, readErrors: 0, diskBytesMax: Infinity });
  }

  /** From now on `freeBytes` are left. */
  async leaveRoom(freeBytes: number): Promise<void> {
    const huge = 1e12;
    this.disk.setCapacity(huge);
    const usage = await this.disk.usage('/');
    this.disk.setCapacity(huge - usage.freeBytes + freeBytes);
  }

  /** Bits flip in a file or under a key of the store; says where, or undefined when there is nothing. */
  async rot(): Promise<string | undefined> {
    if (this.#random.fraction() < 0.5) return this.#rotStore();
    const files: { path: string; sizeBytes: number }[] = [];
    const collect = async (directory: string): Promise<void> => {
      for (const name of await this.disk.list(directory)) {
        const path = `${directory}/${name}`;
        const content = await this.disk.readFile(path).catch(() => undefined);
        if (content === undefined) await collect(path);
        else if (content.length > 0) files.push({ path, sizeBytes: content.length });
      }
    };
    await collect('');
    const chosen = files[below(this.#random, files.length)];
    if (chosen === undefined) return undefined;
    const offset = below(this.#random, chosen.sizeBytes);
    this.disk.flip(chosen.path, offset, below(this.#random, 8));
    return `${chosen.path} at ${offset} of ${chosen.sizeBytes}, in ${dirname(chosen.path)}`;
  }

  async #rotStore(): Promise<string | undefined> {
    const store = this.store;
    if (store === undefined) return undefined;
    const keys: Uint8Array[] = [];
    try {
      for await (const slice of store.scan({ ...wholeStore, keysOnly: true })) keys.push(...slice.map(({ key }) => key));
    } catch (error) {
      // Rotten already, and nobody has noticed yet: one of the keys before that place.
      if (!hasCode(error, 'CORRUPTION')) throw error;
    }
    const key = keys[below(this.#random, keys.length)];
    if (key === undefined) return undefined;
    store.corrupt(key);
    return `store key ${Buffer.from(key).toString('hex')}`;
  }

  /** Takes effect at some instant between call and answer; not in a process that died before. */
  #timed<T>(gate: Gate, meanMs: number, operation: () => Promise<T>): Promise<T> {
    return gate.pass(
      new Promise<T>((resolve, reject) => {
        const totalMs = -meanMs * this.slowness * Math.log(1 - this.#random.fraction());
        const beforeMs = totalMs * this.#random.fraction();
        this.#scheduler.after(beforeMs, () => {
          if (gate.isDead) return;
          const outcome = operation();
          // Seen as handled: the outcome may come before anybody asks for it.
          outcome.catch(() => undefined);
          this.#scheduler.after(totalMs - beforeMs, () => void outcome.then(resolve, reject));
        });
      }),
    );
  }

  /** What is written takes effect at the call, so that writes keep their order, as in the real store; answers take time. */
  #gated(store: KeyValueStore, gate: Gate): KeyValueStore {
    const pause = (): Promise<void> | undefined => {
      return this.#random.fraction() < 0.3 ? gate.pass(this.#scheduler.sleep(-storeMsMean * this.slowness * Math.log(1 - this.#random.fraction()))) : undefined;
    };
    const reader = (inner: KeyValueReader): KeyValueReader => ({
      async get(key) {
        const value = await gate.pass(inner.get(key));
        await pause();
        return value;
      },
      async getMany(keys) {
        const values = await gate.pass(inner.getMany(keys));
        await pause();
        return values;
      },
      async *scan(range, signal) {
        const slices = inner.scan(range, signal)[Symbol.asyncIterator]();
        try {
          for (let next = await gate.pass(slices.next()); next.done !== true; next = await gate.pass(slices.next())) {
            await pause();
            yield next.value;
          }
        } finally {
          await slices.return?.();
        }
      },
    });
    const unlessDead = <T>(operation: () => Promise<T>): Promise<T> => (gate.isDead ? new Promise<T>(() => undefined) : gate.pass(operation()));
    return {
      ...reader(store),
      async write(batch) {
        await unlessDead(() => store.write(batch));
        await pause();
      },
      flush: () => this.#timed(gate, syncMsMean, () => store.flush()),
      snapshot() {
        const inner = store.snapshot();
        return { ...reader(inner), close: () => gate.pass(inner.close()) };
      },
      verify: (signal) => unlessDead(() => store.verify(signal)),
      compact: (start, end) => unlessDead(() => store.compact(start, end)),
      statistics: () => unlessDead(() => store.statistics()),
      close: () =>
        unlessDead(async () => {
          await store.close();
          this.#isStoreOpen = false;
        }),
    };
  }
}
