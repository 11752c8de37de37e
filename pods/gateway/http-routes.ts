/**
 * Mounts the routes of the dialects. A path answers OPTIONS with its methods and refuses those it does not have with 405;
 * GET brings HEAD. Credentials are checked when the route is known and before any of the body is read.
 */

import assert from 'node:assert/strict';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { VectorApi } from '../api/vector-api.ts';
import { credentialFrom } from '../auth/authenticator.ts';
import type { Dialect, HttpReply, HttpRoute } from '../dialects/dialect.ts';
import { withSignal } from '../kernel/deadline.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { JsonBodies } from './json-bodies.ts';
import { responseTooLarge, unsupportedMediaType } from './http-errors.ts';
import type { Exchange, Pipeline } from './pipeline.ts';
import { parseQuery } from './query-parameters.ts';

declare module 'fastify' {
  interface FastifyRequest {
    exchange: Exchange | undefined;
    dialect: Dialect | undefined;
  }
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

export interface RouteDependencies {
  readonly api: VectorApi;
  readonly pipeline: Pipeline;
  readonly jsonBodies: JsonBodies;
}

/** Throws when two routes share a method and path: that is a mistake in the program. */
export function mountRoutes(server: FastifyInstance, dialects: readonly Dialect[], dependencies: RouteDependencies): void {
  const byPath = new Map<string, { dialect: Dialect; route: HttpRoute }[]>();
  for (const dialect of dialects) {
    for (const route of dialect.routes) {
      const shape = route.path.replace(/\{[^}]+\}/g, '{}');
      const entries = byPath.get(shape) ?? [];
      const owner = entries.find((entry) => entry.route.method === route.method);
      assert.ok(owner === undefined, `${route.method} ${route.path} is declared by ${owner?.dialect.name} and by ${dialect.name}`);
      byPath.set(shape, [...entries, { dialect, route }]);
    }
  }
  for (const entries of byPath.values()) {
    for (const { dialect, route } of entries) mountRoute(server, dialect, route, dependencies);
    mountOtherMethods(server, entries);
  }
}

function mountRoute(server: FastifyInstance, dialect: Dialect, route: HttpRoute, { api, pipeline, jsonBodies }: RouteDependencies): void {
  const operation = pipeline.operation({ transport: 'http', dialect: dialect.name, name: route.operationId, action: route.action });
  server.route({
    method: route.method,
    url: fastifyPath(route.path),
    bodyLimit: route.body === 'none' ? emptyBodyBytesMax : Math.min(route.bodyBytesMax ?? limits.httpBodyBytesMax, limits.httpBodyBytesMax),

    onRequest(request, reply, done) {
      const { headers } = request;
      const exchange = operation.begin({
        requestId: single(headers['x-request-id']),
        credential: credentialFrom(headers.authorization, single(headers['x-api-key'])),
        traceparent: single(headers.traceparent),
        timeoutMs: timeoutOf(single(headers['x-timeout-ms'])),
      });
      request.exchange = exchange;
      request.dialect = dialect;
      void reply.header('x-request-id', exchange.requestId);
      // Comes after the last byte of the answer, and also when the client left before it.
      reply.raw.once('close', () => {
        if (!reply.raw.writableFinished) {
          exchange.deadline.cancel();
          exchange.fail(exchange.signal.reason);
        }
        exchange.finish();
      });
      try {
        if (Number.isNaN(timeoutOf(single(headers['x-timeout-ms'])))) throw new ShoalError('INVALID_ARGUMENT', 'x-timeout-ms must be a positive integer, in milliseconds');
        if (route.body === 'json' && !isJson(headers['content-type'])) throw unsupportedMediaType();
        const wait = exchange.admit();
        if (wait === undefined) done();
        else wait.then(() => done(), done);
      } catch (error) {
        done(error as Error);
      }
    },

    async handler(request, reply) {
      const exchange = request.exchange!;
      const query = parseQuery(route, request.raw.url ?? '');
      const bytes = request.body as Buffer | undefined;
      exchange.addBytes(bytes?.length ?? 0, 0);
      const body = await readBody(route, bytes, jsonBodies, exchange.signal);
      const params = request.params as Readonly<Record<string, string>>;
      const answer = await withSignal(route.handle(api, { params, query, body }, exchange.context), exchange.signal);
      return send(request, reply, answer);
    },
  });
}

/** Some clients send `{}` where nothing is asked for. */
const emptyBodyBytesMax = 64;

async function readBody(route: HttpRoute, bytes: Buffer | undefined, jsonBodies: JsonBodies, signal: AbortSignal): Promise<unknown> {
  if (route.body === 'none') {
    if (bytes !== undefined && bytes.length > 0 && bytes.toString().trim() !== '{}') throw new ShoalError('MALFORMED_BODY', 'this route takes no body');
    return undefined;
  }
  return jsonBodies.parse(bytes ?? Buffer.alloc(0), signal);
}

export function send(request: FastifyRequest, reply: FastifyReply, answer: HttpReply): FastifyReply {
  const { body } = answer;
  const bytes = body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  if (bytes !== undefined && bytes.length > limits.responseBytesMax) throw responseTooLarge(bytes.length);
  reply.code(answer.status);
  if (answer.headers !== undefined) reply.headers(answer.headers);
  if (bytes === undefined) return reply.send();
  if (typeof body !== 'string') reply.header('content-type', 'application/json; charset=utf-8');
  request.exchange?.addBytes(0, bytes.length);
  return reply.send(bytes);
}

function mountOtherMethods(server: FastifyInstance, entries: readonly { dialect: Dialect; route: HttpRoute }[]): void {
  const { dialect, route } = entries[0]!;
  const declared = new Set<string>(entries.map((entry) => entry.route.method));
  const allowed = [...methods.filter((method) => declared.has(method)), ...(declared.has('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
  server.route({
    method: 'OPTIONS',
    url: fastifyPath(route.path),
    onRequest: (_request, reply) => void reply.code(204).header('allow', allowed).send(),
    handler: () => undefined,
  });
  const others: HTTPMethods[] = methods.filter((method) => !declared.has(method));
  if (!declared.has('GET')) others.push('HEAD');
  if (others.length === 0) return;
  server.route({
    method: others,
    url: fastifyPath(route.path),
    exposeHeadRoute: false,
    onRequest(request, reply, done) {
      request.dialect = dialect;
      void reply.header('allow', allowed);
      done(new ShoalError('METHOD_NOT_ALLOWED', `${request.method} is not among the methods of this path: ${allowed}`));
    },
    handler: () => undefined,
  });
}

/** `/a/{name}` is `/a/:name`, `/a/{name}:verb` is `/a/:name(^[^/]+?)::verb`: a colon of the path's own is written twice. */
function fastifyPath(path: string): string {
  return path
    .replaceAll(':', '::')
    .replace(/\{([^}]+)\}(?=[^/])/g, ':$1(^[^/]+?)')
    .replace(/\{([^}]+)\}/g, ':$1');
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

/** NaN when it is not a positive integer. */
function timeoutOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  return /^[1-9]\d{0,9}$/.test(header) ? Number(header) : NaN;
}

function isJson(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(contentType);
}
