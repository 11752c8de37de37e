/** What holds of every dialect: its documentation fits what it does, and each method has a handler of its kind. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MethodDefinition } from '@grpc/grpc-js';
import Ajv from 'ajv';
import { errorTable, grpcStatus, ShoalError, type ErrorCode } from '../kernel/errors.ts';
import type { Dialect, JsonSchema } from './dialect.ts';

export function dialectConformance(dialect: Dialect): void {
  test(`${dialect.name}: the example of every route fits its schema, and every schema is found`, () => {
    for (const route of dialect.routes) {
      for (const schema of [route.bodySchema, route.replySchema]) if (schema !== undefined) schemaCheck(dialect, schema);
      if (route.example?.body !== undefined) assertFits(dialect, route.bodySchema!, route.example.body, `${route.method} ${route.path}`);
      assert.equal(route.body === 'json', route.bodySchema !== undefined, `${route.path} documents its body`);
    }
  });

  test(`${dialect.name}: operations have names of their own, paths stand under its mounts`, () => {
    const ids = dialect.routes.map(({ operationId }) => operationId);
    assert.deepEqual(ids, [...new Set(ids)]);
    for (const { path } of dialect.routes) assert.ok(dialect.mounts.some((mount) => path.startsWith(`${mount}/`)), path);
  });

  test(`${dialect.name}: every gRPC method has a handler of its kind`, () => {
    for (const { definition, methods } of dialect.services) {
      const declared = Object.entries(definition) as [string, MethodDefinition<unknown, unknown>][];
      const kinds = declared.map(([name, { requestStream, responseStream }]) => [name, requestStream ? 'client-stream' : responseStream ? 'server-stream' : 'unary']);
      assert.deepEqual(Object.entries(methods).map(([name, { kind }]) => [name, kind]), kinds);
    }
  });

  test(`${dialect.name}: every error has an answer that names its code`, () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      const { status, body } = dialect.encodeError(new ShoalError(code, 'what went wrong', { details: { field: 'a' } }), 'request-1');
      assert.ok(status >= 400 && status < 600, code);
      const text = JSON.stringify(body);
      assert.ok(text.includes(`"${code}"`) && text.includes('what went wrong') && text.includes('request-1'), text);
      assert.ok(grpcStatus[errorTable[code].grpc] > 0);
    }
  });
}

/** For tests of single routes: the reply is what the documentation says. */
export function assertReplyFits(dialect: Dialect, route: string, reply: unknown): void {
  const found = dialect.routes.find(({ method, path }) => `${method} ${path}` === route);
  assertFits(dialect, found!.replySchema!, reply, route);
}

function assertFits(dialect: Dialect, schema: JsonSchema, value: unknown, where: string): void {
  const check = schemaCheck(dialect, schema);
  assert.ok(check(value), `${where}: ${JSON.stringify(check.errors)}`);
}

function schemaCheck(dialect: Dialect, schema: JsonSchema): ReturnType<Ajv.default['compile']> {
  const ajv = new Ajv.default({ strict: false, formats: { byte: true, float: true, int32: true, uint32: true } });
  return ajv.compile({ ...schema, components: { schemas: dialect.schemas } });
}
