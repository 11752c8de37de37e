/** What the model knows of a collection: its points, and whether it is there at all. */

import type { CollectionDescription } from '../../../pods/api/vector-api.ts';
import type { CollectionInput } from '../../../pods/domain/collection.ts';
import type { HashRing } from '../../../pods/domain/hash-range.ts';
import type { PointModel } from './point-model.ts';

/** Every point that there may be, in any collection. */
export const ids = [...Array.from({ length: 18 }, (_, i) => `p${i}`), 'ß/ü', 'x'.repeat(120)];

export interface CollectionModel {
  readonly input: CollectionInput & { readonly shards: number; readonly metric: 'cosine' | 'euclidean' | 'dot' };
  readonly ring: HashRing;
  readonly points: Map<string, PointModel>;
  shardUIDs: readonly string[];
  /** A creation or deletion whose outcome is not known. */
  inDoubt: boolean;
}

export function created(collection: CollectionModel, { shards }: CollectionDescription): void {
  collection.shardUIDs = shards.map((shard) => shard.uid);
  collection.inDoubt = false;
}
