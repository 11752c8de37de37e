/** Which shard owns a point id: xxhash64 of the id's UTF-8 bytes, cut into equal ranges of the 64-bit space. */

import xxhash from 'xxhash-wasm';

const { h64 } = await xxhash();

/** 16 lower-case hex digits each; `end` is inclusive. */
export interface HashRange {
  readonly start: string;
  readonly end: string;
}

const space = 1n << 64n;

/** `count` ranges of equal size (to within one) that cover the space without gap or overlap. */
export function splitHashSpace(count: number): HashRange[] {
  const bound = (i: number): bigint => (space * BigInt(i)) / BigInt(count);
  const hex = (n: bigint): string => n.toString(16).padStart(16, '0');
  return Array.from({ length: count }, (_, i) => ({ start: hex(bound(i)), end: hex(bound(i + 1) - 1n) }));
}

/** Finds the owner of an id among ranges that cover the space in ascending order. */
export class HashRing {
  readonly #starts: bigint[];

  constructor(ranges: readonly HashRange[]) {
    this.#starts = ranges.map((range) => BigInt(`0x${range.start}`));
  }

  /** Position of the owning range. */
  ownerOf(id: string): number {
    if (this.#starts.length === 1) return 0;
    const hash = h64(id);
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= hash) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
