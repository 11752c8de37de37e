/** The one place that loads `rocksdb-native`: the part of its interface that we use, which comes without types. */

import { createRequire } from 'node:module';

export interface RocksdbBatch {
  destroy(): void;
}

export interface RocksdbReadBatch extends RocksdbBatch {
  get(key: Uint8Array): Promise<Buffer | null>;
  /** Sends the batch without a promise of its own; each `get` settles by itself. */
  tryFlush(): void;
}

export interface RocksdbWriteBatch extends RocksdbBatch {
  tryPut(key: Uint8Array, value: Uint8Array): void;
  tryDelete(key: Uint8Array): void;
  tryDeleteRange(start: Uint8Array, end: Uint8Array): void;
  /** Buffers of the batch must stay as they are until it settles: a thread reads them. */
  flush(): Promise<void>;
}

export interface RocksdbRange {
  readonly gt?: Uint8Array;
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly reverse?: boolean;
  readonly values?: boolean;
  readonly limit?: number;
  /** Entries read by one trip to the thread pool. */
  readonly capacity?: number;
}

export interface RocksdbEntry {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export interface RocksdbSession {
  read(options: { capacity: number; autoDestroy: boolean }): RocksdbReadBatch;
  write(options: { capacity: number; autoDestroy: boolean }): RocksdbWriteBatch;
  iterator(range: RocksdbRange): AsyncIterable<RocksdbEntry>;
  /** A session that reads one consistent view; its `close` gives the view back. */
  snapshot(): RocksdbSession;
  close(): Promise<void>;
}

export interface Rocksdb extends RocksdbSession {
  ready(): Promise<void>;
  flush(): Promise<void>;
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>;
  getProperty(name: string): Promise<string | null>;
}

export interface RocksdbOptions {
  readonly createIfMissing: boolean;
  readonly maxOpenFiles: number;
  readonly maxBackgroundJobs: number;
  readonly bytesPerSync: number;
  readonly walRecoveryMode: number;
  readonly enableStatistics: boolean;
  readonly statsLevel: number;
  readonly tableBlockSize: number;
  readonly tableCacheIndexAndFilterBlocks: boolean;
  readonly filterPolicy: object;
  readonly writeBufferSize: number;
  readonly maxWriteBufferNumber: number;
}

interface RocksdbModule {
  new (directory: string, options: RocksdbOptions): Rocksdb;
  readonly BloomFilterPolicy: new (bitsPerKey: number) => object;
  readonly constants: {
    readonly walRecoveryMode: { readonly POINT_IN_TIME: number };
    readonly statsLevel: { readonly EXCEPT_HISTOGRAM_OR_TIMERS: number };
  };
}

export const rocksdbModule = createRequire(import.meta.url)('rocksdb-native') as RocksdbModule;
