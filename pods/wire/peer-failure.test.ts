/** Aim: a pod that dies, or stops without a word, is found out on either end of the connection, and what it was asked fails with the right error. */

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ShoalError } from '../kernel/errors.ts';
import { context, message, search, startTestPod, target, until, type Addresses, type TestPod } from './wire.fixture.ts';

const timeout = 30_000;
const program = fileURLToPath(new URL('./pod-process.fixture.ts', import.meta.url));
const keepAlive = { intervalMs: 100, timeoutMs: 400 };

interface Scene {
  readonly self: TestPod;
  readonly child: ChildProcess;
  readonly addresses: Addresses;
}

/** A pod here and one in a process of its own, connected by the one that is named. */
async function withPodProcess(openedBy: 'self' | 'child', use: (scene: Scene) => Promise<void>): Promise<void> {
  const addresses: Addresses = new Map();
  const self = await startTestPod(addresses, { name: 'pod-a', keepAlive });
  const child = spawn(process.execPath, [program, 'pod-b', ...(openedBy === 'child' ? [`pod-a=${addresses.get('pod-a')}`] : [])], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    if (openedBy === 'self') {
      addresses.set('pod-b', `127.0.0.1:${Number(line.toString())}`);
      self.transport.send(message({ kind: 'hello' }));
    }
    await until(() => self.transport.statistics().connectionCount === 1);
    await use({ self, child, addresses });
  } finally {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    self.stop();
  }
}

async function codesOfRequestsUnderWay({ self }: Scene, disaster: () => void): Promise<string[]> {
  const pod = self.transport.pod('pod-b');
  const shard = pod.shard(target);
  const requests = [shard.write(context(), { kind: 'delete-record', key: 'k' }), shard.search(context(), search), pod.report(context().signal)];
  const codes = Promise.all(requests.map((request) => request.then(() => 'answered', (error: unknown) => (error as ShoalError).code)));
  // Two turns later they have been written.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  disaster();
  return codes;
}

for (const openedBy of ['self', 'child'] as const) {
  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    test(`${signal} on the other pod, the connection opened by ${openedBy}`, { timeout }, async () => {
      await withPodProcess(openedBy, async (scene) => {
        const codes = await codesOfRequestsUnderWay(scene, () => scene.child.kill(signal));
        assert.deepEqual(codes, ['OUTCOME_UNKNOWN', 'UNAVAILABLE', 'UNAVAILABLE']);
        assert.equal(scene.self.transport.statistics().connectionCount, 0);
        assert.equal(scene.self.transport.queuedBytes('pod-b'), 0);
      });
    });
  }
}

test('a stopped pod that goes on is reached again', { timeout }, async () => {
  await withPodProcess('self', async (scene) => {
    await codesOfRequestsUnderWay(scene, () => scene.child.kill('SIGSTOP'));
    scene.child.kill('SIGCONT');
    await until(() => {
      scene.self.transport.send(message({ kind: 'hello' }));
      return scene.self.transport.statistics().connectionCount === 1;
    });
  });
});
