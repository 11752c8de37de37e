/**
 * Aim: certificates and authorities are exchanged under load without a failed request, from volumes like those of Secrets;
 * what cannot be used changes nothing; and an authority that is taken away takes its connections along, within a bound.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { systemClock } from '../kernel/clock.ts';
import { silentLogger, type Logger } from '../kernel/logger.ts';
import { makeAuthority, makeIdentity, type Authority } from './certificates.fixture.ts';
import { openPeerTls } from './peer-tls-files.ts';
import type { PeerTls } from './peer-tls.ts';
import type { PeerTransport, RenewalTimes } from './peer-transport.ts';
import { writeSecretVolume } from './secret-volume.fixture.ts';
import { context, message, messages, podAnswering, startTestPod, testTransport, until, withDirectory, type Addresses } from './wire.fixture.ts';

const timeout = 120_000;
const checkIntervalMs = 10;
const never: RenewalTimes = { spreadMs: 0, distrustedMs: 3_600_000 };

class Volume {
  readonly directory: string;
  readonly #role: string;
  #count = 0;

  constructor(directory: string, role: string) {
    this.directory = directory;
    this.#role = role;
  }

  /** A new certificate from `issuer`, or the one that is there, and these authorities. */
  async put(issuer: Authority | 'same', trusted: readonly Authority[]): Promise<void> {
    const authorities = (await Promise.all(trusted.map(({ certificate }) => readFile(certificate, 'utf8')))).join('');
    if (issuer === 'same') {
      const [certificate, key] = await Promise.all(['tls.crt', 'tls.key'].map((name) => readFile(join(this.directory, name))));
      return writeSecretVolume(this.directory, { 'tls.crt': certificate!, 'tls.key': key!, 'ca.crt': authorities });
    }
    const name = `${this.#role}-${++this.#count}`;
    const files = await makeIdentity(join(this.directory, '..'), name, issuer, { hosts: `IP:127.0.0.1,URI:shoal://default/${this.#role}` });
    await writeSecretVolume(this.directory, { 'tls.crt': await readFile(files.certificate), 'tls.key': await readFile(files.key), 'ca.crt': authorities });
  }

  open(logger: Logger = silentLogger): PeerTls {
    const at = (name: string): string => join(this.directory, name);
    return openPeerTls({ certificate: at('tls.crt'), key: at('tls.key'), authority: at('ca.crt') }, { namespace: 'default', requireRoles: true }, { clock: systemClock, logger, checkIntervalMs });
  }
}

/** Until this process's transports have seen the files that are there now. */
const looks = async (tls: PeerTls, count = 3): Promise<void> => {
  let seen = 0;
  tls.onCheck(() => void seen++);
  await until(() => seen >= count);
};

