/** Compares all that a collection answers, by every way of reading it, with what its writers know. */

import assert from 'node:assert/strict';
import { below, type Random } from '../../../pods/kernel/random.ts';
import { packVector, unpackVector, type ShoalClient } from '../../framework/shoal-client.ts';
import { groups, isStored, randomVector, type StoredPoint } from './operations.ts';
import type { Writer } from './writer.ts';

export interface CheckedCollection {
  readonly name: string;
  readonly metric: 'cosine' | 'euclidean' | 'dot';
  readonly dimension: number;
  readonly writers: readonly Writer[];
}

export interface Recall {
  found: number;
  wanted: number;
}

/** About as many of the points that exist are read by id, beside all that do not. */
const getCount = 200;
const searchCount = 2;
const selfSearchCount = 4;
const topK = 20;

export async function checkCollection(client: ShoalClient, collection: CheckedCollection, random: Random, recall: Recall): Promise<void> {
  const { name } = collection;
  const known = new Map(collection.writers.flatMap((writer) => [...writer.known]));
  const ids = [...known.keys()];

  const scrolled = new Map((await client.scrollAll(name, 900)).map((point) => [point.id, point]));
  const wrong = new Set([...ids, ...scrolled.keys()].filter((id) => !isStored(scrolled.get(id), known.get(id))));
  assert.deepEqual([...wrong].map((id) => describe(id, scrolled.get(id), known.get(id))), [], `${name}: points that a scroll shows otherwise than acknowledged`);

  // `get` goes by id rather than by order, and must not find what was deleted.
  const asked = collection.writers.flatMap((writer) => writer.ids).filter((id) => !known.has(id) || below(random, known.size) < getCount);
  const got = new Map((asked.length === 0 ? [] : await client.get(name, asked)).map((point) => [point.id, point]));
  assert.deepEqual(asked.filter((id) => !isStored(got.get(id), known.get(id))), [], `${name}: points that a get shows otherwise than acknowledged`);

  assert.equal(await client.count(name), known.size, `${name}: count`);
  const group = groups[below(random, groups.length)]!;
  const filter = { and: [{ field: 'group', equals: group }, { field: 'rank', gte: 500 }] };
  const matching = ids.filter((id) => known.get(id)!.payload['group'] === group && Number(known.get(id)!.payload['rank']) >= 500).sort();
  assert.equal(await client.count(name, filter), matching.length, `${name}: count with a filter`);
  const filtered = await client.scrollAll(name, 900, filter);
  assert.deepEqual(filtered.map(({ id }) => id).sort(), matching, `${name}: scroll with a filter`);

  if (known.size === 0) return;
  await checkSearches(client, collection, known, random, recall);
}

async function checkSearches(client: ShoalClient, { name, metric, dimension }: CheckedCollection, known: ReadonlyMap<string, StoredPoint>, random: Random, recall: Recall): Promise<void> {
  const query = randomVector(random, dimension);
  const all = await client.search(name, { packedVector: packVector(query), topK: 10_000, exact: true, includePayload: false });
  assert.deepEqual(
    all.hits.map(({ id, version }) => `${id}@${version}`).sort(),
    Array.from(known, ([id, { version }]) => `${id}@${version}`).sort(),
    `${name}: an exact search over all ids`,
  );
  for (let i = 0; i < searchCount; i++) {
    const vector = randomVector(random, dimension);
    const exact = await client.search(name, { packedVector: packVector(vector), topK, exact: true });
    const best = Array.from(known, ([id, point]) => ({ id, score: scoreOf(metric, vector, point.vector) })).sort((a, b) => b.score - a.score);
    exact.hits.forEach((hit, rank) => assert.ok(Math.abs(hit.score - best[rank]!.score) < 1e-4, `${name}: exact hit ${rank} scores ${hit.score}, the best by hand ${best[rank]!.score}`));
    assert.equal(exact.hits.length, Math.min(topK, known.size), `${name}: hits of an exact search`);
    const usual = await client.search(name, { packedVector: packVector(vector), topK, includeVector: true, packVectors: true });
    for (const hit of usual.hits) {
      const point = known.get(hit.id);
      assert.ok(point !== undefined && isStored({ ...hit, vector: [] }, point), `${name}: a search returned "${hit.id}" otherwise than stored`);
      assert.ok(Math.abs(hit.score - scoreOf(metric, vector, unpackVector(hit))) < 1e-4, `${name}: the score of "${hit.id}"`);
    }
    const floor = best[Math.min(topK, best.length) - 1]!.score - 1e-4;
    recall.wanted += Math.min(topK, known.size);
    recall.found += usual.hits.filter((hit) => hit.score >= floor).length;
  }
  const ids = [...known.keys()];
  for (let i = 0; i < selfSearchCount && metric !== 'dot'; i++) {
    const id = ids[below(random, ids.length)]!;
    const { hits } = await client.search(name, { packedVector: packVector(known.get(id)!.vector), topK: 1, includePayload: false });
    recall.wanted++;
    if (hits[0]?.id === id) recall.found++;
  }
}

/** Higher is better, as in every public answer. */
function scoreOf(metric: CheckedCollection['metric'], a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  let squares = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
    squares += (a[i]! - b[i]!) ** 2;
  }
  if (metric === 'dot') return dot;
  return metric === 'cosine' ? dot / Math.sqrt(aa * bb) : 1 / (1 + Math.sqrt(squares));
}

function describe(id: string, found: { readonly version: bigint } | undefined, expected: StoredPoint | undefined): string {
  return `${id}: found ${found === undefined ? 'nothing' : `version ${found.version}`}, acknowledged ${expected === undefined ? 'nothing' : `version ${expected.version}`}`;
}
