/**
 * Vectors of present labels, packed row by row in blocks, and the exact scan over them. The flat index is this table;
 * the graph index keeps one beside its graph for filtered and exact searches.
 *
 * A removed row is filled with the last one, so memory follows the number of vectors. A scan runs in slices between
 * which rows come, go and move, so it walks from the last row to the first and the table tells it what changed:
 *
 *   row  0 ......... p ......... n      rows at or above p are scanned
 *        not yet     | scanned
 *
 *   a scanned row moved below p         is skipped the second time (`moved`)
 *   a scanned row replaced or removed   must not be answered from its old vector (`stale`); when one is among the hits,
 *                                       the scan starts again, the third time without a pause
 *   a row added                         lands above p: not seen, as if it came after the search
 */

import assert from 'node:assert/strict';
import type { Metric } from '../domain/metric.ts';
import { distanceOf, rowDistancesOf, type Distance, type RowDistances } from './distances.ts';
import { hasLabel, LabelBits, noLabel, type LabelSet } from '../domain/label-set.ts';
import type { VectorBytes } from '../domain/vector-bytes.ts';
import { TopK } from './top-k.ts';
import type { IndexHits } from './vector-index.ts';

const blockFloats = 16_384;
const noRow = 0xffff_ffff;
/** Rows of one block that are compared, and their distances: scratch, as a block is scanned at one go. */
const places = new Uint32Array(blockFloats);
const distances = new Float64Array(blockFloats);

export class RowTable {
  readonly dimension: number;
  readonly distance: Distance;
  /** The same of many rows at a time. */
  readonly rowDistances: RowDistances;
  /** Rows per block are a power of two: finding a row is a shift and a mask. */
  readonly #blockShift: number;
  readonly #blockMask: number;
  readonly #blocks: Float32Array[] = [];
  /** The same blocks, for vectors that are not aligned. */
  readonly #blockBytes: Uint8Array[] = [];
  #labelOfRow = new Uint32Array(64);
  #rowOfLabel = new Uint32Array(0);
  #size = 0;
  /** Scans under way: they are told of every change. */
  readonly #scans = new Set<RowScan>();

