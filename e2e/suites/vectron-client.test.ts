/**
 * Aim: a client of Vectron works unchanged. The client here is made from Vectron's contract, not from our proto files;
 * over HTTP it speaks proto3 JSON.
 */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { collectionSpec } from '../../pods/domain/collection.ts';
import type { ShardService } from '../../pods/domain/shard-service.ts';
import { atEnd } from '../framework/cleanup.ts';
import { openEmbeddedShoal, requestContext } from '../framework/embedded-shoal.ts';
import { GrpcFailure } from '../framework/grpc-client.ts';
import { HttpConnection } from '../framework/http-client.ts';
import { runProgram } from '../framework/command-line.ts';
import { startServer } from '../framework/server-process.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { timeoutsMs, within } from '../framework/timeouts.ts';
import { VectronClient, vectronProtoDirectory } from '../framework/vectron-client.ts';

const points = [
  { id: 'east', vector: [1, 0, 0], payload: { colour: 'red', 'with space': 'ü' } },
  { id: 'north', vector: [0, 1, 0], payload: { colour: 'green' } },
  { id: 'a/b c', vector: [0.9, 0.1, 0], payload: {} },
];

test('a client of Vectron over gRPC', async (t) => {
  const server = await startServer(t, { dataDirectory: join(await temporaryDirectory(t), 'data'), withKey: false });
  assert.match(server.key, /^shoal_/, 'the key of the first start');
  const client = new VectronClient(server.grpcAddress, server.key);
  atEnd(t, () => client.close());

  assert.deepEqual(await client.call('CreateCollection', { name: 'docs', dimension: 3, distance: 'cosine' }), { success: true });
  assert.deepEqual(await client.call('ListCollections', {}), { collections: ['docs'] });
  assert.deepEqual(await client.call('Upsert', { collection: 'docs', points }), { upserted: 3 });

  const found = await client.call('Search', { collection: 'docs', vector: [1, 0, 0], top_k: 2 });
  const results = found['results'] as { id: string; score: number; payload: object; vector: number[] }[];
  assert.deepEqual(
    results.map(({ id, payload, vector }) => ({ id, payload, vector })),
    // A false that is not sent cannot be told from one that is: payloads are there, vectors are not.
    [
      { id: 'east', payload: { colour: 'red', 'with space': 'ü' }, vector: [] },
      { id: 'a/b c', payload: {}, vector: [] },
    ],
  );
  assert.ok(Math.abs(results[0]!.score - 1) < 1e-6 && results[1]!.score < 1, 'cosine similarity, higher is better');
  const withVectors = await client.call('Search', { collection: 'docs', vector: [0, 1, 0], top_k: 1, include_vectors: true, query: 'for a reranker', timeout_ms: 5_000 });
  assert.deepEqual((withVectors['results'] as { vector: number[] }[])[0]!.vector, [0, 1, 0]);
  const ofDefaultSize = await client.call('Search', { collection: 'docs', vector: [1, 1, 1] });
  assert.equal((ofDefaultSize['results'] as unknown[]).length, 3, 'top_k left out');

  const streamed: unknown[] = [];
  for await (const message of client.searchStream({ collection: 'docs', vector: [1, 0, 0], top_k: 2 })) streamed.push(message);
  assert.deepEqual(streamed.at(-1), found, 'the last message of a stream equals Search');

  assert.deepEqual(await client.call('Get', { collection: 'docs', id: 'east' }), { point: points[0] });
  assert.deepEqual(await client.call('Delete', { collection: 'docs', id: 'east' }), {});
  assert.deepEqual(await client.call('Delete', { collection: 'docs', id: 'east' }), {}, 'a repeated delete succeeds');
  await refuses(client.call('Get', { collection: 'docs', id: 'east' }), 'NOT_FOUND');

  assert.deepEqual(await client.call('GetCollectionStatus', { name: 'docs' }), {
    name: 'docs',
    dimension: 3,
    distance: 'cosine',
    shards: [{ shard_id: 0, replicas: ['1'], leader_id: '1', ready: true }],
  });
  const feedback = await client.call('SubmitFeedback', {
    collection: 'docs',
    query: 'north of here',
    result_ids: ['north'],
    feedback_items: [{ result_id: 'north', relevance_score: 5, clicked: true, position: 0, comment: 'right' }],
    context: { page: '1' },
  });
  assert.equal(feedback['success'], true);
  const stored = await new HttpConnection(server.httpUrl, server.key).send('/shoal/v1/collections/docs/feedback');
  assert.equal(stored.status, 200, stored.text);
  assert.ok(stored.text.includes(String(feedback['feedback_id'])) && stored.text.includes('north of here'), `feedback read through shoal.v1: ${stored.text}`);

  await refuses(client.call('UpdateUserProfile', { plan: 'PAID' }), 'UNIMPLEMENTED');
  await refuses(client.call('CreateCollection', { name: 'docs', dimension: 3 }), 'ALREADY_EXISTS');
  await refuses(client.call('Search', { collection: 'docs', vector: [1, 0] }), 'INVALID_ARGUMENT');
  await refuses(client.call('Upsert', { collection: 'nowhere', points }), 'NOT_FOUND');
  const stranger = new VectronClient(server.grpcAddress, `${server.key}x`);
  atEnd(t, () => stranger.close());
  await refuses(stranger.call('ListCollections', {}), 'UNAUTHENTICATED');

  for (const distance of ['euclidean', 'dot', '']) assert.deepEqual(await client.call('CreateCollection', { name: `as-${distance || 'default'}`, dimension: 2, distance }), { success: true });
  assert.deepEqual(await client.call('DeleteCollection', { name: 'docs' }), { success: true });
  assert.deepEqual(await client.call('ListCollections', {}), { collections: ['as-default', 'as-dot', 'as-euclidean'] });
  await refuses(client.call('DeleteCollection', { name: 'docs' }), 'NOT_FOUND');
});

