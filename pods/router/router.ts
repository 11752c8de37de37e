/** Puts the one `VectorApi` together. Authorisation stands around it (`pods/auth/authorized-api.ts`), not in it. */

import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import type { RecordStore } from '../api/records.ts';
import type { ClusterApi, KeyApi, VectorApi } from '../api/vector-api.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { ClusterMap } from './cluster-map.ts';
import { createCollectionApi } from './collections.ts';
import { createFeedbackApi } from './feedback.ts';
import { createPointApi } from './points.ts';
import { createRecordStore } from './records.ts';
import { Routing } from './routing.ts';
import { createSearchApi } from './search.ts';
import type { ShardClient } from './shard-client.ts';

export interface RouterOptions {
  readonly metadata: ClusterMetadata;
  readonly shards: ShardClient;
  readonly clock: Clock;
  readonly random: Random;
  /** How many replicas of a shard there can be: 1 in one process. */
  readonly replicaCountMax: number;
}

export interface Router {
  readonly map: ClusterMap;
  /** Records of the system collection, for the keys. */
  readonly records: RecordStore;
  api(parts: { readonly keys: KeyApi; readonly cluster: ClusterApi }): VectorApi;
}

export function createRouter({ metadata, shards, clock, random, replicaCountMax }: RouterOptions): Router {
  const map = new ClusterMap(metadata);
  const routing = new Routing(map, shards, clock);
  const records = createRecordStore(routing);
  return {
    map,
    records,
    api: ({ keys, cluster }) => ({
      collections: createCollectionApi(metadata, routing, replicaCountMax),
      points: createPointApi(routing),
      search: createSearchApi(routing, clock),
      feedback: createFeedbackApi({ map, records, clock, random }),
      keys,
      cluster,
    }),
  };
}
