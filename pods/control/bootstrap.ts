/** Rule B1: the first authority of a shard, and which shards may have one. */

import type { ShardAuthority, VectorCollection, VectorShard } from '../metadata/objects.ts';
import { decideRollback } from './rollback.ts';
import type { ShardFacts, ShardStep } from './shard-facts.ts';

/** What to do about the object of a collection's shard at one index. */
export type ShardObjectStep = { readonly because: string } & (
  | { readonly action: 'none' | 'create' | 'lost' }
  /** Its UID has to stand in the collection before anything else. */
  | { readonly action: 'record'; readonly uid: string }
);

/** `present` is the object of that name; it may belong to another collection, which is being deleted. */
export function decideShardObject(collection: VectorCollection, index: number, present: VectorShard | undefined): ShardObjectStep {
  const recorded = collection.status.shards[index];
  if (recorded === undefined) {
    if (present === undefined) return { action: 'create', because: `shard ${index} has no object yet` };
    if (present.spec.collection.uid !== collection.metadata.uid) return { action: 'none', because: `the object of shard ${index} still belongs to an earlier collection` };
    return { action: 'record', uid: present.metadata.uid, because: `shard ${index} is not recorded yet` };
  }
  if (present === undefined) return { action: 'lost', because: `shard ${recorded} is recorded, but its object is gone` };
  if (present.metadata.uid !== recorded) return { action: 'lost', because: `shard ${recorded} is recorded, but its object has UID ${present.metadata.uid}` };
  return { action: 'none', because: 'it is there' };
}

/** For a shard without authority. */
export function decideBootstrap(facts: ShardFacts): ShardStep {
  const { shard, collection, pods, primaryCounts } = facts;
  const { uid } = shard.metadata;
  if (collection?.metadata.uid !== shard.spec.collection.uid) return { action: 'wait', soon: false, because: 'its collection is not there' };
  const recorded = collection.status.shards[shard.spec.index];
  if (recorded !== uid) {
    if (recorded === undefined) return { action: 'wait', soon: false, because: 'its UID is not recorded in the collection yet' };
    return { action: 'stop', condition: 'Lost', because: `the collection has recorded shard ${recorded}, in whose place this object stands` };
  }
  const rollback = decideRollback(facts);
  if (rollback !== undefined) return rollback;
  const members: ShardAuthority['primary'][] = [];
  for (const name of shard.spec.replicas) {
    const pod = pods.get(name);
    const replica = pod?.report?.replicas.get(uid);
    if (pod?.report === undefined || replica === undefined || !pod.isReachable) return { action: 'wait', soon: pod?.isSilent !== true, because: `${name} has not reported an empty replica yet` };
    if (replica.lastSeq > 0) return { action: 'stop', condition: 'MetadataRolledBack', because: `${name} holds entries to seq ${replica.lastSeq} of a shard that has no authority` };
    members.push({ pod: name, incarnation: replica.incarnation, podUID: pod.report.podUID, session: pod.report.session });
  }
  const leads = (pod: string): number => primaryCounts.get(pod) ?? 0;
  const primary = [...members].sort((a, b) => leads(a.pod) - leads(b.pod) || (a.pod < b.pod ? -1 : 1))[0]!;
  return {
    action: 'bootstrap',
    authority: { term: 1, configVersion: 1, primary, inSync: members.map(({ pod, incarnation }) => ({ pod, incarnation })) },
    because: `all ${members.length} replicas are there and empty: ${primary.pod} leads in term 1`,
  };
}
