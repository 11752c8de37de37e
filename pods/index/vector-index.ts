/**
 * A vector index over labels: what the shard asks of `flat`, of `hnswlib-node` in its worker, and of the native core.
 *
 * A label names one immutable vector: a point whose vector changes gets a new label, so `add` of a label that is present
 * replaces it but the shard never does so while a search may still be under way. All distances are "smaller is nearer":
 *   cosine      1 − cos(q, x)        (vectors are normalised once, inside the index)
 *   euclidean   squared L2 distance
 *   dot         −⟨q, x⟩
 */

import type { Quantization } from '../domain/collection.ts';
import type { LabelSet } from '../domain/label-set.ts';
import type { Metric } from '../domain/metric.ts';
import type { RowDistances } from './distances.ts';

export interface IndexParameters {
  readonly dimension: number;
  readonly metric: Metric;
  /** Out-degree of the graph's upper layers (2m at the bottom); Malkov and Yashunin, arXiv:1603.09320. */
  readonly m: number;
  readonly efConstruction: number;
  /**
   * `int8`: the native core keeps a byte for each component, and compares the nearest again with the exact vectors, which lie
   * in a file. An implementation that does not have it in its factory's `quantizations` keeps floats.
   */
  readonly quantization?: Quantization;
}

export interface IndexSearch {
  /** `queryCount × dimension` components, row by row. Finite; not zero under cosine. */
  readonly queries: Float32Array;
  readonly k: number;
  /** Breadth of the graph search; at least k. Ignored by exact indexes. */
  readonly ef: number;
  /** Only labels in the set may be found: it guides the search and is never applied after top-k. */
  readonly filter?: LabelSet | undefined;
  /** Scan instead of using the graph. */
  readonly exact?: boolean | undefined;
  /** Report `visitedCount` even where counting slows the search. For benchmarks. */
  readonly countVisited?: boolean | undefined;
  /** Rejects with the signal's reason, as soon as it aborts. */
  readonly signal?: AbortSignal | undefined;
}

export interface IndexHits {
  /** Nearest first; at most k. */
  readonly labels: Uint32Array;
  readonly distances: Float32Array;
}

export interface IndexSearchResult {
  /** One per query. */
  readonly hits: readonly IndexHits[];
  /**
   * Vectors looked at, all queries together; undefined when the index cannot tell. For a scan the distances computed. For
   * a graph the nodes that were near enough to enter the list of candidates (each of those that is then expanded has
   * distances computed to at most 2m neighbours).
   */
  readonly visitedCount: number | undefined;
  /** `graph` when every query was answered by walking the graph; under a filter the index may decide for a scan. */
  readonly plan: 'scan' | 'graph';
}

export interface VectorIndex {
  readonly kind: 'flat' | 'hnswlib' | 'native';
  /** Vectors present and not removed. */
  readonly size: number;
  /** Labels present and not removed, in no particular order. */
  labels(): Uint32Array;
  /**
   * Inserts vectors, `vectors.length = labels.length × dimension`. Resolves when they are searchable. Grows as needed.
   * The arrays belong to the index from the call on. Rejects with STORAGE_READ_ONLY when the disk takes no more: then none of
   * them is present, and the same may be tried again.
   */
  add(labels: Uint32Array, vectors: Float32Array): Promise<void>;
  /** Labels that are not present are passed over. Searches started after it resolves never return them. */
  remove(labels: Uint32Array): Promise<void>;
  /** Rejects with OVERLOADED when too many searches wait, with UNAVAILABLE when the index was closed or has failed. */
  search(search: IndexSearch): Promise<IndexSearchResult>;
  /**
   * Writes the index to files under `directory` (which exists and is empty) and makes them durable. Searches go on;
   * inserts and removals may wait. Resolves to the names, sizes and CRC-32C of the files written.
   */
  checkpoint(directory: string): Promise<readonly CheckpointPart[]>;
  memoryBytes(): number;
  close(): Promise<void>;
}

export interface CheckpointPart {
  readonly name: string;
  readonly sizeBytes: number;
  /** CRC-32C of the file. */
  readonly checksum: number;
}

/** Makes empty indexes and opens checkpointed ones; one per implementation. */
export interface VectorIndexFactory {
  /** How the points that are not in a graph are compared; in JavaScript when it has no way of its own. */
  readonly rowDistances?: (metric: Metric) => RowDistances;
  /** Gives memory that was freed outside V8's heap back to the system, off the event loop; absent when it cannot. */
  readonly returnFreedMemory?: () => Promise<void>;
  /** Those it can keep vectors in. */
  readonly quantizations: readonly Quantization[];
  create(parameters: IndexParameters): Promise<VectorIndex>;
  /** Rejects with CORRUPTION when a part is missing or fails its checksum; the caller rebuilds. */
  load(parameters: IndexParameters, directory: string, parts: readonly CheckpointPart[]): Promise<VectorIndex>;
}
