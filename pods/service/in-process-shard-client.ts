/** `ShardClient` within one process: a request is a call of the pod's own service, with nothing in between. */

import type { PodService } from '../domain/pod-service.ts';
import type { ShardClient } from '../router/shard-client.ts';

export function inProcessShardClient(service: PodService): ShardClient {
  return { shard: (route) => service.shard(route) };
}
