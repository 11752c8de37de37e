/** Aim: a pod that ends waits for others to lead its shards as long as there is somebody who could, and no longer than it may. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import type { PodClient, PodService } from '../domain/pod-service.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { silentLogger } from '../kernel/logger.ts';
import type { HostedReplica } from './data-pod.ts';
import { handOver } from './handover.ts';

interface Case {
  readonly name: string;
  /** Pods of the members in sync; the pod that ends is a, and leads. */
  readonly inSync: readonly string[];
  readonly answering: readonly string[];
  /** Which request to be relieved another pod follows; none where it is missing. */
  readonly followed?: number;
  readonly asked: number;
  readonly waitsToTheEnd: boolean;
}

const cases: readonly Case[] = [
  { name: 'it leads alone', inSync: ['a'], answering: [], asked: 0, waitsToTheEnd: false },
  { name: 'another takes over', inSync: ['a', 'b', 'c'], answering: ['b', 'c'], followed: 1, asked: 1, waitsToTheEnd: false },
  { name: 'another takes over when it is asked again', inSync: ['a', 'b'], answering: ['b'], followed: 3, asked: 3, waitsToTheEnd: false },
  { name: 'the others have gone already', inSync: ['a', 'b', 'c'], answering: [], asked: 1, waitsToTheEnd: false },
  { name: 'one has gone, the other could lead and does not', inSync: ['a', 'b', 'c'], answering: ['c'], asked: 15, waitsToTheEnd: true },
];

for (const { name, inSync, answering, followed, asked, waitsToTheEnd } of cases) {
  test(name, async () => {
    const clock = new SimulatedClock();
    let requests = 0;
    let kind: 'primary' | 'backup' = 'primary';
    const hosted = {
      replica: { shardUID: 'shard', term: 1, protocol: { role: { get kind() { return kind; } } }, authority: { inSync: inSync.map((pod) => ({ pod, incarnation: pod })) } },
      authorityStore: {
        askHandover: () => {
          if (++requests === followed) kind = 'backup';
          return Promise.resolve();
        },
      },
    } as unknown as HostedReplica;
    const report = (pod: string) => (answering.includes(pod) ? Promise.resolve({}) : Promise.reject(new ShoalError('UNAVAILABLE', `${pod} has gone`)));
    const pods: PodClient = { pod: (pod) => ({ report: () => report(pod) }) as unknown as PodService };
    const beganMs = clock.monotonicMs();
    let isOver = false;
    const ending = handOver({ name: 'a', options: { clock, logger: silentLogger, pods }, hosted: () => [hosted] }).then(() => (isOver = true));
    for (let turn = 0; !isOver && turn < 2_000; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!isOver) clock.advance(50);
    }
    assert.ok(isOver);
    await ending;
    const waitedMs = clock.monotonicMs() - beganMs;
    assert.deepEqual({ requests, waitsToTheEnd: waitedMs >= limits.podHandoverMsMax }, { requests: asked, waitsToTheEnd });
  });
}
