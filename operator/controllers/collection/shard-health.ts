/** How each shard of a collection is: in words for its status, and whether it serves. Pure. */

import { reportOfPrimary, type ObservedPod } from '../../../pods/control/observation.ts';
import { standingStop } from '../../../pods/control/shard-facts.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';

export interface ShardHealth {
  readonly name: string;
  /** It takes writes and reads. */
  readonly isServing: boolean;
  /** It has as many replicas in sync as are wanted. */
  readonly isWhole: boolean;
  /** A sentence, where one of the two is not so. */
  readonly because?: string;
}

/** `wanted`: how many replicas the collection wants. */
export function shardHealth(shard: VectorShard, wanted: number, heard: ReadonlyMap<string, ObservedPod>): ShardHealth {
  const { name } = shard.metadata;
  const bad = (because: string): ShardHealth => ({ name, isServing: false, isWhole: false, because: `${name} ${because}` });
  const stop = standingStop(shard);
  if (stop !== undefined) return bad(`is left alone (${stop.condition}): ${stop.because}`);
  if (shard.status.phase === 'Lost') return bad('is lost');
  const { authority } = shard.status;
  if (authority === undefined) return bad('has not been begun yet');
  const { primary, inSync, term } = authority;
  if (inSync.length < shard.spec.minInSync) return bad(`refuses writes: ${inSync.length} of ${shard.spec.minInSync} replicas that it needs are in sync`);
  const pod = heard.get(primary.pod);
  if (pod === undefined || pod.isSilent) return bad(`has no primary: ${primary.pod} does not answer`);
  const replica = reportOfPrimary(shard, heard);
  if (replica?.role !== 'primary' || replica.term !== term || replica.appliedSeq === 0) return bad(`is being taken over by ${primary.pod}`);
  if (inSync.length < wanted) {
    const missing = shard.spec.replicas.filter((each) => !inSync.some(({ pod: member }) => member === each));
    return { name, isServing: true, isWhole: false, because: `${name} has ${inSync.length} of ${wanted} replicas in sync${missing.length === 0 ? '' : `; ${missing.join(', ')} is not`}` };
  }
  return { name, isServing: true, isWhole: true };
}

/** The first few of many. */
export function healthText(healths: readonly ShardHealth[]): string {
  const said = healths.flatMap(({ because }) => because ?? []);
  const shown = said.slice(0, 3).join('; ');
  return said.length > 3 ? `${shown}; and ${said.length - 3} more shards` : shown;
}
