/** API keys in shoal.v1: gRPC service, HTTP routes. */

import { KeyServiceDefinition } from '../../../proto/gen/shoal/v1/key.ts';
import type * as wire from '../../../proto/gen/shoal/v1/key.ts';
import type { Action } from '../../api/context.ts';
import type { KeyDescription, KeyInput } from '../../api/vector-api.ts';
import { unary, type GrpcService } from '../dialect.ts';
import { strictDefinition } from '../grpc-definition.ts';
import { flag, invalid, list, named, object, optional, readJson, required, text, uint64, words } from '../json-decoder.ts';
import { jsonRoute, nothing, type JsonRoute } from './json-route.ts';
import { field, safeNumber } from './message-parts.ts';

const actionsType = list(words<Action>('read', 'write', 'admin'));

/** To which collections a key gives access is always said, never assumed. */
function keyInput({ name, actions, allCollections, collections, expiresAtMs }: wire.CreateKeyRequest): KeyInput {
  if (allCollections && collections.length > 0) throw invalid(field('collections'), 'must not be given together with allCollections');
  if (!allCollections && collections.length === 0) throw invalid(field('collections'), 'must name collections, unless allCollections is true');
  return {
    name,
    actions: readJson(actionsType, actions, 'actions'),
    collections: allCollections ? 'all' : collections,
    ...(expiresAtMs === undefined ? {} : { expiresAtMs: safeNumber(expiresAtMs, field('expiresAtMs')) }),
  };
}

// ----------------------------------------------------------------------- gRPC

export const keyService: GrpcService = {
  definition: strictDefinition(KeyServiceDefinition),
  methods: {
    createKey: unary('admin', async (api, request: wire.CreateKeyRequest, context): Promise<wire.CreateKeyResponse> => {
      const { secret, key } = await api.keys.create(context, keyInput(request));
      return { secret, key: keyMessage(key) };
    }),
    listKeys: unary('admin', async (api, _request: wire.ListKeysRequest, context): Promise<wire.ListKeysResponse> => ({ keys: (await api.keys.list(context)).map(keyMessage) })),
    deleteKey: unary('admin', async (api, { prefix }: wire.DeleteKeyRequest, context): Promise<wire.DeleteKeyResponse> => {
      await api.keys.delete(context, prefix);
      return {};
    }),
  },
};

function keyMessage({ prefix, name, actions, collections, expiresAtMs, createdAtMs }: KeyDescription): wire.Key {
  return {
    prefix,
    name,
    actions: [...actions],
    allCollections: collections === 'all',
    collections: collections === 'all' ? [] : [...collections],
    expiresAtMs: expiresAtMs === undefined ? undefined : BigInt(expiresAtMs),
    createdAtMs: BigInt(createdAtMs),
  };
}

// ----------------------------------------------------------------------- HTTP

const keyFields = {
  name: required(text),
  actions: required(actionsType),
  allCollections: optional(flag, () => false),
  collections: optional(list(text), () => []),
  expiresAtMs: optional(uint64),
};

const keyReply = named('Key', object({ prefix: required(text), ...keyFields, createdAtMs: required(uint64) }));

function keyJson({ prefix, name, actions, collections, expiresAtMs, createdAtMs }: KeyDescription): unknown {
  const scope = collections === 'all' ? { allCollections: true, collections: [] } : { allCollections: false, collections };
  return { prefix, name, actions, ...scope, ...(expiresAtMs === undefined ? {} : { expiresAtMs }), createdAtMs };
}

export const keyRoutes: readonly JsonRoute[] = [
  jsonRoute({
    method: 'POST',
    path: '/keys',
    operationId: 'createKey',
    summary: 'Make an API key; its secret is shown here and never again',
    action: 'admin',
    body: named('CreateKey', object<wire.CreateKeyRequest>(keyFields)),
    reply: object({ secret: required(text), key: required(keyReply) }),
    example: { body: { name: 'reader', actions: ['read'], collections: ['docs'] } },
    handle: async (api, { body }, context) => {
      const { secret, key } = await api.keys.create(context, keyInput(body));
      return { secret, key: keyJson(key) };
    },
  }),
  jsonRoute({
    method: 'GET',
    path: '/keys',
    operationId: 'listKeys',
    summary: 'All API keys, without their secrets',
    action: 'admin',
    reply: object({ keys: required(list(keyReply)) }),
    handle: async (api, _request, context) => ({ keys: (await api.keys.list(context)).map(keyJson) }),
  }),
  jsonRoute({
    method: 'DELETE',
    path: '/keys/{prefix}',
    operationId: 'deleteKey',
    summary: 'Revoke an API key',
    action: 'admin',
    reply: nothing,
    handle: async (api, { params }, context) => {
      await api.keys.delete(context, params['prefix']!);
      return {};
    },
  }),
];
