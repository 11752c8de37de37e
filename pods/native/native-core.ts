/**
 * The adapter to the native vector core (`core/`, C++): its functions with their types, and whether it is there at all. It
 * is built by the launcher (`tools/native-core.mjs`); where it could not be, hnswlib-node serves.
 */

import { createRequire } from 'node:module';

declare const indexBrand: unique symbol;
declare const snapshotBrand: unique symbol;

/** An index in native memory. */
export interface CoreIndex {
  readonly [indexBrand]: never;
}

/** Which labels an index had at one moment. */
export interface CoreSnapshot {
  readonly [snapshotBrand]: never;
}

/** `[result, problem, sizeBytes, checksum]`; result 0 is done, 1 corrupt, 2 failed. */
export type CoreImageOutcome = readonly [result: number, problem: string, sizeBytes: number, checksum: number];

/** `[result, problem]`; result 0 is done, 1 for lack of memory, 2 of the disk. */
export type CoreAddition = readonly [result: number, problem: string];

/** Places of a search's answer, before counts (one per query), labels and distances (k per query each). */
export const answerHeader = { cancelled: 0, scanned: 1, visited: 2, failed: 3, length: 4 } as const;

/** Of the metrics, as the core knows them. */
export const metricNumbers = { cosine: 0, euclidean: 1, dot: 2 } as const;

export interface NativeCore {
  /** `storage` 0: float, 1: int8, whose exact vectors are in a file of `exactDirectory`. Throws when that takes none. */
  create(dimension: number, metric: number, storage: number, m: number, efConstruction: number, exactDirectory: string): CoreIndex;
  /** Work under way ends early; every later call throws. */
  close(index: CoreIndex): void;
  /** Labels count at once; resolves when the vectors are nodes. `vectors` must not change. Of a failure some labels stay. */
  add(index: CoreIndex, labels: Uint32Array, vectors: Float32Array): Promise<CoreAddition>;
  remove(index: CoreIndex, labels: Uint32Array): void;
  /** Resolves when `answer` is filled. `filterWords` and `queries` are copied. Begins at the end of the loop's turn, with the turn's others. */
  search(
    index: CoreIndex,
    queries: Float32Array,
    answer: Int32Array,
    k: number,
    ef: number,
    useScan: number,
    visitMax: number,
    filterWords: Uint32Array | undefined,
    filterCount: number,
  ): Promise<void>;
  /** Distances of one query to rows of `block` that begin at `places` × dimension, at once. Cosine takes unit vectors. */
  distances(
    metric: number,
    query: Float32Array,
    queryOffset: number,
    dimension: number,
    block: Float32Array,
    places: Uint32Array,
    count: number,
    distances: Float64Array,
  ): void;
  labels(index: CoreIndex): Uint32Array;
  size(index: CoreIndex): number;
  facts(index: CoreIndex): readonly [memoryBytes: number, removedCount: number, isRepairing: number];
  /** Resolves when no pass over removed nodes is under way. */
  repaired(index: CoreIndex): Promise<void>;
  /** To be given to `write` exactly once. */
  snapshot(index: CoreIndex): CoreSnapshot;
  write(index: CoreIndex, snapshot: CoreSnapshot, isBase: number, path: string): Promise<CoreImageOutcome>;
  read(index: CoreIndex, paths: readonly string[], sizes: readonly number[], checksums: readonly number[]): Promise<CoreImageOutcome>;
  /** What was freed on the C heap, by whomever, goes back to the system, where the C library would keep it (glibc). */
  returnFreedMemory(): Promise<void>;
  /** Of the process, before its first work; 0 is one per processor that the process may use. Returns what it will be. */
  setThreads(count: number): number;
  kernelName(): string;
  /** One kernel by name, for tests; undefined where the processor lacks it. */
  compare(kernels: string, operation: string, a: Float32Array | Int8Array, b: Float32Array | Int8Array): number | undefined;
}

let loaded: NativeCore | Error | undefined;

/** The core, or why there is none. */
export function loadNativeCore(): NativeCore | Error {
  if (loaded === undefined) {
    try {
      loaded = createRequire(import.meta.url)('./build/core.node') as NativeCore;
    } catch (error) {
      loaded = error as Error;
    }
  }
  return loaded;
}
