/** `PodService` of this pod: what the controller, the routers and the other pods may ask of it. */

import { ShoalError } from '../kernel/errors.ts';
import type { PodReport, PodService, ShardTarget, SnapshotAnswer, SnapshotRequest } from '../domain/pod-service.ts';
import type { ShardService } from '../domain/shard-service.ts';
import type { Assignments } from './assignments.ts';
import type { DataPod } from './data-pod.ts';

export class LocalPodService implements PodService {
  readonly #pod: DataPod;
  readonly #assignments: Assignments;

  constructor(pod: DataPod, assignments: Assignments) {
    this.#pod = pod;
    this.#assignments = assignments;
  }

  report(): Promise<PodReport> {
    const { name, session, options, disk } = this.#pod;
    return Promise.resolve({ pod: name, podUID: options.podUID, session, freeBytes: disk.freeBytes, replicas: this.#pod.reports() });
  }

  nudge(shardUID: string): Promise<void> {
    return this.#assignments.lookAtShard(shardUID);
  }

  async stopWrites(shardUID: string, signal: AbortSignal): Promise<{ readonly term: number; readonly lastSeq: number }> {
    return this.#pod.hostedReplica(shardUID).replica.stopWrites(signal);
  }

  async snapshot(request: SnapshotRequest, signal: AbortSignal): Promise<SnapshotAnswer> {
    return this.#pod.snapshot(request, signal);
  }

  shard({ collectionUID, shardUID, epoch }: ShardTarget): ShardService {
    const { registered, service, epoch: known } = this.#pod.hostedReplica(shardUID);
    if (registered.collectionUID !== collectionUID) throw new ShoalError('STALE_EPOCH', `shard ${shardUID} is of another collection`);
    if (epoch !== known) {
      if (epoch > known) void this.#assignments.lookAtShard(shardUID);
      throw new ShoalError('STALE_EPOCH', `the request was routed in epoch ${epoch}; this pod knows ${known}`);
    }
    return service;
  }
}
