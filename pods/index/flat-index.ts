/**
 * The exact index: every search scans. It is the whole index of a small shard and the tail of every shard, so it also has
 * synchronous forms of its operations. Long work is cut into slices, between which the event loop runs.
 */

import type { LabelSet } from '../domain/label-set.ts';
import type { VectorBytes } from '../domain/vector-bytes.ts';
import assert from 'node:assert/strict';
import { ShoalError } from '../kernel/errors.ts';
import {
  corrupt,
  readHeader,
  readPart,
  readWholePart,
  syncDirectory,
  writeHeader,
  writePart,
} from './checkpoint-files.ts';
import { normalize, preparedQueries, type RowDistances } from './distances.ts';
import { copyFloats, RowTable } from './row-table.ts';
import { TopK } from './top-k.ts';
import type { CheckpointPart, IndexHits, IndexParameters, IndexSearch, IndexSearchResult, VectorIndex, VectorIndexFactory } from './vector-index.ts';

/** Float operations between two turns of the event loop: about a millisecond. */
const sliceFloats = 1_000_000;

export class FlatIndex implements VectorIndex {
  readonly kind = 'flat';
  readonly #parameters: IndexParameters;
  readonly #rows: RowTable;
  /** Additions, removals and checkpoints run one after another. */
  #lastChange: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** `rowDistances`: how rows are compared; in JavaScript when it is not given. */
  constructor(parameters: IndexParameters, rowDistances?: RowDistances) {
    this.#parameters = parameters;
    this.#rows = new RowTable(parameters.dimension, parameters.metric, rowDistances);
  }

  get size(): number {
    return this.#rows.size;
  }

