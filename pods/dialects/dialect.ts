/**
 * What a dialect declares: the paths and gRPC services of one public API, and pure decoders and encoders around
 * `VectorApi`. The gateway does everything else once for all of them: listening, credentials, limits, deadlines, request
 * ids, metrics, traces, the error pipeline.
 */

import type { ServiceDefinition } from '@grpc/grpc-js';
import type { Action, RequestContext } from '../api/context.ts';
import type { VectorApi } from '../api/vector-api.ts';
import type { ShoalError } from '../kernel/errors.ts';

export interface Dialect {
  /** Lower case; the label in metrics and logs, and the tag in the documentation. */
  readonly name: string;
  readonly title: string;
  /** Path prefixes whose unknown routes and other early errors are answered in this dialect's form. Longest wins. */
  readonly mounts: readonly string[];
  readonly routes: readonly HttpRoute[];
  readonly services: readonly GrpcService[];
  /** The HTTP answer for any error, also for 401, 404 of a route, 405, malformed body, 413 and 429. */
  encodeError(error: ShoalError, requestId: string): HttpReply;
  /** Schemas that the routes refer to by `#/components/schemas/<name>`. */
  readonly schemas: Readonly<Record<string, JsonSchema>>;
}

export type JsonSchema = { readonly [key: string]: unknown };

/** `none`: open to anyone (health, documentation). */
export type RequiredAction = Action | 'none';

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** OpenAPI form: `/v1/collections/{name}`. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly action: RequiredAction;
  readonly body: 'json' | 'none';
  /** At most `limits.httpBodyBytesMax`, which is also the default. */
  readonly bodyBytesMax?: number;
  readonly bodySchema?: JsonSchema;
  readonly replySchema?: JsonSchema;
  /** Query parameters by name, for the documentation and for UNKNOWN_FIELD. */
  readonly query?: Readonly<Record<string, JsonSchema>>;
  /** An exchange that tests replay and the documentation shows. */
  readonly example?: { readonly body?: unknown; readonly reply?: unknown };
  handle(api: VectorApi, request: HttpRequest, context: RequestContext): Promise<HttpReply>;
}

export interface HttpRequest {
  /** Percent-decoded path parameters. */
  readonly params: Readonly<Record<string, string>>;
  /** Query parameters; a repeated one is refused before the handler runs. */
  readonly query: Readonly<Record<string, string>>;
  /** Parsed JSON; undefined where the route takes no body. */
  readonly body: unknown;
}

export interface HttpReply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface GrpcService {
  readonly definition: ServiceDefinition;
  /** Full names under which the service is served besides its own. */
  readonly aliases?: readonly string[];
  /** By the method's name in the definition. */
  readonly methods: Readonly<Record<string, GrpcMethod>>;
}

/** Requests and answers are the generated message types; decoding and encoding happen in the gateway. */
export type GrpcMethod =
  | { readonly kind: 'unary'; readonly action: RequiredAction; handle(api: VectorApi, request: unknown, context: RequestContext): Promise<unknown> }
  | {
      readonly kind: 'server-stream';
      readonly action: RequiredAction;
      handle(api: VectorApi, request: unknown, context: RequestContext): AsyncIterable<unknown>;
    };

/** Keeps the message types of one method honest while the table of methods stays uniform. */
export function unary<Request, Response>(
  action: RequiredAction,
  handle: (api: VectorApi, request: Request, context: RequestContext) => Promise<Response>,
): GrpcMethod {
  return { kind: 'unary', action, handle: (api, request, context) => handle(api, request as Request, context) };
}

export function serverStream<Request, Response>(
  action: RequiredAction,
  handle: (api: VectorApi, request: Request, context: RequestContext) => AsyncIterable<Response>,
): GrpcMethod {
  return { kind: 'server-stream', action, handle: (api, request, context) => handle(api, request as Request, context) };
}
