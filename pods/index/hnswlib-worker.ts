/**
 * The thread that owns an hnswlib graph. It takes one step at a time and reads its messages between two steps:
 *
 *   removals      at once, in the order of arrival; so a search sent after a removal was confirmed cannot return it
 *   searches      first, in turn, one query or one slice of a scan per step
 *   additions     in slices of `insertSliceMs` while no search waits, and one slice now and then while some do
 *   rebuild       beside additions, and whenever nothing else is to do
 *   checkpoint    in its turn among the additions; those behind it, and removals, wait for it, searches do not
 */

import { join } from 'node:path';
import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { systemClock } from '../kernel/clock.ts';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import {
  corrupt,
  readHeader,
  readPart,
  readWholePart,
  sealPart,
  syncDirectory,
  writeHeader,
  writePart,
} from './checkpoint-files.ts';
import { normalize } from './distances.ts';
import { GraphFileReader } from './hnswlib-binding.ts';
import { GraphRebuild, HnswlibGraph, nativeParameters } from './hnswlib-graph.ts';
import type { HnswlibRequest, HnswlibResponse, HnswlibWorkerData } from './hnswlib-messages.ts';
import { SearchJob } from './hnswlib-search.ts';
import { noLabel } from '../domain/label-set.ts';
import { RowTable } from './row-table.ts';
import type { CheckpointPart, IndexParameters } from './vector-index.ts';

const graphName = 'graph.hnsw';
const labelsName = 'labels.bin';
/** Waiting searches run for this many insert slices before additions get one. */
const searchSlicesPerInsertSlice = 4;

interface AddJob {
  readonly type: 'add';
  readonly id: number;
  readonly labels: Uint32Array;
  readonly vectors: Float32Array;
  next: number;
  /** Places in `labels` that were removed again after the job arrived. */
  readonly removed: Set<number>;
}

interface CheckpointJob {
  readonly type: 'checkpoint';
  readonly id: number;
  readonly directory: string;
}

class HnswlibService {
  readonly #parameters: IndexParameters;
  readonly #insertSliceMs: number;
  #graph: HnswlibGraph;
  readonly #rows: RowTable;
  #rebuild: GraphRebuild | undefined;
  readonly #searches: SearchJob[] = [];
  readonly #changes: (AddJob | CheckpointJob)[] = [];
  #writing = false;
  /** Removals that arrived after a checkpoint was asked for: it does not have them. */
  readonly #heldRemovals: { id: number; labels: Uint32Array }[] = [];
  #searchMsSinceInsert = 0;
  #turnIsPlanned = false;
  #isClosing = false;

  constructor(data: HnswlibWorkerData, graph: HnswlibGraph, rows: RowTable) {
    this.#parameters = data.parameters;
    this.#insertSliceMs = data.insertSliceMs;
    this.#graph = graph;
    this.#rows = rows;
    // A checkpoint may hold a graph that was due for a rebuild.
    this.#tendGraph();
    this.#planTurn();
  }

