/**
 * Aim: what a client knows while the API server is stopped, silent, or gone and back. Writes that were never sent say so,
 * writes whose fate nobody knows say that (W4), and watches miss nothing of what happened meanwhile.
 */

import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { hasCode, type ErrorCode } from '../../../pods/kernel/errors.ts';
import { fullSpecs } from '../../../pods/metadata/full-objects.fixture.ts';
import type { KubeMetadata } from '../../../pods/metadata/kube-metadata.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { shoalManifests, startKubernetes, type Kubernetes } from '../../framework/kubernetes/kubernetes.ts';
import { metadataOf, namespaceFor } from '../../framework/kubernetes/metadata.ts';
import { atEnd } from '../../framework/cleanup.ts';
import { eventually, timeoutsMs } from '../../framework/timeouts.ts';

let kubernetes: Kubernetes;
before(async () => {
  kubernetes = await startKubernetes();
  await kubernetes.apply(...(await shoalManifests()));
});
after(() => kubernetes.close());

const withCode = (code: ErrorCode) => (error: unknown) => hasCode(error, code);

async function withShard(t: TestContext): Promise<{ metadata: KubeMetadata; shard: VectorShard; namespace: string }> {
  const namespace = await namespaceFor(kubernetes);
  const metadata = await metadataOf(t, kubernetes.kubeconfig, { namespace });
  const shard = await metadata.shards.create({ metadata: { name: 'a', labels: {} }, spec: fullSpecs.shards });
  return { metadata, shard, namespace };
}

function nonced(shard: VectorShard, nonce: string): VectorShard {
  return { ...shard, status: { ...shard.status, nonce } };
}

test('a stopped API server: reads are UNAVAILABLE, writes were not sent; afterwards both work, and a version from before still compares', async (t) => {
  const { metadata, shard } = await withShard(t);
  await kubernetes.stopApiServer('SIGKILL');
  await assert.rejects(metadata.shards.get('a'), withCode('UNAVAILABLE'));
  await assert.rejects(metadata.shards.list(), withCode('UNAVAILABLE'));
  for (const write of [() => metadata.shards.replaceStatus(nonced(shard, 'n')), () => metadata.shards.delete('a', shard.metadata.resourceVersion)]) await assert.rejects(write(), withCode('UNAVAILABLE'));
  await kubernetes.startApiServer();
  assert.deepEqual(await metadata.shards.get('a'), shard);
  assert.equal((await metadata.shards.replaceStatus(nonced(shard, 'n'))).status.nonce, 'n');
});

test('W4: a silent API server: a write is of unknown outcome, is not sent again, and may happen later', async (t) => {
  const { metadata, shard, namespace } = await withShard(t);
  const impatient = await metadataOf(t, kubernetes.kubeconfig, { namespace, timeoutMs: 500 });
  // The connection is there then, so that the request goes out.
  await eventually(timeoutsMs.request, 'a connection', () => impatient.shards.get('a').catch(() => undefined));
  kubernetes.pauseApiServer();
  t.after(() => kubernetes.resumeApiServer());
  await assert.rejects(impatient.shards.replaceStatus(nonced(shard, 'late')), withCode('OUTCOME_UNKNOWN'));
  await assert.rejects(impatient.shards.get('a'), withCode('UNAVAILABLE'));
  kubernetes.resumeApiServer();
  // Whoever moves the version on knows afterwards that the late write cannot come any more.
  const settled = await eventually(timeoutsMs.request, 'a write that moves the version', async () => {
    try {
      const present = await metadata.shards.get('a');
      return await metadata.shards.replaceStatus(nonced(present!, 'settled'));
    } catch (error) {
      if (hasCode(error, 'CONFLICT') || hasCode(error, 'UNAVAILABLE') || hasCode(error, 'OUTCOME_UNKNOWN')) return undefined;
      throw error;
    }
  });
  await assert.rejects(metadata.shards.replaceStatus(nonced(shard, 'late')), withCode('CONFLICT'));
  assert.deepEqual(await metadata.shards.get('a'), settled);
});

