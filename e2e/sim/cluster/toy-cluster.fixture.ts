/**
 * The smallest cluster that the simulation can run, for its own tests: one pod keeps everything, in its store, and says so
 * only when it is flushed, if it is asked to. A gateway calls it; there is no replication.
 */

import type { RequestContext } from '../../../pods/api/context.ts';
import type { CollectionDescription, VectorApi } from '../../../pods/api/vector-api.ts';
import { collectionSpec } from '../../../pods/domain/collection.ts';
import type { PointView } from '../../../pods/domain/point.ts';
import type { PodService } from '../../../pods/domain/pod-service.ts';
import type { EncodedUpsert, ShardService, ShardWrite, ShardWriteAnswer } from '../../../pods/domain/shard-service.ts';
import type { Idempotency, OperationResult, PointUpsert } from '../../../pods/domain/write.ts';
import { bytesOfVector, vectorOfBytes } from '../../../pods/domain/vector-bytes.ts';
import { hasCode, ShoalError } from '../../../pods/kernel/errors.ts';
import type { ClusterParts, NodeSurroundings, PodSurroundings } from './node.ts';
import { collectionName } from './workload.ts';

const storedKey = new Uint8Array([1]);
const thePod = 'pod-0';
/** More than clients have under way. */
const rememberedMax = 2_000;

interface Stored {
  seq: number;
  points: Record<string, { version: number; vector: number[]; payload: Record<string, number | string> }>;
  answers: Record<string, ShardWriteAnswer>;
}

export function toyCluster(options: { readonly flushes: boolean }): ClusterParts {
  return {
    pod: (surroundings) => startPod(surroundings, options.flushes),
    gateway: async (surroundings) => ({ api: toyApi(surroundings), close: async () => undefined }),
    controller: async () => ({ close: async () => undefined }),
  };
}

async function startPod({ openStore, serve }: PodSurroundings, flushes: boolean): ReturnType<ClusterParts['pod']> {
  const store = openStore();
  const bytes = await store.get(storedKey);
  const stored = (bytes === undefined ? { seq: 0, points: {}, answers: {} } : JSON.parse(new TextDecoder().decode(bytes))) as Stored;
  let last: Promise<unknown> = Promise.resolve();
  const inOrder = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
  const write = async (asked: ShardWrite, idempotency: Idempotency): Promise<ShardWriteAnswer> => {
    const key = `${idempotency.clientId}/${idempotency.requestNumber}`;
    const known = stored.answers[key];
    if (known !== undefined) return known;
    const seq = ++stored.seq;
    const answer = { results: apply(stored, asked, seq), token: { shardUID: 'toy', seq } };
    stored.answers[key] = answer;
    const keys = Object.keys(stored.answers);
    if (keys.length > rememberedMax) delete stored.answers[keys[0]!];
    await store.write([{ kind: 'put', key: storedKey, value: new TextEncoder().encode(JSON.stringify(stored)) }]);
    if (flushes) await store.flush();
    return answer;
  };
  const views = (): PointView[] => Object.entries(stored.points).map(([id, { version, vector, payload }]) => ({ id, version, vector: Float32Array.from(vector), payload }));
  const shard: Pick<ShardService, 'write' | 'get' | 'search'> = {
    write: (_, asked, idempotency) => inOrder(() => write(asked, idempotency!)),
    get: (_, { ids }) => inOrder(async () => ids.map((id) => views().find((point) => point.id === id))),
    search: (_, { topK }) => inOrder(async () => ({ hits: views().slice(0, topK).map((point) => ({ ...point, score: 0 })), plan: 'scan', visitedCount: undefined, seq: stored.seq })),
  };
  serve({ shard: () => shard as ShardService } as Partial<PodService> as PodService);
  return { inspect: () => [], registered: () => [], readPoints: async () => ({ points: views(), searchableIds: Object.keys(stored.points) }), close: () => store.close() };
}

