/**
 * Aim: of two operators one works at any time, whichever of them is killed, stands still or ends; and an API server that is
 * away for longer than a Lease lasts leaves nothing undone when it is back.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectionSpec } from '../../../../pods/domain/collection.ts';
import { limits } from '../../../../pods/kernel/limits.ts';
import { pause } from '../../../framework/timeouts.ts';
import { startInstallation, until, type OperatorProcess } from './installation.ts';

test('leaders among operators', async (t) => {
  const installation = await startInstallation(t, { pods: ['default-0', 'default-1', 'default-2'] });
  const { kubernetes, metadata } = installation;
  installation.explain(t);
  const operators = [await installation.operator('operator-0'), await installation.operator('operator-1')] as const;
  await Promise.all(operators.map((each) => each.start()));

  /** The one that says so itself; two that say so are a failure. */
  const leader = (): Promise<OperatorProcess> =>
    until('one leader', async () => {
      const leading: OperatorProcess[] = [];
      for (const each of operators) {
        const metrics = await fetch(`${each.statusUrl}/metrics`, { signal: AbortSignal.timeout(1_000) }).then((answer) => answer.text()).catch(() => '');
        if (/^shoal_operator_leads 1$/m.test(metrics)) leading.push(each);
      }
      assert.ok(leading.length <= 1, 'two operators lead');
      return leading[0];
    });
  const other = (one: OperatorProcess): OperatorProcess => operators.find((each) => each !== one)!;
  let pools = 0;
  /** Whoever leads does its work. */
  const works = async (): Promise<void> => {
    const name = `p${pools++}`;
    await until('a pool to be taken', () => metadata.pools.create({ metadata: { name, labels: {} }, spec: { replicas: 0, storage: { size: '1Gi' }, topologySpread: [] } }).catch(() => undefined));
    await until(`the objects of ${name}`, async () => ((await kubernetes.admin.read(`/apis/apps/v1/namespaces/default/statefulsets/${name}`)) === undefined ? undefined : true));
  };

  const first = await leader();
  await works();

  await t.test('a leader that is killed is followed', async () => {
    await first.kill();
    assert.equal((await leader()).name, other(first).name);
    await works();
    await first.start();
  });

  await t.test('one that stands still is followed, and ends when it wakes up', async () => {
    const asleep = await leader();
    asleep.pause();
    const next = await leader();
    assert.notEqual(next.name, asleep.name);
    asleep.resume();
    await until('the sleeper to end', () => Promise.resolve(asleep.isRunning ? undefined : true));
    assert.deepEqual(asleep.unexpectedExits.map(({ code }) => code), [1]);
    await works();
    await asleep.start();
  });

  await t.test('one that ends as asked is followed at once', async () => {
    const ending = await leader();
    const before = performance.now();
    assert.deepEqual(await ending.end('SIGTERM'), { code: 0, signal: null });
    assert.notEqual((await leader()).name, ending.name);
    t.diagnostic(`another leads ${Math.round(performance.now() - before)} ms after SIGTERM; a Lease that is not given back lasts ${limits.leaseTakeoverMs} ms`);
    await works();
    await ending.start();
  });

  await t.test('an API server that is away for longer than the Lease lasts', async () => {
    await metadata.pools.create({ metadata: { name: 'default', labels: {} }, spec: { replicas: 3, storage: { size: '1Gi' }, topologySpread: [] } });
    const isReady = async (name: string): Promise<true | undefined> => ((await metadata.collections.get(name))?.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true ? true : undefined);
    await until('the system collection', () => isReady('shoal.system'));
    const authorityBefore = (await metadata.shards.get('shoal.system-1-0'))!.status.authority;
    await kubernetes.stopApiServer('SIGKILL');
    await pause(limits.leaseTakeoverMs + 2_000);
    await kubernetes.startApiServer();
    // Who has lost its Lease has ended, and Kubernetes would start it anew.
    for (const each of operators) if (!each.isRunning) await each.start();
    await works();
    await until('a collection to be taken', () => metadata.collections.create({ metadata: { name: 'after', labels: {} }, spec: { ...collectionSpec({ name: 'after', dimension: 3 }), placement: { pool: 'default' } } }).catch(() => undefined));
    await until('a collection that was made afterwards', () => isReady('after'));
    assert.equal((await metadata.shards.get('shoal.system-1-0'))!.status.authority?.term, authorityBefore?.term, 'nobody lost a term for it');
  });
});
