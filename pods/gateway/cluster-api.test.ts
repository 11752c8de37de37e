import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import type { RequestContext } from '../api/context.ts';
import type { PodReport, PodService, ReplicaReport } from '../domain/pod-service.ts';
import { ShoalError } from '../kernel/errors.ts';
import { createClusterApi } from './cluster-api.ts';

const replica = (shardUID: string, quarantined: boolean): ReplicaReport => ({
  collectionUID: 'c',
  shardUID,
  incarnation: 'i',
  role: 'backup',
  term: 1,
  lastSeq: 1,
  commitSeq: 1,
  appliedSeq: 1,
  configVersion: 1,
  quarantined,
  blockedMs: 0, pointCount: 0,
});
const report = (pod: string, replicas: readonly ReplicaReport[]): PodReport => ({ pod, podUID: 'u', session: 's', freeBytes: 2 ** 30, replicas });

test('the cluster is what its pods say, and who does not answer is not ready', async () => {
  const clock = new SimulatedClock();
  const reports: Record<string, () => Promise<PodReport>> = {
    a: () => Promise.resolve(report('a', [replica('s', false), replica('t', false)])),
    b: () => Promise.resolve(report('b', [replica('s', true)])),
    c: () => Promise.reject(new ShoalError('UNAVAILABLE', 'no connection')),
    d: () => new Promise(() => undefined),
  };
  const api = createClusterApi({
    map: { pods: () => Promise.resolve(Object.keys(reports)) },
    pods: { pod: (name) => ({ report: reports[name]! }) as unknown as PodService },
    clock,
    version: '1',
    startedAtMs: 5,
  });
  const context = { signal: new AbortController().signal } as RequestContext;
  const status = api.status(context);
  await new Promise(setImmediate);
  clock.advance(60_000);
  assert.deepEqual(await status, {
    version: '1',
    mode: 'cluster',
    startedAtMs: 5,
    pods: [
      { name: 'a', ready: true, shardCount: 2 },
      { name: 'b', ready: false, because: 'its replicas of s are damaged and not served', shardCount: 1 },
      { name: 'c', ready: false, because: 'no connection', shardCount: 0 },
      { name: 'd', ready: false, because: 'the deadline of 2000 ms passed', shardCount: 0 },
    ],
  });
  for (const call of [api.backup(context, '/b'), api.verify(context)]) await assert.rejects(call, { code: 'UNIMPLEMENTED' });
});
