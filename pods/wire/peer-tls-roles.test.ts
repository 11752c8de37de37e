/** Aim: over real TLS, a certificate opens what its role is for and nothing else, and no namespace opens another one's pods. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../kernel/clock.ts';
import { silentLogger } from '../kernel/logger.ts';
import { makeAuthority, makeIdentity, type Authority } from './certificates.fixture.ts';
import { openPeerTls } from './peer-tls-files.ts';
import type { PeerTls } from './peer-tls.ts';
import { calls, context, message, messages, podAnswering, startTestPod, testTransport, until, withDirectory, type Addresses, type TestPod } from './wire.fixture.ts';

const timeout = 120_000;

interface Scene {
  readonly addresses: Addresses;
  /** Of a certificate with these alternative names, beside 127.0.0.1. */
  tls(name: string, names: string, options?: { readonly requireRoles?: boolean }): Promise<PeerTls>;
  pod(name: string, tls: PeerTls): Promise<TestPod>;
  /** What the pods answer with. */
  answerWith(answer: unknown): void;
}

async function scene(use: (scene: Scene) => Promise<void>): Promise<void> {
  const opened: PeerTls[] = [];
  const pods: TestPod[] = [];
  let present: unknown;
  await withDirectory(async (directory) => {
    const authority: Authority = await makeAuthority(directory, 'authority');
    const addresses: Addresses = new Map();
    try {
      await use({
        addresses,
        async tls(name, names, { requireRoles = true } = {}) {
          const files = await makeIdentity(directory, name, authority, { hosts: ['IP:127.0.0.1', ...(names === '' ? [] : [names])].join() });
          const tls = openPeerTls(files, { namespace: 'default', requireRoles }, { clock: systemClock, logger: silentLogger, checkIntervalMs: 60_000 });
          opened.push(tls);
          return tls;
        },
        async pod(name, tls) {
          const pod = await startTestPod(addresses, { name, tls, served: { service: podAnswering(() => present) } });
          pods.push(pod);
          return pod;
        },
        answerWith: (answer) => (present = answer),
      });
    } finally {
      for (const pod of pods) pod.stop();
      for (const tls of opened) tls.close();
    }
  });
}

test('each role gets answers to what it is for, and PERMISSION_DENIED to everything else', { timeout }, async () => {
  await scene(async ({ addresses, tls, pod, answerWith }) => {
    await pod('pod-b', await tls('pod-b', 'URI:shoal://default/pod'));
    const allowed: Record<string, string[]> = {};
    for (const role of ['pod', 'gateway', 'operator'] as const) {
      const transport = testTransport(addresses, { name: `${role}-1`, role: role === 'pod' ? 'pod' : 'gateway', tls: await tls(role, `URI:shoal://default/${role}`) });
      const answered = new Set<string>();
      for (const { seen, answer, run } of calls) {
        answerWith(answer);
        const outcome = await run(transport.pod('pod-b')).then(() => 'answered', (error: unknown) => (error as { code: string }).code);
        if (outcome === 'answered') answered.add(String(seen[0]));
        else assert.equal(outcome, 'PERMISSION_DENIED', `${String(seen[0])} by ${role}`);
      }
      allowed[role] = [...answered];
      transport.close();
    }
    assert.deepEqual(allowed, {
      pod: ['report', 'snapshot'],
      gateway: ['write', 'deleteMatching', 'get', 'scroll', 'count', 'search', 'getRecord', 'scanRecords', 'describe', 'report'],
      operator: ['report', 'nudge', 'stopWrites'],
    });
  });
});

test('only pods replicate: who greets as a pod without a certificate of one is refused', { timeout }, async () => {
  await scene(async ({ addresses, tls, pod }) => {
    const receiving = await pod('pod-b', await tls('pod-b', 'URI:shoal://default/pod'));
    const from = (name: string) => message(messages[0]!.body, name);
    const real = testTransport(addresses, { name: 'pod-a', tls: await tls('pod-a', 'URI:shoal://default/pod') });
    real.send(from('pod-a'));
    await until(() => receiving.received.length === 1);
    real.close();
    for (const role of ['gateway', 'operator']) {
      const false_ = testTransport(addresses, { name: 'pod-z', tls: await tls(`false-${role}`, `URI:shoal://default/${role}`) });
      false_.send(from('pod-z'));
      await assert.rejects(false_.pod('pod-b').report(context().signal), { code: 'UNAVAILABLE', message: new RegExp(`it greets as a pod, and its certificate is one of role ${role}`) });
      false_.close();
    }
    assert.equal(receiving.received.length, 1);
  });
});

test('another namespace, a made-up role, two roles and, where roles are demanded, none are refused by both sides', { timeout }, async () => {
  await scene(async ({ addresses, tls, pod }) => {
    const bad: readonly [string, string, RegExp][] = [
      ['elsewhere', 'URI:shoal://elsewhere/gateway', /its certificate is of namespace elsewhere, and this is default/],
      ['made-up', 'URI:shoal://default/root', /names the role URI:shoal:\/\/default\/root/],
      ['two', 'URI:shoal://default/gateway,URI:shoal://default/operator', /names 2 roles/],
      ['none', '', /names no role/],
    ];
    const good = await tls('good', 'URI:shoal://default/gateway');
    await pod('pod-b', await tls('pod-b', 'URI:shoal://default/pod'));
    for (const [name, names, because] of bad) {
      const client = testTransport(addresses, { name, role: 'gateway', tls: await tls(name, names) });
      await assert.rejects(client.pod('pod-b').report(context().signal), { code: 'UNAVAILABLE', message: because }, `as a client: ${name}`);
      client.close();
      await pod(`pod-${name}`, await tls(`pod-${name}`, names.replaceAll(/gateway|operator/g, 'pod')));
      const asking = testTransport(addresses, { name: 'gateway-1', role: 'gateway', tls: good });
      await assert.rejects(asking.pod(`pod-${name}`).report(context().signal), { code: 'UNAVAILABLE', message: because }, `as a server: ${name}`);
      asking.close();
    }
    // A gateway's certificate does not make a pod, though it is of the authority and of the right address.
    await pod('pod-g', await tls('pod-g', 'URI:shoal://default/gateway'));
    const asking = testTransport(addresses, { name: 'gateway-1', role: 'gateway', tls: good });
    await assert.rejects(asking.pod('pod-g').report(context().signal), { code: 'UNAVAILABLE', message: /only pods listen/ });
    asking.close();
  });
});

test('where roles are not demanded, certificates without one may do everything, and those with one are held to it', { timeout }, async () => {
  await scene(async ({ addresses, tls, pod, answerWith }) => {
    answerWith({ term: 1, lastSeq: 2 });
    await pod('pod-b', await tls('pod-b', '', { requireRoles: false }));
    for (const [name, names, expected] of [['plain', '', 'answered'], ['gateway', 'URI:shoal://default/gateway', 'PERMISSION_DENIED'], ['operator', 'URI:shoal://default/operator', 'answered']] as const) {
      const transport = testTransport(addresses, { name, role: 'gateway', tls: await tls(name, names, { requireRoles: false }) });
      assert.equal(await transport.pod('pod-b').stopWrites('shard-1', context().signal).then(() => 'answered', (error: unknown) => (error as { code: string }).code), expected, name);
      transport.close();
    }
  });
});
