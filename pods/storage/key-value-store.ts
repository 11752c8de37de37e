/**
 * An ordered map of byte strings with atomic batches: the applied state of a pod. Keys order by unsigned bytes.
 *
 * Durability: `write` is atomic and visible at once but not durable; `flush` makes everything written before it
 * durable. After a crash the store opens with a prefix of the writes that contains at least everything flushed; the log
 * replays the rest. Bytes that fail their checksum reject with CORRUPTION; they are never returned.
 */

export type WriteOperation =
  | { readonly kind: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: Uint8Array }
  /** Every key with start ≤ key < end. */
  | { readonly kind: 'delete-range'; readonly start: Uint8Array; readonly end: Uint8Array };

export interface KeyRange {
  /** First key, inclusive. */
  readonly start: Uint8Array;
  /** Last key, exclusive. */
  readonly end: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
  /** Leave values out (they come as empty arrays). */
  readonly keysOnly?: boolean;
}

export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface KeyValueReader {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** One result per key, in order. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /** Entries in key order, in slices, of one consistent view taken when iteration starts. Stops at once when the signal aborts. */
  scan(range: KeyRange, signal?: AbortSignal): AsyncIterable<readonly KeyValue[]>;
}

export interface KeyValueSnapshot extends KeyValueReader {
  close(): Promise<void>;
}

export interface KeyValueStore extends KeyValueReader {
  write(batch: readonly WriteOperation[]): Promise<void>;
  /** Everything written before the call is durable when it resolves. */
  flush(): Promise<void>;
  /** One consistent view, unaffected by later writes. */
  snapshot(): KeyValueSnapshot;
  /** Reads everything that is stored and checks it; CORRUPTION at the first bad block. */
  verify(signal?: AbortSignal): Promise<{ entries: number; bytes: number }>;
  /** Gives back the space of deleted keys in the range. */
  compact(start: Uint8Array, end: Uint8Array): Promise<void>;
  statistics(): Promise<{ sizeBytes: number; memoryBytes: number }>;
  close(): Promise<void>;
}
