/**
 * The port through which the router reaches shards: in this process (standalone) or over the network. Which replica
 * answers a read is the client's choice; a write goes to the primary.
 */

import type { ShardService } from '../domain/shard-service.ts';

/** Where a shard is, as of one routing epoch of its collection. */
export interface ShardRoute {
  readonly collectionUID: string;
  readonly shardUID: string;
  readonly index: number;
  readonly epoch: number;
  /** Pods that hold a replica in sync; the primary first. */
  readonly pods: readonly string[];
}

export interface ShardClient {
  /** Requests fail with NOT_PRIMARY or STALE_EPOCH when the route is out of date; nothing was done then. */
  shard(route: ShardRoute): ShardService;
}
