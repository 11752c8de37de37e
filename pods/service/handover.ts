/** A pod that was asked to end lets others lead its shards first, so that no client notices (rule S1). */

import { sleep, type Clock } from '../kernel/clock.ts';
import { withTimeout } from '../kernel/deadline.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { PodClient } from '../domain/pod-service.ts';
import type { HostedReplica } from './data-pod.ts';

/** What it needs of a data pod. */
export interface EndingPod {
  readonly name: string;
  readonly options: { readonly clock: Clock; readonly logger: Logger; readonly pods: PodClient };
  hosted(): readonly HostedReplica[];
}

const askAgainMs = 2_000;
const answerMs = 1_000;
const lookMs = 50;

/** Resolves when no shard that somebody else could lead is led here, or after `limits.podHandoverMsMax`. */
export async function handOver(pod: EndingPod): Promise<void> {
  const { clock, logger } = pod.options;
  const endMs = clock.monotonicMs() + limits.podHandoverMsMax;
  let askedMs = -Infinity;
  for (let left = ledWithOthers(pod); left.length > 0; left = ledWithOthers(pod)) {
    const nowMs = clock.monotonicMs();
    const shards = left.map(({ replica }) => replica.shardUID);
    if (nowMs > endMs) return logger.warn({ shards }, 'nobody took over these shards; ending all the same');
    if (nowMs - askedMs > askAgainMs) {
      // Where all pods end together the last ones are still named in sync, and wait for nobody.
      if (askedMs !== -Infinity && !(await someAnswer(pod, left))) return logger.warn({ shards }, 'no other pod that could lead these shards answers; ending');
      askedMs = nowMs;
      await Promise.allSettled(left.map(({ authorityStore, replica }) => authorityStore.askHandover(replica.term)));
    }
    await sleep(clock, lookMs);
  }
}

function ledWithOthers(pod: EndingPod): HostedReplica[] {
  return pod.hosted().filter((hosted) => hosted.replica.protocol.role.kind === 'primary' && othersOf(pod, hosted).length > 0);
}

/** Pods of the other members in sync. */
function othersOf({ name }: EndingPod, { replica }: HostedReplica): string[] {
  return (replica.authority?.inSync ?? []).map((member) => member.pod).filter((other) => other !== name);
}

async function someAnswer(pod: EndingPod, shards: readonly HostedReplica[]): Promise<boolean> {
  const { clock, pods } = pod.options;
  const others = new Set(shards.flatMap((hosted) => othersOf(pod, hosted)));
  const { signal } = new AbortController();
  const answers = await Promise.allSettled([...others].map((other) => withTimeout(clock, answerMs, signal, (inTime) => pods.pod(other).report(inTime))));
  return answers.some(({ status }) => status === 'fulfilled');
}
