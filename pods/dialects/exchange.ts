/** For tests of dialects: sends one request through a dialect's declaration, as the gateway does, and back as a client sees it. */

import assert from 'node:assert/strict';
import type { MethodDefinition } from '@grpc/grpc-js';
import type { VectorApi } from '../api/vector-api.ts';
import type { Dialect } from './dialect.ts';
import { testContext } from './recording-api.ts';

export interface HttpExchange {
  /** `POST /v1/collections/{name}`: method and path of the route. */
  readonly route: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Status and body as JSON carries it. */
export async function overHttp(dialect: Dialect, api: VectorApi, { route: wanted, params = {}, query = {}, body }: HttpExchange): Promise<{ status: number; body: unknown }> {
  const route = dialect.routes.find(({ method, path }) => `${method} ${path}` === wanted);
  assert.ok(route !== undefined, `${dialect.name} has no route ${wanted}`);
  for (const name of Object.keys(query)) assert.ok(route.query !== undefined && name in route.query, `${wanted} has no query parameter ${name}`);
  const reply = await route.handle(api, { params, query, body }, testContext);
  return { status: reply.status, body: JSON.parse(JSON.stringify(reply.body)) as unknown };
}

/** The messages of the answer, each through its bytes. */
export async function overGrpc(dialect: Dialect, api: VectorApi, method: string, request: unknown): Promise<unknown[]> {
  for (const service of dialect.services) {
    const definition = (service.definition as Readonly<Record<string, MethodDefinition<unknown, unknown>>>)[method];
    const handler = service.methods[method];
    if (definition === undefined || handler === undefined) continue;
    const decoded = definition.requestDeserialize(definition.requestSerialize(request));
    const answers: unknown[] = [];
    if (handler.kind === 'unary') answers.push(await handler.handle(api, decoded, testContext));
    else for await (const answer of handler.handle(api, decoded, testContext)) answers.push(answer);
    return answers.map((answer) => definition.responseDeserialize(definition.responseSerialize(answer)));
  }
  assert.fail(`${dialect.name} has no method ${method}`);
}
