/**
 * Reports of a pod as they travel: whoever asks twice a second is told what has changed since the last answer. With hundreds
 * of replicas at rest that is next to nothing.
 *
 *     asks: session and version of what it knows ──▶ the same process: replicas that changed since, and the new version
 *                                                    another process, or a replica has gone since: all of them (`since` 0)
 */

import type { PodReport, ReplicaReport } from '../domain/pod-service.ts';
import { ShoalError } from '../kernel/errors.ts';

/** What somebody knows of a pod; version 0 is nothing. */
export interface ReportPosition {
  readonly session: string;
  readonly version: number;
}

/** `replicas`: those that changed after version `since`, all of them when that is 0. */
export interface ReportChanges extends PodReport {
  readonly since: number;
  readonly version: number;
}

/** Of the pod that is asked: at which version each replica changed last. */
export class ReportHistory {
  #version = 1;
  /** The version at which a replica was last seen to be gone; who knows less is told everything. */
  #removedVersion = 1;
  readonly #replicas = new Map<string, { report: ReplicaReport; version: number }>();

  changesSince({ session, version }: ReportPosition, report: PodReport): ReportChanges {
    this.#take(report.replicas);
    const since = session === report.session && version >= this.#removedVersion ? version : 0;
    const changed = [...this.#replicas.values()].filter((replica) => replica.version > since);
    return { ...report, replicas: changed.map((replica) => replica.report), since, version: this.#version };
  }

  #take(reports: readonly ReplicaReport[]): void {
    const gone = new Set(this.#replicas.keys());
    const next = this.#version + 1;
    for (const report of reports) {
      const { shardUID } = report;
      gone.delete(shardUID);
      const known = this.#replicas.get(shardUID);
      if (known !== undefined && isSame(known.report, report)) continue;
      this.#replicas.set(shardUID, { report, version: next });
      this.#version = next;
    }
    for (const shardUID of gone) this.#replicas.delete(shardUID);
    if (gone.size > 0) this.#removedVersion = this.#version = next;
  }
}

/** Of whoever asks: what the pod has said so far. */
export class KnownReport {
  #known: { readonly position: ReportPosition; readonly replicas: ReadonlyMap<string, ReplicaReport>; readonly report: PodReport } | undefined;

  get position(): ReportPosition {
    return this.#known?.position ?? { session: '', version: 0 };
  }

  /** The whole report with the changes in it. Answers may come in another order than they were asked for. */
  take({ since, version, ...answer }: ReportChanges): PodReport {
    const known = this.#known;
    const isOfKnown = known?.position.session === answer.session;
    if (since > 0 && !(isOfKnown && since <= known.position.version)) throw new ShoalError('UNAVAILABLE', `another process of ${answer.pod} has answered meanwhile`);
    // An older answer than the last says nothing new.
    if (isOfKnown && version > 0 && version < known.position.version) return known.report;
    const isAtRest = isOfKnown && version > 0 && version === known.position.version;
    const replicas = isAtRest ? known.replicas : changed(since > 0 ? known!.replicas : new Map(), answer.replicas);
    const report = { ...answer, replicas: isAtRest ? known.report.replicas : [...replicas.values()] };
    this.#known = { position: { session: answer.session, version }, replicas, report };
    return report;
  }
}

/** All fields are plain values. */
function isSame(a: ReplicaReport, b: ReplicaReport): boolean {
  return (Object.keys(b) as (keyof ReplicaReport)[]).every((key) => a[key] === b[key]);
}

function changed(known: ReadonlyMap<string, ReplicaReport>, changes: readonly ReplicaReport[]): ReadonlyMap<string, ReplicaReport> {
  const replicas = new Map(known);
  for (const replica of changes) replicas.set(replica.shardUID, replica);
  return replicas;
}