test('a client of Vectron over HTTP', async (t) => {
  const server = await startServer(t, { dataDirectory: join(await temporaryDirectory(t), 'data') });
  const http = new HttpConnection(server.httpUrl, server.key);
  const ok = async (...request: Parameters<HttpConnection['send']>): Promise<unknown> => {
    const answer = await http.send(...request);
    assert.equal(answer.status, 200, `${request[0]}: ${answer.text}`);
    return answer.json;
  };
  assert.deepEqual(await ok('/v1/collections', { body: { name: 'docs', dimension: 3, distance: 'euclidean' } }), { success: true });
  assert.deepEqual(await ok('/v1/collections/docs/points', { body: { points } }), { upserted: 3 });
  const search = '/v1/collections/docs/points/search';
  const camel = await ok(search, { body: { vector: [1, 0, 0], topK: 1, includeVectors: true } });
  assert.deepEqual(camel, { results: [{ id: 'east', score: 1, payload: points[0]!.payload, vector: [1, 0, 0] }] });
  assert.deepEqual(await ok(search, { body: { vector: [1, 0, 0], top_k: 1, include_vectors: true } }), camel, 'snake_case is taken too');
  assert.deepEqual(await ok(search, { body: { vector: [1, 0, 0], topK: 1, includeMetadata: false } }), { results: [{ id: 'east', score: 1, payload: {}, vector: [] }] });
  assert.deepEqual(await ok(`/v1/collections/docs/points/${encodeURIComponent('a/b c')}`), { point: { id: 'a/b c', vector: [0.9, 0.1, 0], payload: {} } });
  assert.deepEqual(await ok('/v1/collections'), { collections: ['docs'] });
  assert.deepEqual(await ok('/v1/collections/docs/status'), { name: 'docs', dimension: 3, distance: 'euclidean', shards: [{ shardId: 0, replicas: ['1'], leaderId: '1', ready: true }] });
  const feedback = (await ok('/v1/feedback', {
    body: { collection: 'docs', query: 'q', result_ids: ['east'], feedbackItems: [{ resultId: 'east', relevanceScore: 4, position: 1 }] },
  })) as { success: boolean; feedbackId: string };
  assert.ok(feedback.success && feedback.feedbackId.length > 0);
  assert.deepEqual(await ok('/v1/collections/docs/points/east', { method: 'DELETE' }), {});
  assert.deepEqual(await ok('/v1/collections/docs', { method: 'DELETE' }), { success: true });
  const missing = await http.send(search, { body: { vector: [1, 0, 0] } });
  assert.equal(missing.status, 404);
  const { code, message, details } = missing.json as { code: number; message: string; details: unknown[] };
  assert.ok(code === 5 && message.includes('docs') && Array.isArray(details), missing.text);
  const keyHeader = await new HttpConnection(server.httpUrl, undefined).send('/v1/collections', { headers: { 'x-api-key': server.key } });
  assert.equal(keyHeader.status, 200, 'the key in X-API-Key');
});

