/**
 * A map of byte strings in key order, with cheap copies: the data structure under the stores that live in memory.
 *
 * Entries lie in chunks of at most 128, each sorted; a search is two binary searches. A copy shares the chunks; whoever
 * writes to a shared chunk afterwards, original or copy, replaces it by its own.
 */

import type { WriteOperation } from './key-value-store.ts';

const chunkEntryCountMax = 128;

interface Chunk {
  /** Only the map that holds this very object may change the chunk in place. */
  readonly owner: object;
  readonly keys: Uint8Array[];
  readonly values: Uint8Array[];
}

export class SortedMap {
  #chunks: Chunk[] = [];
  #owner: object = {};
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A map of the same entries; later changes to either do not show in the other. */
  copy(): SortedMap {
    const copy = new SortedMap();
    copy.#chunks = this.#chunks.slice();
    copy.#size = this.#size;
    copy.#bytes = this.#bytes;
    this.#owner = {};
    return copy;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk.keys, key);
    return at < chunk.keys.length && Buffer.compare(chunk.keys[at] as Uint8Array, key) === 0 ? chunk.values[at] : undefined;
  }

  /** Keeps `key` and `value` themselves: the caller must not change them afterwards. */
  set(key: Uint8Array, value: Uint8Array): void {
    // A key beyond the last goes into the last chunk.
    const index = Math.max(0, Math.min(this.#chunkFor(key), this.#chunks.length - 1));
    if (this.#chunks.length === 0) this.#chunks.push({ owner: this.#owner, keys: [], values: [] });
    const chunk = this.#ownChunk(index);
    const at = lowerBound(chunk.keys, key);
    if (at < chunk.keys.length && Buffer.compare(chunk.keys[at] as Uint8Array, key) === 0) {
      this.#bytes += value.length - (chunk.values[at] as Uint8Array).length;
      chunk.values[at] = value;
      return;
    }
    chunk.keys.splice(at, 0, key);
    chunk.values.splice(at, 0, value);
    this.#size += 1;
    this.#bytes += key.length + value.length;
    if (chunk.keys.length > chunkEntryCountMax) this.#split(index, chunk);
  }

  delete(key: Uint8Array): void {
    const index = this.#chunkFor(key);
    const found = this.#chunks[index];
    if (found === undefined) return;
    const at = lowerBound(found.keys, key);
    if (at < found.keys.length && Buffer.compare(found.keys[at] as Uint8Array, key) === 0) this.#remove(index, at, at + 1);
  }

  /** Removes every key with start ≤ key < end. */
  deleteRange(start: Uint8Array, end: Uint8Array): void {
    if (Buffer.compare(start, end) >= 0) return;
    let index = this.#chunkFor(start);
    while (index < this.#chunks.length) {
      const keys = (this.#chunks[index] as Chunk).keys;
      const from = lowerBound(keys, start);
      const to = lowerBound(keys, end);
      const reachesEnd = to < keys.length;
      const chunkStays = from > 0 || reachesEnd;
      if (from < to) this.#remove(index, from, to);
      if (reachesEnd) return;
      if (chunkStays) index += 1;
    }
  }

  /** Entries with start ≤ key < end. The map must not change meanwhile: iterate over a copy. */
  *entries(start: Uint8Array, end: Uint8Array, reverse = false): Generator<readonly [Uint8Array, Uint8Array]> {
    if (Buffer.compare(start, end) >= 0) return;
    const first = this.#chunkFor(start);
    const last = Math.min(this.#chunkFor(end), this.#chunks.length - 1);
    for (let step = 0; step <= last - first; step += 1) {
      const { keys, values } = this.#chunks[reverse ? last - step : first + step] as Chunk;
      const from = lowerBound(keys, start);
      const to = lowerBound(keys, end);
      for (let offset = 0; offset < to - from; offset += 1) {
        const at = reverse ? to - 1 - offset : from + offset;
        yield [keys[at] as Uint8Array, values[at] as Uint8Array];
      }
    }
  }

  /** Entries in key order; the map must not change meanwhile. */
  *all(): Generator<readonly [Uint8Array, Uint8Array]> {
    for (const { keys, values } of this.#chunks) {
      for (let at = 0; at < keys.length; at += 1) yield [keys[at] as Uint8Array, values[at] as Uint8Array];
    }
  }

  /** Keeps copies of the bytes: the caller may use its buffers again. */
  apply(operation: WriteOperation): void {
    switch (operation.kind) {
      case 'put':
        return this.set(new Uint8Array(operation.key), new Uint8Array(operation.value));
      case 'delete':
        return this.delete(operation.key);
      case 'delete-range':
        return this.deleteRange(operation.start, operation.end);
    }
  }

  /** Index of the first chunk whose last key is not below `key`; the count of chunks when there is none. */
  #chunkFor(key: Uint8Array): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const keys = (this.#chunks[middle] as Chunk).keys;
      if (Buffer.compare(keys[keys.length - 1] as Uint8Array, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #ownChunk(index: number): Chunk {
    const chunk = this.#chunks[index] as Chunk;
    if (chunk.owner === this.#owner) return chunk;
    const own: Chunk = { owner: this.#owner, keys: chunk.keys.slice(), values: chunk.values.slice() };
    this.#chunks[index] = own;
    return own;
  }

  #split(index: number, chunk: Chunk): void {
    const half = chunk.keys.length >>> 1;
    const upper: Chunk = { owner: this.#owner, keys: chunk.keys.splice(half), values: chunk.values.splice(half) };
    this.#chunks.splice(index + 1, 0, upper);
  }

  #remove(index: number, from: number, to: number): void {
    const chunk = this.#ownChunk(index);
    const keys = chunk.keys.splice(from, to - from);
    const values = chunk.values.splice(from, to - from);
    this.#size -= keys.length;
    for (const bytes of [...keys, ...values]) this.#bytes -= bytes.length;
    // No chunk is empty, so that its last key can be asked for.
    if (chunk.keys.length === 0) this.#chunks.splice(index, 1);
  }
}

/** Index of the first key that is not below `key`. */
function lowerBound(keys: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(keys[middle] as Uint8Array, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