test('W4: a write whose answer is cut off is of unknown outcome and happens once', async (t) => {
  const { shard, namespace } = await withShard(t);
  const cut = await cuttingProxy(t);
  const metadata = await metadataOf(t, await kubernetes.kubeconfigFor(kubernetes.adminToken), { namespace });
  const throughProxy = await metadataOf(t, await cut.kubeconfig(), { namespace });
  assert.deepEqual(await throughProxy.shards.get('a'), shard);
  cut.dropAnswers();
  await assert.rejects(throughProxy.shards.replaceStatus(nonced(shard, 'once')), withCode('OUTCOME_UNKNOWN'));
  const found = (await metadata.shards.get('a'))!;
  assert.equal(found.status.nonce, 'once');
  // Sent twice, the second would have met the first's version: it is one request that the server saw.
  assert.equal(cut.requestCount(), 1);
});

test('a watch goes on after the API server was killed, and after it was told to end: nothing of the time between is missed', async (t) => {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const { metadata, namespace } = await withShard(t);
    const { shards } = metadata;
    t.after(shards.watch(() => undefined));
    await eventually(timeoutsMs.request, 'the watch', () => Promise.resolve(shards.isFresh() && shards.peek('a') !== undefined ? true : undefined));
    await kubernetes.stopApiServer(signal);
    await eventually(timeoutsMs.request, 'the watch to be cut', () => Promise.resolve(shards.isFresh() ? undefined : true));
    assert.notEqual(shards.peek('a'), undefined, 'what was known stays');
    await kubernetes.startApiServer();
    const other = await metadataOf(t, kubernetes.kubeconfig, { namespace });
    const present = (await other.shards.get('a'))!;
    await other.shards.delete('a', present.metadata.resourceVersion);
    const b = await other.shards.create({ metadata: { name: 'b', labels: {} }, spec: fullSpecs.shards });
    await eventually(timeoutsMs.serverStart, 'the watch to catch up', () => Promise.resolve(shards.isFresh() && shards.peek('a') === undefined && shards.peek('b') !== undefined ? true : undefined));
    assert.deepEqual(shards.peek('b'), b);
  }
});

test('a store that was restored from a backup: watches show what it holds again, and a version of the lost time compares with nothing', async (t) => {
  const { metadata, shard } = await withShard(t);
  const { shards } = metadata;
  t.after(shards.watch(() => undefined));
  const backup = await kubernetes.backUpStore();
  const kept = (await shards.get('a'))!;
  const lost = await shards.replaceStatus(nonced(kept, 'lost'));
  await shards.create({ metadata: { name: 'b', labels: {} }, spec: fullSpecs.shards });
  await eventually(timeoutsMs.serverStart, 'the watch', () => Promise.resolve(shards.isFresh() && shards.peek('a')?.status.nonce === 'lost' && shards.peek('b') !== undefined ? true : undefined));
  await kubernetes.restoreStore(backup);
  assert.deepEqual(await shards.get('a'), shard);
  await eventually(timeoutsMs.serverStart, 'the watch to go back', () => Promise.resolve(shards.isFresh() && shards.peek('b') === undefined ? true : undefined));
  assert.deepEqual(shards.peek('a'), shard);
  await assert.rejects(shards.replaceStatus(nonced(lost, 'from the lost time')), withCode('CONFLICT'));
  const written = await shards.replaceStatus(nonced(kept, 'again'));
  await eventually(timeoutsMs.request, 'the watch to go on', () => Promise.resolve(shards.peek('a')?.metadata.resourceVersion === written.metadata.resourceVersion ? true : undefined));
});

interface CuttingProxy {
  kubeconfig(): Promise<string>;
  /** From here on nothing comes back; a connection is ended a while after something was sent on it. */
  dropAnswers(): void;
  /** Connections on which something was sent since then. */
  requestCount(): number;
}

/** Hands bytes on between a client and the API server, until it is told to swallow the answers. */
async function cuttingProxy(t: TestContext): Promise<CuttingProxy> {
  const { hostname, port } = new URL(kubernetes.url);
  let isDropping = false;
  const used = new Set<Socket>();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ host: hostname, port: Number(port) });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.on('data', (bytes) => {
      upstream.write(bytes);
      if (isDropping) used.add(client);
    });
    upstream.on('data', (bytes) => {
      if (!isDropping) client.write(bytes);
      else setTimeout(() => client.destroy(), 100);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  const address = server.address() as { port: number };
  return {
    kubeconfig: () => kubernetes.kubeconfigFor(kubernetes.adminToken, { server: `https://127.0.0.1:${address.port}` }),
    dropAnswers: () => (isDropping = true),
    requestCount: () => used.size,
  };
}
