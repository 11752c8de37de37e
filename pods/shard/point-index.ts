/**
 * The searchable points of a shard: a *tail*, where an applied point stands at once and which every search scans, and a
 * *graph*, into which background batches move the tail.
 *
 *     apply ──add──▶ tail ──(batches, in the background)──▶ graph
 *                      └───────────── search: graph, then tail, merged ─────────────┘
 *
 * A small shard is all tail: flat, exact, no graph. The graph is made when the points outgrow `flatFloatsMax`.
 *
 * Why a search misses nothing and returns nothing stale: a label names one immutable vector. The graph is searched first,
 * then the tail, then dead labels are dropped at one instant. A point whose vector is replaced meanwhile has its new
 * label in the tail. A point that moves to the graph meanwhile leaves the tail only when every search that had begun by
 * then has ended (`ReaderEpochs`). Removals that the graph has not confirmed yet are asked for on top of k.
 */

import assert from 'node:assert/strict';
import { hasCode } from '../kernel/errors.ts';
import type { Logger } from '../kernel/logger.ts';
import { limits } from '../kernel/limits.ts';
import { FlatIndex } from '../index/flat-index.ts';
import { LabelBits } from '../domain/label-set.ts';
import type { VectorBytes } from '../domain/vector-bytes.ts';
import type { CheckpointPart, IndexHits, IndexParameters, IndexSearch, VectorIndex, VectorIndexFactory } from '../index/vector-index.ts';
import type { LabelTable } from './label-table.ts';
import type { ReaderEpochs } from './reader-epochs.ts';

/** Points handed to the graph at a time. */
const moveBatchCount = 256;
const movingBatchesMax = 2;

export interface PointIndexOptions {
  readonly parameters: IndexParameters;
  /** Undefined: the shard stays flat whatever its size. */
  readonly graphFactory: VectorIndexFactory | undefined;
  /** How the tail compares; in JavaScript when it is not given. */
  readonly rowDistances?: VectorIndexFactory['rowDistances'] | undefined;
  readonly labels: LabelTable;
  readonly epochs: ReaderEpochs;
  readonly logger: Logger;
  /** Float counts, for tests that want a graph early; the defaults are those of limits.ts. */
  readonly flatFloatsMax?: number;
  readonly tailFloatsMax?: number;
  /** Nothing moves into the graph before `startMoving`: a start has better use for the processor. */
  readonly waitsToMove?: boolean;
}

export interface PointSearch extends Omit<IndexSearch, 'queries'> {
  readonly query: Float32Array;
}

export interface PointSearchResult extends IndexHits {
  readonly visitedCount: number | undefined;
  readonly plan: 'scan' | 'graph';
}

interface RoomWaiter {
  readonly pointCount: number;
  readonly admit: () => void;
}

/** A search starts over when points died under it, at most this often, and asks for more each time. */
const restartCountMax = 4;
const restartSlack = 32;
/** Dead labels of the graph up to this many are asked for on top of k; above it the search is given the live ones. */
const slackMax = 1_000;

export class PointIndex {
  readonly #options: PointIndexOptions;
  readonly #flatFloatsMax: number;
  readonly #tailFloatsMax: number;
  readonly #tail: FlatIndex;
  #graph: VectorIndex | undefined;
  /** Labels to move into the graph, oldest first; some may be dead, moved or named twice by the time they are taken. */
  #unmoved: number[] = [];
  #unmovedStart = 0;
  /** Labels being added to the graph just now. */
  readonly #moving = new Set<number>();
  /** Labels of `#moving` that died since their batch was taken: the graph may return them already. */
  #movingDeadCount = 0;
  #graphLabels = new LabelBits();
  /** Dead labels that the graph has not confirmed as removed. */
  readonly #unconfirmedRemovals = new Set<number>();
  /**
   * Rows of the tail whose label is dead, and which only wait for searches to end. They are asked for on top of k; rows
   * that the graph has as well are not, as nothing that is nearer than one of the k nearest can push it out.
   */
  #deadRowCount = 0;
  /** Counts labels that died, so that a search can tell whether any did since it began. */
  #deathCount = 0;
  #mover: Promise<void> | undefined;
  /** Points of writes that have been let in and are not applied yet. */
  #reservedPointCount = 0;
  readonly #roomWaiters: RoomWaiter[] = [];
  #roomWatchers: (() => void)[] = [];
  #failure: Error | undefined;
  #closed = false;
  #mayMove: boolean;

