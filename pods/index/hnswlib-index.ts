/**
 * The approximate index: an hnswlib graph in a worker thread of its own, reached by messages. This side keeps the calls
 * that wait for an answer, their bound, and the set of labels present.
 */

import assert from 'node:assert/strict';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { startWorker, type WorkerThread } from '../kernel/workers.ts';
import type { HnswlibRequest, HnswlibResponse, HnswlibWorkerData } from './hnswlib-messages.ts';
import { LabelBits } from '../domain/label-set.ts';
import type {
  CheckpointPart,
  IndexHits,
  IndexParameters,
  IndexSearch,
  IndexSearchResult,
  VectorIndex,
  VectorIndexFactory,
} from './vector-index.ts';

type Answer<Type extends HnswlibResponse['type']> = HnswlibResponse & { readonly type: Type };

interface PendingCall {
  resolve(answer: never): void;
  reject(error: unknown): void;
}

export class HnswlibIndex implements VectorIndex {
  readonly kind = 'hnswlib';
  readonly #dimension: number;
  readonly #worker: WorkerThread<HnswlibRequest>;
  readonly #calls = new Map<number, PendingCall>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #present = new LabelBits();
  #nextId = 0;
  #searchCount = 0;
  #memoryBytes = 0;
  /** Why no call is taken any more: closed, or the worker ended. */
  #end: ShoalError | undefined;

  private constructor(parameters: IndexParameters, load: HnswlibWorkerData['load']) {
    this.#dimension = parameters.dimension;
    const data: HnswlibWorkerData = { parameters, insertSliceMs: limits.indexInsertSliceMs, load };
    this.#worker = startWorker<HnswlibRequest, HnswlibResponse>(import.meta.url, 'hnswlib-worker', data, {
      onMessage: (response) => this.#receive(response),
      onEnd: (cause) => this.#fail(new ShoalError('UNAVAILABLE', 'the index worker ended', { cause })),
    });
  }

  /** Resolves when the worker serves; a failed start leaves nothing behind. */
  static async open(parameters: IndexParameters, load?: HnswlibWorkerData['load']): Promise<HnswlibIndex> {
    const index = new HnswlibIndex(parameters, load);
    try {
      await index.#ready.promise;
      return index;
    } catch (error) {
      await index.close();
      throw error;
    }
  }

  get size(): number {
    return this.#present.count;
  }

  labels(): Uint32Array {
    return this.#present.toArray();
  }

  async add(labels: Uint32Array, vectors: Float32Array): Promise<void> {
    assert.equal(vectors.length, labels.length * this.#dimension, 'one vector per label');
    const id = this.#nextId++;
    const ownLabels = whole(labels);
    const ownVectors = whole(vectors);
    const answer = this.#call<'added'>(
      { type: 'add', id, labels: ownLabels, vectors: ownVectors },
      [ownLabels.buffer, ownVectors.buffer],
    );
    await answer;
  }

  async remove(labels: Uint32Array): Promise<void> {
    await this.#call<'removed'>({ type: 'remove', id: this.#nextId++, labels });
  }

  async search(search: IndexSearch): Promise<IndexSearchResult> {
    const { queries, k, ef, filter, exact = false, countVisited = false, signal } = search;
    assert.equal(queries.length % this.#dimension, 0, 'whole queries');
    signal?.throwIfAborted();
    if (this.#searchCount >= limits.shardSearchQueueMax) {
      throw new ShoalError('OVERLOADED', 'too many searches wait for the index', {
        details: { limit: limits.shardSearchQueueMax },
      });
    }
    const id = this.#nextId++;
    const onAbort = (): void => {
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      this.#worker.post({ type: 'cancel', id });
      call?.reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#searchCount++;
    try {
      // Only words and count: a LabelSet may be an object that cannot be sent.
      const sent = filter && { words: filter.words, count: filter.count };
      return unpacked(
        await this.#call<'found'>({ type: 'search', id, queries, k, ef, filter: sent, exact, countVisited }),
      );
    } finally {
      this.#searchCount--;
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async checkpoint(directory: string): Promise<readonly CheckpointPart[]> {
    const answer = await this.#call<'checkpointed'>({ type: 'checkpoint', id: this.#nextId++, directory });
    return answer.parts;
  }

  memoryBytes(): number {
    return this.#memoryBytes + this.#present.memoryBytes();
  }

  close(): Promise<void> {
    this.#fail(new ShoalError('UNAVAILABLE', 'the index is closed'));
    this.#worker.post({ type: 'close' });
    return this.#worker.ended;
  }

  #call<Type extends HnswlibResponse['type']>(
    request: Exclude<HnswlibRequest, { type: 'cancel' | 'close' }>,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Answer<Type>> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      this.#calls.set(request.id, { resolve, reject });
      this.#worker.post(request, transfer);
    });
  }

  #receive(response: HnswlibResponse): void {
    switch (response.type) {
      case 'ready':
        for (const label of response.labels) this.#present.add(label);
        this.#memoryBytes = response.memoryBytes;
        return this.#ready.resolve();
      case 'not-loaded':
        return this.#ready.reject(new ShoalError(response.code, response.message));
      case 'failed':
        return this.#take(response.id)?.reject(new ShoalError(response.code, response.message));
      case 'added':
        for (const label of response.labels) this.#present.add(label);
        this.#memoryBytes = response.memoryBytes;
        break;
      case 'removed':
        for (const label of response.labels) this.#present.remove(label);
        this.#memoryBytes = response.memoryBytes;
        break;
      case 'found':
      case 'checkpointed':
        break;
    }
    this.#take(response.id)?.resolve(response as never);
  }

  #take(id: number): PendingCall | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  #fail(error: ShoalError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#ready.reject(error);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}

export const hnswlibIndexFactory: VectorIndexFactory = {
  quantizations: ['none'],
  create: (parameters) => HnswlibIndex.open(parameters),
  load: (parameters, directory, parts) => HnswlibIndex.open(parameters, { directory, parts }),
};

/** The array itself when it is all of its buffer, which can be handed over then; else a copy. */
function whole<Array extends Uint32Array | Float32Array>(array: Array): Array & { buffer: ArrayBuffer } {
  const ownsBuffer = array.buffer instanceof ArrayBuffer && array.byteLength === array.buffer.byteLength;
  return (ownsBuffer ? array : array.slice()) as Array & { buffer: ArrayBuffer };
}

function unpacked({ counts, labels, distances, visitedCount, plan }: Answer<'found'>): IndexSearchResult {
  const hits: IndexHits[] = [];
  let start = 0;
  for (const count of counts) {
    hits.push({ labels: labels.subarray(start, start + count), distances: distances.subarray(start, start + count) });
    start += count;
  }
  return { hits, visitedCount, plan };
}
