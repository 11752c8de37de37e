/** Puts together what a decision about a shard is made from: objects as last read, pods as last heard, and what this controller did itself. */

import type { PlacementFacts } from '../control/placement.ts';
import type { ShardFacts } from '../control/shard-facts.ts';
import type { Clock } from '../kernel/clock.ts';
import { collectionOfShard } from '../metadata/object-name.ts';
import type { VectorCollection, VectorShard } from '../metadata/objects.ts';
import type { KnownShards } from './known-shards.ts';
import type { PodDirectory } from './pod-directory.ts';
import type { PodProber } from './pod-prober.ts';

export interface KnownFactsOptions {
  readonly clock: Clock;
  readonly directory: PodDirectory;
  readonly prober: PodProber;
  readonly shards: KnownShards;
  readonly collections: ReadonlyMap<string, VectorCollection>;
}

export class KnownFacts {
  readonly #options: KnownFactsOptions;
  readonly #lastGrants = new Map<string, { readonly session: string; readonly atMs: number }>();
  /** By object name: the process that it was last known to name as primary, and since when. */
  readonly #primaries = new Map<string, { readonly session: string | undefined; readonly sinceMs: number }>();

  constructor(options: KnownFactsOptions) {
    this.#options = options;
  }

  /** What is known besides the shard that was read. */
  of(shard: VectorShard, readAtMs: number, collection: VectorCollection | undefined, isPrimaryGone: boolean): ShardFacts {
    const { clock, prober, shards } = this.#options;
    const lastGrant = this.#lastGrants.get(shard.metadata.name);
    return {
      shard,
      readAtMs,
      collection,
      pods: prober.pods,
      placement: this.placement(),
      primaryCounts: shards.primaryCounts(shard),
      primaryKnownAtMs: this.#primaryKnownAtMs(shard),
      isPrimaryGone,
      nowMs: clock.monotonicMs(),
      ...(lastGrant === undefined ? {} : { lastGrant }),
    };
  }

  placement(): PlacementFacts {
    const { directory, prober, shards } = this.#options;
    const pods = directory.list().map((pod) => ({ ...pod, isSilent: prober.pods.get(pod.name)?.isSilent === true }));
    return { pods, load: shards.load };
  }

  /** As last read; undefined when it is not known, or is another one of the name. */
  collectionOf(shard: VectorShard): VectorCollection | undefined {
    const found = this.#options.collections.get(collectionOfShard(shard.metadata.name));
    return found?.metadata.uid === shard.spec.collection.uid ? found : undefined;
  }

  /** This controller granted the process of that session a term. */
  granted(name: string, session: string): void {
    this.#lastGrants.set(name, { session, atMs: this.#options.clock.monotonicMs() });
  }

  forget(name: string): void {
    this.#lastGrants.delete(name);
    this.#primaries.delete(name);
  }

  #primaryKnownAtMs({ metadata: { name }, status }: VectorShard): number {
    const session = status.authority?.primary.session;
    const known = this.#primaries.get(name);
    if (known !== undefined && known.session === session) return known.sinceMs;
    const sinceMs = this.#options.clock.monotonicMs();
    this.#primaries.set(name, { session, sinceMs });
    return sinceMs;
  }
}
