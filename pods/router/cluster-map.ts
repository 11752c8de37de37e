/**
 * What the router knows of the cluster: collections by API name with the routes of their shards, as immutable
 * descriptions that are built anew when an object changes.
 *
 *     watch ──► objects known ──► routes          at no cost, perhaps late
 *     GET  ──►                                    only where a pod, a name that is not found, or a token of a shard
 *                                                 that nobody told of, contradicts what is known
 *
 * Of two states of an object the later one counts, whichever way it came; of two collections with one object name the one that
 * the store answered with when the other was known already: that one is gone. Without the store the map goes on with what it
 * knows (rule F3), and says so.
 */

import type { Clock } from '../kernel/clock.ts';
import { asShoalError, hasCode, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { ConsistencyToken } from '../domain/consistency.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { collectionObjectName, collectionOfShard, shardObjectNames } from '../metadata/object-name.ts';
import { isDeleting, isUpToDate, systemCollectionName, type VectorCollection, type VectorShard } from '../metadata/objects.ts';
import { single, type Metrics } from '../telemetry/metrics.ts';
import { RefreshBudget } from './refresh-budget.ts';
import { nameHolder } from '../metadata/name-holder.ts';
import { isComplete, isOlderCollection, isOlderShard, isSystem, routeCollection, type RoutedCollection, type ShardRoute } from './routed-collection.ts';
import { Waiters } from './waiters.ts';

export interface ClusterMapOptions {
  readonly metadata: ClusterMetadata;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export class ClusterMap {
  readonly #options: ClusterMapOptions;
  readonly #collections = new Map<string, VectorCollection>();
  /** UIDs of collections that are gone, with the number of questions until that was known: a watch, or the answer to one of these, may still tell of them. */
  readonly #gone = new Map<string, number>();
  #askedCount = 0;
  readonly #shards = new Map<string, VectorShard>();
  readonly #shardsByUID = new Map<string, VectorShard>();
  /** Of a collection and a shard that is certainly none of its own; UIDs never come again. */
  readonly #strangers = new Set<string>();
  /** By object name; made when asked for. */
  readonly #routed = new Map<string, RoutedCollection>();
  /** Names of objects by API name. */
  readonly #objectsOf = new Map<string, Set<string>>();
  readonly #waiters: Waiters;
  readonly #budget: RefreshBudget;
  readonly #unwatch: readonly (() => void)[];
  #isLoaded = false;
  #loading: Promise<void> | undefined;
  /** Names that a watch spoke of while the first list was on its way. */
  #seenMeanwhile: Set<string> | undefined;
  readonly #reading = new Map<string, Promise<unknown>>();
  #outOfDateSinceMs: number | undefined;

  constructor(options: ClusterMapOptions) {
    const { metadata, clock, metrics } = options;
    this.#options = options;
    this.#waiters = new Waiters(clock);
    this.#budget = new RefreshBudget(clock, limits.mapRefreshesPerSecondMax);
    this.#unwatch = [
      metadata.collections.watch((name) => {
        this.#seenMeanwhile?.add(name);
        this.#takeCollection(name, metadata.collections.peek(name));
      }),
      metadata.shards.watch((name) => {
        this.#seenMeanwhile?.add(name);
        this.#takeShard(name, metadata.shards.peek(name));
      }),
    ];
    metrics.observe('clusterMapFresh', single(() => (this.outOfDate() === undefined ? 1 : 0)));
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
  }

  /** COLLECTION_NOT_FOUND when there is none, or it is being deleted. No promise where nothing must be read. */
  collection(name: string): RoutedCollection | Promise<RoutedCollection> {
    return this.#present(name) ?? this.#found(name);
  }

  async #found(name: string): Promise<RoutedCollection> {
    const found = await this.find(name);
    if (found !== undefined && !isDeleting(found.object)) return found;
    throw collectionNotFound(name);
  }

  /** A user's collection that is known, and not being deleted. */
  #present(name: string): RoutedCollection | undefined {
    const known = this.#isLoaded ? this.#byName(name) : undefined;
    return known === undefined || isDeleting(known.object) ? undefined : known;
  }

  /** The one with the system's own records. */
  async systemCollection(): Promise<RoutedCollection> {
    await this.#loaded();
    if (!this.#collections.has(systemCollectionName) && this.#takeBudget()) await this.readCollection(systemCollectionName);
    const found = this.#routes(systemCollectionName);
    if (found === undefined) throw new ShoalError('UNAVAILABLE', 'the system collection is not there yet');
    return found;
  }

  /** A user's collection, also one that is being deleted; names of the system's own are as free as any other. */
  async find(name: string): Promise<RoutedCollection | undefined> {
    if (!this.#isLoaded) await this.#loaded();
    const known = this.#present(name);
    if (known !== undefined) return known;
    // Perhaps somebody made it a moment ago, and the watch has not told yet.
    if (this.#takeBudget()) await this.readCollection(collectionObjectName(name));
    return this.#byName(name);
  }

  /** Those of users, by name. */
  async collections(): Promise<readonly RoutedCollection[]> {
    await this.#loaded();
    return [...this.#collections.values()]
      .filter((object) => !isSystem(object) && !isDeleting(object) && this.#holderOf(object.spec.name) === object.metadata.name)
      .map((object) => this.#routes(object.metadata.name)!)
      .sort((a, b) => (a.object.spec.name < b.object.spec.name ? -1 : 1));
  }

  /** Every pod that some shard names. */
  async pods(): Promise<readonly string[]> {
    await this.#loaded();
    const names = [...this.#shards.values()].flatMap(({ spec, status }) => [...spec.replicas, ...(status.authority?.inSync ?? []).map((member) => member.pod)]);
    return [...new Set(names)].sort();
  }

  /** How many there are, those of the system and those being deleted too. */
  get size(): number {
    return this.#collections.size;
  }

  /** The newest route of the same shard; undefined when the collection is not routed to it any more. */
  current({ collectionObject, index, shardUID }: ShardRoute): ShardRoute | undefined {
    const shards = this.#routes(collectionObject)?.shards ?? [];
    const route = shards[index]?.route;
    // While others are missing it has another place.
    return route?.shardUID === shardUID ? route : shards.find((shard) => shard.route.shardUID === shardUID)?.route;
  }

  /**
   * Whether a token's shard is neither the collection's, as it is known, nor certainly another's or gone. Then the
   * collection may have been deleted and made anew, and what is known of it does not cover the token.
   */
  isUnheardOf({ object, shards }: RoutedCollection, { shardUID }: ConsistencyToken): boolean {
    const shard = this.#shardsByUID.get(shardUID);
    if (shard !== undefined && (shard.spec.collection.name !== object.spec.name || shards[shard.spec.index]?.route.shardUID === shardUID)) return false;
    return !this.#strangers.has(strangerKey(object, shardUID));
  }

  /** Reads the collection: the store knew the shard of a token before anybody was given the token. */
  async hearOf({ object }: RoutedCollection, tokens: readonly ConsistencyToken[]): Promise<void> {
    const { name, uid } = object.metadata;
    // One that is under way may have begun before the token was given.
    await this.#reading.get(collectionReading(name))?.catch(() => undefined);
    if (!this.#reading.has(collectionReading(name)) && !this.#takeBudget()) {
      throw new ShoalError('UNAVAILABLE', `a token names a shard that is not known here, and the metadata has been asked ${limits.mapRefreshesPerSecondMax} times in this second`);
    }
    const found = await this.readCollection(name);
    const routed = this.#routes(name);
    if (found?.metadata.uid !== uid || routed?.object.metadata.uid !== uid || !isComplete(routed)) return;
    for (const token of tokens) {
      if (this.isUnheardOf(routed, token)) this.#strangers.add(strangerKey(object, token.shardUID));
      dropOldest(this.#strangers, limits.strangeTokenCountMax);
    }
  }

  /** A pod sees it otherwise: reads the objects behind the route, soon and in the background. */
  doubt(route: ShardRoute, about: 'collection' | 'shard'): void {
    if (!this.#takeBudget()) return;
    const { collectionObject, shardUID } = route;
    const name = about === 'shard' ? this.#routes(collectionObject)?.shards.find((shard) => shard.route.shardUID === shardUID)?.object.metadata.name : undefined;
    const reading: Promise<unknown> = name === undefined ? this.readCollection(collectionObject) : this.#read(`shard ${name}`, () => this.#readShard(name));
    // It was noted where it failed; what is known stays.
    reading.catch(() => undefined);
  }

  /** Resolves when the route has changed, or after `withinMs`. */
  routeChanged(route: ShardRoute, withinMs: number, signal: AbortSignal): Promise<void> {
    return this.#waiters.until(route.collectionObject, () => this.current(route)?.version !== route.version, withinMs, signal);
  }

  /** Resolves when all shards of the collection are known, when it is gone, or after `withinMs`. */
  async completed(collectionObject: string, withinMs: number, signal: AbortSignal): Promise<void> {
    const isSettled = (): boolean => {
      const routed = this.#routes(collectionObject);
      return routed === undefined || isComplete(routed);
    };
    await this.#waiters.until(collectionObject, isSettled, Math.min(withinMs, limits.shardRetryPauseMsMax), signal);
    const routed = this.#routes(collectionObject);
    // The collection says that it is ready, so its shards are there; the watch has not told of them.
    if (!isSettled() && isUpToDate(routed!.object) && this.#takeBudget()) await this.readCollection(collectionObject);
  }

  /** Resolves when something else than `object` is known under its name, or after a while. */
  objectChanged({ metadata }: VectorCollection, signal: AbortSignal): Promise<void> {
    const isAnother = (): boolean => {
      const known = this.#collections.get(metadata.name)?.metadata;
      return known?.uid !== metadata.uid || known.resourceVersion !== metadata.resourceVersion;
    };
    return this.#waiters.until(metadata.name, isAnother, limits.shardRetryPauseMsMax, signal);
  }

  /** Reads a collection and, where they are missing, its shards. Resolves to what the store said. */
  readCollection(name: string): Promise<VectorCollection | undefined> {
    return this.#read(collectionReading(name), async () => {
      const object = await this.#askFor(name, () => this.#options.metadata.collections.get(name));
      if (object === undefined || !isUpToDate(object) || isComplete(this.#routes(name)!)) return object;
      await Promise.all(shardNamesOf(object).map((shard) => this.#readShard(shard)));
      return object;
    });
  }

  /** Takes over what somebody of this process writes under a name. */
  async write(name: string, write: () => Promise<VectorCollection>): Promise<void> {
    await this.#askFor(name, write);
  }

  /** Ready once the objects were read; what is known stays good without the store (rule F3). */
  readiness(): { readonly ready: boolean; readonly reasons: readonly string[] } {
    if (!this.#isLoaded) return { ready: false, reasons: ['the objects of the cluster have not been read yet'] };
    const outOfDate = this.outOfDate();
    return { ready: true, reasons: outOfDate === undefined ? [] : [outOfDate] };
  }

  /** Why what is known may be old, as a sentence; undefined while the store is heard of. */
  outOfDate(): string | undefined {
    const { metadata, clock, logger } = this.#options;
    const nowMs = clock.monotonicMs();
    if (metadata.collections.isFresh() && metadata.shards.isFresh()) {
      if (this.#outOfDateSinceMs !== undefined) logger.info({ afterMs: Math.round(nowMs - this.#outOfDateSinceMs) }, 'the metadata store is heard of again');
      this.#outOfDateSinceMs = undefined;
      return undefined;
    }
    if (this.#outOfDateSinceMs === undefined) {
      this.#outOfDateSinceMs = nowMs;
      logger.warn({ collections: this.#collections.size }, 'the metadata store is not heard of; requests are routed by what is known');
    }
    return 'the metadata store is not heard of: requests are routed by what is known, collections cannot be changed';
  }

  #byName(name: string): RoutedCollection | undefined {
    const objectName = this.#holderOf(name);
    return objectName === undefined ? undefined : this.#routes(objectName);
  }

  /** Of several objects that claim the name, the one that has it: the same as the operator says. */
  #holderOf(name: string): string | undefined {
    const names = this.#objectsOf.get(name);
    // Each request asks: almost always there is one.
    if (names?.size === 1) for (const only of names) return only;
    const [first, ...others] = [...(names ?? [])].map((each) => this.#collections.get(each)!);
    return first === undefined ? undefined : nameHolder([first, ...others]).metadata.name;
  }

  #routes(objectName: string): RoutedCollection | undefined {
    const present = this.#routed.get(objectName);
    if (present !== undefined) return present;
    const object = this.#collections.get(objectName);
    if (object === undefined) return undefined;
    const shards = shardNamesOf(object).map((name) => this.#shards.get(name));
    const routed = routeCollection(object, shards.filter((shard) => shard !== undefined));
    this.#routed.set(objectName, routed);
    return routed;
  }

  /** Once, whoever comes first; later changes come by the watch. */
  async #loaded(): Promise<void> {
    if (this.#isLoaded) return;
    this.#loading ??= this.#load().finally(() => (this.#loading = undefined));
    await this.#loading;
  }

  async #load(): Promise<void> {
    const { metadata } = this.#options;
    const seen = (this.#seenMeanwhile = new Set());
    try {
      const [collections, shards] = await Promise.all([metadata.collections.list(), metadata.shards.list()]);
      for (const object of collections) if (!seen.has(object.metadata.name)) this.#takeCollection(object.metadata.name, object);
      for (const shard of shards) if (!seen.has(shard.metadata.name)) this.#takeShard(shard.metadata.name, shard);
      this.#isLoaded = true;
    } catch (error) {
      throw unreachable(error);
    } finally {
      this.#seenMeanwhile = undefined;
    }
  }

  async #readShard(name: string): Promise<void> {
    this.#takeShard(name, await this.#options.metadata.shards.get(name));
  }

  /** One read of a thing at a time, for all who want it. */
  #read<T>(what: string, read: () => Promise<T>): Promise<T> {
    const running = this.#reading.get(what) as Promise<T> | undefined;
    if (running !== undefined) return running;
    const { metrics, logger } = this.#options;
    const reading = read()
      .then(
        (found) => {
          metrics.counter('clusterMapRefreshes', { outcome: 'done' }).add(1);
          return found;
        },
        (error: unknown) => {
          metrics.counter('clusterMapRefreshes', { outcome: 'failed' }).add(1);
          logger.debug({ error, what }, 'the cluster map could not be read anew');
          throw unreachable(error);
        },
      )
      .finally(() => this.#reading.delete(what));
    this.#reading.set(what, reading);
    return reading;
  }

  #takeBudget(): boolean {
    if (this.#budget.take()) return true;
    this.#options.metrics.counter('clusterMapRefreshes', { outcome: 'postponed' }).add(1);
    return false;
  }

  /** What the store answers was so after all that was known when it was asked. A store that was restored may have again what was gone. */
  async #askFor<Found extends VectorCollection | undefined>(name: string, ask: () => Promise<Found>): Promise<Found> {
    const before = this.#collections.get(name)?.metadata.uid;
    const number = ++this.#askedCount;
    const found = await ask();
    const uid = found?.metadata.uid;
    if (before !== undefined && uid !== before) {
      this.#gone.set(before, this.#askedCount);
      dropOldest(this.#gone, limits.goneCollectionCountMax);
    }
    if (uid !== undefined && (this.#gone.get(uid) ?? Infinity) < number) this.#gone.delete(uid);
    this.#takeCollection(name, found);
    return found;
  }

  #takeCollection(name: string, found: VectorCollection | undefined): void {
    const known = this.#collections.get(name);
    if (found === undefined && known === undefined) return;
    if (found !== undefined && this.#gone.has(found.metadata.uid)) return;
    if (found !== undefined && known !== undefined && (sameVersion(found, known) || isOlderCollection(found, known))) return;
    if (known !== undefined) {
      const claims = this.#objectsOf.get(known.spec.name);
      claims?.delete(name);
      if (claims?.size === 0) this.#objectsOf.delete(known.spec.name);
    }
    if (found === undefined) this.#collections.delete(name);
    else {
      this.#collections.set(name, found);
      if (!isSystem(found)) {
        const claims = this.#objectsOf.get(found.spec.name);
        if (claims === undefined) this.#objectsOf.set(found.spec.name, new Set([name]));
        else claims.add(name);
      }
    }
    this.#changed(name);
  }

  #takeShard(name: string, found: VectorShard | undefined): void {
    const known = this.#shards.get(name);
    if (found === undefined && known === undefined) return;
    if (found !== undefined && known !== undefined && (sameVersion(found, known) || isOlderShard(found, known))) return;
    if (known !== undefined) this.#shardsByUID.delete(known.metadata.uid);
    if (found === undefined) this.#shards.delete(name);
    else {
      this.#shards.set(name, found);
      this.#shardsByUID.set(found.metadata.uid, found);
    }
    this.#changed(collectionOfShard(name));
  }

  #changed(collectionObject: string): void {
    this.#routed.delete(collectionObject);
    this.#waiters.wake(collectionObject);
  }
}

function shardNamesOf({ metadata, spec, status }: VectorCollection): string[] {
  return shardObjectNames(metadata.name, status.routing.generation, spec.shards);
}

function collectionReading(name: string): string {
  return `collection ${name}`;
}

function strangerKey({ metadata }: VectorCollection, shardUID: string): string {
  return `${metadata.uid}/${shardUID}`;
}

function dropOldest(kept: Set<string> | Map<string, unknown>, countMax: number): void {
  if (kept.size > countMax) kept.delete(kept.keys().next().value!);
}

function sameVersion(a: VectorCollection | VectorShard, b: VectorCollection | VectorShard): boolean {
  return a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion === b.metadata.resourceVersion;
}

/** What a router's caller can do about it is the same, whatever the store said. */
function unreachable(error: unknown): ShoalError {
  if (hasCode(error, 'UNAVAILABLE')) return error as ShoalError;
  return new ShoalError('UNAVAILABLE', `the metadata cannot be read: ${asShoalError(error).message}`, { cause: error });
}

export function collectionNotFound(name: string): ShoalError {
  return new ShoalError('COLLECTION_NOT_FOUND', `no collection is named "${name}"`, { details: { collection: name } });
}