  receive(request: HnswlibRequest): void {
    switch (request.type) {
      case 'search':
        this.#searches.push(new SearchJob(request, this.#parameters));
        break;
      case 'cancel': {
        const place = this.#searches.findIndex((job) => job.id === request.id);
        if (place >= 0) this.#searches.splice(place, 1)[0]?.cancel();
        break;
      }
      case 'add':
        this.#changes.push({ ...request, next: 0, removed: new Set() });
        break;
      case 'remove':
        this.#cancelAdditions(request.labels);
        if (this.#writing || this.#changes.some((job) => job.type === 'checkpoint')) this.#heldRemovals.push(request);
        else this.#remove(request.id, request.labels);
        break;
      case 'checkpoint':
        this.#changes.push(request);
        break;
      case 'close':
        this.#isClosing = true;
        break;
    }
    this.#planTurn();
  }

  labels(): Uint32Array {
    return this.#rows.labels();
  }

  memoryBytes(): number {
    return this.#graph.memoryBytes() + this.#rows.memoryBytes() + (this.#rebuild?.next.memoryBytes() ?? 0);
  }

  /** `setImmediate`, not a loop: messages arrive between two turns. */
  #planTurn(): void {
    if (this.#turnIsPlanned) return;
    this.#turnIsPlanned = true;
    setImmediate(() => {
      this.#turnIsPlanned = false;
      if (this.#turn()) this.#planTurn();
    });
  }

  /** True when there is more to do. */
  #turn(): boolean {
    const mayChange = !this.#writing;
    if (this.#isClosing) {
      // With its port closed, nothing keeps the thread.
      if (mayChange) parentPort?.close();
      return false;
    }
    const insertsAreDue =
      this.#changes.length > 0 &&
      mayChange &&
      this.#searchMsSinceInsert >= searchSlicesPerInsertSlice * this.#insertSliceMs;
    if (this.#searches.length > 0 && !insertsAreDue) {
      this.#searchTurn();
    } else if (mayChange) {
      this.#searchMsSinceInsert = 0;
      this.#changeTurn();
    }
    if (this.#searches.length > 0) return true;
    return !this.#writing && (this.#changes.length > 0 || this.#rebuild !== undefined);
  }

  #searchTurn(): void {
    const startMs = systemClock.monotonicMs();
    const job = this.#searches.shift() as SearchJob;
    if (job.step(this.#graph, this.#rows)) {
      const answer = job.answer();
      post(answer, [answer.counts.buffer, answer.labels.buffer, answer.distances.buffer] as Transferable[]);
    } else {
      this.#searches.push(job);
    }
    this.#searchMsSinceInsert += systemClock.monotonicMs() - startMs;
  }

  #changeTurn(): void {
    const endMs = systemClock.monotonicMs() + this.#insertSliceMs;
    const first = this.#changes[0];
    if (first?.type === 'checkpoint') {
      this.#changes.shift();
      void this.#checkpoint(first);
      return;
    }
    // Beside a rebuild every insertion is followed by a copy, so that the rebuild comes to an end.
    do {
      const blocked = GraphRebuild.mustPrecedeInsertion(this.#graph);
      const inserted = !blocked && this.#insertNext();
      const copied = this.#copyNext();
      if (!inserted && !copied) return;
    } while (systemClock.monotonicMs() < endMs);
  }

  #insertNext(): boolean {
    const job = this.#changes[0];
    if (job?.type !== 'add') return false;
    if (job.next < job.labels.length) {
      const place = job.next++;
      if (!job.removed.has(place)) this.#insert(job.labels[place] as number, job.vectors, place);
    }
    if (job.next >= job.labels.length) {
      this.#changes.shift();
      const labels = job.labels.filter((_, place) => !job.removed.has(place));
      post({ type: 'added', id: job.id, labels, memoryBytes: this.memoryBytes() });
    }
    return true;
  }

  #insert(label: number, vectors: Float32Array, place: number): void {
    const offset = place * this.#parameters.dimension;
    if (this.#parameters.metric === 'cosine') normalize(vectors, offset, this.#parameters.dimension);
    this.#graph.insert(label, vectors, offset);
    this.#rows.set(label, vectors, offset);
    this.#rebuild?.next.insert(label, vectors, offset);
    this.#tendGraph();
  }

  /** A label that is removed while its addition waits or is under way must not come up again. */
  #cancelAdditions(labels: Uint32Array): void {
    const additions = this.#changes.filter((job) => job.type === 'add');
    if (additions.length === 0 || labels.length === 0) return;
    const wanted = new Set(labels);
    for (const job of additions) {
      job.labels.forEach((label, place) => {
        if (wanted.has(label)) job.removed.add(place);
      });
    }
  }

