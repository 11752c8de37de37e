/** The cluster part of `VectorApi` for one process: its only pod, its backup, its verification. */

import type { ClusterApi } from '../api/vector-api.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { writeBackup, type BackupPorts } from '../service/backup.ts';
import type { DataPod } from '../service/data-pod.ts';
import { verifyParts } from '../service/verify.ts';

export interface ClusterApiOptions {
  readonly ports: BackupPorts;
  readonly pod: DataPod;
  readonly metadata: ClusterMetadata;
  readonly startedAtMs: number;
}

export function createClusterApi({ ports, pod, metadata, startedAtMs }: ClusterApiOptions): ClusterApi {
  return {
    status() {
      const log = pod.logStatistics();
      const hosted = pod.hosted();
      const because = hosted.map(({ replica }) => replica.notServing).find((reason) => reason !== undefined);
      return Promise.resolve({
        version: ports.version,
        mode: 'standalone',
        startedAtMs,
        pods: [
          {
            name: pod.name,
            ready: because === undefined,
            ...(because === undefined ? {} : { because }),
            dataDirectory: pod.options.directory.root,
            diskUsedFraction: pod.disk.usedFraction,
            writable: pod.disk.writable,
            memoryBytes: process.memoryUsage.rss(),
            logBytes: log.sizeBytes,
            logSegmentCount: log.segmentCount,
            shardCount: hosted.length,
            pointCount: hosted.reduce((count, { replica }) => count + replica.pointCount, 0),
          },
        ],
      });
    },

    backup: (context, directory) => writeBackup(ports, pod, metadata, directory, context.signal),

    verify(context) {
      const { fileSystem, directory, log, store } = pod.options;
      return verifyParts({ fileSystem, directory, log, store, replicas: pod.registry.all() }, context.signal);
    },
  };
}
