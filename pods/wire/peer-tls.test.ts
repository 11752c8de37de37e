/** Aim: with TLS only holders of a certificate of the authority get through, in both directions, and a renewal disturbs nobody. */

import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, Metadata, credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { systemClock } from '../kernel/clock.ts';
import { silentLogger } from '../kernel/logger.ts';
import { makeAuthority, makeIdentity } from './certificates.fixture.ts';
import { connectMethod } from './frame-stream.ts';
import { startPeerServer } from './peer-server.ts';
import { openPeerTls, type PeerTlsFiles } from './peer-tls-files.ts';
import type { PeerTls, PeerTlsOptions } from './peer-tls.ts';
import { context, podAnswering, startTestPod, testTransport, withDirectory, type Addresses, type TestPod } from './wire.fixture.ts';

const timeout = 60_000;
const checkIntervalMs = 20;

const opened: PeerTls[] = [];
function tlsOf(files: PeerTlsFiles, options: Partial<PeerTlsOptions> = {}): PeerTls {
  const tls = openPeerTls(files, { namespace: 'default', requireRoles: false, ...options }, { clock: systemClock, logger: silentLogger, checkIntervalMs });
  opened.push(tls);
  return tls;
}

const served = { service: podAnswering(() => ({ term: 1, lastSeq: 2 })) };

async function asks(addresses: Addresses, tls: PeerTls | undefined, name = 'gateway-1'): Promise<string> {
  const transport = testTransport(addresses, { name, role: 'gateway', tls });
  try {
    await transport.pod('pod-b').stopWrites('s', context().signal);
    return 'answered';
  } catch (error) {
    return (error as Error).message;
  } finally {
    transport.close();
  }
}

async function scene(use: (directory: string, addresses: Addresses, start: (files: PeerTlsFiles) => Promise<TestPod>) => Promise<void>): Promise<void> {
  const pods: TestPod[] = [];
  await withDirectory(async (directory) => {
    const addresses: Addresses = new Map();
    try {
      await use(directory, addresses, async (files) => {
        const pod = await startTestPod(addresses, { name: 'pod-b', tls: tlsOf(files), served });
        pods.push(pod);
        return pod;
      });
    } finally {
      for (const pod of pods) pod.stop();
      for (const tls of opened.splice(0)) tls.close();
    }
  });
}

test('one authority on both sides lets through; anything else does not', { timeout }, async () => {
  await scene(async (directory, addresses, start) => {
    const authority = await makeAuthority(directory, 'authority');
    const other = await makeAuthority(directory, 'other');
    await start(await makeIdentity(directory, 'pod-b', authority));
    const good = await makeIdentity(directory, 'gateway-1', authority);
    assert.equal(await asks(addresses, tlsOf(good)), 'answered');

    // The server's certificate is not of the authority that the client trusts.
    assert.match(await asks(addresses, tlsOf(await makeIdentity(directory, 'distrustful', authority, { trusted: other }))), /pod-b cannot be reached: .*(unable to verify|self.signed|issuer)/);
    // The client's certificate is not of the authority that the server trusts.
    assert.match(await asks(addresses, tlsOf(await makeIdentity(directory, 'stranger', other, { trusted: authority }))), /pod-b cannot be reached/);
    assert.match(await asks(addresses, undefined), /pod-b cannot be reached/);
    const withoutCertificate = credentials.createSsl(readFileSync(authority.certificate));
    assert.equal(await rawStreamEndsWith(addresses.get('pod-b')!, withoutCertificate), 14);
    // The rest of the time it goes on working.
    assert.equal(await asks(addresses, tlsOf(good)), 'answered');
  });
});

/** The gRPC status that a stream gets on which nothing is said. */
function rawStreamEndsWith(address: string, channel: ChannelCredentials): Promise<number> {
  const client = new Client(address, channel);
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(connectMethod.path, connectMethod.requestSerialize, connectMethod.responseDeserialize, new Metadata());
    call.on('data', () => undefined);
    call.on('error', ({ code }: Error & { code?: number }) => {
      client.close();
      resolve(code ?? -1);
    });
  });
}