  constructor(options: PointIndexOptions, graph?: VectorIndex) {
    this.#options = options;
    this.#mayMove = options.waitsToMove !== true;
    this.#flatFloatsMax = options.flatFloatsMax ?? limits.flatFloatsMax;
    this.#tailFloatsMax = options.tailFloatsMax ?? limits.tailFloatsMax;
    this.#tail = new FlatIndex(options.parameters, options.rowDistances?.(options.parameters.metric));
    this.#graph = graph;
    if (graph !== undefined) for (const label of graph.labels()) this.#graphLabels.add(label);
  }

  /** Points that only the tail has. */
  get tailPointCount(): number {
    return Math.max(0, this.#options.labels.pointCount - this.#graphLabels.count + this.#unconfirmedRemovals.size);
  }

  /** Rows of dead points that the tail still holds. */
  get deadRowCount(): number {
    return this.#deadRowCount;
  }

  get graphPointCount(): number {
    return this.#graph?.size ?? 0;
  }

  get hasGraph(): boolean {
    return this.#graph !== undefined;
  }

  get kind(): string {
    return this.#graph?.kind ?? 'flat';
  }

  memoryBytes(): number {
    return this.#tail.memoryBytes() + (this.#graph?.memoryBytes() ?? 0);
  }

  graphHas(label: number): boolean {
    return this.#graphLabels.has(label);
  }

  graphLabels(): Uint32Array {
    return this.#graph?.labels() ?? new Uint32Array(0);
  }

  /** Makes points searchable at once. The vectors are copied, the only time on their way from a message to the index. */
  add(labels: ArrayLike<number>, vectors: readonly VectorBytes[]): void {
    this.#tail.addBytes(labels, vectors);
    if (this.#options.graphFactory === undefined) return;
    for (let i = 0; i < labels.length; i++) this.#unmoved.push(labels[i]!);
    if (this.#unmoved.length - this.#unmovedStart > 2 * this.#tail.size + 1_024) this.#compactUnmoved();
    this.#wakeMover();
  }

  /** The labels are dead already in the label table; from here on they hold no memory longer than reads need it. */
  remove(labels: readonly number[]): void {
    if (labels.length === 0) return;
    const inGraph = labels.filter((label) => this.#graphLabels.has(label));
    const elsewhere = labels.filter((label) => !this.#graphLabels.has(label) && !this.#moving.has(label));
    this.#deathCount += labels.length;
    for (const label of labels) if (this.#tail.has(label)) this.#deadRowCount++;
    // Labels in `#moving` are taken care of when their batch has arrived.
    this.#movingDeadCount += labels.length - inGraph.length - elsewhere.length;
    this.#retire(elsewhere);
    this.#removeFromGraph(inGraph);
    this.#admitWaiters();
  }

  /**
   * Lets a write of `pointCount` points in once the tail has room for it: the back-pressure that keeps the tail bounded.
   * Call the result when the write is applied or given up.
   */
  async reserveRoom(pointCount: number, signal: AbortSignal): Promise<() => void> {
    if (this.#roomWaiters.length > 0 || !this.#hasRoom(pointCount)) await this.#waitForRoom(pointCount, signal);
    else this.#reservedPointCount += pointCount;
    return () => {
      this.#reservedPointCount -= pointCount;
      this.#admitWaiters();
    };
  }

  /** The tail is far above its bound, as no writer waits for a backup's, and is getting shorter. */
  get isFarBehind(): boolean {
    return this.#mover !== undefined && this.tailPointCount * this.#options.parameters.dimension > limits.backupTailFactor * this.#tailFloatsMax;
  }

  /** Resolves when the tail has become shorter, or stays as it is. */
  roomChanged(): Promise<void> {
    return new Promise((resolve) => this.#roomWatchers.push(resolve));
  }

  async search(search: PointSearch): Promise<PointSearchResult> {
    for (let restartCount = 0; ; restartCount++) {
      const deathCount = this.#deathCount;
      const { result, deadHitCount } = await this.#searchOnce(search, restartCount === 0 ? 0 : restartSlack << restartCount);
      // What died meanwhile may have taken the place of others, or left one in a part that had been searched before.
      if (deadHitCount === 0 || deathCount === this.#deathCount || restartCount >= restartCountMax) return result;
    }
  }

  async #searchOnce(search: PointSearch, slack: number): Promise<{ result: PointSearchResult; deadHitCount: number }> {
    const { labels } = this.#options;
    const { query, k } = search;
    const graph = this.#graph;
    let graphHits: IndexHits | undefined;
    let visitedCount: number | undefined = 0;
    let plan: 'scan' | 'graph' = 'scan';
    if (graph !== undefined && graph.size > 0) {
      const deadCount = this.#unconfirmedRemovals.size + this.#movingDeadCount;
      const wanted = k + slack + Math.min(deadCount, slackMax);
      const filter = search.filter ?? (deadCount > slackMax ? LabelBits.copyOf(labels.live) : undefined);
      const ef = Math.max(search.ef, wanted);
      const { exact, countVisited, signal } = search;
      const found = await graph.search({ queries: query, k: wanted, ef, exact, countVisited, signal, filter });
      graphHits = found.hits[0]!;
      visitedCount = found.visitedCount;
      plan = found.plan;
    }
    let tailHits = noHits;
    if (this.#tail.size > 0) {
      const tail = await this.#tail.search({ ...search, queries: query, k: k + slack + this.#deadRowCount });
      if (visitedCount !== undefined) visitedCount += tail.visitedCount ?? 0;
      tailHits = tail.hits[0]!;
    }
    const { hits, deadHitCount } = mergeLive(labels, graphHits ?? noHits, tailHits, k);
    return { result: { labels: hits.labels, distances: hits.distances, visitedCount, plan }, deadHitCount };
  }

  /** Lets the tail move into the graph from now on. */
  startMoving(): void {
    this.#mayMove = true;
    this.#wakeMover();
  }

  /** Writes the graph, while searches go on. Undefined when there is none. */
  async checkpoint(directory: string): Promise<readonly CheckpointPart[] | undefined> {
    const graph = this.#graph;
    if (graph === undefined) return undefined;
    return graph.checkpoint(directory);
  }

  /** Resolves when the tail has moved into the graph, for tests and benchmarks. */
  async settled(): Promise<void> {
    while (this.#mover !== undefined) await this.#mover;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#admitWaiters();
    await this.#graph?.close();
    await this.#mover;
    await this.#tail.close();
  }

  #hasRoom(pointCount: number): boolean {
    if (this.#closed || this.#failure !== undefined || !this.#needsGraph()) return true;
    const held = this.tailPointCount + this.#reservedPointCount;
    return this.#reservedPointCount === 0 && this.tailPointCount === 0
      ? true
      : (held + pointCount) * this.#options.parameters.dimension <= this.#tailFloatsMax;
  }

  #waitForRoom(pointCount: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const waiter: RoomWaiter = { pointCount, admit: () => (signal.removeEventListener('abort', onAbort), resolve()) };
      const onAbort = (): void => {
        this.#roomWaiters.splice(this.#roomWaiters.indexOf(waiter), 1);
        reject(signal.reason as Error);
        this.#admitWaiters();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#roomWaiters.push(waiter);
    });
  }

  /** First come, first served, as far as there is room; a waiter's room is reserved here. */
  #admitWaiters(): void {
    const watchers = this.#roomWatchers;
    this.#roomWatchers = [];
    for (const wake of watchers) wake();
    for (let next = this.#roomWaiters[0]; next !== undefined && this.#hasRoom(next.pointCount); next = this.#roomWaiters[0]) {
      this.#roomWaiters.shift();
      this.#reservedPointCount += next.pointCount;
      next.admit();
    }
  }

  #needsGraph(): boolean {
    if (this.#options.graphFactory === undefined) return false;
    return this.#graph !== undefined || this.#options.labels.pointCount * this.#options.parameters.dimension > this.#flatFloatsMax;
  }

  #wakeMover(): void {
    if (!this.#mayMove || this.#mover !== undefined || this.#closed || (this.#failure !== undefined && !mayPass(this.#failure)) || !this.#needsGraph()) return;
    this.#mover = this.#move().then(
      () => {
        this.#mover = undefined;
        if (this.#unmovedStart < this.#unmoved.length) this.#wakeMover();
        this.#admitWaiters();
      },
      (error: unknown) => {
        this.#mover = undefined;
        if (this.#closed) return;
        // The points stay in the tail and are found there; only speed is lost, and memory.
        if (this.#failure === undefined) {
          this.#options.logger.error({ error }, `the graph takes no more points; searches scan the tail until ${mayPass(error) ? 'a later write finds that it does' : 'the next start'}`);
        }
        this.#failure = error as Error;
        this.#admitWaiters();
      },
    );
  }

  /** The next batch is with the graph before the last one is through, so that its threads have always work. */
  async #move(): Promise<void> {
    const { graphFactory, parameters } = this.#options;
    assert(graphFactory !== undefined);
    const graph = (this.#graph ??= await graphFactory.create(parameters));
    const underWay: Promise<void>[] = [];
    try {
      for (;;) {
        const batch = this.#closed ? [] : this.#takeUnmoved();
        if (batch.length > 0) {
          const moved = this.#moveBatch(graph, batch);
          // Whoever waits for the one before it must not miss its failure.
          moved.catch(() => undefined);
          underWay.push(moved);
        }
        if (underWay.length === 0) return;
        if (batch.length === 0 || underWay.length >= movingBatchesMax) await underWay.shift();
      }
    } catch (error) {
      await Promise.allSettled(underWay);
      throw error;
    }
  }

  async #moveBatch(graph: VectorIndex, batch: readonly number[]): Promise<void> {
    const { dimension } = this.#options.parameters;
    for (const label of batch) this.#moving.add(label);
    const vectors = new Float32Array(batch.length * dimension);
    batch.forEach((label, i) => this.#tail.readVector(label, vectors, i * dimension));
    try {
      await graph.add(Uint32Array.from(batch), vectors);
    } catch (error) {
      if (mayPass(error)) this.#giveBack(batch);
      throw error;
    }
    this.#failure = undefined;
    for (const label of batch) this.#graphLabels.add(label);
    const dead = this.#endMove(batch);
    this.#leaveTail(batch);
    this.#removeFromGraph(dead);
    this.#admitWaiters();
  }

  /** Those of the batch that died on the way. */
  #endMove(batch: readonly number[]): number[] {
    for (const label of batch) this.#moving.delete(label);
    const dead = batch.filter((label) => !this.#options.labels.isLive(label));
    this.#movingDeadCount -= dead.length;
    return dead;
  }

  /** The next labels that still have to be moved, each once. */
  #takeUnmoved(): number[] {
    const batch = new Set<number>();
    while (batch.size < moveBatchCount && this.#unmovedStart < this.#unmoved.length) {
      const label = this.#unmoved[this.#unmovedStart++]!;
      if (this.#options.labels.isLive(label) && !this.#graphLabels.has(label) && !this.#moving.has(label)) batch.add(label);
    }
    if (this.#unmovedStart > 65_536) this.#compactUnmoved();
    return [...batch];
  }

  /** A batch of which the graph has nothing. */
  #giveBack(batch: readonly number[]): void {
    const { labels } = this.#options;
    this.#retire(this.#endMove(batch));
    for (const label of batch) if (labels.isLive(label)) this.#unmoved.push(label);
  }

  #compactUnmoved(): void {
    const seen = new LabelBits();
    const pending = this.#unmoved.slice(this.#unmovedStart);
    this.#unmoved = pending.filter((label) => this.#options.labels.isLive(label) && !this.#graphLabels.has(label) && seen.add(label));
    this.#unmovedStart = 0;
  }

  /** No label is handed out again before its row is gone. */
  #dropRows(labels: readonly number[]): void {
    for (const label of labels) if (!this.#options.labels.isLive(label) && this.#tail.has(label)) this.#deadRowCount--;
    this.#tail.removeNow(labels);
  }

  /** Live labels that the graph has now: gone from the tail when earlier searches have ended. */
  #leaveTail(labels: readonly number[]): void {
    this.#options.epochs.whenReadersEnded(() => this.#dropRows(labels));
  }

  /** Dead labels that only the tail had. */
  #retire(labels: readonly number[]): void {
    if (labels.length === 0) return;
    this.#options.epochs.whenReadersEnded(() => {
      this.#dropRows(labels);
      for (const label of labels) this.#options.labels.release(label);
    });
  }

  #removeFromGraph(labels: readonly number[]): void {
    if (labels.length === 0) return;
    const graph = this.#graph;
    assert(graph !== undefined);
    for (const label of labels) this.#unconfirmedRemovals.add(label);
    graph.remove(Uint32Array.from(labels)).then(
      () => {
        for (const label of labels) {
          this.#graphLabels.remove(label);
          this.#unconfirmedRemovals.delete(label);
        }
        this.#options.epochs.whenReadersEnded(() => {
          this.#dropRows(labels);
          for (const label of labels) this.#options.labels.release(label);
        });
      },
      (error: unknown) => {
        // The labels stay dead and are never handed out again in this process, so nothing stale can be returned.
        if (!this.#closed) this.#options.logger.error({ error, labelCount: labels.length }, 'the graph did not remove labels');
      },
    );
  }
}

