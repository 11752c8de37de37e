/**
 * Sets of labels as bits: filters, live sets, what an index holds. Bit `label & 31` of word `label >>> 5`; labels are
 * dense, so a set of n labels costs about n / 8 bytes whatever its density.
 */

import assert from 'node:assert/strict';

/** Labels past the end of the words are not in the set. */
export interface LabelSet {
  readonly words: Uint32Array;
  /** Number of labels in the set. */
  readonly count: number;
}

/** Never a label: marks an empty place in tables from slot or row to label. */
export const noLabel = 0xffff_ffff;

export function hasLabel(set: LabelSet, label: number): boolean {
  const index = label >>> 5;
  // Reading a typed array past its end is right but slow, and slow for every later read at the same place in the code.
  return index < set.words.length && ((set.words[index] as number) & (1 << (label & 31))) !== 0;
}

/** Calls `visit` for each label of words [from, to), in ascending order. */
export function forEachLabel(set: LabelSet, visit: (label: number) => void, from = 0, to = set.words.length): void {
  for (let index = from; index < to; index++) {
    let word = set.words[index] as number;
    while (word !== 0) {
      visit(index * 32 + 31 - Math.clz32(word & -word));
      word &= word - 1;
    }
  }
}

/** A set that changes. Is itself a `LabelSet`, for readers that are done before the next change. */
export class LabelBits implements LabelSet {
  #words: Uint32Array;
  #count = 0;

  constructor(labelCapacity = 0) {
    this.#words = new Uint32Array((labelCapacity + 31) >>> 5);
  }

  static from(labels: Iterable<number>): LabelBits {
    const bits = new LabelBits();
    for (const label of labels) bits.add(label);
    return bits;
  }

  /** The words belong to the set from the call on. */
  static fromWords(words: Uint32Array<ArrayBuffer>): LabelBits {
    const bits = new LabelBits();
    bits.#words = words;
    return bits.#recount();
  }

  static copyOf(set: LabelSet): LabelBits {
    const bits = new LabelBits();
    bits.#words = set.words.slice();
    bits.#count = set.count;
    return bits;
  }

  /** Reads what `encode` wrote. */
  static decode(bytes: Uint8Array): LabelBits {
    assert(bytes.length % 4 === 0, 'an encoded label set is whole words');
    const bits = new LabelBits();
    bits.#words = new Uint32Array(bytes.length / 4);
    new Uint8Array(bits.#words.buffer).set(bytes);
    bits.#recount();
    return bits;
  }

  get words(): Uint32Array {
    return this.#words;
  }

  get count(): number {
    return this.#count;
  }

  has(label: number): boolean {
    return hasLabel(this, label);
  }

  /** True when the label was not in the set before. */
  add(label: number): boolean {
    const index = label >>> 5;
    if (index >= this.#words.length) this.grow(label + 1);
    const word = this.#words[index] as number;
    const bit = 1 << (label & 31);
    if ((word & bit) !== 0) return false;
    this.#words[index] = word | bit;
    this.#count++;
    return true;
  }

  /** True when the label was in the set before. */
  remove(label: number): boolean {
    if (!this.has(label)) return false;
    const index = label >>> 5;
    this.#words[index] = (this.#words[index] as number) & ~(1 << (label & 31));
    this.#count--;
    return true;
  }

  clear(): void {
    this.#words.fill(0);
    this.#count = 0;
  }

  /** Makes room for labels below `labelCapacity`, at least doubling, so that adding one by one stays linear. */
  grow(labelCapacity: number): void {
    assert(labelCapacity <= noLabel, 'a label is below 2^32 - 1');
    const needed = Math.ceil(labelCapacity / 32);
    if (needed <= this.#words.length) return;
    const grown = new Uint32Array(Math.max(needed, this.#words.length * 2, 4));
    grown.set(this.#words);
    this.#words = grown;
  }

  /** Keeps what is in both. */
  and(other: LabelSet): this {
    const words = this.#words;
    const shared = Math.min(words.length, other.words.length);
    for (let i = 0; i < shared; i++) words[i] = (words[i] as number) & (other.words[i] as number);
    words.fill(0, shared);
    return this.#recount();
  }

  or(other: LabelSet): this {
    this.grow(other.words.length * 32);
    const words = this.#words;
    const others = other.words;
    for (let i = 0; i < others.length; i++) words[i] = (words[i] as number) | (others[i] as number);
    return this.#recount();
  }

  /** Removes what is in `other`. */
  andNot(other: LabelSet): this {
    const words = this.#words;
    const shared = Math.min(words.length, other.words.length);
    for (let i = 0; i < shared; i++) words[i] = (words[i] as number) & ~(other.words[i] as number);
    return this.#recount();
  }

  /** A copy that later changes do not reach. */
  toLabelSet(): LabelSet {
    return { words: this.#words.slice(0, this.#usedWords()), count: this.#count };
  }

  toArray(): Uint32Array {
    const labels = new Uint32Array(this.#count);
    let next = 0;
    forEachLabel(this, (label) => (labels[next++] = label));
    return labels;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let index = 0; index < this.#words.length; index++) {
      for (let word = this.#words[index] as number; word !== 0; word &= word - 1) {
        yield index * 32 + 31 - Math.clz32(word & -word);
      }
    }
  }

  /** The words up to the last one in use, little-endian. */
  encode(): Uint8Array {
    const used = this.#words.slice(0, this.#usedWords());
    return new Uint8Array(used.buffer);
  }

  memoryBytes(): number {
    return this.#words.byteLength;
  }

  #usedWords(): number {
    let used = this.#words.length;
    while (used > 0 && this.#words[used - 1] === 0) used--;
    return used;
  }

  #recount(): this {
    let count = 0;
    const words = this.#words;
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as number;
      const pairs = word - ((word >>> 1) & 0x5555_5555);
      const nibbles = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
      count += Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
    }
    this.#count = count;
    return this;
  }
}
