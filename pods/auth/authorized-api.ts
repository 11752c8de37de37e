/**
 * The single place of authorisation: every method of `VectorApi` with the action it needs and the collection it touches.
 *
 * | action  | what it allows                                                          |
 * | ------- | ----------------------------------------------------------------------- |
 * | `read`  | see collections, read and search points, list feedback                  |
 * | `write` | change points, submit feedback                                          |
 * | `admin` | create, change and delete collections; keys; status, backup and verify  |
 *
 * No action includes another.
 */

import type { Action, Identity, RequestContext } from '../api/context.ts';
import type { KeyDescription, KeyInput, VectorApi } from '../api/vector-api.ts';
import { ShoalError } from '../kernel/errors.ts';
import { keyNotFound } from './key-store.ts';

export function authorizedApi(api: VectorApi): VectorApi {
  const { collections, points, search, feedback, keys, cluster } = api;
  return {
    collections: {
      create: async (context, input) => (allow(context, 'admin', input.name), await collections.create(context, input)),
      list: async (context) => {
        allow(context, 'read');
        return (await collections.list(context)).filter(({ spec }) => maySee(context.identity, spec.name));
      },
      get: async (context, name) => (allow(context, 'read', name), await collections.get(context, name)),
      update: async (context, name, changes) => (allow(context, 'admin', name), await collections.update(context, name, changes)),
      delete: async (context, name) => (allow(context, 'admin', name), await collections.delete(context, name)),
    },
    points: {
      upsert: async (context, collection, items) => (allow(context, 'write', collection), await points.upsert(context, collection, items)),
      delete: async (context, collection, items) => (allow(context, 'write', collection), await points.delete(context, collection, items)),
      deleteByFilter: async (context, collection, filter) => (allow(context, 'write', collection), await points.deleteByFilter(context, collection, filter)),
      changePayload: async (context, collection, changes) => (allow(context, 'write', collection), await points.changePayload(context, collection, changes)),
      get: async (context, collection, request) => (allow(context, 'read', collection), await points.get(context, collection, request)),
      scroll: async (context, collection, request) => (allow(context, 'read', collection), await points.scroll(context, collection, request)),
      count: async (context, collection, request) => (allow(context, 'read', collection), await points.count(context, collection, request)),
    },
    search: {
      search: async (context, collection, request) => (allow(context, 'read', collection), await search.search(context, collection, request)),
      stream: (context, collection, request) => (allow(context, 'read', collection), search.stream(context, collection, request)),
      batch: async (context, collection, requests) => (allow(context, 'read', collection), await search.batch(context, collection, requests)),
    },
    feedback: {
      submit: async (context, item) => (allow(context, 'write', item.collection), await feedback.submit(context, item)),
      list: async (context, collection, page) => (allow(context, 'read', collection), await feedback.list(context, collection, page)),
    },
    keys: {
      create: async (context, input) => {
        allow(context, 'admin');
        if (!covers(context.identity, input)) throw denied('a key cannot grant what the key that makes it does not have');
        return keys.create(context, input);
      },
      list: async (context) => {
        allow(context, 'admin');
        return (await keys.list(context)).filter((key) => covers(context.identity, key));
      },
      delete: async (context, prefix) => {
        allow(context, 'admin');
        const key: KeyDescription | undefined = (await keys.list(context)).find((each) => each.prefix === prefix);
        if (key === undefined || !covers(context.identity, key)) throw keyNotFound(prefix);
        return keys.delete(context, prefix);
      },
    },
    cluster: {
      status: async (context) => (allow(context, 'admin'), await cluster.status(context)),
      backup: async (context, directory) => (allowEverywhere(context, 'admin'), await cluster.backup(context, directory)),
      verify: async (context) => (allowEverywhere(context, 'admin'), await cluster.verify(context)),
    },
  };
}

/** Throws PERMISSION_DENIED unless the identity may do `action`, and that to `collection` where one is named. */
export function allow({ identity }: Pick<RequestContext, 'identity'>, action: Action, collection?: string): void {
  if (!identity.actions.includes(action)) throw denied(`this key does not allow ${action}`);
  if (collection !== undefined && !maySee(identity, collection)) throw denied(`this key does not reach the collection "${collection.slice(0, 255)}"`);
}

function allowEverywhere(context: RequestContext, action: Action): void {
  allow(context, action);
  if (context.identity.collections !== 'all') throw denied('this needs a key for all collections');
}

function maySee({ collections }: Identity, name: string): boolean {
  return collections === 'all' || collections.includes(name);
}

function covers(identity: Identity, key: Pick<KeyInput, 'actions' | 'collections'>): boolean {
  if (!key.actions.every((action) => identity.actions.includes(action))) return false;
  if (identity.collections === 'all') return true;
  return key.collections !== 'all' && key.collections.every((name) => maySee(identity, name));
}

function denied(message: string): ShoalError {
  return new ShoalError('PERMISSION_DENIED', message);
}
