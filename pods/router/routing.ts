/**
 * Runs an operation against a collection's shards. That requests of a shard are tried again is the shard client's work;
 * here an operation begins anew when the collection has other shards than it had when the operation began, and a read does
 * not begin before the collection is known that its tokens tell of.
 */

import type { Clock } from '../kernel/clock.ts';
import { withSignal } from '../kernel/deadline.ts';
import { hasCode, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { RequestContext } from '../api/context.ts';
import type { Consistency } from '../domain/consistency.ts';
import type { ShardContext, ShardService } from '../domain/shard-service.ts';
import type { ClusterMap } from './cluster-map.ts';
import { isComplete, type RoutedCollection, type RoutedShard, type ShardRoute } from './routed-collection.ts';

export class Routing {
  readonly map: ClusterMap;
  readonly #shards: { shard(route: ShardRoute): ShardService };
  readonly #clock: Clock;

  constructor(map: ClusterMap, shards: { shard(route: ShardRoute): ShardService }, clock: Clock) {
    this.map = map;
    this.#shards = shards;
    this.#clock = clock;
  }

  service(shard: RoutedShard): ShardService {
    return this.#shards.shard(shard.route);
  }

  /**
   * `operation` may run several times: it is repeated only after errors that say that nothing was done. Routes refer to
   * the collection as it is known at each try.
   */
  onCollection<T>(context: RequestContext, name: string, operation: (collection: RoutedCollection) => Promise<T>): Promise<T> {
    return this.#on(context, () => this.map.collection(name), operation);
  }

  /** Likewise for a read: with tokens it goes to no collection that had the name before theirs. */
  onCollectionToRead<T>(context: RequestContext, name: string, consistency: Consistency, operation: (collection: RoutedCollection) => Promise<T>): Promise<T> {
    return this.#on(context, () => this.map.collection(name), operation, consistency);
  }

  /** Likewise against the system's own collection, which has no name that a user could give. */
  onSystemCollection<T>(context: RequestContext, operation: (collection: RoutedCollection) => Promise<T>): Promise<T> {
    return this.#on(context, () => this.map.systemCollection(), operation);
  }

  async #on<T>(context: RequestContext, find: () => RoutedCollection | Promise<RoutedCollection>, operation: (collection: RoutedCollection) => Promise<T>, consistency?: Consistency): Promise<T> {
    const tokens = consistency?.level === 'session' ? consistency.tokens : [];
    for (;;) {
      context.signal.throwIfAborted();
      const known = find();
      const collection = known instanceof Promise || !isComplete(known) ? await this.#complete(context, known, find) : known;
      if (tokens.some((token) => this.map.isUnheardOf(collection, token))) {
        await withSignal(this.map.hearOf(collection, tokens), context.signal);
        continue;
      }
      try {
        return await operation(collection);
      } catch (error) {
        if (!hasCode(error, 'STALE_EPOCH') || context.signal.aborted || hasSameShards(collection, await find())) throw error;
      }
    }
  }

  /** A collection is seen with its first shards while the others are still being made. */
  async #complete(context: RequestContext, first: RoutedCollection | Promise<RoutedCollection>, find: () => RoutedCollection | Promise<RoutedCollection>): Promise<RoutedCollection> {
    const startMs = this.#clock.monotonicMs();
    for (let found = first; ; found = find()) {
      const collection = await found;
      if (isComplete(collection)) return collection;
      const { metadata, spec } = collection.object;
      const leftMs = startMs + limits.shardRetryMsMax - this.#clock.monotonicMs();
      if (leftMs <= 0) throw new ShoalError('UNAVAILABLE', `collection "${spec.name}" has ${collection.shards.length} of its ${spec.shards} shards`);
      await this.map.completed(metadata.name, leftMs, context.signal);
    }
  }
}

function hasSameShards(a: RoutedCollection, b: RoutedCollection): boolean {
  return isComplete(b) && a.shards.every(({ route }, index) => route.shardUID === b.shards[index]?.route.shardUID);
}

export function shardContext(context: RequestContext): ShardContext {
  return { signal: context.signal, span: context.span };
}
