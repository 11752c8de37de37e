import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { simulatedGraphFactory } from '../../e2e/sim/simulated-graph.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { silentLogger } from '../kernel/logger.ts';
import { seededRandom } from '../kernel/random.ts';
import { openPodLog } from '../log/pod-log.ts';
import type { ClusterMetadata } from '../metadata/cluster-metadata.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { DataPod } from './data-pod.ts';
import { dataDirectoryLayout } from './data-directory.ts';

test('freed memory goes back again and again, behind the flush of the store that frees it, and one at a time', async () => {
  const clock = new SimulatedClock();
  const random = seededRandom(3);
  const fileSystem = faultyFileSystem({ random });
  const steps: string[] = [];
  let finish = (): void => undefined;
  const store = openMemoryStore();
  await fileSystem.makeDirectory('/data/checkpoints');
  const pod = await DataPod.open({
    name: 'a',
    podUID: 'uid-a',
    directory: dataDirectoryLayout('/data'),
    fileSystem,
    log: await openPodLog({ directory: '/data/log', fileSystem, clock }),
    store: { ...store, flush: () => (steps.push('flush'), store.flush()) },
    graphFactory: {
      ...simulatedGraphFactory(fileSystem, random),
      returnFreedMemory: () => (steps.push('return'), new Promise((resolve) => (finish = resolve))),
    },
    metadata: {} as ClusterMetadata,
    transport: { send: () => undefined, queuedBytes: () => 0 },
    pods: { pod: () => assert.fail('nobody is asked') },
    clock,
    random,
    logger: silentLogger,
    diskReadOnlyAtFraction: 1,
    onFailure: (error) => assert.fail(error),
  });
  const pass = async (ms: number): Promise<readonly string[]> => {
    clock.advance(ms);
    for (let turns = 0; turns < 10; turns++) await new Promise(setImmediate);
    return steps.splice(0);
  };
  steps.length = 0;
  assert.deepEqual(await pass(10_000), ['return']);
  assert.deepEqual(await pass(60_000), []);
  finish();
  await pass(0);
  assert.deepEqual(await pass(10_000), ['flush', 'return']);
  finish();
  await pod.close();
});
