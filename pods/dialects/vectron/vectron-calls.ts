/**
 * From messages of vectron.v1 to calls of `VectorApi` and back: the same for gRPC and HTTP. Where Vectron leaves a
 * choice open:
 *
 * - A collection that exists is ALREADY_EXISTS, also with the same settings: Vectron has no answer that says "it was there".
 * - Deleting a point that is not there succeeds, so that a repeated delete does; getting one is NOT_FOUND.
 * - Payloads are strings. Other values, written through another dialect, are answered as their JSON text.
 * - `query`, the text for reranking, is accepted and has no effect as long as there is no reranker.
 */

import type * as wire from '../../../proto/gen/vectron/v1/apigateway.ts';
import type { Consistency, RequestContext } from '../../api/context.ts';
import type { SearchAnswer, SearchHit, SearchRequest, ShardDescription, VectorApi } from '../../api/vector-api.ts';
import { quantizations, type Quantization } from '../../domain/collection.ts';
import { decodeFilter } from '../../domain/filter-json.ts';
import { isMetric, metrics } from '../../domain/metric.ts';
import type { Payload, PayloadValue } from '../../domain/point.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { checkAnswerSize, type WireForm } from '../answer-size.ts';
import { renamed, withFieldNames } from '../field-names.ts';
import { invalid } from '../json-decoder.ts';

const topKDefault = 10;

/** Where the fields of `VectorApi` have other names here. */
const searchNames = { partialAfterMs: 'timeoutMs' };
const feedbackNames = { items: 'feedbackItems' };
const getNames = { 'ids[0]': 'id' };
const deleteNames = { 'points[0].id': 'id' };

export async function createCollection(api: VectorApi, { name, dimension, distance, quantization }: wire.CreateCollectionRequest, context: RequestContext): Promise<wire.CreateCollectionResponse> {
  const metric = distance === '' ? 'cosine' : distance;
  if (!isMetric(metric)) throw invalid({ parent: undefined, key: 'distance' }, `must be one of ${metrics.join(', ')}`);
  const isKnown = quantization === '' || (quantizations as readonly string[]).includes(quantization);
  if (!isKnown) throw invalid({ parent: undefined, key: 'quantization' }, `must be one of ${quantizations.join(', ')}`);
  const index = quantization === '' ? {} : { index: { quantization: quantization as Quantization } };
  const { created } = await api.collections.create(context, { name, dimension, metric, ...index });
  if (!created) throw new ShoalError('COLLECTION_EXISTS', 'a collection of this name exists', { details: { field: 'name' } });
  return { success: true };
}

export async function deleteCollection(api: VectorApi, { name }: wire.DeleteCollectionRequest, context: RequestContext): Promise<wire.DeleteCollectionResponse> {
  await api.collections.delete(context, name);
  return { success: true };
}

export async function listCollections(api: VectorApi, _request: wire.ListCollectionsRequest, context: RequestContext): Promise<wire.ListCollectionsResponse> {
  return { collections: (await api.collections.list(context)).map(({ spec }) => spec.name) };
}

export async function getCollectionStatus(api: VectorApi, { name }: wire.GetCollectionStatusRequest, context: RequestContext): Promise<wire.GetCollectionStatusResponse> {
  const { spec, shards } = await api.collections.get(context, name);
  return { name: spec.name, dimension: spec.dimension, distance: spec.metric, shards: shards.map(shardStatus) };
}

function shardStatus({ index, replicas, primary, ready }: ShardDescription): wire.ShardStatus {
  return { shardId: index, replicas: replicas.map(nodeNumber), leaderId: primary === '' ? 0n : nodeNumber(primary), ready };
}

/** Vectron numbers its nodes from 1; ours have names: the ordinal of `default-2` gives 3, a name without one gives 1. */
function nodeNumber(pod: string): bigint {
  const ordinal = /-(\d{1,9})$/.exec(pod)?.[1];
  return BigInt(ordinal ?? 0) + 1n;
}

