/** Merging of shards' answers: the best k of all, best first; equal scores order by id, so that answers repeat. */

import type { ShardHit } from '../domain/shard-service.ts';

export function mergeHits(answers: readonly (readonly ShardHit[])[], topK: number): ShardHit[] {
  if (answers.length === 1) return answers[0]!.slice(0, topK);
  return answers.flat().sort(compareHits).slice(0, topK);
}

function compareHits(a: ShardHit, b: ShardHit): number {
  if (a.score !== b.score) return b.score - a.score;
  return a.id < b.id ? -1 : 1;
}
