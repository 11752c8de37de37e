/**
 * The bytes on the wire are Vectron's. Its fields stand below as its documentation gives them; an encoder of this test's
 * own makes messages of them by the rules of protobuf, and the generated code must write and read the same bytes. So a
 * client generated from Vectron's own files works.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { MethodDefinition } from '@grpc/grpc-js';
import * as auth from '../../../proto/gen/vectron/auth/v1/auth.ts';
import * as gateway from '../../../proto/gen/vectron/v1/apigateway.ts';
import { vectronService } from './vectron-service.ts';

/** `number name: type`; `*` repeated. */
const contract: Readonly<Record<string, string>> = {
  CreateCollectionRequest: '1 name: string, 2 dimension: int32, 3 distance: string',
  CreateCollectionResponse: '1 success: bool',
  DeleteCollectionRequest: '1 name: string',
  DeleteCollectionResponse: '1 success: bool',
  UpsertRequest: '1 collection: string, 2 points: Point*',
  UpsertResponse: '1 upserted: int32',
  SearchRequest:
    '1 collection: string, 2 vector: float*, 3 top_k: uint32, 4 query: string, 5 timeout_ms: uint32, 6 include_vectors: bool, 7 include_metadata: bool',
  SearchResponse: '1 results: SearchResult*',
  GetRequest: '1 collection: string, 2 id: string',
  GetResponse: '1 point: Point',
  DeleteRequest: '1 collection: string, 2 id: string',
  DeleteResponse: '',
  ListCollectionsRequest: '',
  ListCollectionsResponse: '1 collections: string*',
  GetCollectionStatusRequest: '1 name: string',
  GetCollectionStatusResponse: '1 name: string, 2 dimension: int32, 3 distance: string, 4 shards: ShardStatus*',
  UpdateUserProfileRequest: '1 plan: Plan',
  UpdateUserProfileResponse: '1 user: UserProfile',
  SubmitFeedbackRequest: '1 collection: string, 2 query: string, 3 result_ids: string*, 4 feedback_items: FeedbackItem*, 5 context: map',
  SubmitFeedbackResponse: '1 success: bool, 2 feedback_id: string',
  Point: '1 id: string, 2 vector: float*, 3 payload: map',
  SearchResult: '1 id: string, 2 score: float, 3 payload: map, 4 vector: float*',
  ShardStatus: '1 shard_id: uint32, 2 replicas: uint64*, 3 leader_id: uint64, 4 ready: bool',
  FeedbackItem: '1 result_id: string, 2 relevance_score: int32, 3 clicked: bool, 4 position: int32, 5 comment: string',
};

/** Of vectron.auth.v1, which the service above refers to and which becomes a service of its own. */
const authContract: Readonly<Record<string, string>> = {
  UserProfile: '1 id: string, 2 email: string, 3 created_at: int64, 4 plan: Plan, 5 subscription_status: SubscriptionStatus',
  APIKey: '1 key_prefix: string, 2 user_id: string, 3 created_at: int64, 4 name: string',
  RegisterUserRequest: '1 email: string, 2 password: string',
  RegisterUserResponse: '1 user: UserProfile',
  LoginRequest: '1 email: string, 2 password: string',
  LoginResponse: '1 jwt_token: string, 2 user: UserProfile',
  GetUserProfileRequest: '',
  GetUserProfileResponse: '1 user: UserProfile',
  UpdateUserProfileRequest: '1 plan: Plan',
  UpdateUserProfileResponse: '1 user: UserProfile, 2 jwt_token: string',
  DeleteUserRequest: '1 password: string',
  DeleteUserResponse: '1 success: bool',
  RefreshTokenRequest: '',
  RefreshTokenResponse: '1 jwt_token: string, 2 expires_at: int64',
  CreateAPIKeyRequest: '1 name: string',
  CreateAPIKeyResponse: '1 full_key: string, 2 key_info: APIKey',
  ListAPIKeysRequest: '',
  ListAPIKeysResponse: '1 keys: APIKey*',
  DeleteAPIKeyRequest: '1 key_prefix: string',
  DeleteAPIKeyResponse: '1 success: bool',
  ValidateAPIKeyRequest: '1 full_key: string',
  ValidateAPIKeyResponse: '1 valid: bool, 2 user_id: string, 3 plan: string, 4 api_key_id: string',
  CreateSDKJWTRequest: '1 api_key_id: string',
  CreateSDKJWTResponse: '1 sdk_jwt: string',
  GetAuthDetailsForSDKRequest: '1 api_key_id: string',
  GetAuthDetailsForSDKResponse: '1 user_id: string, 2 plan: Plan, 3 success: bool',
};

interface Sample {
  readonly bytes: Uint8Array;
  readonly value: Record<string, unknown>;
}

interface Codec {
  encode(message: unknown): BinaryWriter;
  decode(bytes: Uint8Array): Record<string, unknown>;
}

/** A message with a distinct value in every field: its bytes by the rules, and what the generated type must make of them. */
function sampleOf(name: string, messages: Readonly<Record<string, string>>): Sample {
  const writer = new BinaryWriter();
  const value: Record<string, unknown> = {};
  for (const declaration of messages[name]!.split(', ').filter((text) => text !== '')) {
    const [, number, field, type, repeated] = /^(\d+) (\w+): (\w+)(\*?)$/.exec(declaration)!;
    const key = field!.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    value[key] = writeField(writer, Number(number), type!, repeated === '*', messages);
  }
  return { bytes: writer.finish(), value };
}

