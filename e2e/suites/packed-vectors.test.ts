/**
 * Aim: vectors stay views of the messages that brought them until they are applied, and no message's memory is written to
 * meanwhile: what many writers send at once, in messages of every size, through either door, is what is read back, found,
 * and found again after a kill, when log and store are all there is.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { IndexImplementation } from '../../pods/index/graph-factory.ts';
import { below, seededRandom } from '../../pods/kernel/random.ts';
import { atEnd } from '../framework/cleanup.ts';
import { HttpConnection } from '../framework/http-client.ts';
import { indexFlags, indexImplementations } from '../framework/index-implementations.ts';
import { startServer, type ServerProcess } from '../framework/server-process.ts';
import { packVector, ShoalClient, unpackVector } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';

/** So many that each of two shards has a graph. */
const dimension = 301;
const writerCount = 8;
const batchesPerWriter = 12;
/** From messages that share a buffer of the pool with others to such as come in many pieces. */
const batchSizes = [1, 2, 7, 40, 300];

function vectorOf(id: string): Float32Array {
  const random = seededRandom([...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) | 0, 7));
  return Float32Array.from({ length: dimension }, () => random.fraction() - 0.5);
}

for (const implementation of indexImplementations) {
  test(`vectors that many writers send at once are read back bit for bit, also after a kill, ${implementation}`, (t) => writeAndRead(t, indexFlags(implementation), implementation));
}

async function writeAndRead(t: TestContext, flags: readonly string[], implementation: IndexImplementation): Promise<void> {
  const dataDirectory = join(await temporaryDirectory(t), 'data');
  const server = await startServer(t, { dataDirectory, flags });
  const client = clientOf(t, server);
  await client.createCollection({ name: 'docs', dimension, metric: 'cosine', shards: 2 });
  const random = seededRandom(11);
  const ids: string[] = [];
  await Promise.all(
    Array.from({ length: writerCount }, async (_, writer) => {
      const grpc = clientOf(t, server);
      const http = new HttpConnection(server.httpUrl, server.key);
      for (let batch = 0; batch < batchesPerWriter; batch++) {
        // Ids of every length, so that vectors begin at every alignment.
        const own = Array.from({ length: batchSizes[below(random, batchSizes.length)]! }, (_, i) => `${writer}-${batch}-${i}${'x'.repeat(i % 4)}`);
        ids.push(...own);
        const points = own.map((id) => ({ id, packedVector: packVector(vectorOf(id)), payload: { id } }));
        if (writer % 4 !== 3) await grpc.upsert({ collection: 'docs', points });
        else {
          const body = { points: points.map((point) => ({ ...point, packedVector: Buffer.from(point.packedVector).toString('base64') })) };
          const { status, text } = await http.send('/shoal/v1/collections/docs/points', { body });
          assert.equal(status, 200, text);
        }
      }
    }),
  );
  await assertAll(client, ids);
  await server.end('SIGKILL');
  const again = clientOf(t, await startServer(t, { dataDirectory, flags }));
  await assertAll(again, ids);
  const kinds = (await again.collection('docs')).shards.map(({ statistics }) => statistics!.indexKind);
  assert.deepEqual(kinds, [implementation, implementation]);
}

async function assertAll(client: ShoalClient, ids: readonly string[]): Promise<void> {
  const found = await client.scrollAll('docs', 500);
  assert.deepEqual(found.map(({ id }) => id).sort(), [...ids].sort());
  for (const point of found) assert.deepEqual(unpackVector(point), vectorOf(point.id), point.id);
  for (const id of ids.filter((_, i) => i % 7 === 0)) {
    const { hits } = await client.search('docs', { packedVector: packVector(vectorOf(id)), topK: 1, exact: true });
    assert.deepEqual([hits[0]!.id, hits[0]!.score > 0.9999], [id, true]);
  }
}

function clientOf(t: TestContext, server: ServerProcess): ShoalClient {
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  return client;
}
