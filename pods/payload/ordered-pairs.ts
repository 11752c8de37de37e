/**
 * Pairs (key, label) in order of key, then label: what every payload index is made of. A key is a number: the value
 * itself, an instant, or the number given to a string.
 *
 *     leaves  [ (1,7) (1,9) (2,3) ] [ (2,8) (5,0) ] [ (5,4) … ]        at most `leafPairsMax` pairs each
 *
 * One level of leaves is enough: the array of leaves of a million pairs has about 3,000 entries, and moving those on a
 * split costs less than moving the pairs of one leaf. A snapshot takes the array; from then on a change copies the leaf
 * that it meets first, so a snapshot costs microseconds and can be read at leisure.
 */

import assert from 'node:assert/strict';

const leafPairsMax = 512;
const leafPairsMin = leafPairsMax / 4;

export interface KeyRange {
  readonly low: number;
  readonly lowIncluded: boolean;
  readonly high: number;
  readonly highIncluded: boolean;
}

export interface Pair {
  readonly key: number;
  readonly label: number;
}

interface Leaf {
  keys: Float64Array;
  labels: Uint32Array;
  count: number;
  /** The era in which the leaf was made; a leaf of an earlier one belongs to a snapshot too. */
  readonly era: number;
}

/** Pairs `from` to `to` of a leaf; the arrays are longer. */
export interface PairRun {
  readonly keys: Float64Array;
  readonly labels: Uint32Array;
  readonly count: number;
}

/** Sorts before and after every label of a key. */
const beforeLabels = -1;
const afterLabels = Infinity;

export class OrderedPairs {
  #leaves: Leaf[] = [];
  #size = 0;
  #era = 0;

  get size(): number {
    return this.#size;
  }

