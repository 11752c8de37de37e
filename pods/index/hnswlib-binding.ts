/**
 * The adapter to `hnswlib-node`: number arrays, its file, its quirks; no decisions. It blocks its thread in every call, so
 * only the worker imports it. Vectors are addressed by slot: 0, 1, 2, … in the order of insertion, each used once.
 *
 * Its own reuse of removed places is not used: it takes any removed place, it can lose a label that was removed and
 * added again, and it costs seven insertions and leaves a worse graph.
 */

import hnswlib from 'hnswlib-node';
import type { IndexParameters } from './vector-index.ts';

export class NativeGraph {
  readonly #native: InstanceType<typeof hnswlib.HierarchicalNSW>;
  /** hnswlib-node takes plain arrays only; one is enough, because it copies. */
  readonly #scratch: number[];

  private constructor(parameters: IndexParameters) {
    this.#native = new hnswlib.HierarchicalNSW(parameters.metric === 'euclidean' ? 'l2' : 'ip', parameters.dimension);
    this.#scratch = new Array<number>(parameters.dimension).fill(0);
  }

  static create(parameters: IndexParameters, capacity: number): NativeGraph {
    const graph = new NativeGraph(parameters);
    graph.#native.initIndex({
      maxElements: capacity,
      m: parameters.m,
      efConstruction: parameters.efConstruction,
      randomSeed: 100,
      allowReplaceDeleted: false,
    });
    return graph;
  }

  /** The file must have been verified: hnswlib may crash on a damaged one. */
  static open(parameters: IndexParameters, path: string): NativeGraph {
    const graph = new NativeGraph(parameters);
    graph.#native.readIndexSync(path, false);
    return graph;
  }

  get capacity(): number {
    return this.#native.getMaxElements();
  }

  get slotCount(): number {
    return this.#native.getCurrentCount();
  }

  resize(capacity: number): void {
    this.#native.resizeIndex(capacity);
  }

  insert(slot: number, vectors: Float32Array, offset: number): void {
    this.#native.addPoint(this.#toArray(vectors, offset), slot, false);
  }

  /** The node stays in the graph as a way through, and is found no more. */
  markRemoved(slot: number): void {
    this.#native.markDelete(slot);
  }

  /** Slots, nearest first. `allow` is asked for every node that is near enough to be a candidate. */
  search(
    queries: Float32Array,
    offset: number,
    k: number,
    ef: number,
    allow: ((slot: number) => boolean) | undefined,
  ): readonly number[] {
    this.#native.setEf(ef);
    return this.#native.searchKnn(this.#toArray(queries, offset), k, allow).neighbors;
  }

  /** Runs outside this thread: searches may go on, insertions and removals must wait. */
  async write(path: string): Promise<void> {
    await this.#native.writeIndex(path);
  }

  #toArray(vectors: Float32Array, offset: number): number[] {
    const scratch = this.#scratch;
    for (let i = 0; i < scratch.length; i++) scratch[i] = vectors[offset + i] as number;
    return scratch;
  }
}

/** Bytes of one slot in memory, without the upper layers. */
export function slotBytes({ dimension, m }: IndexParameters): number {
  return 4 + 2 * m * 4 + dimension * 4 + 8;
}

/**
 * Reads hnswlib's file (64-bit little-endian) as a stream of chunks: hands out the vectors, and tells whether the file
 * is whole, which hnswlib does not check when it writes on a full disk.
 *
 *   header     96 bytes: …, [16] slot count u64, [24] bytes per slot u64, …, [40] offset of the vector u64, …
 *   slots      slot count × { neighbours, vector f32 × dimension, slot number u64 }
 *   layers     slot count × { byte count u32, neighbours on the upper layers }
 */
export class GraphFileReader {
  readonly #parameters: IndexParameters;
  readonly #onVector: (slot: number, vector: Float32Array) => void;
  readonly #piece: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #vector: Float32Array;
  #state: 'header' | 'slot' | 'layer-size' | 'layer' | 'end' | 'malformed' = 'header';
  #filled = 0;
  #needed = 96;
  #next = 0;
  slotCount = 0;

  constructor(parameters: IndexParameters, onVector: (slot: number, vector: Float32Array) => void) {
    this.#parameters = parameters;
    this.#onVector = onVector;
    this.#piece = new Uint8Array(Math.max(96, slotBytes(parameters)));
    this.#view = new DataView(this.#piece.buffer);
    this.#vector = new Float32Array(this.#piece.buffer, 4 + 2 * parameters.m * 4, parameters.dimension);
  }

  get isWhole(): boolean {
    return this.#state === 'end';
  }

  push(chunk: Uint8Array): void {
    for (let offset = 0; offset < chunk.length && this.#state !== 'malformed'; ) {
      if (this.#state === 'end') {
        this.#state = 'malformed';
        return;
      }
      const taken = Math.min(this.#needed - this.#filled, chunk.length - offset);
      if (this.#state !== 'layer') this.#piece.set(chunk.subarray(offset, offset + taken), this.#filled);
      offset += taken;
      this.#filled += taken;
      if (this.#filled === this.#needed) this.#takePiece();
    }
  }

  #takePiece(): void {
    switch (this.#state) {
      case 'header': {
        this.slotCount = Number(this.#view.getBigUint64(16, true));
        const bytesPerSlot = Number(this.#view.getBigUint64(24, true));
        const vectorOffset = Number(this.#view.getBigUint64(40, true));
        if (bytesPerSlot !== slotBytes(this.#parameters) || vectorOffset !== this.#vector.byteOffset) {
          this.#state = 'malformed';
          return;
        }
        return this.#expect(this.slotCount > 0 ? 'slot' : 'end', bytesPerSlot);
      }
      case 'slot':
        this.#onVector(this.#next, this.#vector);
        if (++this.#next < this.slotCount) return this.#expect('slot', this.#needed);
        this.#next = 0;
        return this.#expect('layer-size', 4);
      case 'layer-size': {
        const byteCount = this.#view.getUint32(0, true);
        return byteCount > 0 ? this.#expect('layer', byteCount) : this.#nextLayer();
      }
      default:
        return this.#nextLayer();
    }
  }

  #nextLayer(): void {
    if (++this.#next < this.slotCount) this.#expect('layer-size', 4);
    else this.#expect('end', 0);
  }

  #expect(state: 'slot' | 'layer-size' | 'layer' | 'end', byteCount: number): void {
    this.#state = state;
    this.#filled = 0;
    this.#needed = byteCount;
  }
}