  #remove(id: number, labels: Uint32Array): void {
    for (const label of labels) {
      this.#graph.remove(label);
      this.#rebuild?.next.remove(label);
      this.#rows.remove(label);
    }
    this.#tendGraph();
    post({ type: 'removed', id, labels, memoryBytes: this.memoryBytes() });
  }

  #tendGraph(): void {
    if (this.#graph.liveCount === 0 && this.#graph.slotCount > 0) {
      this.#graph = HnswlibGraph.create(this.#parameters);
      this.#rebuild = undefined;
    } else if (this.#rebuild === undefined && GraphRebuild.isDue(this.#graph)) {
      this.#rebuild = new GraphRebuild(this.#parameters, this.#graph, this.#rows);
    }
  }

  #copyNext(): boolean {
    if (this.#rebuild === undefined) return false;
    if (this.#rebuild.step()) {
      this.#graph = this.#rebuild.next;
      this.#rebuild = undefined;
      this.#tendGraph();
    }
    return true;
  }

  async #checkpoint({ id, directory }: CheckpointJob): Promise<void> {
    this.#writing = true;
    try {
      const parts = await writeCheckpoint(directory, this.#parameters, this.#graph);
      post({ type: 'checkpointed', id, parts });
    } catch (error) {
      postFailure(id, error);
    } finally {
      this.#writing = false;
      if (!this.#changes.some((job) => job.type === 'checkpoint')) {
        for (const removal of this.#heldRemovals.splice(0)) this.#remove(removal.id, removal.labels);
      }
      this.#planTurn();
    }
  }
}

async function writeCheckpoint(
  directory: string,
  parameters: IndexParameters,
  graph: HnswlibGraph,
): Promise<CheckpointPart[]> {
  const rowCount = graph.slotCount;
  const parts = [
    await writeHeader(directory, { format: 1, kind: 'hnswlib', parameters, rowCount, normBound: graph.normBound }),
    await writePart(directory, labelsName, [new Uint8Array(graph.labelsBySlot().buffer)]),
  ];
  if (rowCount > 0) {
    await graph.write(join(directory, graphName));
    const reader = new GraphFileReader(nativeParameters(parameters), () => undefined);
    parts.push(await sealPart(directory, graphName, (chunk) => reader.push(chunk)));
    if (!reader.isWhole || reader.slotCount !== rowCount) {
      throw new ShoalError('UNAVAILABLE', 'the graph could not be written as a whole: is the disk full?');
    }
  }
  await syncDirectory(directory);
  return parts;
}

async function open(data: HnswlibWorkerData): Promise<HnswlibService> {
  const { parameters, load } = data;
  const rows = new RowTable(parameters.dimension, parameters.metric);
  if (load === undefined) return new HnswlibService(data, HnswlibGraph.create(parameters), rows);
  const { directory, parts } = load;
  const { rowCount, normBound = 0 } = await readHeader(directory, parts, 'hnswlib', parameters);
  const labels = new Uint32Array((await readWholePart(directory, parts, labelsName)).buffer);
  if (labels.length !== rowCount) throw corrupt(directory, labelsName, 'does not agree with the header');
  if (rowCount === 0) return new HnswlibService(data, HnswlibGraph.create(parameters), rows);
  const reader = new GraphFileReader(nativeParameters(parameters), (slot, vector) => {
    const label = labels[slot] ?? noLabel;
    if (label !== noLabel) rows.set(label, vector, 0);
  });
  await readPart(directory, parts, graphName, (chunk) => reader.push(chunk));
  if (!reader.isWhole || reader.slotCount !== rowCount) throw corrupt(directory, graphName, 'is malformed');
  const graph = HnswlibGraph.open(parameters, join(directory, graphName), labels, normBound, rows);
  return new HnswlibService(data, graph, rows);
}

function post(response: HnswlibResponse, transfer: readonly Transferable[] = []): void {
  parentPort?.postMessage(response, transfer);
}

function postFailure(id: number, error: unknown): void {
  const { code, message, cause } = asShoalError(error);
  post({ type: 'failed', id, code, message: cause instanceof Error ? `${message}: ${cause.message}` : message });
}

const data = workerData as HnswlibWorkerData;
try {
  const service = await open(data);
  parentPort?.on('message', (request: HnswlibRequest) => service.receive(request));
  post({ type: 'ready', labels: service.labels(), memoryBytes: service.memoryBytes() });
} catch (error) {
  const { code, message } = asShoalError(error);
  post({ type: 'not-loaded', code, message });
}
