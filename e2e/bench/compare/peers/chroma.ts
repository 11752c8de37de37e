/** Chroma's server (`chroma run`), asked over HTTP, the only protocol that it has. */

import { join } from 'node:path';
import { freePort, startProcess, waitFor } from '../child-process.ts';
import { HttpSession } from '../http-session.ts';
import { pythonEnvironment } from '../installed-programs.ts';
import { graphParameters, row, topK, type Peer } from '../peer.ts';
import { servedPeer, type Session } from '../served-peer.ts';
import { boundsMs } from '../time-bounds.ts';

const version = '1.5.9';
const collections = '/api/v2/tenants/default_tenant/databases/default_database/collections';
const name = 'shoal_bench';

export function chroma(): Peer {
  let program = '';
  return {
    name: 'chroma',
    kind: 'server',
    about: 'HTTP, vectors of imports in base64',
    async prepare() {
      program = join(await pythonEnvironment('chroma', [`chromadb==${version}`]), 'bin', 'chroma');
      return version;
    },
    async start({ directory, core }) {
      const address = `127.0.0.1:${await freePort()}`;
      const own = startProcess(program, ['run', '--path', directory, '--host', '127.0.0.1', '--port', address.split(':')[1]!], {
        core,
        logPath: `${directory}.log`,
        cwd: directory,
        env: { ANONYMIZED_TELEMETRY: 'False' },
      });
      const http = new HttpSession(address);
      try {
        await waitFor('chroma answers', own, boundsMs.start, () => http.call('GET', '/api/v2/heartbeat'));
      } catch (error) {
        await own.stop();
        throw error;
      } finally {
        http.close();
      }
      const place = { id: undefined as string | undefined };
      return servedPeer({ pid: own.pid, startedMs: own.startedMs, connect: () => session(address, place), stop: () => own.stop() });
    },
  };
}

/** `place` holds the id of the collection, which the server chooses, for all connections. */
function session(address: string, place: { id: string | undefined }): Session {
  const http = new HttpSession(address);
  const path = async (): Promise<string> => {
    place.id ??= (await http.call<{ id: string }>('GET', `${collections}/${name}`)).id;
    return `${collections}/${place.id}`;
  };
  return {
    async create() {
      const configuration = { hnsw: { space: 'cosine', ef_construction: graphParameters.efConstruction, max_neighbors: graphParameters.m } };
      place.id = (await http.call<{ id: string }>('POST', collections, { name, configuration })).id;
    },
    async insert(firstId, points) {
      const ids = Array.from({ length: points.count }, (_, at) => String(firstId + at));
      const embeddings = ids.map((_, at) => base64(row(points, at)));
      await http.call('POST', `${await path()}/add`, { ids, embeddings });
    },
    async drained(pointCount) {
      const count = await http.call<number>('GET', `${await path()}/count`);
      if (count !== pointCount) throw new Error(`chroma has ${count} of ${pointCount} points`);
      // What is in its log and not in the graph yet is indexed by the first search.
      await http.call('POST', `${await path()}/query`, { query_embeddings: [[1, ...new Array<number>(await dimensionOf()).fill(0)].slice(0, -1)], n_results: 1, include: [] });
    },
    async setBreadth(ef) {
      await http.call('PUT', await path(), { new_configuration: { hnsw: { ef_search: ef } } });
    },
    async search(query) {
      const { ids } = await http.call<{ ids: string[][] }>('POST', `${await path()}/query`, { query_embeddings: [[...query]], n_results: topK, include: [] });
      return ids[0]!.map(Number);
    },
    close: () => http.close(),
  };

  async function dimensionOf(): Promise<number> {
    return (await http.call<{ dimension: number }>('GET', `${collections}/${name}`)).dimension;
  }
}

function base64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
