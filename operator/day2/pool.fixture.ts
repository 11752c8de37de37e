/** Facts for the tests of a pool's decisions: three pods that are well, to be changed by each case. */

import { authority, member, primaryOn, shard } from '../../pods/control/control.fixture.ts';
import { observedReport, type ObservedPod } from '../../pods/control/observation.ts';
import type { VectorShard } from '../../pods/metadata/objects.ts';
import type { PodFacts, PoolFacts, ShardUse } from './pool-facts.ts';

export function podFacts(ordinal: number, change: Partial<PodFacts> = {}): PodFacts {
  const name = `p-${ordinal}`;
  return {
    name,
    ordinal,
    uid: `uid-${ordinal}`,
    revision: 'new',
    isReady: true,
    isServing: true,
    isEnding: false,
    node: { name: `node-${ordinal}`, isCordoned: false, domains: [`node-${ordinal}`] },
    ...change,
  };
}

/** On the pods with these ordinals, of which the first leads; all in sync unless said. */
export function shardOn(name: string, ordinals: readonly number[], change: { inSync?: readonly number[]; minInSync?: number; wanted?: number; leaving?: readonly number[]; status?: Partial<VectorShard['status']> } = {}): ShardUse {
  const { inSync = ordinals, minInSync = 2, wanted = ordinals.length, leaving = [] } = change;
  const pod = (ordinal: number): string => `p-${ordinal}`;
  const made = shard(
    { replicas: ordinals.map(pod), minInSync, ...(leaving.length === 0 ? {} : { leaving: leaving.map(pod) }) },
    { authority: authority({ primary: primaryOn(pod(inSync[0]!)), inSync: inSync.map((ordinal) => member(pod(ordinal))) }), ...change.status },
  );
  return { shard: { ...made, metadata: { ...made.metadata, name, uid: `uid-${name}` } }, replicas: wanted, minInSync };
}

export function poolFacts(change: Partial<PoolFacts> = {}): PoolFacts {
  const pods = change.pods ?? [0, 1, 2].map((ordinal) => podFacts(ordinal));
  return {
    pool: 'p',
    replicas: pods.length,
    allowsOutage: false,
    drains: [],
    statefulSet: { uid: 'set', replicas: pods.length, updateRevision: 'new' },
    pods,
    shards: [],
    nowMs: 1_000_000_000,
    ...change,
  };
}

/** A pod that answers, with replicas of these shards. */
export function heardPod(name: string, shards: readonly ShardUse[], isSilent = false): [string, ObservedPod] {
  const replicas = shards.map(({ shard: object }) => ({
    collectionUID: 'c',
    shardUID: object.metadata.uid,
    incarnation: 'i',
    role: 'backup' as const,
    term: 1,
    lastSeq: 1,
    commitSeq: 1,
    appliedSeq: 1,
    configVersion: 1,
    quarantined: false,
    blockedMs: 0,
    pointCount: 0,
  }));
  return [name, { name, isSilent, isReachable: !isSilent, report: observedReport({ pod: name, podUID: 'u', session: 's', freeBytes: 2 ** 30, replicas }, 0, 1) }];
}
