/** Feedback in shoal.v1: gRPC service, HTTP routes. */

import { FeedbackServiceDefinition } from '../../../proto/gen/shoal/v1/feedback.ts';
import type * as wire from '../../../proto/gen/shoal/v1/feedback.ts';
import type { RequestContext } from '../../api/context.ts';
import type { Feedback, StoredFeedback, VectorApi } from '../../api/vector-api.ts';
import { limits } from '../../kernel/limits.ts';
import { unary, type GrpcService } from '../dialect.ts';
import { strictDefinition } from '../grpc-definition.ts';
import { flag, integer, list, mapOf, named, number, object, optional, readJson, required, text, turned, uint32, type JsonType } from '../json-decoder.ts';
import { jsonRoute, type JsonRoute } from './json-route.ts';
import { present } from './message-parts.ts';

const limitDefault = 100;

function feedbackOf({ collection, query, resultIds, items, context }: wire.SubmitFeedbackRequest): Feedback {
  return { collection, query, resultIds, items, context: Object.fromEntries(context) };
}

const listFeedback = (api: VectorApi, { collection, cursor, limit }: wire.ListFeedbackRequest, context: RequestContext): ReturnType<VectorApi['feedback']['list']> =>
  api.feedback.list(context, collection, { ...(cursor === '' ? {} : { cursor }), limit: limit ?? limitDefault });

// ----------------------------------------------------------------------- gRPC

export const feedbackService: GrpcService = {
  definition: strictDefinition(FeedbackServiceDefinition),
  methods: {
    submitFeedback: unary('write', async (api, request: wire.SubmitFeedbackRequest, context): Promise<wire.SubmitFeedbackResponse> => api.feedback.submit(context, feedbackOf(request))),
    listFeedback: unary('read', async (api, request: wire.ListFeedbackRequest, context): Promise<wire.ListFeedbackResponse> => {
      const { feedback, nextCursor } = await listFeedback(api, request, context);
      return { feedback: feedback.map(feedbackMessage), nextCursor };
    }),
  },
};

function feedbackMessage({ id, createdAtMs, subject, collection, query, resultIds, items, context }: StoredFeedback): wire.Feedback {
  return {
    id,
    createdAtMs: BigInt(createdAtMs),
    subject,
    collection,
    query,
    resultIds: [...resultIds],
    items: items.map((item) => ({ ...item })),
    context: new Map(Object.entries(context)),
  };
}

// ----------------------------------------------------------------------- HTTP

const itemType: JsonType<wire.FeedbackItem> = named(
  'FeedbackItem',
  object<wire.FeedbackItem>({
    resultId: required(text),
    relevanceScore: required(integer(1, 5)),
    clicked: optional(flag, () => false),
    position: optional(uint32, () => 0),
    comment: optional(text, () => ''),
  }),
);

const submitFields = {
  query: optional(text, () => ''),
  resultIds: required(list(text)),
  items: required(list(itemType)),
  context: optional(mapOf(text), () => new Map<string, string>()),
};

const limitParameter = turned(text, (value, at) => integer(1, limits.scrollLimitMax).read(/^\d+$/.test(value) ? Number(value) : value, at));

export const feedbackRoutes: readonly JsonRoute[] = [
  jsonRoute({
    method: 'POST',
    path: '/collections/{collection}/feedback',
    operationId: 'submitFeedback',
    summary: 'Say how good the results of a search were',
    action: 'write',
    body: named('SubmitFeedback', object(submitFields)),
    reply: object({ id: required(text) }),
    example: { body: { query: 'red shoes', resultIds: ['a', 'b'], items: [{ resultId: 'a', relevanceScore: 5, clicked: true, position: 0 }] } },
    handle: (api, { params, body }, context) => api.feedback.submit(context, feedbackOf({ ...body, collection: params['collection']! })),
  }),
  jsonRoute({
    method: 'GET',
    path: '/collections/{collection}/feedback',
    operationId: 'listFeedback',
    summary: 'Feedback, oldest first',
    action: 'read',
    query: { cursor: text.schema, limit: integer(1, limits.scrollLimitMax).schema },
    reply: object({
      feedback: required(list(named('Feedback', object({ id: required(text), createdAtMs: required(number), subject: required(text), collection: required(text), ...submitFields })))),
      nextCursor: optional(text),
    }),
    handle: async (api, { params, query }, context) => {
      const limit = query['limit'] === undefined ? undefined : readJson(limitParameter, query['limit'], 'limit');
      const { feedback, nextCursor } = await listFeedback(api, { collection: params['collection']!, cursor: query['cursor'] ?? '', limit }, context);
      return { feedback, ...present({ nextCursor }) };
    },
  }),
];
