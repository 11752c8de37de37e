/** A Qdrant that runs already, asked over HTTP. */

import { setTimeout as sleep } from 'node:timers/promises';
import { HttpSession } from '../http-session.ts';
import { graphParameters, row, topK, type Peer } from '../peer.ts';
import { servedPeer, type Session } from '../served-peer.ts';

const collection = '/collections/shoal_bench';

interface CollectionInfo {
  readonly result: { readonly status: string; readonly indexed_vectors_count: number };
}

export function qdrantAt(address: string): Peer {
  return {
    name: `qdrant at ${address}`,
    kind: 'server',
    about: 'HTTP; its CPU and memory are not seen',
    async prepare() {
      const session = new HttpSession(address);
      try {
        return (await session.call<{ version: string }>('GET', '/')).version;
      } finally {
        session.close();
      }
    },
    async start() {
      return servedPeer({ pid: undefined, startedMs: performance.now(), connect: () => session(address), stop: async () => {} });
    },
  };
}

function session(address: string): Session {
  const http = new HttpSession(address);
  return {
    async create(dimension) {
      await http.call('DELETE', collection);
      await http.call('PUT', collection, { vectors: { size: dimension, distance: 'Cosine' }, hnsw_config: { m: graphParameters.m, ef_construct: graphParameters.efConstruction } });
    },
    async insert(firstId, points) {
      const body = { points: Array.from({ length: points.count }, (_, at) => ({ id: firstId + at, vector: [...row(points, at)] })) };
      await http.call('PUT', `${collection}/points?wait=true`, body);
    },
    async drained() {
      // Green: its optimiser has nothing left to index. It takes a moment to begin.
      for (let green = 0; green < 10; await sleep(200)) {
        const { result } = await http.call<CollectionInfo>('GET', collection);
        green = result.status === 'green' ? green + 1 : 0;
      }
    },
    async setBreadth() {},
    async search(query, ef) {
      const { result } = await http.call<{ result: { points: { id: number }[] } }>('POST', `${collection}/points/query`, { query: [...query], limit: topK, params: { hnsw_ef: ef } });
      return result.points.map(({ id }) => id);
    },
    close: () => http.close(),
  };
}