test('a rotation of the authority under load: no request fails, and every connection is made anew', { timeout }, async () => {
  await withDirectory(async (directory) => {
    const [first, second] = [await makeAuthority(directory, 'first'), await makeAuthority(directory, 'second')];
    const volumes = { pod: new Volume(join(directory, 'pod'), 'pod'), other: new Volume(join(directory, 'other'), 'pod'), gateway: new Volume(join(directory, 'gateway'), 'gateway') };
    const all = Object.values(volumes);
    for (const volume of all) await volume.put(first, [first]);
    const [podTls, otherTls, gatewayTls] = all.map((volume) => volume.open()) as [PeerTls, PeerTls, PeerTls];
    const addresses: Addresses = new Map();
    const served = { service: podAnswering(async () => (await new Promise((resolve) => setTimeout(resolve, 2)), { pod: 'p', podUID: 'u', session: 's', freeBytes: 1, replicas: [] })) };
    const pod = await startTestPod(addresses, { name: 'pod-b', tls: podTls, served, renewal: { spreadMs: 5, distrustedMs: 200 } });
    const other = testTransport(addresses, { name: 'pod-a', tls: otherTls, renewal: { spreadMs: 5, distrustedMs: 200 } });
    const gateway = testTransport(addresses, { name: 'gateway-1', role: 'gateway', tls: gatewayTls, renewal: { spreadMs: 5, distrustedMs: 200 } });

    let isOver = false;
    const failures: string[] = [];
    let answered = 0;
    const load = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        await gateway.pod('pod-b').report(context().signal).then(() => answered++, (error: unknown) => failures.push((error as Error).message));
      }
    });
    const replicating = (async () => {
      while (!isOver) {
        other.send(message(messages[0]!.body, 'pod-a'));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const step = async (put: (volume: Volume) => Promise<void>): Promise<void> => {
      // One after the other, as volumes are exchanged on nodes that know nothing of each other.
      for (const [index, volume] of all.entries()) {
        await put(volume);
        await looks([podTls, otherTls, gatewayTls][index]!);
        const [before, received] = [answered, pod.received.length];
        await until(() => answered > before + 50 && pod.received.length > received);
      }
    };
    await step((volume) => volume.put('same', [first, second]));
    await step((volume) => volume.put(second, [first, second]));
    await step((volume) => volume.put('same', [second]));
    await new Promise((resolve) => setTimeout(resolve, 400)); // longer than distrustedMs: nothing is left to be closed for it
    const before = answered;
    await until(() => answered > before + 50);
    isOver = true;
    await Promise.all([...load, replicating]);
    assert.deepEqual(failures, []);
    gateway.close();
    other.close();
    pod.stop();
    for (const tls of [podTls, otherTls, gatewayTls]) tls.close();
  });
});

test('who keeps a certificate of an authority that is gone loses its connection within the bound, and no sooner', { timeout }, async () => {
  await withDirectory(async (directory) => {
    const [first, second] = [await makeAuthority(directory, 'first'), await makeAuthority(directory, 'second')];
    const [podVolume, oldVolume] = [new Volume(join(directory, 'pod'), 'pod'), new Volume(join(directory, 'gateway'), 'gateway')];
    await podVolume.put(second, [first, second]);
    await oldVolume.put(first, [second]);
    const addresses: Addresses = new Map();
    const lasting = async (distrustedMs: number): Promise<{ readonly client: PeerTransport; readonly end: () => void; readonly tls: PeerTls }> => {
      const [tls, clientTls] = [podVolume.open(), oldVolume.open()];
      const pod = await startTestPod(addresses, { name: 'pod-b', tls, served: { service: podAnswering(() => ({ term: 1, lastSeq: 1 })) }, renewal: { spreadMs: 0, distrustedMs } });
      const client = testTransport(addresses, { name: 'gateway-1', role: 'gateway', tls: clientTls, renewal: never });
      await assert.rejects(client.pod('pod-b').stopWrites('s', context().signal), { code: 'PERMISSION_DENIED' });
      return { client, tls, end: () => (client.close(), pod.stop(), tls.close(), clientTls.close()) };
    };
    const [soon, late] = [await lasting(50), await lasting(3_600_000)];
    await podVolume.put('same', [second]);
    await until(() => soon.client.statistics().connectionCount === 0);
    await looks(late.tls);
    assert.equal(late.client.statistics().connectionCount, 1);
    await assert.rejects(soon.client.pod('pod-b').report(context().signal), { code: 'UNAVAILABLE' });
    soon.end();
    late.end();
  });
});

