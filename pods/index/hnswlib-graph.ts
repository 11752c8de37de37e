/**
 * A graph that grows, over labels. Slots are never used twice: a removed vector's node stays as a way through until the
 * graph is rebuilt from the vectors that are left (see `GraphRebuild`), which bounds memory and keeps the graph good.
 *
 * Inner product is no metric: a graph built on it leaves most vectors unreachable from those of large norm (measured on
 * clusters: recall@100 0.84 whatever ef). So under `dot` the graph has one dimension more, which lifts all vectors onto a
 * sphere, where the nearest by Euclidean distance is the largest by inner product (Bachrach et al., RecSys 2014):
 *
 *   x → (x, √(bound² − |x|²))      q → (q, 0)      |q' − x'|² = |q|² + bound² − 2⟨q, x⟩
 *
 * A vector longer than the bound is put in unlifted; searches compare all such vectors, until the graph was rebuilt with a
 * larger bound.
 */

import { norm } from './distances.ts';
import { hasLabel, LabelBits, noLabel, type LabelSet } from '../domain/label-set.ts';
import { NativeGraph, slotBytes } from './hnswlib-binding.ts';
import type { RowTable } from './row-table.ts';
import type { IndexParameters } from './vector-index.ts';

const capacityMin = 256;
/** hnswlib on top of a slot's own bytes: a mutex, a level, two table entries and the upper layers' neighbours. */
const slotOverheadBytes = 40 + 4 + 8 + 2 + 48;
/** The bound over the longest vector so far, so that slightly longer ones do not outgrow it. */
const normBoundFactor = 1.25;

/** What the native graph is made with: not the parameters of the index where the metric is `dot`. */
export function nativeParameters(parameters: IndexParameters): IndexParameters {
  if (parameters.metric !== 'dot') return parameters;
  return { ...parameters, metric: 'euclidean', dimension: parameters.dimension + 1 };
}

export class HnswlibGraph {
  readonly #parameters: IndexParameters;
  readonly #native: NativeGraph;
  #labelOfSlot: Uint32Array;
  #slotOfLabel: Uint32Array;
  #slotCount = 0;
  #liveCount = 0;
  /** Under `dot`: the radius of the sphere, and a lifted vector. */
  #normBound: number;
  #normMax: number;
  readonly #lifted: Float32Array | undefined;
  readonly #unlifted = new LabelBits();

  private constructor(parameters: IndexParameters, native: NativeGraph, normBound: number) {
    this.#parameters = parameters;
    this.#native = native;
    this.#normBound = normBound;
    this.#normMax = normBound / normBoundFactor;
    this.#lifted = parameters.metric === 'dot' ? new Float32Array(parameters.dimension + 1) : undefined;
    this.#labelOfSlot = new Uint32Array(native.capacity).fill(noLabel);
    this.#slotOfLabel = new Uint32Array(capacityMin).fill(noLabel);
  }

  static create(parameters: IndexParameters, expectedCount = 0, normMax = 0): HnswlibGraph {
    const native = NativeGraph.create(nativeParameters(parameters), Math.max(capacityMin, expectedCount));
    return new HnswlibGraph(parameters, native, normMax * normBoundFactor);
  }

  /** `labelOfSlot` as `labelsBySlot` gave it when the file was written. */
  static open(
    parameters: IndexParameters,
    path: string,
    labelOfSlot: Uint32Array,
    normBound: number,
    rows: RowTable,
  ): HnswlibGraph {
    const graph = new HnswlibGraph(parameters, NativeGraph.open(nativeParameters(parameters), path), normBound);
    labelOfSlot.forEach((label, slot) => {
      if (label === noLabel) return;
      graph.#assign(slot, label);
      const row = rows.rowOf(label);
      if (parameters.metric === 'dot') graph.#noteLength(label, rows.blockOf(row), rows.offsetOf(row));
    });
    graph.#slotCount = labelOfSlot.length;
    return graph;
  }

  get liveCount(): number {
    return this.#liveCount;
  }

  get removedCount(): number {
    return this.#slotCount - this.#liveCount;
  }

  /** Slots handed out so far, in order. */
  get slotCount(): number {
    return this.#slotCount;
  }

  get normBound(): number {
    return this.#normBound;
  }

  get normMax(): number {
    return this.#normMax;
  }

  /** Vectors that the graph does not rank rightly: to be compared with every query. */
  get unlifted(): LabelSet {
    return this.#unlifted;
  }

  /** The label in a slot, or `noLabel` when it was removed. */
  labelAt(slot: number): number {
    return this.#labelOfSlot[slot] as number;
  }

  has(label: number): boolean {
    return this.#slotOf(label) !== noLabel;
  }

