/** The HTTP server: bounds, error answers, and the places that belong to no dialect (health, metrics, documentation). */

import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Dialect } from '../dialects/dialect.ts';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import { answerBeforeBody } from './early-answer.ts';
import { cannotListen, dialectFinder, errorReply, fromFramework, fromParser } from './http-errors.ts';
import { mountRoutes, send } from './http-routes.ts';
import type { RouteDependencies } from './http-routes.ts';
import { openApiDocument } from './openapi.ts';
import { mountServerRoutes } from './server-routes.ts';
import type { ServerRoutesOptions } from './server-routes.ts';
import type { TlsSource } from './tls-files.ts';

export interface HttpBounds {
  /** For all headers of a request. */
  readonly headersTimeoutMs: number;
  /** For a whole request, headers and body. */
  readonly bodyTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
}

export interface HttpServerOptions extends RouteDependencies, ServerRoutesOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsSource | undefined;
  readonly dialects: readonly Dialect[];
  /** Answers for paths under no mount. */
  readonly fallbackDialect: Dialect;
  readonly version: string;
  readonly bounds: HttpBounds;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

export interface HttpServer {
  readonly address: { readonly host: string; readonly port: number };
  /** No new connections; those that are idle end, the others after their present answer. */
  stopAccepting(): void;
  /** Ends every connection. */
  close(): Promise<void>;
}

export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { bounds } = options;
  const finder = dialectFinder(options.dialects, options.fallbackDialect);
  const parserOptions = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: bounds.headersTimeoutMs,
    requestTimeout: bounds.bodyTimeoutMs,
    keepAliveTimeout: bounds.keepAliveTimeoutMs,
    connectionsCheckingInterval: bounds.headersTimeoutMs / 2,
  };
  const server = fastify({
    ...(options.tls === undefined ? { http: parserOptions } : { https: { ...parserOptions, ...options.tls.current } }),
    logger: false,
    requestTimeout: bounds.bodyTimeoutMs,
    keepAliveTimeout: bounds.keepAliveTimeoutMs,
    bodyLimit: limits.httpBodyBytesMax,
    routerOptions: { maxParamLength: limits.pathParameterBytesMax },
    requestIdHeader: false,
    genReqId: () => '',
    return503OnClosing: false,
    forceCloseConnections: true,
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    clientErrorHandler: (error, socket) => answerParserError(error, socket),
  }) as unknown as FastifyInstance;
  server.server.maxConnections = limits.connectionsMax;

  const answerError = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const { exchange } = request;
    const requestId = exchange?.requestId ?? options.random.uuid();
    const known = exchange?.fail(fromFramework(error)) ?? fromFramework(error);
    if (exchange === undefined && known.code === 'INTERNAL') options.logger.error({ requestId, error: String(known.cause) }, 'a request failed');
    const dialect = request.dialect ?? finder(request.raw.url ?? '/');
    const answer = errorReply(dialect, known, requestId);
    if (!request.raw.complete && hasBody(request)) answerBeforeBody(request, reply, answer, options.clock);
    else void send(request, reply, answer);
  };

  const answerParserError = (error: Error & { code: string; rawPacket: unknown }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) return void socket.destroy();
    const path = /^[A-Z]+ (\S+) HTTP/.exec(Buffer.isBuffer(error.rawPacket) ? error.rawPacket.toString('latin1', 0, 2_048) : '')?.[1] ?? '/';
    const reply = errorReply(finder(path), fromParser(error.code), options.random.uuid());
    const body = JSON.stringify(reply.body);
    const headers = { ...reply.headers, 'content-type': 'application/json; charset=utf-8', 'content-length': String(Buffer.byteLength(body)), connection: 'close' };
    const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    socket.end(`HTTP/1.1 ${reply.status} Bad Request\r\n${head}\r\n${body}`);
  };

  server.decorateRequest('exchange', undefined);
  server.decorateRequest('dialect', undefined);
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  server.setErrorHandler(answerError);
  server.setNotFoundHandler({}, (request, reply) => answerError(new ShoalError('ROUTE_NOT_FOUND', 'no route has this path; /docs shows those that there are'), request, reply));

  const document = openApiDocument(options.dialects, options.version);
  mountServerRoutes(server, document, options);
  mountRoutes(server, options.dialects, options);
  await server.register(swagger, { mode: 'static', specification: { document: document as never } });
  await server.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, uiConfig: { tryItOutEnabled: true } });

  await server.listen({ host: options.host, port: options.port }).catch((cause: unknown) => {
    throw cannotListen('HTTP', options.host, options.port, cause);
  });
  const address = server.server.address() as { address: string; port: number };
  options.tls?.onRenewed((identity) => (server.server as HttpsServer).setSecureContext(identity));
  return {
    address: { host: address.address, port: address.port },
    stopAccepting() {
      server.server.close();
      server.server.closeIdleConnections();
    },
    async close() {
      await server.close();
    },
  };
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
