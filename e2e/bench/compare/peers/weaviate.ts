/** Weaviate's server, built from its Go module or at a given address: schema over HTTP, points and searches over gRPC. */

import { Client, credentials } from '@grpc/grpc-js';
import { goProgram } from '../../../framework/kubernetes/binaries.ts';
import { freePort } from '../../server-process.ts';
import { startProcess, waitFor } from '../child-process.ts';
import { HttpSession } from '../http-session.ts';
import { graphParameters, topK, type Peer } from '../peer.ts';
import { servedPeer, type Session } from '../served-peer.ts';
import { boundsMs } from '../time-bounds.ts';
import { decodeBatchErrors, decodeSearch, encodeBatch, encodeSearch } from './weaviate-messages.ts';

const className = 'ShoalBench';
const messageBytesMax = 64 * 1024 * 1024;
const source = { module: '../../../bench/compare/weaviate', package: 'github.com/weaviate/weaviate/cmd/weaviate-server', variables: [] };

interface Addresses {
  readonly http: string;
  readonly grpc: string;
}

/** Built here. */
export function weaviate(): Peer {
  let program = '';
  return {
    name: 'weaviate',
    kind: 'server',
    about: 'gRPC, HNSW over float32, no quantisation',
    async prepare() {
      program = await goProgram('weaviate-server', source);
      return 'v1.35.2';
    },
    async start({ directory, core }) {
      const [httpPort, grpcPort, gossipPort, dataPort, raftPort, raftInternalPort] = await Promise.all(Array.from({ length: 6 }, freePort));
      const addresses = { http: `127.0.0.1:${httpPort}`, grpc: `127.0.0.1:${grpcPort}` };
      const own = startProcess(program, ['--host', '127.0.0.1', '--port', String(httpPort), '--scheme', 'http'], {
        core,
        logPath: `${directory}.log`,
        cwd: directory,
        env: {
          PERSISTENCE_DATA_PATH: directory,
          AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: 'true',
          DEFAULT_VECTORIZER_MODULE: 'none',
          DISABLE_TELEMETRY: 'true',
          GRPC_PORT: String(grpcPort),
          CLUSTER_HOSTNAME: 'bench',
          CLUSTER_ADVERTISE_ADDR: '127.0.0.1',
          CLUSTER_GOSSIP_BIND_PORT: String(gossipPort),
          CLUSTER_DATA_BIND_PORT: String(dataPort),
          RAFT_PORT: String(raftPort),
          RAFT_INTERNAL_RPC_PORT: String(raftInternalPort),
          RAFT_BOOTSTRAP_EXPECT: '1',
          LOG_LEVEL: 'warning',
        },
      });
      const http = new HttpSession(addresses.http);
      try {
        await waitFor('weaviate is ready', own, boundsMs.start, () => http.call('GET', '/v1/.well-known/ready'));
      } catch (error) {
        await own.stop();
        throw error;
      } finally {
        http.close();
      }
      return servedPeer({ pid: own.pid, startedMs: own.startedMs, connect: () => session(addresses), stop: () => own.stop() });
    },
  };
}

/** Runs already: `host:port` of HTTP, or `host:port/port` with that of gRPC, which is 50051 otherwise. */
export function weaviateAt(address: string): Peer {
  const [http = '', grpcPort = '50051'] = address.split('/');
  const addresses = { http, grpc: `${http.slice(0, http.lastIndexOf(':'))}:${grpcPort}` };
  return {
    name: `weaviate at ${address}`,
    kind: 'server',
    about: 'gRPC; its CPU and memory are not seen',
    async prepare() {
      const session = new HttpSession(http);
      try {
        return (await session.call<{ version: string }>('GET', '/v1/meta')).version;
      } finally {
        session.close();
      }
    },
    async start() {
      return servedPeer({ pid: undefined, startedMs: performance.now(), connect: () => session(addresses), stop: async () => {} });
    },
  };
}

function session({ http, grpc }: Addresses): Session {
  const rest = new HttpSession(http);
  const client = new Client(grpc, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.enable_http_proxy': 0,
  });
  const call = <Answer>(method: string, request: Buffer, decode: (bytes: Buffer) => Answer): Promise<Answer> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(`/weaviate.v1.Weaviate/${method}`, (bytes: Buffer) => bytes, decode, request, { deadline: Date.now() + boundsMs.request }, (error, answer) => (error === null ? resolve(answer!) : reject(error)));
    });
  return {
    async create() {
      await rest.call('DELETE', `/v1/schema/${className}`);
      await rest.call('POST', '/v1/schema', {
        class: className,
        vectorizer: 'none',
        vectorIndexType: 'hnsw',
        vectorIndexConfig: { distance: 'cosine', maxConnections: graphParameters.m, efConstruction: graphParameters.efConstruction, skipDefaultQuantization: true },
      });
    },
    async insert(firstId, points) {
      const errors = await call('BatchObjects', encodeBatch(className, firstId, points), decodeBatchErrors);
      if (errors.length > 0) throw new Error(errors[0]);
    },
    async drained() {
      // It indexes before it answers, unless it was told otherwise.
    },
    async setBreadth(ef) {
      const schema = await rest.call<{ vectorIndexConfig: Record<string, unknown> }>('GET', `/v1/schema/${className}`);
      schema.vectorIndexConfig['ef'] = ef;
      await rest.call('PUT', `/v1/schema/${className}`, schema);
    },
    search: (query) => call('Search', encodeSearch(className, query, topK), decodeSearch),
    close() {
      client.close();
      rest.close();
    },
  };
}
