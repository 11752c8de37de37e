/**
 * The approximate index in native memory (`pods/native`): a graph of our own, whose walks, distances and insertions run on
 * threads of its own. This side keeps the bounds, the order of calls, and the checkpoints.
 */

import assert from 'node:assert/strict';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { shortLivedInts } from '../kernel/short-lived-arrays.ts';
import { quantizations, type Quantization } from '../domain/collection.ts';
import { answerHeader, metricNumbers, type CoreIndex, type NativeCore } from '../native/native-core.ts';
import { graphVisitMax, searchPlan, type SearchFacts } from './cost-rule.ts';
import { NativeCheckpoints } from './native-checkpoints.ts';
import type {
  CheckpointPart,
  IndexHits,
  IndexParameters,
  IndexSearch,
  IndexSearchResult,
  VectorIndex,
  VectorIndexFactory,
} from './vector-index.ts';

const storageNumbers: Readonly<Record<Quantization, number>> = { none: 0, int8: 1 };
const doneResult = 0;
const diskResult = 2;
const once = { once: true };

interface NativeMeans {
  readonly core: NativeCore;
  readonly exactDirectory: string | undefined;
}

export class NativeIndex implements VectorIndex {
  readonly kind = 'native';
  readonly #core: NativeCore;
  readonly #index: CoreIndex;
  readonly #parameters: IndexParameters;
  readonly #checkpoints: NativeCheckpoints;
  /** Ends when all additions so far have. */
  #additions: Promise<unknown> = Promise.resolve();
  /** Calls that native threads still work on, but for searches: those are too many for a Set, whose tables outlive them. */
  readonly #open = new Set<Promise<unknown>>();
  #searchCount = 0;
  #onSearchesEnded: (() => void) | undefined;
  #end: ShoalError | undefined;

  private constructor({ core, exactDirectory }: NativeMeans, parameters: IndexParameters) {
    const { dimension, metric, m, efConstruction, quantization = 'none' } = parameters;
    assert(quantization === 'none' || exactDirectory !== undefined, 'a quantised index has a directory for its vectors');
    this.#core = core;
    this.#parameters = parameters;
    try {
      this.#index = core.create(dimension, metricNumbers[metric], storageNumbers[quantization], m, efConstruction, exactDirectory ?? '');
    } catch (cause) {
      throw new ShoalError(quantization === 'none' ? 'UNAVAILABLE' : 'STORAGE_READ_ONLY', `the index cannot be made: ${(cause as Error).message}`, { cause });
    }
    this.#checkpoints = new NativeCheckpoints(core, this.#index, parameters);
  }

  static create(means: NativeMeans, parameters: IndexParameters): NativeIndex {
    return new NativeIndex(means, parameters);
  }

  static async load(means: NativeMeans, parameters: IndexParameters, directory: string, parts: readonly CheckpointPart[]): Promise<NativeIndex> {
    const index = new NativeIndex(means, parameters);
    try {
      await index.#checkpoints.load(directory, parts);
      return index;
    } catch (error) {
      await index.close();
      throw error;
    }
  }

  get size(): number {
    return this.#end === undefined ? this.#core.size(this.#index) : 0;
  }

  labels(): Uint32Array {
    return this.#end === undefined ? this.#core.labels(this.#index) : new Uint32Array(0);
  }

  async add(labels: Uint32Array, vectors: Float32Array): Promise<void> {
    assert.equal(vectors.length, labels.length * this.#parameters.dimension, 'one vector per label');
    this.#throwIfEnded();
    const added = this.#track(this.#core.add(this.#index, labels, owned(vectors)));
    const earlier = this.#additions;
    this.#additions = Promise.allSettled([earlier, added]);
    await this.#additions;
    const [result, problem] = await added;
    this.#throwIfEnded();
    if (result !== doneResult) {
      // Those of the batch that became nodes: all of it is there, or nothing.
      this.#core.remove(this.#index, labels);
      throw result === diskResult ? new ShoalError('STORAGE_READ_ONLY', problem) : new ShoalError('UNAVAILABLE', 'there is not enough memory for the index');
    }
    await this.#keepPace();
  }

  /** Who replaces points faster than their nodes are taken out waits, so that memory stays bounded. */
  async #keepPace(): Promise<void> {
    const [, removedCount, isRepairing] = this.#core.facts(this.#index);
    if (isRepairing !== 0 && removedCount * 2 > this.size) await this.#track(this.#core.repaired(this.#index));
  }

  async remove(labels: Uint32Array): Promise<void> {
    this.#throwIfEnded();
    this.#core.remove(this.#index, labels);
    return Promise.resolve();
  }