test('a server is known by the name in its certificate: that of its address, or the one that was configured', { timeout }, async () => {
  await scene(async (directory, addresses, start) => {
    const authority = await makeAuthority(directory, 'authority');
    await start(await makeIdentity(directory, 'pod-b', authority, { hosts: 'DNS:pods.shoal.internal' }));
    const files = await makeIdentity(directory, 'gateway-1', authority);
    assert.match(await asks(addresses, tlsOf(files)), /pod-b cannot be reached/);
    assert.equal(await asks(addresses, tlsOf(files, { serverName: 'pods.shoal.internal' })), 'answered');
    assert.match(await asks(addresses, tlsOf(files, { serverName: 'elsewhere.shoal.internal' })), /pod-b cannot be reached/);
  });
});

test('renewed files, of another authority even, are used by new connections, and open streams go on', { timeout }, async () => {
  await scene(async (directory, addresses, start) => {
    const [first, second] = [await makeAuthority(directory, 'first'), await makeAuthority(directory, 'second')];
    const live: PeerTlsFiles = { certificate: join(directory, 'tls.crt'), key: join(directory, 'tls.key'), authority: join(directory, 'ca.crt') };
    const install = async (files: PeerTlsFiles): Promise<void> => {
      await copyFile(files.certificate, live.certificate);
      await copyFile(files.key, live.key);
      await copyFile(files.authority, live.authority);
    };
    await install(await makeIdentity(directory, 'pod-b-1', first));
    const pod = await start(live);
    const oldFiles = await makeIdentity(directory, 'gateway-1', first);
    const newFiles = await makeIdentity(directory, 'gateway-2', second);
    const open = testTransport(addresses, { name: 'gateway-1', role: 'gateway', tls: tlsOf(oldFiles) });
    const ask = (): Promise<unknown> => open.pod('pod-b').stopWrites('s', context().signal);
    await ask();
    assert.equal(pod.transport.statistics().connectionCount, 1);
    assert.match(await asks(addresses, tlsOf(newFiles), 'gateway-2'), /cannot be reached/);

    await install(await makeIdentity(directory, 'pod-b-2', second));
    while ((await asks(addresses, tlsOf(newFiles), 'gateway-2')) !== 'answered') await new Promise((resolve) => setTimeout(resolve, checkIntervalMs));
    assert.match(await asks(addresses, tlsOf(oldFiles), 'gateway-3'), /cannot be reached/);
    await ask();
    assert.equal(open.statistics().connectionCount, 1);
    open.close();
  });
});

test('a client takes up renewed files too', { timeout }, async () => {
  await scene(async (directory, addresses, start) => {
    const [first, second] = [await makeAuthority(directory, 'first'), await makeAuthority(directory, 'second')];
    await start(await makeIdentity(directory, 'pod-b', second));
    const live = await makeIdentity(directory, 'gateway-1', first);
    const ownAuthority = join(directory, 'trusted.crt');
    await copyFile(first.certificate, ownAuthority);
    const tls = tlsOf({ ...live, authority: ownAuthority });
    assert.match(await asks(addresses, tls), /cannot be reached/);
    const renewed = await makeIdentity(directory, 'renewed', second);
    await copyFile(renewed.certificate, live.certificate);
    await copyFile(renewed.key, live.key);
    await copyFile(second.certificate, ownAuthority);
    while ((await asks(addresses, tls)) !== 'answered') await new Promise((resolve) => setTimeout(resolve, checkIntervalMs));
  });
});

test('plaintext is for loopback only, and files that do not fit are refused, by the name of the option', { timeout }, async () => {
  await withDirectory(async (directory) => {
    const addresses: Addresses = new Map([['pod-b', '192.0.2.1:7000']]);
    const transport = testTransport(addresses, { name: 'pod-a' });
    for (const host of ['0.0.0.0', '::', '192.0.2.1']) {
      await assert.rejects(startPeerServer({ host, port: 0, transport }), { code: 'INVALID_ARGUMENT', message: /--internal-host .* needs --internal-tls-cert, --internal-tls-key and --internal-tls-ca/ });
    }
    await assert.rejects(transport.pod('pod-b').report(context().signal), { code: 'UNAVAILABLE', message: /192\.0\.2\.1:7000 is no loopback address.*--internal-tls-cert/ });
    transport.close();

    const authority = await makeAuthority(directory, 'authority');
    const [one, two] = [await makeIdentity(directory, 'one', authority), await makeIdentity(directory, 'two', authority)];
    for (const files of [{ ...one, key: two.key }, { ...one, authority: one.key }, { ...one, certificate: join(directory, 'none') }]) {
      assert.throws(() => tlsOf(files), { code: 'INVALID_ARGUMENT', message: /--internal-tls-cert, --internal-tls-key and --internal-tls-ca cannot be used/ });
    }
  });
});
