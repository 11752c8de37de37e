/** Puts together what a decision about a shard is made from: objects as last read, pods as last heard, and what this controller did itself. */

import type { PlacementFacts } from '../control/placement.ts';
import type { ShardFacts } from '../control/shard-facts.ts';
import type { Clock } from '../kernel/clock.ts';
import { collectionOfShard } from '../metadata/object-name.ts';
import type { VectorCollection, VectorShard } from '../metadata/objects.ts';
import type { KnownShards } from './known-shards.ts';
import type { DirectoryPod, PodDirectory } from './pod-directory.ts';
import type { PodProber } from './pod-prober.ts';

/** What a cluster with pools decides about collections besides. */
export interface CollectionRules {
  /** Whether the collection's replicas may be on the pod. */
  mayHost(collection: VectorCollection, pod: DirectoryPod): boolean;
  /** Why it is left as it is for now: nothing of it is made, moved or removed. Its shards go on, and stay led. */
  heldBecause(collection: VectorCollection): string | undefined;
}

export const noCollectionRules: CollectionRules = { mayHost: () => true, heldBecause: () => undefined };

export interface KnownFactsOptions {
  readonly clock: Clock;
  readonly directory: PodDirectory;
  readonly prober: PodProber;
  readonly shards: KnownShards;
  readonly collections: ReadonlyMap<string, VectorCollection>;
  readonly rules: CollectionRules;
  /** Where a replica of the shard shall go for a better balance. */
  readonly rebalanceTo: (shard: string) => string | undefined;
}

export class KnownFacts {
  readonly #options: KnownFactsOptions;
  readonly #lastGrants = new Map<string, { readonly session: string; readonly atMs: number }>();
  /** By object name: the process that it was last known to name as primary, and since when. */
  readonly #primaries = new Map<string, { readonly session: string | undefined; readonly sinceMs: number }>();

  /** Undefined while it does not answer, or was not asked yet. */
  #storeAnswersSinceMs: number | undefined;

  constructor(options: KnownFactsOptions) {
    this.#options = options;
  }

  /** Asks the store of objects, and keeps in mind whether it answers. */
  async ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await question();
      this.#storeAnswersSinceMs ??= this.#options.clock.monotonicMs();
      return answer;
    } catch (error) {
      this.#storeAnswersSinceMs = undefined;
      throw error;
    }
  }

  /** What is known besides the shard that was read. */
  of(shard: VectorShard, readAtMs: number, collection: VectorCollection | undefined, isPrimaryGone: boolean): ShardFacts {
    const { clock, prober, shards, rules, rebalanceTo } = this.#options;
    const isHeld = collection !== undefined && rules.heldBecause(collection) !== undefined;
    const lastGrant = this.#lastGrants.get(shard.metadata.name);
    const target = rebalanceTo(shard.metadata.name);
    const nowMs = clock.monotonicMs();
    return {
      shard,
      readAtMs,
      // Without its collection nothing says what the shard shall be, so it stays what it is.
      collection: isHeld ? undefined : collection,
      pods: prober.pods,
      placement: this.placement(collection),
      primaryCounts: shards.primaryCounts(shard),
      primaryKnownAtMs: this.#primaryKnownAtMs(shard),
      storeAnswersSinceMs: this.#storeAnswersSinceMs ?? nowMs,
      isPrimaryGone,
      nowMs,
      ...(target === undefined ? {} : { rebalanceTo: target }),
      ...(lastGrant === undefined ? {} : { lastGrant }),
    };
  }

  /** Pods that may hold replicas of the collection; all where it is not known. */
  placement(collection: VectorCollection | undefined): PlacementFacts {
    const { directory, prober, shards, rules } = this.#options;
    const allowed = directory.list().filter((pod) => collection === undefined || rules.mayHost(collection, pod));
    const pods = allowed.map((pod) => {
      const observed = prober.pods.get(pod.name);
      return { ...pod, isSilent: observed?.isSilent === true, ...(observed?.report === undefined ? {} : { freeBytes: observed.report.freeBytes }) };
    });
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