  async search(search: IndexSearch): Promise<IndexSearchResult> {
    const { queries, k, ef, filter, exact = false, signal } = search;
    const { dimension, m } = this.#parameters;
    assert.equal(queries.length % dimension, 0, 'whole queries');
    this.#throwIfEnded();
    signal?.throwIfAborted();
    if (this.#searchCount >= limits.shardSearchQueueMax) {
      throw new ShoalError('OVERLOADED', 'too many searches wait for the index', { details: { limit: limits.shardSearchQueueMax } });
    }
    const { size } = this;
    const facts: SearchFacts = { size, filterCount: filter?.count ?? size, k, ef, m, exact, isNative: true };
    const useScan = searchPlan(facts) === 'scan';
    const queryCount = queries.length / dimension;
    // No search finds more than there is: the answer needs no room for it.
    const width = Math.min(k, size);
    const answer = shortLivedInts(answerHeader.length + queryCount * (1 + 2 * width));
    this.#searchCount++;
    const visitMax = filter === undefined ? Number.MAX_SAFE_INTEGER : graphVisitMax(facts);
    const cancel = (): void => void Atomics.store(answer, answerHeader.cancelled, 1);
    signal?.addEventListener('abort', cancel, once);
    try {
      await this.#core.search(this.#index, queries, answer, width, Math.max(ef, k), useScan ? 1 : 0, visitMax, filter?.words, filter?.count ?? size);
    } finally {
      signal?.removeEventListener('abort', cancel);
      if (--this.#searchCount === 0) this.#onSearchesEnded?.();
    }
    signal?.throwIfAborted();
    this.#throwIfEnded();
    if (answer[answerHeader.failed] !== 0) throw new ShoalError('UNAVAILABLE', 'there is not enough memory for the search');
    return unpacked(answer, queryCount, width);
  }

  async checkpoint(directory: string): Promise<readonly CheckpointPart[]> {
    this.#throwIfEnded();
    const parts = await this.#track(this.#checkpoints.write(directory, this.#additions));
    this.#throwIfEnded();
    return parts;
  }

  memoryBytes(): number {
    return this.#end === undefined ? this.#core.facts(this.#index)[0] : 0;
  }

  async close(): Promise<void> {
    if (this.#end === undefined) {
      this.#end = new ShoalError('UNAVAILABLE', 'the index is closed');
      this.#core.close(this.#index);
      if (this.#searchCount > 0) this.#open.add(new Promise<void>((resolve) => (this.#onSearchesEnded = resolve)));
    }
    await Promise.allSettled(this.#open);
  }

  #track<T>(call: Promise<T>): Promise<T> {
    this.#open.add(call);
    const forget = (): unknown => this.#open.delete(call);
    call.then(forget, forget);
    return call;
  }

  #throwIfEnded(): void {
    if (this.#end !== undefined) throw this.#end;
  }
}

/** Vectors that nobody else can change or give away while threads read them. */
function owned(vectors: Float32Array): Float32Array {
  const { buffer } = vectors;
  const isWhole = buffer instanceof ArrayBuffer && vectors.byteLength === buffer.byteLength;
  return isWhole ? new Float32Array(buffer.transfer()) : vectors.slice();
}

function unpacked(answer: Int32Array, queryCount: number, width: number): IndexSearchResult {
  const labelsAt = answer.byteOffset + 4 * (answerHeader.length + queryCount);
  const distancesAt = labelsAt + 4 * queryCount * width;
  const hits: IndexHits[] = [];
  for (let query = 0; query < queryCount; query++) {
    const count = answer[answerHeader.length + query]!;
    hits.push({
      labels: new Uint32Array(answer.buffer, labelsAt + 4 * query * width, count),
      distances: new Float32Array(answer.buffer, distancesAt + 4 * query * width, count),
    });
  }
  const visitedCount = (answer[answerHeader.visited] as number) >>> 0;
  return { hits, visitedCount, plan: answer[answerHeader.scanned] === 0 ? 'graph' : 'scan' };
}

/** `exactDirectory`: where quantised indexes keep their vectors, in files without names. */
export function nativeIndexFactory(core: NativeCore, exactDirectory?: string): VectorIndexFactory {
  const means = { core, exactDirectory };
  return {
    rowDistances: (metric) => (query, queryOffset, dimension, block, places, count, distances) => {
      core.distances(metricNumbers[metric], query, queryOffset, dimension, block, places, count, distances);
    },
    returnFreedMemory: () => core.returnFreedMemory(),
    quantizations: exactDirectory === undefined ? ['none'] : quantizations,
    create: async (parameters) => Promise.resolve(NativeIndex.create(means, parameters)),
    load: (parameters, directory, parts) => NativeIndex.load(means, parameters, directory, parts),
  };
}
