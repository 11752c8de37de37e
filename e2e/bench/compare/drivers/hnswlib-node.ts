/** The npm package hnswlib-node behind the protocol of driven-peer.ts. Its searches block: none is in flight beside another. */

import { closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import hnswlib from 'hnswlib-node';

const rowsPerRead = 1_000;
let graph: hnswlib.HierarchicalNSW;
let dimension = 0;
let path = '';
let changed = false;

const verbs: Readonly<Record<string, (...words: string[]) => number | void>> = {
  create(directory, dimensions, points, m, efConstruction) {
    dimension = Number(dimensions);
    path = join(directory!, 'graph');
    changed = true;
    graph = new hnswlib.HierarchicalNSW('cosine', dimension);
    graph.initIndex(Number(points), Number(m), Number(efConstruction), 42);
  },
  open(directory, dimensions) {
    dimension = Number(dimensions);
    graph = new hnswlib.HierarchicalNSW('cosine', dimension);
    graph.readIndexSync(join(directory!, 'graph'));
  },
  import(file, count) {
    const chunk = new Float32Array(rowsPerRead * dimension);
    const opened = openSync(file!, 'r');
    for (let first = 0; first < Number(count); first += rowsPerRead) {
      const last = Math.min(Number(count), first + rowsPerRead);
      readSync(opened, chunk, 0, (last - first) * dimension * 4, first * dimension * 4);
      for (let row = first; row < last; row++) graph.addPoint([...chunk.subarray((row - first) * dimension, (row - first + 1) * dimension)], row);
    }
    closeSync(opened);
  },
  search(file, queryCount, topK, ef, _inFlight, answerFile, latencyFile) {
    const bytes = readFileSync(file!);
    const queries = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const [count, k] = [Number(queryCount), Number(topK)];
    const answers = new Int32Array(count * k).fill(-1);
    const latencies = new Float64Array(count);
    graph.setEf(Number(ef));
    const startedMs = performance.now();
    for (let query = 0; query < count; query++) {
      const sentMs = performance.now();
      answers.set(graph.searchKnn([...queries.subarray(query * dimension, (query + 1) * dimension)], k).neighbors, query * k);
      latencies[query] = performance.now() - sentMs;
    }
    const seconds = (performance.now() - startedMs) / 1_000;
    writeFileSync(answerFile!, answers);
    writeFileSync(latencyFile!, latencies);
    return seconds;
  },
  end() {
    if (changed) graph.writeIndexSync(path);
  },
};

for await (const line of createInterface(process.stdin)) {
  const [verb, ...words] = line.split('\t');
  try {
    process.stdout.write(`ok\t${verbs[verb!]!(...words) ?? 0}\n`);
  } catch (error) {
    process.stdout.write(`error\t${String(error).replaceAll(/\s+/g, ' ')}\n`);
  }
}
