/** The calls of shoal.v1 that the suites use, with vectors packed and the parts that do not matter left at their defaults. */

import { ClusterServiceService as clusterMethods, type VerifyResponse } from '../../proto/gen/shoal/v1/cluster.ts';
import { CollectionServiceService as collectionMethods, CreateCollectionRequest, type Collection } from '../../proto/gen/shoal/v1/collection.ts';
import {
  CountPointsRequest, DeletePointsRequest, ChangePayloadRequest, GetPointsRequest, PointServiceService as pointMethods, ScrollPointsRequest, UpsertPointsRequest,
  type ItemResult, type Point,
} from '../../proto/gen/shoal/v1/point.ts';
import { SearchRequest, SearchServiceService as searchMethods, type SearchResponse } from '../../proto/gen/shoal/v1/search.ts';
import { GrpcConnection, type CallOptions } from './grpc-client.ts';

type PartialOf<Message extends { fromPartial(object: never): unknown }> = Parameters<Message['fromPartial']>[0];

export class ShoalClient {
  readonly connection: GrpcConnection;

  constructor({ grpcAddress, key, authority }: { readonly grpcAddress: string; readonly key: string | undefined; readonly authority?: string }) {
    this.connection = new GrpcConnection(grpcAddress, key, authority);
  }

  async createCollection(request: PartialOf<typeof CreateCollectionRequest>): Promise<Collection> {
    return (await this.connection.call(collectionMethods.createCollection, CreateCollectionRequest.fromPartial(request))).collection!;
  }

  async deleteCollection(name: string): Promise<void> {
    await this.connection.call(collectionMethods.deleteCollection, { name });
  }

  async collection(name: string): Promise<Collection> {
    return (await this.connection.call(collectionMethods.getCollection, { name })).collection!;
  }

  async collectionNames(): Promise<string[]> {
    return (await this.connection.call(collectionMethods.listCollections, {})).collections.map(({ spec }) => spec!.name);
  }

  async upsert(request: PartialOf<typeof UpsertPointsRequest>, options?: CallOptions): Promise<ItemResult[]> {
    return (await this.connection.call(pointMethods.upsertPoints, UpsertPointsRequest.fromPartial(request), options)).items;
  }

  async delete(request: PartialOf<typeof DeletePointsRequest>, options?: CallOptions): Promise<ItemResult[]> {
    return (await this.connection.call(pointMethods.deletePoints, DeletePointsRequest.fromPartial(request), options)).items;
  }

  async changePayload(request: PartialOf<typeof ChangePayloadRequest>, options?: CallOptions): Promise<ItemResult[]> {
    return (await this.connection.call(pointMethods.changePayload, ChangePayloadRequest.fromPartial(request), options)).items;
  }

  async get(collection: string, ids: readonly string[], consistency: { readonly level?: string } = {}, options?: CallOptions): Promise<Point[]> {
    return (await this.connection.call(pointMethods.getPoints, GetPointsRequest.fromPartial({ collection, ids: [...ids], packVectors: true, consistency }), options)).points;
  }

  /** Every point, page by page. */
  async scrollAll(collection: string, limit: number, filter?: Record<string, unknown>, consistency: { readonly level?: string } = {}): Promise<Point[]> {
    const points: Point[] = [];
    let cursor: string | undefined = '';
    while (cursor !== undefined) {
      const request = ScrollPointsRequest.fromPartial({ collection, cursor, limit, filter, includeVector: true, packVectors: true, consistency });
      const page: { points: Point[]; nextCursor?: string | undefined } = await this.connection.call(pointMethods.scrollPoints, request);
      points.push(...page.points);
      cursor = page.nextCursor;
    }
    return points;
  }

  async count(collection: string, filter?: Record<string, unknown>): Promise<number> {
    return Number((await this.connection.call(pointMethods.countPoints, CountPointsRequest.fromPartial({ collection, filter }))).count);
  }

  search(collection: string, query: NonNullable<PartialOf<typeof SearchRequest>['query']>, options?: CallOptions): Promise<SearchResponse> {
    return this.connection.call(searchMethods.search, SearchRequest.fromPartial({ collection, query }), options);
  }

  verify(): Promise<VerifyResponse> {
    return this.connection.call(clusterMethods.verify, {}, { timeoutMs: 120_000 });
  }

  backup(directory: string): Promise<{ pointCount: bigint; sizeBytes: bigint }> {
    return this.connection.call(clusterMethods.backup, { directory }, { timeoutMs: 120_000 });
  }

  close(): void {
    this.connection.close();
  }
}

export function packVector(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}

/** The vector of an answer with packed vectors. */
export function unpackVector({ packedVector }: { readonly packedVector: Uint8Array }): Float32Array {
  return new Float32Array(Uint8Array.from(packedVector).buffer);
}