export async function upsert(api: VectorApi, { collection, points }: wire.UpsertRequest, context: RequestContext): Promise<wire.UpsertResponse> {
  const { items } = await api.points.upsert(
    context,
    collection,
    points.map(({ id, vector, payload }) => ({ id, vector: Float32Array.from(vector), payload: Object.fromEntries(payload) })),
  );
  return { upserted: items.length };
}

export async function getPoint(api: VectorApi, { collection, id }: wire.GetRequest, context: RequestContext): Promise<wire.GetResponse> {
  const request = { ids: [id], includeVector: true, includePayload: true, consistency: { level: 'eventual' } } as const;
  const [point] = await withFieldNames(getNames, api.points.get(context, collection, request));
  if (point === undefined) throw new ShoalError('POINT_NOT_FOUND', 'no point has this id', { details: { field: 'id' } });
  return { point: { id: point.id, vector: Array.from(point.vector ?? []), payload: stringPayload(point.payload) } };
}

export async function deletePoint(api: VectorApi, { collection, id }: wire.DeleteRequest, context: RequestContext): Promise<wire.DeleteResponse> {
  await withFieldNames(deleteNames, api.points.delete(context, collection, [{ id }]));
  return {};
}

export async function search(api: VectorApi, request: wire.SearchRequest, context: RequestContext, form: WireForm): Promise<wire.SearchResponse> {
  return searchResponse(await withFieldNames(searchNames, api.search.search(context, request.collection, searchRequest(request))), form);
}

export async function* searchStream(api: VectorApi, request: wire.SearchRequest, context: RequestContext): AsyncGenerator<wire.SearchResponse> {
  try {
    for await (const answer of api.search.stream(context, request.collection, searchRequest(request))) yield searchResponse(answer, 'protobuf');
  } catch (error) {
    throw renamed(error, searchNames);
  }
}

function searchRequest({ vector, topK, timeoutMs, includeVectors, includeMetadata, filter, ef, consistency, exact }: wire.SearchRequest): SearchRequest {
  return {
    vector: Float32Array.from(vector),
    topK: topK === 0 ? topKDefault : topK,
    includeVector: includeVectors,
    includePayload: includeMetadata ?? true,
    consistency: consistencyOf(consistency),
    ...(timeoutMs === 0 ? {} : { partialAfterMs: timeoutMs }),
    ...(filter === undefined ? {} : { filter: decodeFilter(filter) }),
    ...(ef === undefined ? {} : { ef }),
    ...(exact ? { exact } : {}),
  };
}

function consistencyOf(level: string): Consistency {
  if (level === '' || level === 'eventual') return { level: 'eventual' };
  if (level === 'linearizable') return { level };
  throw invalid({ parent: undefined, key: 'consistency' }, 'must be eventual or linearizable');
}

function searchResponse({ hits }: SearchAnswer, form: WireForm): wire.SearchResponse {
  checkAnswerSize(hits, form, 'lower top_k, or leave out vectors (include_vectors) or payloads (include_metadata)');
  return { results: hits.map(searchResult) };
}

function searchResult({ id, score, payload, vector }: SearchHit): wire.SearchResult {
  return { id, score, payload: stringPayload(payload), vector: Array.from(vector ?? []) };
}

function stringPayload(payload: Payload | undefined): Map<string, string> {
  return new Map(Object.entries(payload ?? {}).map(([key, value]: [string, PayloadValue]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]));
}

export async function submitFeedback(api: VectorApi, request: wire.SubmitFeedbackRequest, context: RequestContext): Promise<wire.SubmitFeedbackResponse> {
  const { collection, query, resultIds, feedbackItems, context: circumstances } = request;
  const feedback = { collection, query, resultIds, items: feedbackItems, context: Object.fromEntries(circumstances) };
  const { id } = await withFieldNames(feedbackNames, api.feedback.submit(context, feedback));
  return { success: true, feedbackId: id };
}
