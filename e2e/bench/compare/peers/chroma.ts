/** Chroma's server (`chroma run`), asked over HTTP, the only protocol that it has. */

import { join } from 'node:path';
import { freePort } from '../../server-process.ts';
import { startProcess, waitFor, type OwnProcess } from '../child-process.ts';
import { HttpSession } from '../http-session.ts';
import { pythonEnvironment } from '../installed-programs.ts';
import { graphParameters, row, topK, type Peer, type Place } from '../peer.ts';
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
    about: 'HTTP, vectors of imports in base64; restarted for each breadth',
    async prepare() {
      program = join(await pythonEnvironment('chroma', [`chromadb==${version}`]), 'bin', 'chroma');
      return version;
    },
    async start(place) {
      const address = `127.0.0.1:${await freePort()}`;
      let own = await startServer(program, address, place);
      const collection: Collection = {
        id: undefined,
        breadth: undefined,
        async restart() {
          await own.stop();
          own = await startServer(program, address, place);
        },
      };
      return servedPeer({
        get pid() {
          return own.pid;
        },
        startedMs: own.startedMs,
        connect: () => session(address, collection),
        stop: () => own.stop(),
      });
    },
  };
}

/** What all connections have to know. */
interface Collection {
  /** The server chooses it. */
  id: string | undefined;
  /** That the running server uses: it reads the breadth when it loads the graph, and never again. */
  breadth: number | undefined;
  restart(): Promise<void>;
}

async function startServer(program: string, address: string, { directory, core }: Place): Promise<OwnProcess> {
  const [host = '', port = ''] = address.split(':');
  const own = startProcess(program, ['run', '--path', directory, '--host', host, '--port', port], { core, logPath: `${directory}.log`, cwd: directory, env: { ANONYMIZED_TELEMETRY: 'False' } });
  const http = new HttpSession(address);
  try {
    await waitFor('chroma answers', own, boundsMs.start, () => http.call('GET', '/api/v2/heartbeat'));
    return own;
  } catch (error) {
    await own.stop();
    throw error;
  } finally {
    http.close();
  }
}

function session(address: string, collection: Collection): Session {
  const http = new HttpSession(address);
  const path = async (): Promise<string> => {
    collection.id ??= (await described()).id;
    return `${collections}/${collection.id}`;
  };
  return {
    async create() {
      const configuration = { hnsw: { space: 'cosine', ef_construction: graphParameters.efConstruction, max_neighbors: graphParameters.m } };
      collection.id = (await http.call<{ id: string }>('POST', collections, { name, configuration })).id;
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
      await http.call('POST', `${await path()}/query`, { query_embeddings: [new Array<number>((await described()).dimension).fill(1)], n_results: 1, include: [] });
    },
    async setBreadth(ef) {
      collection.breadth ??= (await described()).configuration_json.hnsw.ef_search;
      if (ef === collection.breadth) return;
      await http.call('PUT', await path(), { new_configuration: { hnsw: { ef_search: ef } } });
      await collection.restart();
      collection.breadth = ef;
    },
    async search(query) {
      const { ids } = await http.call<{ ids: string[][] }>('POST', `${await path()}/query`, { query_embeddings: [[...query]], n_results: topK, include: [] });
      return ids[0]!.map(Number);
    },
    close: () => http.close(),
  };

  function described(): Promise<Described> {
    return http.call('GET', `${collections}/${name}`);
  }
}

interface Described {
  readonly id: string;
  readonly dimension: number;
  readonly configuration_json: { readonly hnsw: { readonly ef_search: number } };
}

function base64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
