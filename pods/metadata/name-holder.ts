/**
 * Which of several collection objects that claim one API name has it. The same answer for everybody who sees the same
 * objects: the operator, which brings up that one alone, and gateways, which send requests there.
 */

import type { VectorCollection } from './objects.ts';

/** What was brought up before keeps its name; else the older object has it. Times are whole seconds; the UID settles the rest. */
export function nameHolder<T extends Pick<VectorCollection, 'metadata' | 'status'>>(claims: readonly [T, ...T[]]): T {
  return claims.reduce((best, claim) => (comesBefore(claim, best) ? claim : best));
}

function comesBefore(a: Pick<VectorCollection, 'metadata' | 'status'>, b: Pick<VectorCollection, 'metadata' | 'status'>): boolean {
  const [hasShards, otherHasShards] = [a.status.shards.length > 0, b.status.shards.length > 0];
  if (hasShards !== otherHasShards) return hasShards;
  if (a.metadata.creationTimestampMs !== b.metadata.creationTimestampMs) return a.metadata.creationTimestampMs < b.metadata.creationTimestampMs;
  return a.metadata.uid < b.metadata.uid;
}
