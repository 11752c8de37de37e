/** The cluster part of `VectorApi` in a gateway, which holds no data: it asks the data pods that shards name. */

import type { ClusterApi, PodDescription } from '../api/vector-api.ts';
import type { PodClient } from '../domain/pod-service.ts';
import type { Clock } from '../kernel/clock.ts';
import { withTimeout } from '../kernel/deadline.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { ClusterMap } from '../router/cluster-map.ts';

export interface ClusterApiOptions {
  readonly map: Pick<ClusterMap, 'pods'>;
  readonly pods: PodClient;
  readonly clock: Clock;
  readonly version: string;
  readonly startedAtMs: number;
}

export function createClusterApi({ map, pods, clock, version, startedAtMs }: ClusterApiOptions): ClusterApi {
  async function describe(name: string, signal: AbortSignal): Promise<PodDescription> {
    try {
      const { replicas } = await withTimeout(clock, limits.podReportTimeoutMs, signal, (atPod) => pods.pod(name).report(atPod));
      const damaged = replicas.filter((replica) => replica.quarantined).map((replica) => replica.shardUID);
      const because = damaged.length === 0 ? {} : { because: `its replicas of ${damaged.join(', ')} are damaged and not served` };
      return { name, ready: damaged.length === 0, ...because, shardCount: replicas.length };
    } catch (error) {
      signal.throwIfAborted();
      return { name, ready: false, because: error instanceof Error ? error.message : String(error), shardCount: 0 };
    }
  }

  return {
    async status({ signal }) {
      const names = await map.pods();
      return { version, mode: 'cluster', startedAtMs, pods: await Promise.all(names.map((name) => describe(name, signal))) };
    },
    backup: () => Promise.reject(unimplemented('makes no backups: copy what a collection holds with `shoal export`')),
    verify: () => Promise.reject(unimplemented('stores nothing to verify: run `shoal verify --data-dir` on a data pod that is stopped')),
  };
}

function unimplemented(what: string): ShoalError {
  return new ShoalError('UNIMPLEMENTED', `a gateway ${what}`);
}
