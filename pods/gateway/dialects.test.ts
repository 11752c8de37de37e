/** The real dialects behind the gateway: mounted together, documented, described by reflection, closed without a key. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { shoalDialect } from '../dialects/shoal/shoal-dialect.ts';
import { vectronDialect } from '../dialects/vectron/vectron-dialect.ts';
import { limits } from '../kernel/limits.ts';
import { givenKey, projectDescriptors, startTestGateway } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

const dialects = [shoalDialect, vectronDialect] as const;
let gateway: TestGateway;
before(async () => {
  gateway = await startTestGateway({ dialects, descriptors: projectDescriptors });
});
after(() => gateway.stop());

test('every route answers 401 without a key, in the form of its dialect', async () => {
  for (const dialect of dialects) {
    for (const { method, path, action, body } of dialect.routes) {
      if (action === 'none') continue;
      const sent = body === 'json' ? { headers: { 'content-type': 'application/json' }, body: '{}' } : {};
      const response = await fetch(gateway.base + path.replace(/\{[^}]+\}/g, 'x'), { method, ...sent });
      const requestId = response.headers.get('x-request-id') ?? '';
      const text = await response.text();
      assert.equal(response.status, 401, `${method} ${path}`);
      assert.ok(text.includes(requestId) && requestId !== '', text);
      assert.deepEqual(Object.keys(JSON.parse(text) as object), Object.keys(dialect.encodeError({ class: { http: 401, grpc: 'UNAUTHENTICATED' }, code: 'UNAUTHENTICATED', message: '', details: {} } as never, '').body as object));
    }
  }
});

test('an unknown path is answered by the dialect of its mount', async () => {
  const formOf = async (path: string): Promise<string[]> => Object.keys((await (await fetch(gateway.base + path)).json()) as object);
  const [own, others] = [await formOf('/shoal/v1/nowhere'), await formOf('/v1/nowhere')];
  assert.notDeepEqual(own, others);
  assert.deepEqual(await formOf('/nowhere'), own);
});

test('every gRPC method asks for a key', async () => {
  for (const { definition, methods } of dialects.flatMap(({ services }) => services)) {
    for (const [name, { path, responseStream }] of Object.entries(definition)) {
      if (methods[name] === undefined || methods[name].action === 'none') continue;
      const asIs = (bytes: Buffer): Buffer => bytes;
      const code = await new Promise<number>((resolve) => {
        if (responseStream) gateway.client.makeServerStreamRequest(path, asIs, asIs, Buffer.alloc(0)).on('error', (error) => resolve((error as unknown as { code: number }).code)).resume();
        else gateway.client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), (error) => resolve(error?.code ?? status.OK));
      });
      assert.equal(code, status.UNAUTHENTICATED, path);
    }
  }
});

test('every reference of the OpenAPI document leads somewhere, every operation has a name of its own', async () => {
  const text = await (await fetch(`${gateway.base}/openapi.json`)).text();
  const document = JSON.parse(text) as { paths: Record<string, Record<string, { operationId: string }>>; components: { schemas: Record<string, unknown> } };
  for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) assert.ok(Object.hasOwn(document.components.schemas, name!), name);
  assert.doesNotMatch(text, /"\$ref":"(?!#\/components\/schemas\/)/);
  const names = Object.values(document.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.length >= shoalDialect.routes.length + vectronDialect.routes.length);
  assert.ok(limits.pathParameterBytesMax >= 3 * limits.pointIdBytesMax);
});

test('users are not offered: every call says so in the form of Vectron, registering and logging in without a key', async () => {
  const call = async (method: string, path: string, headers: Record<string, string> = {}): Promise<unknown[]> => {
    const response = await fetch(gateway.base + path, { method, headers: { ...headers, 'content-type': 'application/json' }, ...(method === 'GET' ? {} : { body: '{}' }) });
    const { code, details } = (await response.json()) as { code: number; details: { reason: string }[] };
    return [response.status, code, details[0]?.reason];
  };
  const key = { authorization: `Bearer ${givenKey}` };
  assert.deepEqual(await call('POST', '/v1/users/register'), [501, status.UNIMPLEMENTED, 'UNIMPLEMENTED']);
  assert.deepEqual(await call('POST', '/v1/users/login'), [501, status.UNIMPLEMENTED, 'UNIMPLEMENTED']);
  assert.deepEqual(await call('PUT', '/v1/user/profile'), [401, status.UNAUTHENTICATED, 'UNAUTHENTICATED']);
  assert.deepEqual(await call('PUT', '/v1/user/profile', key), [501, status.UNIMPLEMENTED, 'UNIMPLEMENTED']);
  assert.deepEqual(await call('POST', '/v1/auth/refresh', key), [501, status.UNIMPLEMENTED, 'UNIMPLEMENTED']);
  assert.deepEqual(await call('DELETE', '/v1/keys/abc', key), [501, status.UNIMPLEMENTED, 'UNIMPLEMENTED']);
  const login = (metadata: Metadata): Promise<number | undefined> =>
    new Promise((resolve) => gateway.client.makeUnaryRequest('/vectron.auth.v1.AuthService/Login', (bytes: Buffer) => bytes, (bytes) => bytes, Buffer.alloc(0), metadata, (error) => resolve(error?.code)));
  assert.equal(await login(new Metadata()), status.UNIMPLEMENTED);
});