function writeField(writer: BinaryWriter, number: number, type: string, repeated: boolean, messages: Readonly<Record<string, string>>): unknown {
  const text = `field ${number}`;
  switch (type) {
    case 'string':
      for (let i = 0; i < (repeated ? 2 : 1); i++) writer.tag(number, WireType.LengthDelimited).string(text);
      return repeated ? [text, text] : text;
    case 'bool':
      writer.tag(number, WireType.Varint).bool(true);
      return true;
    case 'Plan':
    case 'SubscriptionStatus':
      writer.tag(number, WireType.Varint).int32(2);
      return 2;
    case 'int32':
      writer.tag(number, WireType.Varint).int32(-number);
      return -number;
    case 'int64':
      writer.tag(number, WireType.Varint).int64(-5_000_000_000n);
      return -5_000_000_000n;
    case 'uint32':
      writer.tag(number, WireType.Varint).uint32(4_000_000_000 + number);
      return 4_000_000_000 + number;
    case 'uint64':
      if (!repeated) {
        writer.tag(number, WireType.Varint).uint64(2n ** 63n);
        return 2n ** 63n;
      }
      writer.tag(number, WireType.LengthDelimited).fork().uint64(1n).uint64(2n ** 63n).join();
      return [1n, 2n ** 63n];
    case 'float':
      if (!repeated) {
        writer.tag(number, WireType.Bit32).float(0.5);
        return 0.5;
      }
      writer.tag(number, WireType.LengthDelimited).fork().float(0.5).float(-2).join();
      return [0.5, -2];
    case 'map':
      writer.tag(number, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string('key').tag(2, WireType.LengthDelimited).string(text).join();
      return new Map([['key', text]]);
    default: {
      const inner = sampleOf(type, type in messages ? messages : authContract);
      for (let i = 0; i < (repeated ? 2 : 1); i++) writer.tag(number, WireType.LengthDelimited).bytes(inner.bytes);
      return repeated ? [inner.value, inner.value] : inner.value;
    }
  }
}

/** Fields from 100 up are ours: a client of Vectron's never sends them. */
function withoutExtensions({ filter: _1, ef: _2, consistency: _3, exact: _4, quantization: _5, ...message }: Record<string, unknown>): Record<string, unknown> {
  return message;
}

for (const [packageName, messages, generated] of [['vectron.v1', contract, gateway], ['vectron.auth.v1', authContract, auth]] as const) {
  for (const name of Object.keys(messages)) {
    test(`${packageName}.${name} has Vectron's bytes`, () => {
      const codec = (generated as unknown as Readonly<Record<string, Codec>>)[name]!;
      const { bytes, value } = sampleOf(name, messages);
      const decoded = codec.decode(bytes);
      assert.deepEqual(withoutExtensions(decoded), value);
      assert.equal(Buffer.from(codec.encode(decoded).finish()).toString('hex'), Buffer.from(bytes).toString('hex'));
    });
  }
}

test('the extensions of a search have numbers from 100 up', () => {
  const request = { ...gateway.SearchRequest.decode(new Uint8Array(0)), filter: {}, ef: 7, consistency: 'x', exact: true };
  const expected = new BinaryWriter()
    .tag(100, WireType.LengthDelimited).bytes(new Uint8Array(0))
    .tag(101, WireType.Varint).uint32(7)
    .tag(102, WireType.LengthDelimited).string('x')
    .tag(103, WireType.Varint).bool(true);
  assert.deepEqual(gateway.SearchRequest.encode(request).finish(), expected.finish());
});

test('the extension of a collection has number 100', () => {
  const request = { ...gateway.CreateCollectionRequest.decode(new Uint8Array(0)), quantization: 'int8' };
  assert.deepEqual(gateway.CreateCollectionRequest.encode(request).finish(), new BinaryWriter().tag(100, WireType.LengthDelimited).string('int8').finish());
});

test('include_metadata false is told from absent', () => {
  assert.equal(gateway.SearchRequest.decode(new BinaryWriter().tag(7, WireType.Varint).bool(false).finish()).includeMetadata, false);
  assert.equal(gateway.SearchRequest.decode(new Uint8Array(0)).includeMetadata, undefined);
});

test('enums have their numbers', () => {
  assert.deepEqual({ ...auth.Plan }, { PLAN_UNSPECIFIED: 0, FREE: 1, PAID: 2 });
  assert.deepEqual({ ...auth.SubscriptionStatus }, { SUBSCRIPTION_STATUS_UNSPECIFIED: 0, ACTIVE: 1, CANCELED: 2, PAST_DUE: 3 });
});

test('the calls have their names, and only SearchStream streams', () => {
  const methods = Object.values(vectronService.definition) as MethodDefinition<unknown, unknown>[];
  const names = ['CreateCollection', 'DeleteCollection', 'Upsert', 'Search', 'SearchStream', 'Get', 'Delete', 'ListCollections', 'GetCollectionStatus', 'UpdateUserProfile', 'SubmitFeedback'];
  assert.deepEqual(
    methods.map(({ path, requestStream, responseStream }) => [path, requestStream, responseStream]),
    names.map((name) => [`/vectron.v1.VectronService/${name}`, false, name === 'SearchStream']),
  );
});
