/**
 * Strings and the numbers given to them, dense from 0, so that keyword indexes hold numbers like all others.
 *
 * A JavaScript Map of a million entries stops the event loop for tens of milliseconds when it grows, so from
 * `splitCount` strings on they are spread over many maps by hash.
 */

import assert from 'node:assert/strict';

const splitCount = 8_192;
const mapCount = 256;

export class Dictionary {
  #maps: Map<string, number>[] = [new Map()];
  readonly #strings: (string | undefined)[] = [];
  #free: number[] = [];
  /** Numbers given back while the dictionary is pinned: their strings stay readable until it is not. */
  #parked: number[] = [];
  #pinned = false;
  #size = 0;

  /** Number of strings. */
  get size(): number {
    return this.#size;
  }

  /** Numbers are below this. */
  get numberLimit(): number {
    return this.#strings.length;
  }

  find(text: string): number | undefined {
    return this.#mapOf(text).get(text);
  }

  /** The number of the string; a new one when it has none. */
  intern(text: string): number {
    const map = this.#mapOf(text);
    const known = map.get(text);
    if (known !== undefined) return known;
    // While pinned, numbers are not used again: a reader may still ask for their old strings.
    const number = (this.#pinned ? undefined : this.#free.pop()) ?? this.#strings.length;
    this.#put(map, number, text);
    return number;
  }

  /** Gives the number back. */
  release(number: number): void {
    const text = this.#strings[number];
    assert(text !== undefined && this.#mapOf(text).delete(text), 'a released number is in use');
    this.#size--;
    if (this.#pinned) {
      this.#parked.push(number);
    } else {
      this.#strings[number] = undefined;
      this.#free.push(number);
    }
  }

  /** From now on until `unpin`, `stringOf` answers for every number that is in use now. */
  pin(): void {
    assert(!this.#pinned, 'a dictionary is pinned once');
    this.#pinned = true;
  }

  unpin(): void {
    this.#pinned = false;
    for (const number of this.#parked) {
      this.#strings[number] = undefined;
      this.#free.push(number);
    }
    this.#parked = [];
  }

  stringOf(number: number): string | undefined {
    return this.#strings[number];
  }

  /** Gives a string the number it had in a checkpoint, numbers ascending. False when that cannot be. */
  restore(number: number, text: string): boolean {
    const map = this.#mapOf(text);
    if (number < this.#strings.length || map.has(text)) return false;
    while (this.#strings.length < number) {
      this.#free.push(this.#strings.length);
      this.#strings.push(undefined);
    }
    this.#put(map, number, text);
    return true;
  }

  /** Approximate: what V8 takes for a map entry, a string of one byte each letter, and the tables here. */
  memoryBytes(): number {
    let letters = 0;
    for (const text of this.#strings) letters += text?.length ?? 0;
    return letters + this.#size * (24 + 40) + this.#strings.length * 8;
  }

  #put(map: Map<string, number>, number: number, text: string): void {
    this.#strings[number] = text;
    map.set(text, number);
    this.#size++;
    if (this.#maps.length === 1 && this.#size > splitCount) this.#spread();
  }

  #mapOf(text: string): Map<string, number> {
    return this.#maps[this.#maps.length === 1 ? 0 : hash(text) % mapCount] as Map<string, number>;
  }

  #spread(): void {
    const all = this.#maps[0] as Map<string, number>;
    this.#maps = Array.from({ length: mapCount }, () => new Map<string, number>());
    for (const [text, number] of all) this.#mapOf(text).set(text, number);
  }
}

/** FNV-1a over UTF-16 units, its high bits folded into the low ones. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return (value ^ (value >>> 15)) >>> 0;
}
