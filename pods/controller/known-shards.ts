/** The shards as they were last read, with what decisions count over all of them. To decide which to read again, never more. */

import type { VectorShard } from '../metadata/objects.ts';

export interface KnownShard {
  readonly shard: VectorShard;
  /** When the read began; -Infinity for what a watch has told. */
  readonly readAtMs: number;
}

export class KnownShards {
  readonly #byName = new Map<string, KnownShard>();
  readonly #nameOf = new Map<string, string>();
  readonly #namesByPod = new Map<string, Set<string>>();
  readonly #replicaCounts = new Map<string, number>();
  readonly #primaryCounts = new Map<string, number>();

  get(name: string): KnownShard | undefined {
    return this.#byName.get(name);
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }

  nameOf(uid: string): string | undefined {
    return this.#nameOf.get(uid);
  }

  /** Those that have, shall have or lose a replica on the pod. */
  onPod(pod: string): Iterable<string> {
    return this.#namesByPod.get(pod) ?? [];
  }

  pods(): Iterable<string> {
    return this.#namesByPod.keys();
  }

  /** Replicas by pod. */
  get load(): ReadonlyMap<string, number> {
    return this.#replicaCounts;
  }

  /** Primaries by pod, of all shards but one. */
  primaryCounts(except: VectorShard): ReadonlyMap<string, number> {
    const counts = new Map(this.#primaryCounts);
    const primary = this.#byName.get(except.metadata.name)?.shard.status.authority?.primary.pod;
    if (primary !== undefined) counts.set(primary, counts.get(primary)! - 1);
    return counts;
  }

  /** Counts replicas that are about to be placed, so that others who place at the same time see them; returns what ends it. */
  reserve(pods: readonly string[]): () => void {
    const add = (by: 1 | -1): void => {
      for (const pod of pods) this.#replicaCounts.set(pod, (this.#replicaCounts.get(pod) ?? 0) + by);
    };
    add(1);
    return () => add(-1);
  }

  put(known: KnownShard): void {
    const { name, uid } = known.shard.metadata;
    this.remove(name);
    this.#byName.set(name, known);
    this.#nameOf.set(uid, name);
    this.#count(known.shard, 1);
    for (const pod of podsOf(known.shard)) {
      const names = this.#namesByPod.get(pod);
      if (names === undefined) this.#namesByPod.set(pod, new Set([name]));
      else names.add(name);
    }
  }

  remove(name: string): void {
    const known = this.#byName.get(name);
    if (known === undefined) return;
    this.#byName.delete(name);
    this.#nameOf.delete(known.shard.metadata.uid);
    this.#count(known.shard, -1);
    for (const pod of podsOf(known.shard)) {
      const names = this.#namesByPod.get(pod)!;
      names.delete(name);
      if (names.size === 0) this.#namesByPod.delete(pod);
    }
  }

  #count({ spec, status }: VectorShard, by: 1 | -1): void {
    for (const pod of spec.replicas) this.#replicaCounts.set(pod, (this.#replicaCounts.get(pod) ?? 0) + by);
    const primary = status.authority?.primary.pod;
    if (primary !== undefined) this.#primaryCounts.set(primary, (this.#primaryCounts.get(primary) ?? 0) + by);
  }
}

/** Pods that the object names. */
export function podsOf({ spec, status }: VectorShard): Set<string> {
  return new Set([...spec.replicas, ...(status.authority?.inSync ?? []).map(({ pod }) => pod)]);
}