test('a session that was begun under an authority that is gone cannot be taken up again', { timeout }, async () => {
  await withDirectory(async (directory) => {
    const [first, second] = [await makeAuthority(directory, 'first'), await makeAuthority(directory, 'second')];
    const [podVolume, oldVolume] = [new Volume(join(directory, 'pod'), 'pod'), new Volume(join(directory, 'gateway'), 'gateway')];
    await podVolume.put(second, [first, second]);
    await oldVolume.put(first, [second]);
    const tls = podVolume.open();
    const addresses: Addresses = new Map();
    const pod = await startTestPod(addresses, { name: 'pod-b', tls });
    const port = pod.server.address.port;
    const material = { cert: await readFile(join(oldVolume.directory, 'tls.crt')), key: await readFile(join(oldVolume.directory, 'tls.key')), ca: await readFile(join(oldVolume.directory, 'ca.crt')) };
    const sessions: Buffer[] = [];
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0', 'latin1');
    /** Whether the server answers with HTTP/2 rather than ending the connection. */
    const opens = (session?: Buffer): Promise<{ readonly isOpen: boolean; readonly isResumed: boolean }> =>
      new Promise((resolve) => {
        let isResumed = false;
        const socket: TLSSocket = connect({ socket: connectTcp(port, '127.0.0.1'), ...material, ...(session === undefined ? {} : { session }), ALPNProtocols: ['h2'], host: '127.0.0.1' });
        socket.on('session', (next: Buffer) => void sessions.push(next));
        socket.on('secureConnect', () => {
          isResumed = socket.isSessionReused();
          socket.write(preface);
        });
        const end = (isOpen: boolean): void => {
          socket.destroy();
          resolve({ isOpen, isResumed });
        };
        socket.on('data', () => setTimeout(() => end(true), 50));
        socket.on('error', () => end(false));
        socket.on('end', () => end(false));
      });
    assert.deepEqual(await opens(), { isOpen: true, isResumed: false });
    assert.deepEqual(await opens(sessions.at(-1)), { isOpen: true, isResumed: true });
    const held = sessions.at(-1)!;
    await podVolume.put('same', [second]);
    await looks(tls);
    assert.deepEqual(await opens(held), { isOpen: false, isResumed: false });
    assert.deepEqual(await opens(), { isOpen: false, isResumed: false });
    pod.stop();
    tls.close();
  });
});

test('half a pair, damaged files, an empty authority and an expired certificate change nothing, with one warning each', { timeout }, async () => {
  await withDirectory(async (directory) => {
    const authority = await makeAuthority(directory, 'authority');
    const volume = new Volume(join(directory, 'pod'), 'pod');
    await volume.put(authority, [authority]);
    const good = Object.fromEntries(await Promise.all(['tls.crt', 'tls.key', 'ca.crt'].map(async (name) => [name, await readFile(join(volume.directory, name))] as const)));
    const other = await makeIdentity(directory, 'other', authority);
    const warnings: string[] = [];
    const logger: Logger = { ...silentLogger, warn: (fields) => void warnings.push(String((fields as { error: string }).error)) };
    const tls = volume.open(logger);
    const inUse = tls.fingerprint;
    const bad: readonly [string, Record<string, string | Uint8Array>, RegExp][] = [
      ['half a pair', { ...good, 'tls.key': await readFile(other.key) }, /key values mismatch/],
      ['damaged', { ...good, 'tls.crt': good['tls.crt']!.subarray(0, 300) }, /./],
      ['no authority', { ...good, 'ca.crt': '' }, /holds no certificate/],
      ['expired', { ...good, ...(await expired(directory, authority)) }, /expired at/],
    ];
    for (const [name, files, because] of bad) {
      const before = warnings.length;
      await writeSecretVolume(volume.directory, files);
      await looks(tls, 4);
      // A look may fall between two links of the volume, and says that of its own.
      assert.match(warnings.slice(before).join('\n'), because, name);
      assert(warnings.length - before <= 2, `${name} is said once: ${warnings.slice(before).join('\n')}`);
      assert.equal(tls.fingerprint, inUse, name);
    }
    await volume.put(authority, [authority]);
    await looks(tls);
    assert.notEqual(tls.fingerprint, inUse);
    tls.close();
  });
});

async function expired(directory: string, authority: Authority): Promise<Record<string, Uint8Array>> {
  const files = await makeIdentity(directory, 'expired', authority, { days: -1 });
  return { 'tls.crt': await readFile(files.certificate), 'tls.key': await readFile(files.key) };
}
