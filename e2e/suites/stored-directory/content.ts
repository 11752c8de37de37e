/** What a stored data directory holds: everything follows from the numbers here, so that later versions can tell. */

import type { CollectionInput } from '../../../pods/domain/collection.ts';
import type { PointUpsert } from '../../../pods/domain/write.ts';

type StoredPoint = PointUpsert & { readonly vector: Float32Array };

export interface StoredCollection {
  readonly input: CollectionInput;
  readonly points: readonly StoredPoint[];
  /** Ids that were written and deleted. */
  readonly deleted: readonly string[];
  readonly hasGraph: boolean;
}

/** The shards above this many floats were given a graph when the directory was made. */
export const flatFloatsMax = 1_000;

const indexes = [
  { field: 'group', type: 'keyword' },
  { field: 'number', type: 'integer' },
  { field: 'ratio', type: 'float' },
  { field: 'even', type: 'bool' },
  { field: 'at', type: 'datetime' },
] as const;

export const storedCollections: readonly StoredCollection[] = [
  stored({ name: 'flat', dimension: 3, metric: 'euclidean' }, 40, false),
  stored({ name: 'Größe 1', dimension: 5, metric: 'dot', shards: 3, payloadIndexes: indexes }, 90, false),
  stored({ name: 'graph', dimension: 8, metric: 'cosine', payloadIndexes: indexes, index: { m: 8, efConstruction: 40, efSearch: 64 } }, 300, true),
];

/** A request that the directory remembers (rule D1): its repeat gets the answer of the first. */
export const rememberedRequest = { clientId: 'stored directory', requestNumber: 7, collection: 'flat', id: 'remembered' } as const;

export const storedFeedback = { collection: 'flat', query: 'what was stored', resultIds: ['p1'], items: [{ resultId: 'p1', relevanceScore: 4, clicked: true, position: 0, comment: 'ü' }], context: { page: '3' } } as const;

function stored(input: CollectionInput, count: number, hasGraph: boolean): StoredCollection {
  const all = Array.from({ length: count }, (_, i) => pointOf(i, input.dimension));
  return { input, points: all.filter((_, i) => i % 10 !== 9), deleted: all.filter((_, i) => i % 10 === 9).map(({ id }) => id), hasGraph };
}

export function pointOf(i: number, dimension: number): StoredPoint {
  return {
    id: i % 7 === 3 ? `p${i}/ä ${'𝄞'}` : `p${i}`,
    vector: Float32Array.from({ length: dimension }, (_, axis) => Math.sin(i * 12.9898 + axis * 78.233) * 10),
    payload: {
      group: ['red', 'green', 'blue'][i % 3]!,
      number: i,
      ratio: i / 8,
      even: i % 2 === 0,
      at: new Date(Date.UTC(2024, 0, 1) + i * 3_600_000).toISOString(),
      nested: { list: [i, null, 'x', [true]], deep: { deeper: { deepest: 0 - i } } },
    },
    ...(i % 4 === 0 ? { text: `text of ${i}` } : {}),
  };
}
