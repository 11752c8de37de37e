/** One connection to the server: gRPC calls of shoal.v1 as promises. */

import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import type { Quantization } from '../../pods/domain/collection.ts';
import { limits } from '../../pods/kernel/limits.ts';
import { CollectionServiceService, type Collection } from '../../proto/gen/shoal/v1/collection.ts';
import type { Consistency } from '../../proto/gen/shoal/v1/consistency.ts';
import { PointServiceService, UpsertPointsRequest, type GetPointsResponse, type PointUpsert, type UpsertPointsResponse } from '../../proto/gen/shoal/v1/point.ts';
import { SearchQuery, SearchServiceService, type SearchResponse } from '../../proto/gen/shoal/v1/search.ts';
import { apiKey } from './server-process.ts';

interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (value: Buffer) => Response;
}

const deadlineMs = 120_000;

export interface CollectionSettings {
  readonly replication?: { readonly replicas: number; readonly minInSync: number };
  readonly quantization?: Quantization;
}

export class BenchClient {
  readonly #client: Client;
  readonly #metadata = new Metadata();

  constructor(address: string, key: string = apiKey) {
    this.#client = new Client(address, credentials.createInsecure(), {
      // Otherwise all clients of one process to one address share a connection.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': limits.grpcMessageBytesMax,
      'grpc.max_send_message_length': limits.grpcMessageBytesMax,
      'grpc.enable_http_proxy': 0,
    });
    this.#metadata.set('authorization', `Bearer ${key}`);
  }

  async createCollection(name: string, dimension: number, settings: CollectionSettings = {}): Promise<Collection> {
    const { collection } = await this.#call(CollectionServiceService.createCollection, {
      name,
      dimension,
      metric: 'cosine',
      replication: settings.replication,
      index: { quantization: settings.quantization },
      payloadIndexes: [{ field: 'bucket', type: 'integer' }],
    });
    return collection!;
  }

  async getCollection(name: string): Promise<Collection> {
    return (await this.#call(CollectionServiceService.getCollection, { name })).collection!;
  }

  upsert(collection: string, points: readonly Pick<PointUpsert, 'id' | 'packedVector' | 'payload'>[]): Promise<UpsertPointsResponse> {
    const request = UpsertPointsRequest.fromPartial({ collection });
    request.points = points.map((point) => ({ ...point, vector: [], condition: undefined }));
    return this.#call(PointServiceService.upsertPoints, request);
  }

  search(collection: string, query: Partial<SearchQuery>): Promise<SearchResponse> {
    return this.#call(SearchServiceService.search, { collection, query: { ...noQuery, ...query } });
  }

  async searchBatch(collection: string, queries: readonly Partial<SearchQuery>[]): Promise<readonly SearchResponse[]> {
    return (await this.#call(SearchServiceService.searchBatch, { collection, queries: queries.map((query) => ({ ...noQuery, ...query })) })).answers;
  }

  getPoints(collection: string, ids: readonly string[], consistency: Consistency): Promise<GetPointsResponse> {
    return this.#call(PointServiceService.getPoints, { collection, ids: [...ids], packVectors: true, consistency });
  }

  close(): void {
    this.#client.close();
  }

  #call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata,
        { deadline: Date.now() + deadlineMs },
        (error, response) => (error !== null ? reject(error) : resolve(response!)),
      );
    });
  }
}

const noQuery = SearchQuery.fromPartial({});

/** The server asks to come again. */
export function isRefusal(error: unknown): boolean {
  const { code } = error as Partial<ServiceError>;
  return code === status.UNAVAILABLE || code === status.RESOURCE_EXHAUSTED || code === status.ABORTED;
}

/** Rows of a packed matrix as the bytes that go over the wire, without a copy. */
export function packedRow(vectors: Float32Array, row: number, dimension: number): Uint8Array {
  return new Uint8Array(vectors.buffer, vectors.byteOffset + row * dimension * 4, dimension * 4);
}