  insert(label: number, vectors: Float32Array, offset: number): void {
    this.remove(label);
    if (this.#slotCount >= this.#labelOfSlot.length) this.#grow();
    const slot = this.#slotCount;
    if (this.#lifted === undefined) this.#native.insert(slot, vectors, offset);
    else this.#native.insert(slot, this.#lift(this.#lifted, label, vectors, offset), 0);
    this.#slotCount++;
    this.#assign(slot, label);
  }

  remove(label: number): void {
    const slot = this.#slotOf(label);
    if (slot === noLabel) return;
    this.#native.markRemoved(slot);
    this.#labelOfSlot[slot] = noLabel;
    this.#slotOfLabel[label] = noLabel;
    this.#unlifted.remove(label);
    this.#liveCount--;
  }

  /**
   * Labels, nearest first, or undefined when the filter made the walk longer than `visitMax` nodes.
   * `onVisit` counts the nodes near enough to be candidates, and slows the search when there is no filter.
   */
  search(
    queries: Float32Array,
    offset: number,
    k: number,
    ef: number,
    filter: LabelSet | undefined,
    visitMax: number,
    onVisit: (() => void) | undefined,
  ): readonly number[] | undefined {
    if (this.#liveCount === 0) return [];
    const asked = Math.min(k, this.#liveCount);
    let visited = 0;
    const allow = (slot: number): boolean => {
      onVisit?.();
      if (filter === undefined) return true;
      // hnswlib cannot be stopped, but it stops by itself once it has ef nodes; the result is thrown away.
      if (++visited > visitMax) return true;
      return hasLabel(filter, this.labelAt(slot));
    };
    const counted = filter !== undefined || onVisit !== undefined;
    const breadth = Math.max(ef, asked);
    const [vectors, start] =
      this.#lifted === undefined ? [queries, offset] : [this.#liftQuery(this.#lifted, queries, offset), 0];
    const slots = this.#native.search(vectors, start, asked, breadth, counted ? allow : undefined);
    return visited > visitMax ? undefined : slots.map((slot) => this.labelAt(slot));
  }

  write(path: string): Promise<void> {
    return this.#native.write(path);
  }

  labelsBySlot(): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#labelOfSlot.subarray(0, this.#slotCount));
  }

  memoryBytes(): number {
    const perSlot = slotBytes(nativeParameters(this.#parameters)) + slotOverheadBytes;
    return this.#labelOfSlot.length * perSlot + this.#labelOfSlot.byteLength + this.#slotOfLabel.byteLength;
  }

  #lift(lifted: Float32Array, label: number, vectors: Float32Array, offset: number): Float32Array {
    const { dimension } = this.#parameters;
    if (this.#slotCount === 0) {
      this.#normBound = Math.max(this.#normBound, norm(vectors, offset, dimension) * normBoundFactor);
    }
    const length = this.#noteLength(label, vectors, offset);
    lifted.set(vectors.subarray(offset, offset + dimension));
    lifted[dimension] = Math.sqrt(Math.max(0, this.#normBound ** 2 - length ** 2));
    return lifted;
  }

  #noteLength(label: number, vectors: Float32Array, offset: number): number {
    const length = norm(vectors, offset, this.#parameters.dimension);
    if (length > this.#normMax) this.#normMax = length;
    if (length > this.#normBound) this.#unlifted.add(label);
    return length;
  }

  #liftQuery(lifted: Float32Array, queries: Float32Array, offset: number): Float32Array {
    const { dimension } = this.#parameters;
    lifted.set(queries.subarray(offset, offset + dimension));
    lifted[dimension] = 0;
    return lifted;
  }

  #slotOf(label: number): number {
    return label < this.#slotOfLabel.length ? (this.#slotOfLabel[label] as number) : noLabel;
  }

  #assign(slot: number, label: number): void {
    if (label >= this.#slotOfLabel.length) this.#slotOfLabel = grown(this.#slotOfLabel, label + 1);
    this.#labelOfSlot[slot] = label;
    this.#slotOfLabel[label] = slot;
    this.#liveCount++;
  }

  #grow(): void {
    this.#labelOfSlot = grown(this.#labelOfSlot, this.#slotCount + 1);
    this.#native.resize(this.#labelOfSlot.length);
  }
}

/**
 * Builds a graph of what is left while the old one goes on serving: the old slots are walked once; what is inserted or
 * removed meanwhile goes to both.
 */
export class GraphRebuild {
  readonly next: HnswlibGraph;
  readonly #old: HnswlibGraph;
  readonly #rows: RowTable;
  readonly #end: number;
  #slot = 0;

  /**
   * Due when more than 2 of 5 slots are of removed vectors (each removal then pays for at most 1.5 insertions), or when
   * a vector is longer than the bound.
   */
  static isDue(graph: HnswlibGraph): boolean {
    if (graph.normMax > graph.normBound) return true;
    return graph.removedCount > 64 && graph.removedCount * 5 > graph.slotCount * 2;
  }

  /**
   * With nearly all nodes removed, hnswlib can fail to reach any that is left, and crashes when it has no neighbour for a
   * new one. Insertions wait for the rebuild then, which is short: there is little to copy.
   */
  static mustPrecedeInsertion(graph: HnswlibGraph): boolean {
    return graph.removedCount > 64 && graph.removedCount > graph.liveCount * 7;
  }

  constructor(parameters: IndexParameters, old: HnswlibGraph, rows: RowTable) {
    this.next = HnswlibGraph.create(parameters, Math.ceil(old.liveCount * 1.1), old.normMax);
    this.#old = old;
    this.#rows = rows;
    this.#end = old.slotCount;
  }

  /** Copies one vector. True when all are copied. */
  step(): boolean {
    while (this.#slot < this.#end) {
      const label = this.#old.labelAt(this.#slot++);
      if (label === noLabel) continue;
      const row = this.#rows.rowOf(label);
      this.next.insert(label, this.#rows.blockOf(row), this.#rows.offsetOf(row));
      break;
    }
    return this.#slot >= this.#end;
  }
}

function grown(array: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(length, array.length * 2)).fill(noLabel);
  larger.set(array);
  return larger;
}
