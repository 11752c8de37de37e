/** Facts for the tests of decisions: a shard on three pods that is well, to be changed by each case. */

import { collectionSpec } from '../domain/collection.ts';
import type { ReplicaReport } from '../domain/pod-service.ts';
import type { ShardAuthority, VectorCollection, VectorShard } from '../metadata/objects.ts';
import { observedReport, type ObservedPod } from './observation.ts';
import type { PlaceablePod } from './placement.ts';
import type { ShardFacts } from './shard-facts.ts';

export const collectionUID = 'collection-1';
export const shardUID = 'shard-1';
export const podNames = ['a', 'b', 'c'] as const;

export function member(pod: string): { readonly pod: string; readonly incarnation: string } {
  return { pod, incarnation: `incarnation-${pod}` };
}

export function primaryOn(pod: string, session = `session-${pod}`): ShardAuthority['primary'] {
  return { ...member(pod), podUID: `uid-${pod}`, session };
}

export function authority(change: Partial<ShardAuthority> = {}): ShardAuthority {
  return { term: 5, primary: primaryOn('a'), inSync: podNames.map(member), configVersion: 7, ...change };
}

export function shard(spec: Partial<VectorShard['spec']> = {}, status: Partial<VectorShard['status']> = {}): VectorShard {
  return {
    metadata: { name: 'docs-1-0', uid: shardUID, resourceVersion: '9', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [] },
    spec: {
      collection: { name: 'docs', uid: collectionUID },
      generation: 1,
      index: 0,
      hashRange: { start: '0000000000000000', end: 'ffffffffffffffff' },
      replicas: [...podNames],
      minInSync: 2,
      ...spec,
    },
    status: { phase: 'Ready', authority: authority(), ...status },
  };
}

export function withoutAuthority(spec: Partial<VectorShard['spec']> = {}): VectorShard {
  return { ...shard(spec), status: { phase: 'Pending' } };
}

export function collection(replicas = 3, minInSync = 2, shards: readonly string[] = [shardUID]): VectorCollection {
  return {
    metadata: { name: 'docs', uid: collectionUID, resourceVersion: '3', generation: 1, creationTimestampMs: 0, labels: {}, finalizers: [] },
    spec: collectionSpec({ name: 'docs', dimension: 3, replication: { replicas, minInSync } }),
    status: { phase: 'Ready', observedGeneration: 1, shards, routing: { epoch: 1, generation: 1 } },
  };
}

export interface PodCase {
  readonly replica?: Partial<ReplicaReport> | 'none';
  readonly session?: string;
  readonly podUID?: string;
  readonly isSilent?: boolean;
  readonly isReachable?: boolean;
  readonly askedAtMs?: number;
  readonly answeredAtMs?: number;
  readonly isUnheard?: boolean;
}

/** A backup with everything, unless it says otherwise; `a` leads. Asked at 90 s, answered at 91 s; the object is read at 95 s. */
export function pod(name: string, change: PodCase = {}): ObservedPod {
  const { isSilent = false, isReachable = !isSilent, askedAtMs = 90_000, answeredAtMs = askedAtMs + 1_000 } = change;
  if (change.isUnheard === true) return { name, isSilent, isReachable: false };
  const replica: ReplicaReport = {
    collectionUID,
    shardUID,
    incarnation: `incarnation-${name}`,
    role: name === 'a' ? 'primary' : 'backup',
    term: 5,
    lastSeq: 100,
    commitSeq: 100,
    appliedSeq: 100,
    configVersion: 7,
    quarantined: false,
    blockedMs: 0, pointCount: 0,
    ...(change.replica === 'none' ? {} : change.replica),
  };
  const report = { pod: name, podUID: change.podUID ?? `uid-${name}`, session: change.session ?? `session-${name}`, freeBytes: 2 ** 30, replicas: change.replica === 'none' ? [] : [replica] };
  return { name, isSilent, isReachable, report: observedReport(report, askedAtMs, answeredAtMs) };
}

/** Pods a, b and c, with what differs; further ones that are named. */
export function pods(changes: Readonly<Record<string, PodCase>> = {}): Map<string, ObservedPod> {
  return new Map([...new Set([...podNames, ...Object.keys(changes)])].map((name) => [name, pod(name, changes[name])]));
}

export function placeable(name: string, change: Partial<PlaceablePod> = {}): PlaceablePod {
  return { name, isDraining: false, isSilent: false, ...change };
}

export function facts(change: Partial<ShardFacts> = {}): ShardFacts {
  return {
    shard: shard(),
    readAtMs: 95_000,
    collection: collection(),
    pods: pods(),
    placement: { pods: podNames.map((name) => placeable(name)), load: new Map() },
    primaryCounts: new Map(),
    primaryKnownAtMs: 0,
    storeAnswersSinceMs: 0,
    isPrimaryGone: false,
    nowMs: 96_000,
    ...change,
  };
}
