/** Routes of shoal.v1 over HTTP: a body read by its type, an answer as JSON, both documented from the types. */

import type { Action, RequestContext } from '../../api/context.ts';
import type { VectorApi } from '../../api/vector-api.ts';
import type { HttpRequest, HttpRoute, JsonSchema } from '../dialect.ts';
import { object, readJson, type Definitions, type JsonType } from '../json-decoder.ts';

export interface JsonRoute {
  readonly route: HttpRoute;
  /** The schemas that the route's own refer to. */
  readonly definitions: Definitions;
}

interface Declaration<Body> {
  readonly method: HttpRoute['method'];
  /** Below `/shoal/v1`. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly action: Action;
  readonly body?: JsonType<Body>;
  readonly reply: JsonType<unknown>;
  readonly query?: Readonly<Record<string, JsonSchema>>;
  /** 200 unless given. */
  readonly status?: number;
  readonly example?: { readonly body?: unknown; readonly reply?: unknown };
  handle(api: VectorApi, request: Omit<HttpRequest, 'body'> & { readonly body: Body }, context: RequestContext): Promise<unknown>;
}

export function jsonRoute<Body = undefined>(declaration: Declaration<Body>): JsonRoute {
  const { method, path, operationId, summary, action, body, reply, query, status = 200, example, handle } = declaration;
  return {
    definitions: { ...body?.definitions, ...reply.definitions },
    route: {
      method,
      path: `/shoal/v1${path}`,
      operationId,
      summary,
      action,
      body: body === undefined ? 'none' : 'json',
      ...(body === undefined ? {} : { bodySchema: body.schema }),
      replySchema: reply.schema,
      ...(query === undefined ? {} : { query }),
      ...(example === undefined ? {} : { example }),
      async handle(api, request, context) {
        const read = body === undefined ? (undefined as Body) : readJson(body, request.body);
        return { status, body: await handle(api, { ...request, body: read }, context) };
      },
    },
  };
}

/** The answer of calls that have nothing to say. */
export const nothing: JsonType<object> = object<object>({});
