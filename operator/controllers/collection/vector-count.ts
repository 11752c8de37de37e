/**
 * How many points a collection holds, in its status: written along with whatever else is written, and by itself at most once
 * in `limits.vectorCountIntervalMs`, as it may change with every request.
 */

import { reportOfPrimary, type ObservedPod } from '../../../pods/control/observation.ts';
import { limits } from '../../../pods/kernel/limits.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';

/** As the primaries of its shards say; undefined while one of them is not heard of. Pure. */
export function vectorCount(shards: readonly VectorShard[], heard: ReadonlyMap<string, ObservedPod>): number | undefined {
  if (shards.length === 0) return undefined;
  let count = 0;
  for (const shard of shards) {
    const replica = reportOfPrimary(shard, heard);
    if (replica?.role !== 'primary') return undefined;
    count += replica.pointCount;
  }
  return count;
}

/** When the status of each collection was written last; wall times. */
export class CountTimes {
  readonly #writtenMs = new Map<string, number>();

  isDue(name: string, nowMs: number): boolean {
    return nowMs - (this.#writtenMs.get(name) ?? -Infinity) >= limits.vectorCountIntervalMs;
  }

  written(name: string, nowMs: number): void {
    this.#writtenMs.set(name, nowMs);
  }

  forget(name: string): void {
    this.#writtenMs.delete(name);
  }
}