  /** False when the pair is there already. */
  add(key: number, label: number): boolean {
    assert(Number.isFinite(key), 'a key is finite');
    if (this.#leaves.length === 0) this.#leaves.push(emptyLeaf(this.#era, 16));
    // The last leaf that begins at or before the pair takes it.
    const place = Math.max(0, this.#leafAfter(key, label) - 1);
    let leaf = this.#changeable(place);
    let position = lowerBound(leaf, key, label);
    if (position < leaf.count && leaf.keys[position] === key && leaf.labels[position] === label) return false;
    if (leaf.count === leafPairsMax) {
      const right = this.#split(place, position);
      if (position > leaf.count || (position === leaf.count && leaf.count === leafPairsMax)) {
        position -= leaf.count;
        leaf = right;
      }
    }
    insertAt(leaf, position, key, label);
    this.#size++;
    return true;
  }

  /** False when the pair is not there. */
  remove(key: number, label: number): boolean {
    const place = this.#leafAfter(key, label) - 1;
    if (place < 0) return false;
    const found = this.#leaves[place] as Leaf;
    const position = lowerBound(found, key, label);
    if (position === found.count || found.keys[position] !== key || found.labels[position] !== label) return false;
    const leaf = this.#changeable(place);
    leaf.keys.copyWithin(position, position + 1, leaf.count);
    leaf.labels.copyWithin(position, position + 1, leaf.count);
    leaf.count--;
    this.#size--;
    if (leaf.count < leafPairsMin) this.#mergeOrDrop(place);
    return true;
  }

  hasKey(key: number): boolean {
    return this.count({ low: key, lowIncluded: true, high: key, highIncluded: true }) > 0;
  }

  /** Number of pairs in the range: exact, from the leaves' counts. */
  count(range: KeyRange): number {
    const start = this.#seek(range.low, range.lowIncluded ? beforeLabels : afterLabels);
    const end = this.#seek(range.high, range.highIncluded ? afterLabels : beforeLabels);
    if (start.place > end.place || (start.place === end.place && start.position >= end.position)) return 0;
    let total = end.position - start.position;
    for (let place = start.place; place < end.place; place++) total += (this.#leaves[place] as Leaf).count;
    return total;
  }

  /**
   * Sets the bits of the labels in the range, for about `pairCount` pairs from `from` on. Returns where to go on, or
   * undefined at the end; between calls pairs may come and go. Labels past the end of the words are passed over.
   */
  collect(range: KeyRange, words: Uint32Array, pairCount: number, from?: Pair): Pair | undefined {
    const start = from === undefined ? this.#seek(range.low, range.lowIncluded ? beforeLabels : afterLabels) : this.#seek(from.key, from.label);
    const end = this.#seek(range.high, range.highIncluded ? afterLabels : beforeLabels);
    let budget = pairCount;
    for (let place = start.place; place <= end.place && place < this.#leaves.length; place++) {
      const leaf = this.#leaves[place] as Leaf;
      const first = place === start.place ? start.position : 0;
      const last = place === end.place ? end.position : leaf.count;
      if (first >= last) continue;
      if (budget <= 0) return { key: leaf.keys[first] as number, label: leaf.labels[first] as number };
      const labels = leaf.labels;
      for (let i = first; i < last; i++) {
        const label = labels[i] as number;
        words[label >>> 5]! |= 1 << (label & 31);
      }
      budget -= last - first;
    }
    return undefined;
  }

  /** The pairs as they are now, in runs, whatever changes later. */
  snapshot(): readonly PairRun[] {
    this.#era++;
    return this.#leaves.slice();
  }

  /** Adds pairs behind all others, as a checkpoint holds them. False unless they are finite and strictly ascending. */
  append(keys: Float64Array, labels: Uint32Array): boolean {
    assert(keys.length === labels.length, 'a key for each label');
    let leaf = this.#leaves.at(-1);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as number;
      const label = labels[i] as number;
      if (!Number.isFinite(key)) return false;
      if (leaf !== undefined && compare(leaf.keys[leaf.count - 1] as number, leaf.labels[leaf.count - 1] as number, key, label) >= 0) return false;
      // A quarter stays free, so that the first changes after a start do not split every leaf.
      if (leaf === undefined || leaf.count >= (leafPairsMax * 3) / 4) {
        leaf = emptyLeaf(this.#era, Math.min(leafPairsMax, Math.max(16, keys.length - i)));
        this.#leaves.push(leaf);
      }
      insertAt(leaf, leaf.count, key, label);
      this.#size++;
    }
    return true;
  }

  memoryBytes(): number {
    return this.#leaves.reduce((sum, leaf) => sum + leaf.keys.byteLength + leaf.labels.byteLength, 0);
  }

  /** The first pair at or after (key, label); past the last leaf at the end. */
  #seek(key: number, label: number): { place: number; position: number } {
    const place = this.#leafAfter(key, label) - 1;
    if (place < 0) return { place: 0, position: 0 };
    return { place, position: lowerBound(this.#leaves[place] as Leaf, key, label) };
  }

  /** The first leaf that begins after (key, label). */
  #leafAfter(key: number, label: number): number {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const leaf = this.#leaves[middle] as Leaf;
      if (compare(leaf.keys[0] as number, leaf.labels[0] as number, key, label) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #changeable(place: number): Leaf {
    const leaf = this.#leaves[place] as Leaf;
    if (leaf.era === this.#era) return leaf;
    const copy: Leaf = { keys: leaf.keys.slice(), labels: leaf.labels.slice(), count: leaf.count, era: this.#era };
    this.#leaves[place] = copy;
    return copy;
  }

  /** Moves the upper half of a full leaf to a new one; nothing when the next pair comes at its end, as rising keys do. */
  #split(place: number, position: number): Leaf {
    const leaf = this.#leaves[place] as Leaf;
    const kept = position === leaf.count ? leaf.count : leafPairsMax / 2;
    const right = emptyLeaf(this.#era, leafPairsMax);
    right.keys.set(leaf.keys.subarray(kept, leaf.count));
    right.labels.set(leaf.labels.subarray(kept, leaf.count));
    right.count = leaf.count - kept;
    leaf.count = kept;
    this.#leaves.splice(place + 1, 0, right);
    return right;
  }

  /** Joins a leaf that has become small with a neighbour, where the two leave room for changes. */
  #mergeOrDrop(place: number): void {
    if ((this.#leaves[place] as Leaf).count === 0) {
      this.#leaves.splice(place, 1);
      return;
    }
    const fits = (left: number): boolean => {
      const [one, other] = [this.#leaves[left], this.#leaves[left + 1]];
      return one !== undefined && other !== undefined && one.count + other.count <= (leafPairsMax * 3) / 4;
    };
    const left = fits(place) ? place : place - 1;
    if (!fits(left)) return;
    const leaf = this.#changeable(left);
    const next = this.#leaves[left + 1] as Leaf;
    reserve(leaf, leaf.count + next.count);
    leaf.keys.set(next.keys.subarray(0, next.count), leaf.count);
    leaf.labels.set(next.labels.subarray(0, next.count), leaf.count);
    leaf.count += next.count;
    this.#leaves.splice(left + 1, 1);
  }
}

function compare(leftKey: number, leftLabel: number, key: number, label: number): number {
  return leftKey < key ? -1 : leftKey > key ? 1 : leftLabel - label;
}

/** The first position at or after (key, label). */
function lowerBound(leaf: Leaf, key: number, label: number): number {
  let low = 0;
  let high = leaf.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(leaf.keys[middle] as number, leaf.labels[middle] as number, key, label) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Leaves begin small, so that a small collection's indexes are small. */
function emptyLeaf(era: number, capacity: number): Leaf {
  return { keys: new Float64Array(capacity), labels: new Uint32Array(capacity), count: 0, era };
}

function reserve(leaf: Leaf, count: number): void {
  if (count <= leaf.keys.length) return;
  const capacity = Math.min(leafPairsMax, Math.max(count, leaf.keys.length * 2));
  const { keys, labels } = leaf;
  leaf.keys = new Float64Array(capacity);
  leaf.keys.set(keys);
  leaf.labels = new Uint32Array(capacity);
  leaf.labels.set(labels);
}

function insertAt(leaf: Leaf, position: number, key: number, label: number): void {
  reserve(leaf, leaf.count + 1);
  if (position < leaf.count) {
    leaf.keys.copyWithin(position + 1, position, leaf.count);
    leaf.labels.copyWithin(position + 1, position, leaf.count);
  }
  leaf.keys[position] = key;
  leaf.labels[position] = label;
  leaf.count++;
}
