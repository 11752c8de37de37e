/** Runs an operation against a collection's shards: refreshes the map and tries again when a route was out of date. */

import type { Clock } from '../kernel/clock.ts';
import { sleep } from '../kernel/clock.ts';
import { hasCode, ShoalError } from '../kernel/errors.ts';
import type { RequestContext } from '../api/context.ts';
import type { ShardContext, ShardService } from '../domain/shard-service.ts';
import type { ClusterMap, RoutedCollection, RoutedShard } from './cluster-map.ts';
import type { ShardClient } from './shard-client.ts';

const attemptCountMax = 8;
const backoffMsMin = 5;

export class Routing {
  readonly map: ClusterMap;
  readonly #client: ShardClient;
  readonly #clock: Clock;

  constructor(map: ClusterMap, client: ShardClient, clock: Clock) {
    this.map = map;
    this.#client = client;
    this.#clock = clock;
  }

  service(shard: RoutedShard): ShardService {
    return this.#client.shard(shard.route);
  }

  /**
   * `operation` may run several times: it is repeated only after errors that say that nothing was done. Routes refer to
   * the collection as it is known at each try.
   */
  onCollection<T>(context: RequestContext, name: string, operation: (collection: RoutedCollection) => Promise<T>): Promise<T> {
    return this.#on(context, () => this.map.collection(name), operation);
  }

  /** Likewise against the system's own collection, which has no name that a user could give. */
  onSystemCollection<T>(context: RequestContext, operation: (collection: RoutedCollection) => Promise<T>): Promise<T> {
    return this.#on(context, () => this.map.systemCollection(), operation);
  }

  async #on<T>(context: RequestContext, find: () => Promise<RoutedCollection>, operation: (collection: RoutedCollection) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      context.signal.throwIfAborted();
      const collection = await find();
      try {
        if (collection.shards.length < collection.object.spec.shards) {
          throw new ShoalError('NOT_PRIMARY', `collection "${collection.object.spec.name}" is still being created`);
        }
        return await operation(collection);
      } catch (error) {
        const outdated = hasCode(error, 'NOT_PRIMARY') || hasCode(error, 'STALE_EPOCH');
        if (!outdated || attempt >= attemptCountMax) throw error;
        await sleep(this.#clock, backoffMsMin * 2 ** attempt, context.signal);
        await this.map.refresh(collection);
      }
    }
  }
}

export function shardContext(context: RequestContext): ShardContext {
  return { signal: context.signal, span: context.span };
}