/** A full disk: the graph is as it was, and may take the points later. */
function mayPass(error: unknown): boolean {
  return hasCode(error, 'STORAGE_READ_ONLY');
}

const noHits: IndexHits = { labels: new Uint32Array(0), distances: new Float32Array(0) };

/** The nearest k live labels of both, a label that is in both once; and how many dead ones were passed over. */
function mergeLive(table: LabelTable, graph: IndexHits, tail: IndexHits, k: number): { hits: IndexHits; deadHitCount: number } {
  // With nothing in the tail, and nothing dead, the graph's answer is the answer.
  if (tail.labels.length === 0 && graph.labels.length <= k && graph.labels.every((label) => table.isLive(label))) return { hits: graph, deadHitCount: 0 };
  const labels: number[] = [];
  const distances: number[] = [];
  const seen = new Set<number>();
  let deadHitCount = 0;
  let g = 0;
  let t = 0;
  const graphCount = graph.labels.length;
  while (labels.length < k && (g < graphCount || t < tail.labels.length)) {
    const fromGraph = t >= tail.labels.length || (g < graphCount && graph.distances[g]! <= tail.distances[t]!);
    const label = fromGraph ? graph.labels[g]! : tail.labels[t]!;
    const distance = fromGraph ? graph.distances[g++]! : tail.distances[t++]!;
    if (seen.has(label)) continue;
    if (!table.isLive(label)) {
      deadHitCount++;
      continue;
    }
    seen.add(label);
    labels.push(label);
    distances.push(distance);
  }
  return { hits: { labels: Uint32Array.from(labels), distances: Float32Array.from(distances) }, deadHitCount };
}
