/**
 * `ShardClient` within one process: a request is a call of the data pod's own service, with nothing in between. A shard
 * that the pod does not hold fails with NOT_PRIMARY, as it would over the network.
 */

import type { ShardClient } from '../router/shard-client.ts';
import type { DataPod } from './data-pod.ts';

export function inProcessShardClient(pod: DataPod): ShardClient {
  return { shard: (route) => pod.service(route.shardUID) };
}
