import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Action, Identity, RequestContext } from '../api/context.ts';
import type { KeyDescription, VectorApi } from '../api/vector-api.ts';
import { noSpan } from '../kernel/span.ts';
import { authorizedApi } from './authorized-api.ts';

const key = (prefix: string, actions: Action[], collections: 'all' | string[]): KeyDescription => ({ prefix, name: prefix, createdAtMs: 0, actions, collections });
const storedKeys = [key('everything', ['read', 'write', 'admin'], 'all'), key('docs-reader', ['read'], ['docs']), key('other-reader', ['read'], ['other'])];

/** Answers every method with its name; only what the decorator looks into is real. */
const api = new Proxy({} as VectorApi, {
  get: (_, part: string) =>
    new Proxy({}, {
      get: (__, method: string) => {
        if (part === 'collections' && method === 'list') return async () => [{ spec: { name: 'docs' } }, { spec: { name: 'other' } }];
        if (part === 'keys' && method === 'list') return async () => storedKeys;
        return () => `${part}.${method}`;
      },
    }),
});
const guarded = authorizedApi(api) as unknown as Record<string, Record<string, (...values: unknown[]) => unknown>>;

const contextOf = (identity: Partial<Identity>): RequestContext => ({
  requestId: 'test',
  identity: { subject: 'test', actions: ['read', 'write', 'admin'], collections: ['docs'], ...identity },
  signal: new AbortController().signal,
  span: noSpan,
});

/** What every method needs. `docs` is a collection that the key reaches, `other` one that it does not. */
const table: [method: string, action: Action, argument: (collection: string) => unknown, scope: 'collection' | 'any' | 'all'][] = [
  ['collections.create', 'admin', (name) => ({ name }), 'collection'],
  ['collections.get', 'read', (name) => name, 'collection'],
  ['collections.update', 'admin', (name) => name, 'collection'],
  ['collections.delete', 'admin', (name) => name, 'collection'],
  ['points.upsert', 'write', (name) => name, 'collection'],
  ['points.delete', 'write', (name) => name, 'collection'],
  ['points.deleteByFilter', 'write', (name) => name, 'collection'],
  ['points.changePayload', 'write', (name) => name, 'collection'],
  ['points.get', 'read', (name) => name, 'collection'],
  ['points.scroll', 'read', (name) => name, 'collection'],
  ['points.count', 'read', (name) => name, 'collection'],
  ['search.search', 'read', (name) => name, 'collection'],
  ['search.stream', 'read', (name) => name, 'collection'],
  ['search.batch', 'read', (name) => name, 'collection'],
  ['feedback.submit', 'write', (collection) => ({ collection }), 'collection'],
  ['feedback.list', 'read', (name) => name, 'collection'],
  ['cluster.status', 'admin', () => undefined, 'any'],
  ['cluster.backup', 'admin', () => '/tmp/x', 'all'],
  ['cluster.verify', 'admin', () => undefined, 'all'],
];

test('every method needs its action and its collection', async () => {
  for (const [method, action, argument, scope] of table) {
    const [part, name] = method.split('.') as [string, string];
    const call = async (identity: Partial<Identity>, collection: string): Promise<unknown> => guarded[part]![name]!(contextOf(identity), argument(collection));
    const others = (['read', 'write', 'admin'] as const).filter((each) => each !== action);
    await assert.rejects(call({ actions: others, collections: 'all' }, 'docs'), { code: 'PERMISSION_DENIED', message: `this key does not allow ${action}` }, method);
    assert.equal(await call({ actions: [action], collections: 'all' }, 'other'), method);
    if (scope === 'collection') {
      assert.equal(await call({ actions: [action] }, 'docs'), method);
      await assert.rejects(call({}, 'other'), { code: 'PERMISSION_DENIED', message: 'this key does not reach the collection "other"' }, method);
    } else if (scope === 'all') await assert.rejects(call({}, 'docs'), { code: 'PERMISSION_DENIED' }, method);
    else assert.equal(await call({ actions: [action] }, 'docs'), method);
  }
});

test('the table above and the guard know the same methods', () => {
  const known = new Set([...table.map(([method]) => method), 'collections.list', 'keys.create', 'keys.list', 'keys.delete']);
  const guardedMethods = Object.entries(guarded).flatMap(([part, methods]) => Object.keys(methods).map((name) => `${part}.${name}`));
  assert.deepEqual(new Set(guardedMethods), known);
});

test('the list of collections shows what the key reaches', async () => {
  const list = async (identity: Partial<Identity>): Promise<unknown> =>
    ((await guarded.collections!.list!(contextOf(identity))) as { spec: { name: string } }[]).map(({ spec }) => spec.name);
  assert.deepEqual(await list({}), ['docs']);
  assert.deepEqual(await list({ collections: 'all' }), ['docs', 'other']);
  await assert.rejects(list({ actions: ['write'] }), { code: 'PERMISSION_DENIED' });
});

test('a key makes, sees and deletes no key that can do more than itself', async () => {
  const keys = guarded.keys!;
  const call = async (method: string, identity: Partial<Identity>, argument?: unknown): Promise<unknown> => keys[method]!(contextOf(identity), argument);
  await assert.rejects(call('create', { actions: ['read', 'write'] }, { actions: ['read'], collections: ['docs'] }), { code: 'PERMISSION_DENIED' });
  await assert.rejects(call('create', { actions: ['admin'] }, { actions: ['read'], collections: ['docs'] }), { code: 'PERMISSION_DENIED' });
  await assert.rejects(call('create', {}, { actions: ['read'], collections: 'all' }), { code: 'PERMISSION_DENIED' });
  await assert.rejects(call('create', {}, { actions: ['read'], collections: ['docs', 'other'] }), { code: 'PERMISSION_DENIED' });
  assert.equal(await call('create', {}, { actions: ['read', 'admin'], collections: ['docs'] }), 'keys.create');
  assert.deepEqual(((await call('list', {})) as KeyDescription[]).map(({ prefix }) => prefix), ['docs-reader']);
  assert.deepEqual(((await call('list', { collections: 'all' })) as KeyDescription[]).length, 3);
  await assert.rejects(call('delete', {}, 'everything'), { code: 'KEY_NOT_FOUND' });
  assert.equal(await call('delete', {}, 'docs-reader'), 'keys.delete');
});
