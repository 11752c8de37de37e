/** Aim: the simulation itself is repeatable, lets a right cluster pass, catches a wrong one, and shrinks what it caught. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noMutations } from '../../../pods/kernel/mutations.ts';
import { noMask, runCluster, type Mask, type RunReport } from './cluster-run.ts';
import type { FaultKind } from './faults.ts';
import { shrink, tellStory } from './shrink.ts';
import { toyCluster } from './toy-cluster.fixture.ts';

/** A cluster that keeps one copy cannot survive these, and has no collection to make anew. */
const deadly = new Set<FaultKind>(['disk replaced', 'bit rot', 'disk errors', 'store errors', 'disk full', 'collection made anew', 'metadata restored']);
const mask: Mask = { ...noMask, kinds: deadly };

function run(seed: number, flushes: boolean, masked: Mask): Promise<RunReport> {
  return runCluster({ seed, parts: toyCluster({ flushes }), mutations: noMutations, mask: masked });
}

test('a cluster that keeps what it acknowledged passes, the same way twice', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const first = await run(seed, true, mask);
    assert.equal(first.failure, undefined, tellStory({ report: first, mask, runCount: 1 }));
    const second = await run(seed, true, mask);
    assert.deepEqual([second.hash, second.eventCount], [first.hash, first.eventCount]);
    assert(first.counts['acknowledgedWrites']! > 50 && first.counts['linearizableGets']! > 20 && first.counts['searches']! > 10, JSON.stringify(first.counts));
  }
});

test('other seeds are other runs', async () => {
  const hashes = await Promise.resolve([await run(5, true, mask), await run(6, true, mask)]);
  assert.notEqual(hashes[0]!.hash, hashes[1]!.hash);
});

test('a cluster that acknowledges before it flushes is caught, and the run shrinks to what shows it', async () => {
  for (let seed = 1; ; seed++) {
    assert(seed < 30, 'thirty seeds do not show it');
    const failed = await run(seed, false, mask);
    if (failed.failure === undefined) continue;
    assert.match(failed.failure.kind, /^history/);
    const shrunk = await shrink(failed, (narrower) => run(seed, false, { ...narrower, kinds: new Set([...deadly, ...narrower.kinds]) }), { runCountMax: 60 });
    assert.equal(shrunk.report.failure?.kind, failed.failure.kind);
    assert(shrunk.report.plan.length <= 2 && shrunk.report.plan.length <= failed.plan.length, tellStory(shrunk));
    assert(shrunk.report.requestCount < failed.requestCount, `${shrunk.report.requestCount} of ${failed.requestCount} requests`);
    assert(shrunk.report.plan.every(({ kind }) => ['kill', 'power loss', 'power loss of all', 'pod down', 'restart'].includes(kind)), tellStory(shrunk));
    return;
  }
});