  constructor(dimension: number, metric: Metric, rowDistances: RowDistances = rowDistancesOf(metric)) {
    this.dimension = dimension;
    this.distance = distanceOf(metric);
    this.rowDistances = rowDistances;
    this.#blockShift = Math.max(0, 31 - Math.clz32(Math.floor(blockFloats / dimension)));
    this.#blockMask = (1 << this.#blockShift) - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** The row of a label, or -1. Valid until the next change. */
  rowOf(label: number): number {
    const row = label < this.#rowOfLabel.length ? (this.#rowOfLabel[label] as number) : noRow;
    return row === noRow ? -1 : row;
  }

  labelOf(row: number): number {
    return this.#labelOfRow[row] as number;
  }

  get rowsPerBlock(): number {
    return this.#blockMask + 1;
  }

  /** The block that holds `row`, and where in it the row begins. */
  blockOf(row: number): Float32Array {
    return this.#blocks[row >>> this.#blockShift] as Float32Array;
  }

  offsetOf(row: number): number {
    return (row & this.#blockMask) * this.dimension;
  }

  distanceTo(row: number, query: Float32Array, queryOffset: number): number {
    return this.distance(query, queryOffset, this.blockOf(row), this.offsetOf(row), this.dimension);
  }

  /** Stores a copy of `vectors[offset, offset + dimension)` under `label`, over what was there. */
  set(label: number, vectors: Float32Array, offset: number): void {
    const row = this.#rowToSet(label);
    copyFloats(vectors, offset, this.blockOf(row), this.offsetOf(row), this.dimension);
  }

  /** The same of one vector as bytes. Returns its row. */
  setBytes(label: number, vector: VectorBytes): number {
    assert(vector.length === 4 * this.dimension, 'a vector has the dimension of the table');
    const row = this.#rowToSet(label);
    (this.#blockBytes[row >>> this.#blockShift] as Uint8Array).set(vector, 4 * this.offsetOf(row));
    return row;
  }

  /** True when the label was there. */
  remove(label: number): boolean {
    const row = this.rowOf(label);
    if (row < 0) return false;
    for (const scan of this.#scans) scan.onChange(label, row);
    this.#rowOfLabel[label] = noRow;
    const last = --this.#size;
    if (row !== last) {
      const moved = this.labelOf(last);
      for (const scan of this.#scans) scan.onMove(moved, last, row);
      copyFloats(this.blockOf(last), this.offsetOf(last), this.blockOf(row), this.offsetOf(row), this.dimension);
      this.#labelOfRow[row] = moved;
      this.#rowOfLabel[moved] = row;
    }
    // One spare block stays, so that a table at a block's edge does not allocate with every change.
    const needed = (last >>> this.#blockShift) + 2;
    if (this.#blocks.length > needed) this.#blocks.length = this.#blockBytes.length = needed;
    return true;
  }

  labels(): Uint32Array {
    return this.#labelOfRow.slice(0, this.#size);
  }

  labelBits(): LabelBits {
    const bits = new LabelBits(this.#rowOfLabel.length);
    for (let row = 0; row < this.#size; row++) bits.add(this.labelOf(row));
    return bits;
  }

  /** The bytes of all rows in order, block by block. */
  *rowBytes(): Generator<Uint8Array> {
    for (let row = 0; row < this.#size; row += this.rowsPerBlock) {
      const rows = Math.min(this.rowsPerBlock, this.#size - row);
      yield new Uint8Array(this.blockOf(row).buffer, 0, rows * this.dimension * 4);
    }
  }

  memoryBytes(): number {
    const blocks = this.#blocks.reduce((sum, block) => sum + block.byteLength, 0);
    return blocks + this.#labelOfRow.byteLength + this.#rowOfLabel.byteLength;
  }

  /** `heap` may hold hits from elsewhere already; they are merged. The filter must not change until the scan is closed. */
  scan(query: Float32Array, queryOffset: number, k: number, filter?: LabelSet, heap?: TopK): RowScan {
    const scan = new RowScan(this, query, queryOffset, heap ?? new TopK(k), filter, () => this.#scans.delete(scan));
    this.#scans.add(scan);
    return scan;
  }

  #rowToSet(label: number): number {
    const row = this.rowOf(label);
    if (row < 0) return this.#appendRow(label);
    for (const scan of this.#scans) scan.onChange(label, row);
    return row;
  }

  #appendRow(label: number): number {
    assert(label < noLabel, 'a label is below 2^32 - 1');
    const row = this.#size++;
    if (row >= this.#labelOfRow.length) this.#labelOfRow = grown(this.#labelOfRow, row + 1);
    if (label >= this.#rowOfLabel.length) this.#rowOfLabel = grown(this.#rowOfLabel, label + 1);
    if (row >>> this.#blockShift >= this.#blocks.length) {
      const block = new Float32Array(this.rowsPerBlock * this.dimension);
      this.#blocks.push(block);
      this.#blockBytes.push(new Uint8Array(block.buffer));
    }
    this.#labelOfRow[row] = label;
    this.#rowOfLabel[label] = row;
    return row;
  }
}

/** One exact search of one query, in slices. `close` it when it is abandoned. */
export class RowScan {
  readonly #table: RowTable;
  readonly #query: Float32Array;
  readonly #queryOffset: number;
  readonly #heap: TopK;
  readonly #filter: LabelSet | undefined;
  readonly #byLabel: boolean;
  readonly #unregister: () => void;
  /** Rows at or above it are scanned; by label, words of the filter at or above it are. */
  #position = 0;
  /** Labels scanned already that lie below `#position` now. */
  readonly #moved = new Set<number>();
  readonly #stale = new Set<number>();
  #restartsLeft = 2;
  visitedCount = 0;

  constructor(
    table: RowTable,
    query: Float32Array,
    queryOffset: number,
    heap: TopK,
    filter: LabelSet | undefined,
    unregister: () => void,
  ) {
    this.#table = table;
    this.#query = query;
    this.#queryOffset = queryOffset;
    this.#heap = heap;
    this.#filter = filter;
    this.#unregister = unregister;
    this.#byLabel = filter !== undefined && filter.count < table.size;
    this.#start();
  }

  /** Scans about `distanceCount` rows. True when the scan is complete; it is closed then. */
  step(distanceCount: number): boolean {
    // The last attempt runs without a pause: under constant change no other would end with k fresh hits.
    const budget = this.#restartsLeft > 0 ? distanceCount : Infinity;
    if (this.#byLabel) this.#stepByLabel(budget);
    else this.#stepByRow(budget);
    if (this.#position > 0) return false;
    if (this.#hasStaleHit()) {
      this.#restartsLeft--;
      this.#heap.clear();
      this.#start();
      return false;
    }
    this.close();
    return true;
  }

  /** Of a complete scan, to be read before the table changes again. */
  hits(): IndexHits {
    return this.#heap.hits();
  }

  close(): void {
    this.#unregister();
  }

  /** The vector of `label`, in `row`, is about to be replaced or removed. */
  onChange(label: number, row: number): void {
    const place = this.#byLabel ? label >>> 5 : row;
    if (place >= this.#position || this.#moved.delete(label)) this.#stale.add(label);
  }

  onMove(label: number, from: number, to: number): void {
    if (!this.#byLabel && from >= this.#position && to < this.#position) this.#moved.add(label);
  }

  #start(): void {
    this.#moved.clear();
    this.#stale.clear();
    this.#position = this.#byLabel ? (this.#filter as LabelSet).words.length : this.#table.size;
  }

  #hasStaleHit(): boolean {
    return this.#stale.size > 0 && this.#heap.hits().labels.some((label) => this.#stale.has(label));
  }

  #stepByRow(distanceCount: number): void {
    const table = this.#table;
    // Rows at the end may be gone since the last slice.
    let row = Math.min(this.#position, table.size);
    const end = Math.max(0, row - distanceCount);
    while (row > end) {
      const blockStart = row - 1 - ((row - 1) % table.rowsPerBlock);
      const from = Math.max(end, blockStart);
      this.#scanRows(blockStart, from, row);
      row = from;
    }
    this.#position = row;
  }

  /** Rows [from, to) of the block that begins with row `blockStart`. */
  #scanRows(blockStart: number, from: number, to: number): void {
    const table = this.#table;
    const filter = this.#filter;
    let count = 0;
    for (let row = from; row < to; row++) {
      const label = table.labelOf(row);
      if (filter !== undefined && !hasLabel(filter, label)) continue;
      if (this.#moved.size > 0 && this.#moved.has(label)) continue;
      places[count++] = row - blockStart;
    }
    table.rowDistances(this.#query, this.#queryOffset, table.dimension, table.blockOf(from), places, count, distances);
    for (let i = 0; i < count; i++) {
      const found = distances[i] as number;
      if (found <= this.#heap.bound) this.#heap.push(found, table.labelOf(blockStart + (places[i] as number)));
    }
    this.visitedCount += count;
  }

  #stepByLabel(distanceCount: number): void {
    const table = this.#table;
    const words = (this.#filter as LabelSet).words;
    let budget = distanceCount;
    while (this.#position > 0 && budget > 0) {
      const index = --this.#position;
      // An empty word costs far less than a distance, though not nothing.
      budget -= 0.05;
      for (let word = words[index] as number; word !== 0; word &= word - 1) {
        const label = index * 32 + 31 - Math.clz32(word & -word);
        const row = table.rowOf(label);
        if (row < 0) continue;
        const found = table.distanceTo(row, this.#query, this.#queryOffset);
        this.visitedCount++;
        budget--;
        if (found <= this.#heap.bound) this.#heap.push(found, label);
      }
    }
  }
}

/** Without a view of either, which would be garbage for each vector. */
export function copyFloats(source: Float32Array, from: number, target: Float32Array, to: number, count: number): void {
  for (let i = 0; i < count; i++) target[to + i] = source[from + i] as number;
}

function grown(array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(length, array.length * 2, 64)).fill(noRow);
  larger.set(array);
  return larger;
}