function apply(stored: Stored, asked: ShardWrite, seq: number): OperationResult[] {
  const items: readonly { readonly id: string; readonly condition?: EncodedUpsert['condition'] }[] = asked.kind === 'upsert' || asked.kind === 'delete' ? asked.points : asked.kind === 'change-payload' ? asked.changes : [];
  return items.map((item): OperationResult => {
    const { id, condition } = item;
    const before = stored.points[id];
    const version = before?.version ?? 0;
    const holds = condition === undefined || (condition.kind === 'absent' ? version === 0 : condition.kind === 'present' ? version > 0 : condition.kind === 'version' && condition.version === version);
    if (!holds) return { outcome: 'condition-failed', version };
    if (asked.kind === 'upsert') {
      const { vector, payload } = item as EncodedUpsert;
      stored.points[id] = { version: seq, vector: [...vectorOfBytes(vector)], payload: JSON.parse(new TextDecoder().decode(payload)) as Record<string, number | string> };
      return { outcome: version === 0 ? 'created' : 'updated', version: seq };
    }
    if (before === undefined) return { outcome: 'not-found', version: 0 };
    if (asked.kind === 'delete') {
      delete stored.points[id];
      return { outcome: 'deleted', version: 0 };
    }
    const { set } = item as { readonly set?: Record<string, number | string> };
    stored.points[id] = { ...before, version: seq, payload: { ...before.payload, ...set } };
    return { outcome: 'updated', version: seq };
  });
}

function toyApi({ metadata, pods }: NodeSurroundings): VectorApi {
  const described = async (): Promise<CollectionDescription> => {
    const object = await metadata.collections.get(collectionName);
    if (object === undefined) throw new ShoalError('COLLECTION_NOT_FOUND', 'there is none');
    return { spec: object.spec, uid: object.metadata.uid, createdAtMs: 0, phase: 'ready', epoch: 1, pointCount: 0, shards: [] };
  };
  const shardOf = (): ShardService => pods.pod(thePod).shard({ collectionUID: 'toy', shardUID: 'toy', epoch: 1 });
  const write = async (context: RequestContext, asked: ShardWrite, ids: readonly string[]): ReturnType<VectorApi['points']['delete']> => {
    const { results, token } = await shardOf().write(context, asked, context.idempotency);
    return { items: results.map((result, i) => ({ id: ids[i]!, ...result })), tokens: [token] };
  };
  const idsOf = (items: readonly { readonly id: string }[]): string[] => items.map(({ id }) => id);
  const parts = { includeVector: true, includePayload: true };
  const collections: Pick<VectorApi['collections'], 'create' | 'get'> = {
    async create(_, input) {
      try {
        await metadata.collections.create({ metadata: { name: input.name, labels: {} }, spec: collectionSpec(input) });
        return { created: true, collection: await described() };
      } catch (error) {
        if (hasCode(error, 'CONFLICT')) throw new ShoalError('COLLECTION_EXISTS', 'there is one', { cause: error });
        throw error;
      }
    },
    get: () => described(),
  };
  const encoded = ({ id, vector, payload, condition }: PointUpsert): EncodedUpsert => ({ id, vector: vector instanceof Float32Array ? bytesOfVector(vector) : vector, payload: new TextEncoder().encode(JSON.stringify(payload)), ...(condition === undefined ? {} : { condition }) });
  const points: Pick<VectorApi['points'], 'upsert' | 'delete' | 'changePayload' | 'get'> = {
    upsert: (context, _, items) => write(context, { kind: 'upsert', points: items.map(encoded) }, idsOf(items)),
    delete: (context, _, items) => write(context, { kind: 'delete', points: items }, idsOf(items)),
    changePayload: (context, _, changes) => write(context, { kind: 'change-payload', changes }, idsOf(changes)),
    get: (context, _, { ids, consistency }) => shardOf().get(context, { ids, consistency, ...parts }),
  };
  const search: Pick<VectorApi['search'], 'search'> = {
    async search(context, _, { vector, topK, consistency }) {
      const { hits } = await shardOf().search(context, { vector, topK, consistency, ef: undefined, exact: true, filter: undefined, scoreThreshold: undefined, countVisited: false, ...parts });
      return { hits, shards: [], partial: false };
    },
  };
  return { collections, points, search } as Partial<VectorApi> as VectorApi;
}
