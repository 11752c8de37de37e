/** Shoal as users run it: `shoal standalone`, asked over gRPC with packed vectors and an API key. */

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Quantization } from '../../../../pods/domain/collection.ts';
import { BenchClient, isRefusal, packedRow } from '../../bench-client.ts';
import { startServer } from '../../server-process.ts';
import type { Peer } from '../peer.ts';
import { topK } from '../peer.ts';
import { servedPeer, type Session } from '../served-peer.ts';

const collection = 'compare';
const refusalsMax = 200;

export const shoal = (): Peer => shoalWith('none');
export const shoalInt8 = (): Peer => shoalWith('int8');

const shoalWith = (quantization: Quantization): Peer => ({
  name: quantization === 'none' ? 'shoal' : `shoal-${quantization}`,
  kind: 'server',
  about: `standalone, gRPC, packed vectors, an API key${quantization === 'none' ? '' : `; quantization ${quantization}`}`,
  async prepare() {
    return (JSON.parse(await readFile(new URL('../../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
  },
  async start({ directory, core }) {
    const server = await startServer({ dataDirectory: directory, pinned: core !== undefined });
    return servedPeer({ pid: server.pid, startedMs: server.startedMs, connect: () => session(server.address, quantization), stop: async () => void (await server.stop()) });
  },
});

function session(address: string, quantization: Quantization): Session {
  const client = new BenchClient(address);
  return {
    async create(dimension) {
      await client.createCollection(collection, dimension, { quantization });
    },
    async insert(firstId, { values, dimension, count }) {
      const points = Array.from({ length: count }, (_, at) => ({ id: String(firstId + at), packedVector: packedRow(values, at, dimension), payload: {} }));
      for (let refusals = 0; ; refusals++) {
        try {
          await client.upsert(collection, points);
          return;
        } catch (error) {
          if (!isRefusal(error) || refusals === refusalsMax) throw error;
          await sleep(50);
        }
      }
    },
    async drained() {
      // A small collection has no graph and is all tail: nothing moves then.
      for (;;) {
        const { shards } = await client.getCollection(collection);
        if (shards.every(({ statistics }) => statistics === undefined || statistics.indexKind === 'flat' || Number(statistics.tailPointCount) === 0)) return;
        await sleep(50);
      }
    },
    async setBreadth() {},
    async search(query, ef) {
      const { hits } = await client.search(collection, { packedVector: packedRow(query, 0, query.length), topK, includePayload: false, ef });
      return hits.map(({ id }) => Number(id));
    },
    close: () => client.close(),
  };
}
