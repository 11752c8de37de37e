/**
 * Stands for a graph index where nothing may run beside the simulation: it is exact, but answers after a few turns of the
 * event loop like one in a worker, in the order of its calls, and keeps its checkpoints in the simulated file system.
 */

import { crc32c } from '@node-rs/crc32';
import { join } from 'node:path';
import { FlatIndex } from '../../pods/index/flat-index.ts';
import type { CheckpointPart, IndexParameters, IndexSearch, IndexSearchResult, VectorIndex, VectorIndexFactory } from '../../pods/index/vector-index.ts';
import { ShoalError } from '../../pods/kernel/errors.ts';
import type { FileSystem } from '../../pods/kernel/file-system.ts';
import { below, type Random } from '../../pods/kernel/random.ts';

const partName = 'graph.bin';

export class SimulatedGraph implements VectorIndex {
  readonly kind = 'hnswlib';
  readonly #parameters: IndexParameters;
  readonly #fileSystem: FileSystem;
  readonly #random: Random;
  readonly #index: FlatIndex;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parameters: IndexParameters, fileSystem: FileSystem, random: Random) {
    this.#parameters = parameters;
    this.#fileSystem = fileSystem;
    this.#random = random;
    this.#index = new FlatIndex(parameters);
  }

  get size(): number {
    return this.#index.size;
  }

  labels(): Uint32Array {
    return this.#index.labels();
  }

  add(labels: Uint32Array, vectors: Float32Array): Promise<void> {
    return this.#later(() => this.#index.add(labels, vectors));
  }

  remove(labels: Uint32Array): Promise<void> {
    return this.#later(() => this.#index.remove(labels));
  }

  /** Its answer may arrive later than that of calls made after it. */
  async search(search: IndexSearch): Promise<IndexSearchResult> {
    const result = await this.#later(() => this.#index.search(search));
    for (let turn = below(this.#random, 4); turn > 0; turn--) await new Promise(setImmediate);
    return result;
  }

  checkpoint(directory: string): Promise<readonly CheckpointPart[]> {
    return this.#later(async () => {
      const { dimension } = this.#parameters;
      const labels = this.#index.labels();
      const vectors = new Float32Array(labels.length * dimension);
      labels.forEach((label, i) => this.#index.readVector(label, vectors, i * dimension));
      const bytes = Buffer.concat([Buffer.from(labels.buffer), Buffer.from(vectors.buffer)]);
      const file = await this.#fileSystem.open(join(directory, partName), 'create');
      try {
        await file.write([bytes], 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#fileSystem.syncDirectory(directory);
      return [{ name: partName, sizeBytes: bytes.length, checksum: crc32c(bytes) }];
    });
  }

  async load(directory: string, parts: readonly CheckpointPart[]): Promise<void> {
    const { dimension } = this.#parameters;
    const bytes = await this.#fileSystem.readFile(join(directory, partName));
    if (bytes === undefined || crc32c(bytes) !== parts[0]?.checksum) throw new ShoalError('CORRUPTION', `${directory}/${partName} is damaged`);
    const whole = bytes.slice().buffer;
    const count = bytes.length / (4 + 4 * dimension);
    await this.#index.add(new Uint32Array(whole, 0, count), new Float32Array(whole, 4 * count));
  }

  memoryBytes(): number {
    return this.#index.memoryBytes();
  }

  close(): Promise<void> {
    return this.#index.close();
  }

  #later<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      for (let turn = below(this.#random, 3); turn > 0; turn--) await new Promise(setImmediate);
      return work();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}

export function simulatedGraphFactory(fileSystem: FileSystem, random: Random): VectorIndexFactory {
  return {
    quantizations: ['none'],
    create: (parameters) => Promise.resolve(new SimulatedGraph(parameters, fileSystem, random)),
    async load(parameters, directory, parts) {
      const graph = new SimulatedGraph(parameters, fileSystem, random);
      await graph.load(directory, parts);
      return graph;
    },
  };
}
