/** Aim: a data directory that an earlier version wrote is opened by this one, with everything in it. One for each released format. */

import assert from 'node:assert/strict';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FeedbackServiceService as feedback } from '../../proto/gen/shoal/v1/feedback.ts';
import { atEnd } from '../framework/cleanup.ts';
import { checkout, startServer } from '../framework/server-process.ts';
import { packVector, ShoalClient, unpackVector } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { pointOf, rememberedRequest, storedCollections, storedFeedback } from './stored-directory/content.ts';

const fixtures = join(checkout, 'e2e', 'fixtures');
const formats = (await readdir(fixtures)).filter((name) => name.startsWith('data-format-'));
assert.ok(formats.length > 0);

// Its graphs were written by hnswlib-node: another implementation makes its own from the points, when there are enough.
for (const [format, implementation] of formats.flatMap((format) => [[format, 'hnswlib'], [format, 'native']] as const)) {
  test(`${format} is opened with all it holds, ${implementation}`, async (t) => {
    const dataDirectory = join(await temporaryDirectory(t), 'data');
    await cp(join(fixtures, format), dataDirectory, { recursive: true });
    const server = await startServer(t, { dataDirectory, flags: ['--index-implementation', implementation] });
    const client = new ShoalClient(server);
    atEnd(t, () => client.close());
    assert.deepEqual(await client.collectionNames(), storedCollections.map(({ input }) => input.name).sort());

    for (const { input, points, deleted, hasGraph } of storedCollections) {
      const { name } = input;
      const expected = new Map(points.map((point) => [point.id, point]));
      if (name === rememberedRequest.collection) expected.set(rememberedRequest.id, { ...pointOf(0, input.dimension), id: rememberedRequest.id });
      const found = await client.scrollAll(name, 1_000);
      assert.deepEqual(found.map(({ id }) => id).sort(), [...expected.keys()].sort(), name);
      for (const point of found) {
        const { vector, payload, text } = expected.get(point.id)!;
        assert.deepEqual({ vector: unpackVector(point), payload: point.payload, text: point.text }, { vector, payload, text }, point.id);
      }
      assert.deepEqual(await client.get(name, deleted), [], `${name}: deleted points`);
      const collection = await client.collection(name);
      assert.equal(Number(collection.pointCount), expected.size);
      assert.equal(collection.spec!.metric, input.metric);
      assert.equal(collection.spec!.index!.quantization, 'none', `${name}: it is from before there were others`);
      assert.equal(collection.shards.length, input.shards ?? 1);
      assert.equal(collection.shards[0]!.statistics!.indexKind, hasGraph && implementation === 'hnswlib' ? 'hnswlib' : 'flat', `${name}: kind of index`);
      for (const { id, vector } of [...expected.values()].slice(0, 30)) {
        const { hits } = await client.search(name, { packedVector: packVector(vector), topK: 5, exact: input.metric === 'dot' });
        if (input.metric !== 'dot') assert.equal(hits[0]!.score > 0.999, true, `${name}: "${id}" does not find itself`);
      }
      const red = points.filter(({ payload }) => payload['group'] === 'red' && payload['even'] === true && Number(payload['number']) >= 10).length;
      const filter = { and: [{ field: 'group', equals: 'red' }, { field: 'even', equals: true }, { field: 'number', gte: 10 }] };
      assert.equal(await client.count(name, filter), red, `${name}: a filter`);
    }

    const { collection, id, clientId, requestNumber } = rememberedRequest;
    const before = (await client.get(collection, [id]))[0]!;
    const { vector, payload, text } = pointOf(0, 3);
    const [repeated] = await client.upsert({ collection, clientId, requestNumber: BigInt(requestNumber), points: [{ id, packedVector: packVector(vector), payload, text }] });
    assert.deepEqual(repeated, { id, outcome: 'created', version: before.version }, 'a request of that time is recognised');
    const listed = await client.connection.call(feedback.listFeedback, { collection: storedFeedback.collection, cursor: '', limit: 10 });
    assert.deepEqual(listed.feedback.map(({ query, resultIds }) => ({ query, resultIds })), [{ query: storedFeedback.query, resultIds: [...storedFeedback.resultIds] }]);

    const report = await client.verify();
    assert.deepEqual(report.faults, []);
    await client.upsert({ collection: 'graph', points: [{ id: 'new', packedVector: packVector(pointOf(1_000, 8).vector) }] });
    assert.deepEqual(await server.end('SIGTERM'), { code: 0, signal: null });
  });
}
