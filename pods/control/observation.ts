/**
 * What is known of pods from asking them. A report is a claim about the moment between its question and its answer;
 * decisions compare those moments, never wall time.
 */

import type { PodReport, ReplicaReport } from '../domain/pod-service.ts';
import type { VectorShard } from '../metadata/objects.ts';

export interface ObservedPod {
  readonly name: string;
  /** Asked, and without an answer for `limits.suspectAfterMs`. */
  readonly isSilent: boolean;
  /** The newest question that is settled had an answer. */
  readonly isReachable: boolean;
  /** The newest there is, however old; none before the first. */
  readonly report?: ObservedReport;
}

export interface ObservedReport {
  readonly podUID: string;
  readonly session: string;
  readonly freeBytes: number;
  /** By shard UID. */
  readonly replicas: ReadonlyMap<string, ReplicaReport>;
  /** Monotonic times of whoever asked. */
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

export function observedReport(report: PodReport, askedAtMs: number, answeredAtMs: number): ObservedReport {
  const { podUID, session, freeBytes, replicas } = report;
  return { podUID, session, freeBytes, askedAtMs, answeredAtMs, replicas: new Map(replicas.map((replica) => [replica.shardUID, replica])) };
}

export interface ReportedReplica {
  readonly pod: ObservedPod;
  readonly report: ObservedReport;
  readonly replica: ReplicaReport;
}

/** The newest that each pod has said of a shard, also of pods that have fallen silent since. */
export function reportsOf(shardUID: string, pods: ReadonlyMap<string, ObservedPod>): ReportedReplica[] {
  const found: ReportedReplica[] = [];
  for (const pod of pods.values()) {
    const replica = pod.report?.replicas.get(shardUID);
    if (replica !== undefined) found.push({ pod, report: pod.report!, replica });
  }
  return found;
}

/** What the process that the shard's object names as primary has said of its replica; undefined when it was not heard, or is another one by now. */
export function reportOfPrimary({ metadata, status }: VectorShard, pods: ReadonlyMap<string, ObservedPod>): ReplicaReport | undefined {
  const primary = status.authority?.primary;
  const report = primary === undefined ? undefined : pods.get(primary.pod)?.report;
  return report?.session === primary?.session ? report?.replicas.get(metadata.uid) : undefined;
}
