/** Puts the one `VectorApi` together. Authorisation stands around it (`pods/auth/authorized-api.ts`), not in it. */

import type { Clock } from '../kernel/clock.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { RecordStore } from '../api/records.ts';
import type { ClusterApi, KeyApi, VectorApi } from '../api/vector-api.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import type { CollectionHosting } from '../metadata/objects.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { ClusterMap } from './cluster-map.ts';
import { createCollectionApi } from './collections.ts';
import { createFeedbackApi } from './feedback.ts';
import { createPointApi } from './points.ts';
import { createRecordStore } from './records.ts';
import { Routing } from './routing.ts';
import { createSearchApi } from './search.ts';
import { ShardClient, type ShardPods } from './shard-client.ts';

export interface RouterOptions {
  readonly metadata: ClusterMetadata;
  /** The pods that hold the shards: this process itself, or others over the network. */
  readonly pods: ShardPods;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How many replicas of a shard there can be: 1 in one process. */
  readonly replicaCountMax: number;
  /** On which pods the collections go that are made here; a question in a cluster only. */
  readonly hosting?: Partial<CollectionHosting>;
}

export interface Router {
  readonly map: ClusterMap;
  /** Records of the system collection, for the keys. */
  readonly records: RecordStore;
  api(parts: { readonly keys: KeyApi; readonly cluster: ClusterApi }): VectorApi;
  /** Ends the watches of the metadata. */
  close(): void;
}

export function createRouter({ metadata, pods, clock, random, logger, metrics, replicaCountMax, hosting }: RouterOptions): Router {
  const map = new ClusterMap({ metadata, clock, logger, metrics });
  const routing = new Routing(map, new ShardClient({ pods, routes: map, clock, random, metrics }), clock);
  const records = createRecordStore(routing);
  return {
    map,
    records,
    api: ({ keys, cluster }) => ({
      collections: createCollectionApi(metadata, routing, replicaCountMax, hosting),
      points: createPointApi(routing),
      search: createSearchApi(routing, clock),
      feedback: createFeedbackApi({ map, records, clock, random }),
      keys,
      cluster,
    }),
    close: () => map.close(),
  };
}
