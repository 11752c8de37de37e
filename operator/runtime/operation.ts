/**
 * Recorded operations: a sequence that must not run twice at once (replacing a pod, draining one) stands in its pool's
 * status, `VectorPool.status.operation {id, pod, podUID, step}`, before its first step and until after its last. Each change
 * is one compare-and-swap of the version that was read, so of two leaders that overlap one fails; a new leader finds the
 * record and goes on at its step. Steps are written before they are done, so every step must bear being done again.
 */

import type { Random } from '../../pods/kernel/random.ts';
import type { ObjectStore } from '../../pods/metadata/cluster-metadata.ts';
import type { VectorPool } from '../../pods/metadata/objects.ts';

export type Operation = NonNullable<VectorPool['status']['operation']>;

/** CONFLICT when the pool has changed since it was read: also when another operation has begun. The pool as it is then. */
export async function beginOperation(pools: ObjectStore<VectorPool>, pool: VectorPool, operation: Omit<Operation, 'id'>, random: Random): Promise<VectorPool> {
  if (pool.status.operation !== undefined) throw new TypeError(`pool ${pool.metadata.name} is in the middle of operation ${pool.status.operation.id}`);
  return pools.replaceStatus({ ...pool, status: { ...pool.status, operation: { id: random.uuid(), ...operation } } });
}

/** `pool` has the operation. */
export async function advanceOperation(pools: ObjectStore<VectorPool>, pool: VectorPool, step: string): Promise<VectorPool> {
  const { operation } = pool.status;
  if (operation === undefined) throw new TypeError(`pool ${pool.metadata.name} is in the middle of no operation`);
  return pools.replaceStatus({ ...pool, status: { ...pool.status, operation: { ...operation, step } } });
}

export async function endOperation(pools: ObjectStore<VectorPool>, pool: VectorPool): Promise<VectorPool> {
  const { operation: _ended, ...status } = pool.status;
  return pools.replaceStatus({ ...pool, status });
}
