/**
 * Aim: a backup that catches up keeps its tail bounded, though no writer waits for it; and applies all at once when it is
 * to lead, as everybody waits for it then.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import type { VectorIndexFactory } from '../index/vector-index.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { limits } from '../kernel/limits.ts';
import { seededRandom } from '../kernel/random.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { encodeEntry } from './entry-codec.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import { dimension, encode, lead, OpenReplica, shardUID } from './replica.fixture.ts';

const primary = { pod: 'test-1', incarnation: 'other', session: 'other session' };
const self = { pod: 'test-0', incarnation: 'first', session: 'session' };
const tailPointCount = 5;
const entryCount = 100;

/** A backup that has everything in its log and is told entry by entry that it is committed; its graph takes one batch for each `letThrough`. */
async function catchingUp(): Promise<{ open: OpenReplica; letThrough: () => void; letAllThrough: () => void }> {
  let gate = Promise.withResolvers<void>();
  const random = seededRandom(1);
  const fileSystem = faultyFileSystem({ random });
  const inner = simulatedGraphFactory(fileSystem, random);
  const factory: VectorIndexFactory = {
    quantizations: inner.quantizations,
    load: (...args) => inner.load(...args),
    async create(of) {
      const graph = await inner.create(of);
      const add = graph.add.bind(graph);
      graph.add = async (labels, vectors) => (await gate.promise, add(labels, vectors));
      return graph;
    },
  };
  const disk = { directory: '/data', fileSystem, clock: new SimulatedClock(), openStore: () => Promise.resolve(openMemoryStore()), graphFactory: () => factory, flatFloatsMax: dimension, tailFloatsMax: tailPointCount * dimension };
  const open = await OpenReplica.open(disk, { lead: false });
  const { replica } = open;
  for (let seq = 1; seq <= entryCount; seq++) {
    const operation = { kind: 'upsert', id: `p${seq}`, version: seq, vector: bytesOfVector(new Float32Array(dimension).fill(seq)), payload: encode({}), text: undefined } as const;
    const entry = { term: 1, seq, payload: encodeEntry({ idempotency: undefined, operations: [operation], results: [] }) };
    const body = { kind: 'append', prevSeq: seq - 1, prevTerm: seq === 1 ? 0 : 1, entries: [entry], commitSeq: seq } as const;
    replica.receive({ collectionUID: 'collection-under-test', shardUID, term: 1, from: primary, to: self, body });
    await turns(20);
  }
  const letThrough = (): void => {
    gate.resolve();
    gate = Promise.withResolvers();
  };
  const letAllThrough = (): void => {
    gate.resolve();
  };
  return { open, letThrough, letAllThrough };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

test('a backup applies no more than its tail may hold, and goes on as that moves into the graph', async () => {
  const { open, letThrough, letAllThrough } = await catchingUp();
  const { replica } = open;
  assert.deepEqual([replica.protocol.commitSeq, replica.appliedSeq], [entryCount, limits.backupTailFactor * tailPointCount + 1]);
  while (replica.appliedSeq < entryCount) {
    letThrough();
    await turns(1);
  }
  letAllThrough();
  await open.close();
});

test('one that comes to lead waits for nothing', async () => {
  const { open, letAllThrough } = await catchingUp();
  await lead(open.replica, self);
  assert.equal(open.replica.appliedSeq, entryCount + 1);
  letAllThrough();
  await open.close();
});