  add(labels: Uint32Array, vectors: Float32Array): Promise<void> {
    const { dimension } = this.#parameters;
    assert.equal(vectors.length, labels.length * dimension, 'one vector per label');
    return this.#inOrder(async () => {
      const sliceRows = this.#sliceRows();
      for (let start = 0; start < labels.length; start += sliceRows) {
        if (start > 0) await this.#yield();
        const end = Math.min(labels.length, start + sliceRows);
        this.addNow(labels.subarray(start, end), vectors.subarray(start * dimension, end * dimension));
      }
    });
  }

  remove(labels: Uint32Array): Promise<void> {
    return this.#inOrder(() => {
      this.removeNow(labels);
      return Promise.resolve();
    });
  }

  /**
   * `add` at once, for batches small enough to hold the event loop. It does not wait for `add`, `remove` or `checkpoint`
   * under way: an owner uses either the synchronous forms or the others.
   */
  addNow(labels: Uint32Array, vectors: Float32Array): void {
    const { dimension, metric } = this.#parameters;
    assert.equal(vectors.length, labels.length * dimension, 'one vector per label');
    for (let i = 0; i < labels.length; i++) {
      if (metric === 'cosine') normalize(vectors, i * dimension, dimension);
      this.#rows.set(labels[i] as number, vectors, i * dimension);
    }
  }

  /** The same of vectors that need not be aligned. */
  addBytes(labels: ArrayLike<number>, vectors: readonly VectorBytes[]): void {
    const { dimension, metric } = this.#parameters;
    assert.equal(vectors.length, labels.length, 'one vector per label');
    for (let i = 0; i < labels.length; i++) {
      const row = this.#rows.setBytes(labels[i] as number, vectors[i] as VectorBytes);
      if (metric === 'cosine') normalize(this.#rows.blockOf(row), this.#rows.offsetOf(row), dimension);
    }
  }

  removeNow(labels: ArrayLike<number>): void {
    for (let i = 0; i < labels.length; i++) this.#rows.remove(labels[i] as number);
  }

  async search(search: IndexSearch): Promise<IndexSearchResult> {
    const { dimension, metric } = this.#parameters;
    assert.equal(search.queries.length % dimension, 0, 'whole queries');
    this.#throwIfClosed();
    search.signal?.throwIfAborted();
    const queries = preparedQueries(metric, search.queries, dimension);
    const hits: IndexHits[] = [];
    let visitedCount = 0;
    let budget = this.#sliceRows();
    for (let offset = 0; offset < queries.length; offset += dimension) {
      const scan = this.#rows.scan(queries, offset, search.k, search.filter);
      try {
        for (;;) {
          const before = scan.visitedCount;
          const done = scan.step(Math.max(1, budget));
          budget -= Math.max(1, scan.visitedCount - before);
          if (done) break;
          await this.#yield(search.signal);
          budget = this.#sliceRows();
        }
      } finally {
        scan.close();
      }
      hits.push(scan.hits());
      visitedCount += scan.visitedCount;
    }
    return { hits, visitedCount, plan: 'scan' };
  }

  /**
   * One query at once, for sets small enough to hold the event loop. `heap` may hold hits from elsewhere, which are
   * merged; it must have been made for the same k.
   */
  searchNow(query: Float32Array, k: number, filter?: LabelSet, heap: TopK = new TopK(k)): IndexHits {
    const { dimension, metric } = this.#parameters;
    assert.equal(query.length, dimension, 'one query');
    const scan = this.#rows.scan(preparedQueries(metric, query, dimension), 0, k, filter, heap);
    while (!scan.step(Infinity));
    return scan.hits();
  }

  has(label: number): boolean {
    return this.#rows.rowOf(label) >= 0;
  }

  /** Copies the vector of a label that is present into `target` from `offset` on; normalised under cosine. */
  readVector(label: number, target: Float32Array, offset: number): void {
    const row = this.#rows.rowOf(label);
    assert(row >= 0, `label ${label} is present`);
    copyFloats(this.#rows.blockOf(row), this.#rows.offsetOf(row), target, offset, this.#parameters.dimension);
  }

  labels(): Uint32Array {
    return this.#rows.labels();
  }

  checkpoint(directory: string): Promise<readonly CheckpointPart[]> {
    return this.#inOrder(async () => {
      const rows = this.#rows;
      const parameters = this.#parameters;
      const parts = [
        await writeHeader(directory, { format: 1, kind: 'flat', parameters, rowCount: rows.size }),
        await writePart(directory, 'labels.bin', [new Uint8Array(rows.labels().buffer)]),
        await writePart(directory, 'vectors.bin', rows.rowBytes()),
      ];
      await syncDirectory(directory);
      return parts;
    });
  }

  static async load(
    parameters: IndexParameters,
    directory: string,
    parts: readonly CheckpointPart[],
    rowDistances?: RowDistances,
  ): Promise<FlatIndex> {
    const { rowCount } = await readHeader(directory, parts, 'flat', parameters);
    const labels = new Uint32Array((await readWholePart(directory, parts, 'labels.bin')).buffer);
    const rowBytes = parameters.dimension * 4;
    const vectorsBytes = parts.find((part) => part.name === 'vectors.bin')?.sizeBytes;
    if (labels.length !== rowCount || vectorsBytes !== rowCount * rowBytes) {
      throw corrupt(directory, 'header.json', 'does not agree with the other parts');
    }
    const index = new FlatIndex(parameters, rowDistances);
    const row = new Uint8Array(rowBytes);
    const vector = new Float32Array(row.buffer);
    let filled = 0;
    let next = 0;
    await readPart(directory, parts, 'vectors.bin', (chunk) => {
      for (let offset = 0; offset < chunk.length; ) {
        const piece = chunk.subarray(offset, offset + rowBytes - filled);
        row.set(piece, filled);
        offset += piece.length;
        filled += piece.length;
        if (filled < rowBytes) return;
        index.#rows.set(labels[next++] as number, vector, 0);
        filled = 0;
      }
    });
    return index;
  }

  memoryBytes(): number {
    return this.#rows.memoryBytes();
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#lastChange.then(
      () => undefined,
      () => undefined,
    );
  }

  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#lastChange.then(() => {
      this.#throwIfClosed();
      return change();
    });
    this.#lastChange = result.catch(() => undefined);
    return result;
  }

  #sliceRows(): number {
    return Math.max(1, Math.floor(sliceFloats / this.#parameters.dimension));
  }

  async #yield(signal?: AbortSignal): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    this.#throwIfClosed();
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new ShoalError('UNAVAILABLE', 'the index is closed');
  }
}

export const flatIndexFactory: VectorIndexFactory = {
  quantizations: ['none'],
  create: (parameters) => Promise.resolve(new FlatIndex(parameters)),
  load: (parameters, directory, parts) => FlatIndex.load(parameters, directory, parts),
};
