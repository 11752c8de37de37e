/**
 * Aim: clients reach the gateways through the ingress controller, over HTTP and gRPC, on one host or a host for each, and
 * with a key only; a stream of results comes through whole.
 */
// Labels: ingress

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { load } from 'js-yaml';
import { CollectionServiceService as collectionMethods, CreateCollectionRequest } from '../../../proto/gen/shoal/v1/collection.ts';
import { PointServiceService as pointMethods, UpsertPointsRequest } from '../../../proto/gen/shoal/v1/point.ts';
import { SearchRequest, SearchServiceService as searchMethods } from '../../../proto/gen/shoal/v1/search.ts';
import { suiteOwner } from '../harness/owner.ts';
import { chartDirectory } from '../../framework/kubernetes/chart.ts';
import { ShoalClient } from '../../framework/shoal-client.ts';
import { timeoutsMs } from '../../framework/timeouts.ts';
import { connectCluster, type TestCluster } from '../harness/connect.ts';
import { httpByHost, type HostAnswer } from '../harness/http-by-host.ts';
import { installShoal, type Installation } from '../harness/installation.ts';
import { routed } from '../harness/routed.ts';

const oneHost = 'vectors.shoal.test';
const grpcHost = 'grpc.shoal.test';
const vectronHost = 'vectron.shoal.test';

await describe('through the ingress', { concurrency: false }, () => {
  const owner = suiteOwner();
  let cluster: TestCluster;
  let shoal: Installation;
  let address: string;

  before(async () => {
    cluster = await connectCluster(owner);
    assert.ok(cluster.ingress !== undefined, 'SHOAL_INGRESS says where the ingress controller answers');
    address = cluster.ingress.includes(':') ? cluster.ingress : `${cluster.ingress}:80`;
    const contour = load(readFileSync(join(chartDirectory, 'values-contour.yaml'), 'utf8')) as object;
    shoal = await installShoal(owner, cluster, { ...contour, ingress: { ...(contour as { ingress: object }).ingress, http: { host: oneHost }, dialectHosts: { vectron: vectronHost } } });
  });

  const http = (host: string, path: string, options: { readonly key?: string; readonly body?: unknown } = {}): Promise<HostAnswer> => httpByHost(address, host, path, options);

  const routedTo = (host: string): Promise<void> =>
    routed(`a route for ${host}`, async () => {
      const { status } = await httpByHost(address, host, '/livez', { ownConnection: true });
      return status === 200 ? undefined : `it answers ${status}`;
    });

  test('HTTP: a collection is made, written and searched with a key, and with no other', async () => {
    await routedTo(oneHost);
    const key = shoal.apiKey;
    assert.equal((await http(oneHost, '/shoal/v1/collections')).status, 401);
    assert.equal((await http(oneHost, '/shoal/v1/collections', { key: 'x'.repeat(40) })).status, 401);
    const made = await http(oneHost, '/shoal/v1/collections', { key, body: { name: 'by-http', dimension: 2, replication: { replicas: 2, minInSync: 1 } } });
    assert.equal(made.status, 200, made.text);
    const written = await http(oneHost, '/shoal/v1/collections/by-http/points', { key, body: { points: [{ id: 'a', vector: [1, 0] }, { id: 'b', vector: [0, 1] }] } });
    assert.equal(written.status, 200, written.text);
    // The replica that an eventual search asks may not have the points yet.
    const found = await http(oneHost, '/shoal/v1/collections/by-http/search', { key, body: { vector: [1, 0], topK: 1, consistency: { level: 'linearizable' } } });
    assert.equal(found.status, 200, found.text);
    assert.deepEqual((found.json as { hits: { id: string }[] }).hits.map(({ id }) => id), ['a']);
  });

  test('gRPC on the same host: told apart by the path', async () => {
    await routedTo(oneHost);
    await useByGrpc(address, oneHost, shoal.apiKey, 'by-grpc');
  });

  test('a host of its own for a dialect: HTTP and gRPC', async () => {
    await routedTo(vectronHost);
    const { status, text } = await http(vectronHost, '/v1/collections', { key: shoal.apiKey });
    assert.equal(status, 200, text);
    await useByGrpc(address, vectronHost, shoal.apiKey, 'by-grpc-of-a-dialect');
  });

  test('gRPC on a host of its own, after an upgrade', async () => {
    await shoal.upgrade({ ingress: { grpc: { host: grpcHost } } });
    await routed(`a gRPC route for ${grpcHost}`, async () => {
      const client = new ShoalClient({ grpcAddress: address, key: shoal.apiKey, authority: grpcHost });
      await client.collection('by-grpc').finally(() => client.close());
      return undefined;
    });
    await useByGrpc(address, grpcHost, shoal.apiKey, 'by-own-host');
  });
});

/** Makes a collection, writes, searches; and none of it without a key. */
async function useByGrpc(address: string, host: string, key: string, collection: string): Promise<void> {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.default_authority': host, 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1 });
  const call = <Request, Response>(method: { path: string; requestSerialize(value: Request): Buffer; responseDeserialize(bytes: Buffer): Response }, request: Request, withKey = key): Promise<Response> =>
    new Promise((resolve, reject) => {
      const metadata = new Metadata();
      if (withKey !== '') metadata.set('authorization', `Bearer ${withKey}`);
      client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, metadata, { deadline: Date.now() + timeoutsMs.request }, (error, answer) => (error === null ? resolve(answer!) : reject(error)));
    });
  try {
    await assert.rejects(call(collectionMethods.listCollections, {}, ''), /UNAUTHENTICATED/);
    await call(collectionMethods.createCollection, CreateCollectionRequest.fromPartial({ name: collection, dimension: 2 }));
    await call(pointMethods.upsertPoints, UpsertPointsRequest.fromPartial({ collection, points: [{ id: 'a', vector: [1, 0] }, { id: 'b', vector: [0, 1] }] }));
    const { hits } = await call(searchMethods.search, SearchRequest.fromPartial({ collection, query: { vector: [0, 1], topK: 1 } }));
    assert.deepEqual(hits.map(({ id }) => id), ['b']);
    const { searchStream } = searchMethods;
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${key}`);
    const query = SearchRequest.fromPartial({ collection, query: { vector: [1, 0], topK: 2 } });
    const stream = client.makeServerStreamRequest(searchStream.path, searchStream.requestSerialize, searchStream.responseDeserialize, query, metadata, { deadline: Date.now() + timeoutsMs.request });
    const messages: { hits: { id: string }[] }[] = [];
    for await (const message of stream) messages.push(message as { hits: { id: string }[] });
    assert.deepEqual(messages.at(-1)!.hits.map(({ id }) => id), ['a', 'b']);
  } finally {
    client.close();
  }
}
