/** A pod that was asked to end lets others lead its shards first, so that no client notices (rule S1). */

import { sleep } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import type { DataPod, HostedReplica } from './data-pod.ts';

const askAgainMs = 2_000;
const lookMs = 50;

/** Resolves when no shard that somebody else could lead is led here, or after `limits.podHandoverMsMax`. */
export async function handOver(pod: DataPod): Promise<void> {
  const { clock, logger } = pod.options;
  const endMs = clock.monotonicMs() + limits.podHandoverMsMax;
  let askedMs = -Infinity;
  for (let left = ledWithOthers(pod); left.length > 0; left = ledWithOthers(pod)) {
    const nowMs = clock.monotonicMs();
    if (nowMs > endMs) return logger.warn({ shards: left.map(({ replica }) => replica.shardUID) }, 'nobody took over these shards; ending all the same');
    if (nowMs - askedMs > askAgainMs) {
      askedMs = nowMs;
      await Promise.allSettled(left.map(({ authorityStore, replica }) => authorityStore.askHandover(replica.term)));
    }
    await sleep(clock, lookMs);
  }
}

function ledWithOthers(pod: DataPod): HostedReplica[] {
  return pod.hosted().filter(({ replica }) => replica.protocol.role.kind === 'primary' && (replica.authority?.inSync.length ?? 0) > 1);
}
