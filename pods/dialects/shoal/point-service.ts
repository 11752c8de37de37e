/** Points in shoal.v1 over gRPC. */

import { PointServiceDefinition } from '../../../proto/gen/shoal/v1/point.ts';
import type * as wire from '../../../proto/gen/shoal/v1/point.ts';
import type { PointView, WriteAnswer } from '../../api/vector-api.ts';
import { checkAnswerSize } from '../answer-size.ts';
import { unary, type GrpcService } from '../dialect.ts';
import { strictDefinition } from '../grpc-definition.ts';
import { tokenMessages, vectorMessage } from './message-parts.ts';
import { changePayload, countPoints, deletePoints, deletePointsByFilter, getPoints, scrollPoints, upsertPoints } from './point-calls.ts';

/** What makes a page of points smaller. */
export const pageAdvice = 'ask for fewer points, or leave out vectors (includeVector) or payloads (includePayload)';

export const pointService: GrpcService = {
  definition: strictDefinition(PointServiceDefinition),
  methods: {
    upsertPoints: unary('write', async (api, request: wire.UpsertPointsRequest, context): Promise<wire.UpsertPointsResponse> =>
      writeMessage(await upsertPoints(api, request, context))),
    deletePoints: unary('write', async (api, request: wire.DeletePointsRequest, context): Promise<wire.DeletePointsResponse> =>
      writeMessage(await deletePoints(api, request, context))),
    deletePointsByFilter: unary('write', async (api, request: wire.DeletePointsByFilterRequest, context): Promise<wire.DeletePointsByFilterResponse> => {
      const { deletedCount, tokens } = await deletePointsByFilter(api, request, context);
      return { deletedCount: BigInt(deletedCount), tokens: tokenMessages(tokens) };
    }),
    changePayload: unary('write', async (api, request: wire.ChangePayloadRequest, context): Promise<wire.ChangePayloadResponse> =>
      writeMessage(await changePayload(api, request, context))),
    getPoints: unary('read', async (api, request: wire.GetPointsRequest, context): Promise<wire.GetPointsResponse> => {
      const { points, missingIds } = await getPoints(api, request, context);
      checkAnswerSize(points, 'protobuf', pageAdvice);
      return { points: points.map((point) => pointMessage(point, request.packVectors)), missingIds };
    }),
    scrollPoints: unary('read', async (api, request: wire.ScrollPointsRequest, context): Promise<wire.ScrollPointsResponse> => {
      const { points, nextCursor } = await scrollPoints(api, request, context);
      checkAnswerSize(points, 'protobuf', pageAdvice);
      return { points: points.map((point) => pointMessage(point, request.packVectors)), nextCursor };
    }),
    countPoints: unary('read', async (api, request: wire.CountPointsRequest, context): Promise<wire.CountPointsResponse> => ({
      count: BigInt(await countPoints(api, request, context)),
    })),
  },
};

function writeMessage({ items, tokens }: WriteAnswer): wire.UpsertPointsResponse {
  // A batch has one version in nearly all its items, and each number would be an object.
  let [last, lastMessage] = [0, 0n];
  const versionMessage = (version: number): bigint => {
    if (version !== last) [last, lastMessage] = [version, BigInt(version)];
    return lastMessage;
  };
  return { items: items.map(({ id, outcome, version }) => ({ id, outcome, version: versionMessage(version) })), tokens: tokenMessages(tokens) };
}

function pointMessage({ id, version, vector: found, payload, text }: PointView, pack: boolean): wire.Point {
  const { vector, packedVector } = vectorMessage(found, pack);
  return { id, vector, packedVector, payload, text, version: BigInt(version) };
}
