/**
 * For tests: shoal.v1 over real gRPC with points in a map. It remembers every upsert that arrives, recognises repeats
 * by client id and request number (rule D1), and can be told to be slow or to fail.
 */

import { Metadata, Server, ServerCredentials, type handleUnaryCall } from '@grpc/grpc-js';
import { errorTable, grpcStatus, ShoalError } from '../kernel/errors.ts';
import { ClusterServiceService } from '../../proto/gen/shoal/v1/cluster.ts';
import { CollectionServiceService, type Collection } from '../../proto/gen/shoal/v1/collection.ts';
import { FeedbackServiceService } from '../../proto/gen/shoal/v1/feedback.ts';
import { KeyServiceService, type Key } from '../../proto/gen/shoal/v1/key.ts';
import { PointServiceService, type ItemResult, type Point, type PointUpsert, type ScrollPointsRequest, type UpsertPointsRequest, type UpsertPointsResponse } from '../../proto/gen/shoal/v1/point.ts';
import { SearchServiceService } from '../../proto/gen/shoal/v1/search.ts';

interface StoredCollection {
  readonly collection: Collection;
  readonly points: Map<string, Point>;
  lastVersion: bigint;
}

export interface MemoryServer {
  readonly address: string;
  readonly collections: Map<string, StoredCollection>;
  /** Every upsert that arrived, repeats too, in order. */
  readonly upserts: { readonly clientId: string; readonly requestNumber: number; readonly pointCount: number }[];
  /** Called before an upsert is done; may wait, or throw to refuse it. */
  beforeUpsert: (request: UpsertPointsRequest) => Promise<void> | void;
  /** Called after an upsert is done and before it is answered. */
  afterUpsert: (request: UpsertPointsRequest) => Promise<void> | void;
  scrollLimitMax: number;
  stop(): void;
}

type Handlers<Definition> = { [Name in keyof Definition]?: Definition[Name] extends { requestDeserialize(bytes: Buffer): infer Request; responseSerialize(value: infer Response): Buffer } ? (request: Request) => Promise<Response> | Response : never };

