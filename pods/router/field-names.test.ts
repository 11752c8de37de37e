/** The router names fields as `VectorApi` does; dialects that have other names translate them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestContext } from '../api/context.ts';
import type { Feedback, SearchRequest } from '../api/vector-api.ts';
import { systemClock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import { systemRandom } from '../kernel/random.ts';
import { createFeedbackApi } from './feedback.ts';
import type { RoutedCollection } from './routed-collection.ts';
import type { Routing } from './routing.ts';
import { createSearchApi } from './search.ts';

const context = { identity: { subject: 'test' }, signal: new AbortController().signal } as unknown as RequestContext;
const collection = { object: { metadata: { uid: 'u' }, spec: { dimension: 2, metric: 'cosine' } }, shards: [] } as unknown as RoutedCollection;

const feedbackApi = createFeedbackApi({
  map: { collection: async () => collection } as never,
  records: { put: async () => undefined, scan: async () => [] } as never,
  clock: systemClock,
  random: systemRandom,
});
const item = { resultId: 'a', relevanceScore: 5, clicked: true, position: 0, comment: '' };
const feedback: Feedback = { collection: 'docs', query: 'q', resultIds: ['a'], items: [item], context: {} };

test('feedback that is right is taken', async () => {
  assert.equal(typeof (await feedbackApi.submit(context, feedback)).id, 'string');
});

const badFeedback: readonly [changes: Partial<Feedback>, field: string, code: string][] = [
  [{ items: [] }, 'items', 'INVALID_ARGUMENT'],
  [{ resultIds: [] }, 'resultIds', 'INVALID_ARGUMENT'],
  [{ resultIds: ['a', ''] }, 'resultIds[1]', 'INVALID_ID'],
  [{ resultIds: ['x'.repeat(limits.pointIdBytesMax + 1)] }, 'resultIds[0]', 'INVALID_ID'],
  [{ items: [{ ...item, resultId: '' }] }, 'items[0].resultId', 'INVALID_ID'],
  [{ items: [item, { ...item, resultId: 'x'.repeat(limits.pointIdBytesMax + 1) }] }, 'items[1].resultId', 'INVALID_ID'],
  [{ items: [{ ...item, relevanceScore: 6 }] }, 'items[0].relevanceScore', 'INVALID_ARGUMENT'],
  [{ items: [{ ...item, position: -1 }] }, 'items[0].position', 'INVALID_ARGUMENT'],
];
for (const [changes, field, code] of badFeedback) {
  test(`feedback with bad ${field}: ${code}`, async () => {
    await assert.rejects(feedbackApi.submit(context, { ...feedback, ...changes }), (error: { code: string; message: string; details: { field: string } }) => {
      assert.deepEqual([error.code, error.details.field, error.message.startsWith(field)], [code, field, true]);
      return true;
    });
  });
}

const routing = { onCollectionToRead: (_context: unknown, _name: unknown, _consistency: unknown, work: (known: RoutedCollection) => unknown) => Promise.resolve(work(collection)) } as unknown as Routing;
const searchApi = createSearchApi(routing, systemClock);
const search: SearchRequest = { vector: Float32Array.of(1, 0), topK: 1, includeVector: false, includePayload: false, consistency: { level: 'eventual' } };

const badSearches: readonly [changes: Partial<SearchRequest>, field: string][] = [
  [{ vector: Float32Array.of(1) }, 'vector'],
  [{ topK: 0 }, 'topK'],
  [{ ef: 0 }, 'ef'],
  [{ partialAfterMs: -1 }, 'partialAfterMs'],
  [{ scoreThreshold: NaN }, 'scoreThreshold'],
];
for (const [changes, field] of badSearches) {
  test(`a search with bad ${field}, alone and in a batch`, async () => {
    const named = (expected: string) => (error: { message: string; details: { field: string } }) => {
      assert.deepEqual([error.details.field, error.message.startsWith(expected)], [expected, true]);
      return true;
    };
    await assert.rejects(searchApi.search(context, 'docs', { ...search, ...changes }), named(field));
    await assert.rejects(searchApi.batch(context, 'docs', [{ ...search, ...changes }]), named(`requests[0].${field}`));
  });
}

test('a number of items beyond the bounds is told as such', async () => {
  const message = (field: string, max: number): RegExp => new RegExp(`^${field} must have 1 to ${max} items, not 0$`);
  await assert.rejects(feedbackApi.submit(context, { ...feedback, items: [] }), { message: message('items', limits.feedbackItemCountMax) });
  await assert.rejects(searchApi.batch(context, 'docs', []), { message: message('requests', limits.searchBatchCountMax) });
});