test('SearchStream is progressive: what has arrived comes before a shard that is late', async (t) => {
  const late = Promise.withResolvers<void>();
  let lateShardUID = '';
  const aroundShard = (service: ShardService, shardUID: string): ShardService => {
    if (shardUID !== lateShardUID) return service;
    return new Proxy(service, {
      get(target, name) {
        const member = Reflect.get(target, name, target) as unknown;
        if (typeof member !== 'function') return member;
        const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
        return name === 'search' ? (...args: unknown[]) => late.promise.then(() => call(...args)) : call;
      },
    });
  };
  const shoal = await openEmbeddedShoal({ dataDirectory: join(await temporaryDirectory(t), 'data'), aroundShard });
  atEnd(t, () => shoal.close());
  const gateway = await shoal.serve();
  const client = new VectronClient(`${gateway.grpcAddress.host}:${gateway.grpcAddress.port}`, undefined);
  atEnd(t, () => client.close());

  const { collection } = await shoal.api.collections.create(requestContext(), collectionSpec({ name: 'wide', dimension: 2, metric: 'euclidean', shards: 3 }));
  lateShardUID = collection.shards[1]!.uid;
  const ids = Array.from({ length: 60 }, (_, i) => `p${i}`);
  await client.call('Upsert', { collection: 'wide', points: ids.map((id, i) => ({ id, vector: [i, 0] })) });

  const stream = client.searchStream({ collection: 'wide', vector: [0, 0], top_k: 60 });
  const next = async (): Promise<string[] | undefined> => {
    const { value, done } = await within(timeoutsMs.request, 'the next message of the stream', stream.next());
    return done === true ? undefined : (value['results'] as { id: string }[]).map(({ id }) => id);
  };
  const first = await next();
  const second = await next();
  late.resolve();
  const third = await next();
  assert.equal(await next(), undefined, 'three shards, three messages');
  assert.ok(first!.length > 0 && first!.length < second!.length && second!.length < 60, `${first!.length}, then ${second!.length} hits before the last shard answered`);
  assert.ok(first!.every((id) => second!.includes(id)), 'each message is the whole top-k so far');
  for (const message of [first!, second!, third!]) assert.deepEqual(message, ids.filter((id) => message.includes(id)), 'best first');
  assert.deepEqual(third, ids);
  const whole = await client.call('Search', { collection: 'wide', vector: [0, 0], top_k: 60 });
  assert.deepEqual((whole['results'] as { id: string }[]).map(({ id }) => id), third, 'the last message equals Search');
});

test('a client of Vectron in Python', async (t) => {
  const python = await runProgram('python3', ['-c', 'import grpc, grpc_tools']).catch(() => undefined);
  if (python?.code !== 0) return t.skip('python3 has no grpcio and grpcio-tools here');
  const directory = await temporaryDirectory(t);
  const generated = await runProgram('python3', [
    ...['-m', 'grpc_tools.protoc', `-I${vectronProtoDirectory}`, `--python_out=${directory}`, `--grpc_python_out=${directory}`],
    ...['gateway.proto', 'auth.proto'],
  ]);
  assert.equal(generated.code, 0, generated.stderr);
  const server = await startServer(t, { dataDirectory: join(directory, 'data') });
  await writeFile(join(directory, 'client.py'), pythonClient);
  const run = await runProgram('python3', [join(directory, 'client.py'), server.grpcAddress, server.key]);
  assert.equal(run.code, 0, run.stderr);
  assert.equal(run.stdout.trim(), 'a b');
});

const pythonClient = `
import sys, grpc, gateway_pb2 as pb, gateway_pb2_grpc as rpc
client = rpc.VectronServiceStub(grpc.insecure_channel(sys.argv[1]))
key = [("authorization", "Bearer " + sys.argv[2])]
assert client.CreateCollection(pb.CreateCollectionRequest(name="docs", dimension=2, distance="dot"), metadata=key).success
points = [pb.Point(id="a", vector=[1, 0], payload={"n": "1"}), pb.Point(id="b", vector=[0.5, 0])]
assert client.Upsert(pb.UpsertRequest(collection="docs", points=points), metadata=key).upserted == 2
last = list(client.SearchStream(pb.SearchRequest(collection="docs", vector=[1, 1], top_k=5), metadata=key))[-1]
assert last == client.Search(pb.SearchRequest(collection="docs", vector=[1, 1], top_k=5), metadata=key)
assert client.Get(pb.GetRequest(collection="docs", id="a"), metadata=key).point.payload["n"] == "1"
print(" ".join(result.id for result in last.results))
`;

async function refuses(work: Promise<unknown>, status: string): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof GrpcFailure, String(error));
    assert.equal(error.status, status, error.message);
    return true;
  });
}