export async function startMemoryServer(options: { readonly apiKey?: string } = {}): Promise<MemoryServer> {
  const grpc = new Server({ 'grpc.max_receive_message_length': 16 << 20 });
  const add = <Definition extends object>(definition: Definition, handlers: Handlers<Definition>): void => {
    const implementation = Object.fromEntries(
      Object.keys(definition).map((name) => {
        const handle = (handlers as Record<string, ((request: unknown) => unknown) | undefined>)[name];
        const call: handleUnaryCall<unknown, unknown> = (received, callback) => {
          const answer = async (): Promise<unknown> => {
            if (options.apiKey !== undefined && received.metadata.get('authorization')[0] !== `Bearer ${options.apiKey}`) throw new ShoalError('UNAUTHENTICATED', 'no valid credential');
            if (handle === undefined) throw new ShoalError('UNIMPLEMENTED', `${name} is not offered`);
            return handle(received.request);
          };
          answer().then((value) => callback(null, value), (error: unknown) => callback(grpcError(error)));
        };
        return [name, call];
      }),
    );
    grpc.addService(definition as never, implementation as never);
  };

  const server: Omit<MemoryServer, 'address'> = { collections: new Map(), upserts: [], beforeUpsert: () => undefined, afterUpsert: () => undefined, scrollLimitMax: 10_000, stop: () => grpc.forceShutdown() };
  const keys = new Map<string, Key>();
  const answers = new Map<string, Promise<UpsertPointsResponse>>();

  const entry = (name: string): StoredCollection => {
    const found = server.collections.get(name);
    if (found === undefined) throw new ShoalError('COLLECTION_NOT_FOUND', `no collection "${name}"`);
    found.collection.pointCount = BigInt(found.points.size);
    return found;
  };
  const write = (stored: StoredCollection, given: PointUpsert): ItemResult => {
    const before = stored.points.get(given.id);
    const condition = given.condition?.kind;
    if ((condition?.$case === 'absent' && before !== undefined) || (condition?.$case === 'version' && before?.version !== condition.version)) {
      return { id: given.id, outcome: 'condition-failed', version: before?.version ?? 0n };
    }
    const { condition: _, ...point } = given;
    const version = ++stored.lastVersion;
    stored.points.set(given.id, { ...point, version });
    return { id: given.id, outcome: before === undefined ? 'created' : 'updated', version };
  };
  const view = (point: Point, parts: { includeVector?: boolean | undefined; includePayload?: boolean | undefined }, vectorDefault: boolean): Point => ({
    ...point,
    packedVector: (parts.includeVector ?? vectorDefault) ? point.packedVector : new Uint8Array(0),
    payload: (parts.includePayload ?? true) ? point.payload : undefined,
  });
  /** Enough of the language for these tests: one field that equals. */
  const matches = (filter: Record<string, unknown> | undefined) => (point: Point): boolean => filter === undefined || (point.payload as Record<string, unknown>)[String(filter['field'])] === filter['equals'];

  add(CollectionServiceService, {
    createCollection(request) {
      const found = server.collections.get(request.name);
      if (found !== undefined) {
        if (found.collection.spec?.dimension !== request.dimension) throw new ShoalError('COLLECTION_EXISTS', `collection "${request.name}" exists`);
        return { created: false, collection: found.collection };
      }
      const collection: Collection = {
        spec: { name: request.name, dimension: request.dimension, metric: request.metric ?? 'cosine', shards: request.shards ?? 1, replication: request.replication, index: request.index, payloadIndexes: request.payloadIndexes },
        uid: `uid-${server.collections.size}-${request.name}`, createdAtMs: 1_700_000_000_000n, phase: 'ready', epoch: 1n, pointCount: 0n, shards: [],
      };
      server.collections.set(request.name, { collection, points: new Map(), lastVersion: 0n });
      return { created: true, collection };
    },
    listCollections: () => ({ collections: [...server.collections.keys()].map((name) => entry(name).collection) }),
    getCollection: ({ name }) => ({ collection: entry(name).collection }),
    updateCollection({ name, payloadIndexes, replication }) {
      const { collection } = entry(name);
      if (replication !== undefined) collection.spec!.replication = { ...collection.spec!.replication!, ...replication };
      if (payloadIndexes !== undefined) collection.spec!.payloadIndexes = payloadIndexes.payloadIndexes;
      return { collection };
    },
    deleteCollection({ name }) {
      entry(name);
      server.collections.delete(name);
      return {};
    },
  });
  add(PointServiceService, {
    async upsertPoints(request) {
      server.upserts.push({ clientId: request.clientId, requestNumber: Number(request.requestNumber), pointCount: request.points.length });
      await server.beforeUpsert(request);
      const identity = `${request.clientId}/${request.requestNumber}`;
      const done = answers.get(identity) ?? Promise.resolve({ items: request.points.map((point) => write(entry(request.collection), point)), tokens: [] });
      answers.set(identity, done);
      const answer = await done;
      await server.afterUpsert(request);
      return answer;
    },
    getPoints(request) {
      const { points } = entry(request.collection);
      return { points: request.ids.flatMap((id) => points.get(id) ?? []).map((point) => view(point, request, true)), missingIds: request.ids.filter((id) => !points.has(id)) };
    },
    deletePoints(request) {
      const { points } = entry(request.collection);
      return { items: request.points.map(({ id }) => ({ id, outcome: points.delete(id) ? 'deleted' : 'not-found', version: 0n })), tokens: [] };
    },
    deletePointsByFilter(request) {
      const { points } = entry(request.collection);
      const gone = [...points.values()].filter(matches(request.filter));
      for (const { id } of gone) points.delete(id);
      return { deletedCount: BigInt(gone.length), tokens: [] };
    },
    scrollPoints(request: ScrollPointsRequest) {
      const limit = request.limit ?? 100;
      if (limit > server.scrollLimitMax) throw new ShoalError('RESPONSE_TOO_LARGE', 'too much');
      const all = [...entry(request.collection).points.values()].filter(matches(request.filter)).sort((a, b) => (a.id < b.id ? -1 : 1));
      const begin = request.cursor === '' ? 0 : Number(request.cursor);
      return { points: all.slice(begin, begin + limit).map((point) => view(point, request, false)), nextCursor: begin + limit < all.length ? String(begin + limit) : undefined };
    },
    countPoints: (request) => ({ count: BigInt([...entry(request.collection).points.values()].filter(matches(request.filter)).length) }),
  });
  add(SearchServiceService, {
    search({ collection, query }) {
      const vectorOf = (bytes: Uint8Array): Float32Array => new Float32Array(new Uint8Array(bytes).buffer);
      const wanted = vectorOf(query!.packedVector);
      const hits = [...entry(collection).points.values()].filter(matches(query!.filter)).map((point) => {
        const vector = vectorOf(point.packedVector);
        return { ...view(point, query!, false), score: vector.reduce((sum, value, i) => sum + value * wanted[i]!, 0) };
      });
      return { hits: hits.sort((a, b) => b.score - a.score).slice(0, query!.topK ?? 10), shards: [], partial: false };
    },
  });
  add(KeyServiceService, {
    createKey(request) {
      const key: Key = { ...request, prefix: `shoal_${keys.size}`, createdAtMs: 1_700_000_000_000n };
      keys.set(key.prefix, key);
      return { secret: `${key.prefix}_secret`, key };
    },
    listKeys: () => ({ keys: [...keys.values()] }),
    deleteKey({ prefix }) {
      if (!keys.delete(prefix)) throw new ShoalError('KEY_NOT_FOUND', `no key ${prefix}`);
      return {};
    },
  });
  add(ClusterServiceService, {
    getStatus: () => ({
      version: '0.0.0', mode: 'standalone', startedAtMs: 1_700_000_000_000n,
      pods: [{ name: 'local', ready: true, because: undefined, dataDirectory: '/data', diskUsedFraction: 0.5, writable: true, memoryBytes: 1024n, logBytes: 2048n, logSegmentCount: 1n, shardCount: 2n, pointCount: 3n }],
    }),
    backup: ({ directory }) => ({ directory, sizeBytes: 10n, shardCount: 1n, pointCount: 2n }),
    verify: () => ({ ok: false, faults: ['segment 3: record at 17 fails its checksum'], checked: { logRecords: 1n, logBytes: 2n, storeEntries: 3n, storeBytes: 4n } }),
  });
  add(FeedbackServiceService, {
    listFeedback: ({ collection }) => ({
      feedback: [{ id: 'f1', createdAtMs: 1_700_000_000_000n, subject: 'anonymous', collection, query: 'q', resultIds: ['a'], items: [{ resultId: 'a', relevanceScore: 5, clicked: true, position: 0, comment: 'good' }], context: new Map() as never }],
      nextCursor: undefined,
    }),
  });

  const port = await new Promise<number>((resolve, reject) => grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))));
  return Object.assign(server, { address: `127.0.0.1:${port}` });
}

function grpcError(error: unknown): { code: number; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  if (!(error instanceof ShoalError)) return { code: grpcStatus.INTERNAL, details: String(error), metadata };
  metadata.set('shoal-error-code', error.code);
  return { code: grpcStatus[errorTable[error.code].grpc], details: error.message, metadata };
}
