/** Figures of a data pod as metrics. */

import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { single, type Metrics, type Observation } from '../telemetry/metrics.ts';
import type { DataPod, HostedReplica } from './data-pod.ts';

type ShardMetric = 'term' | 'isPrimary' | 'inSync' | 'points' | 'tailPoints' | 'graphPoints' | 'indexMemory' | 'appliedSeq' | 'applyLag' | 'checkpointLag';

export function observePod(metrics: Metrics, pod: DataPod, metadata: ClusterMetadata): void {
  const perShard = (name: ShardMetric, read: (hosted: HostedReplica) => number): void => {
    metrics.observe(name, (): Observation<ShardMetric>[] =>
      pod.hosted().map((hosted) => ({ labels: { collection: hosted.collection, shard: hosted.registered.shardUID }, value: read(hosted) })),
    );
  };
  perShard('points', ({ replica }) => replica.pointCount);
  perShard('tailPoints', ({ replica }) => replica.state.index.tailPointCount);
  perShard('graphPoints', ({ replica }) => replica.state.index.graphPointCount);
  perShard('indexMemory', ({ replica }) => replica.statistics().indexMemoryBytes);
  metrics.observe('payloadCache', single(() => pod.payloadRing.memoryBytes()));
  perShard('appliedSeq', ({ replica }) => replica.appliedSeq);
  perShard('applyLag', ({ replica }) => {
    const { commitSeq, appliedSeq } = replica.statistics();
    return commitSeq - appliedSeq;
  });
  perShard('term', ({ replica }) => replica.term);
  perShard('isPrimary', ({ replica }) => (replica.protocol.role.kind === 'primary' ? 1 : 0));
  perShard('inSync', ({ replica }) => replica.authority?.inSync.length ?? 0);
  metrics.observe('replicaLag', () =>
    pod.hosted().flatMap(({ replica, collection, registered }) => {
      const { role, lastSeq } = replica.protocol;
      if (role.kind !== 'primary') return [];
      return role.others.map((other) => ({ labels: { collection, shard: registered.shardUID, pod: other.pod }, value: lastSeq - other.durableSeq }));
    }),
  );
  perShard('checkpointLag', ({ replica }) => {
    const { checkpointSeq, appliedSeq } = replica.statistics();
    return appliedSeq - checkpointSeq;
  });

  // Those that were there before are listed, or told by the watch, or both.
  const collections = new Set<string>();
  metadata.collections.watch((name) => {
    if (metadata.collections.peek(name) === undefined) collections.delete(name);
    else collections.add(name);
  });
  metadata.collections.list().then((found) => found.forEach(({ metadata: { name } }) => collections.add(name)), () => undefined);
  metrics.observe('collections', single(() => collections.size));
  metrics.observe('queueLength', () => [
    { labels: { queue: 'log' }, value: pod.logStatistics().queuedRecordCount },
    { labels: { queue: 'writes' }, value: pod.hosted().reduce((count, { replica }) => count + replica.pendingWriteCount, 0) },
    { labels: { queue: 'reads' }, value: pod.hosted().reduce((count, { replica }) => count + replica.epochs.runningCount, 0) },
  ]);
  metrics.observe('logBytes', single(() => pod.logStatistics().sizeBytes));
  metrics.observe('logSegments', single(() => pod.logStatistics().segmentCount));
  metrics.observe('logAppends', single(() => pod.logStatistics().recordCount));
  metrics.observe('logSyncs', single(() => pod.logStatistics().groupCount));
  metrics.observe('logSyncSeconds', single(() => pod.logStatistics().syncMsTotal / 1_000));
  metrics.observe('transferBytes', single(() => pod.snapshots.sentBytesTotal));
  metrics.observe('diskUsed', single(() => pod.disk.usedFraction));
  metrics.observe('writable', single(() => (pod.disk.writable ? 1 : 0)));
}
