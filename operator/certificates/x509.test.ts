/** Aim: what is written is read the same by Node and by openssl, and is good for what it is for and for nothing else. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeAuthority, makeLeaf, type CertifiedKey } from './x509.ts';

const lifetime = { notBeforeMs: Date.parse('2026-01-02T03:04:05.678Z'), notAfterMs: Date.parse('2126-01-02T03:04:05.678Z') };
const pod = { commonName: 'shoal pod', uri: 'shoal://default/pod', dnsNames: ['*.shoal-pods.default.svc'], isServer: true };
const leafOf = (authority: CertifiedKey, request = pod): CertifiedKey => makeLeaf(request, lifetime, { commonName: new X509Certificate(authority.certificate).subject.slice(3), privateKey: createPrivateKey(authority.key) });

test('Node reads what was asked for', () => {
  const authority = makeAuthority('shoal internal 1', lifetime);
  const leaf = leafOf(authority);
  const [above, below] = [new X509Certificate(authority.certificate), new X509Certificate(leaf.certificate)];
  assert.deepEqual(
    { ca: above.ca, subject: above.subject, issuer: above.issuer, isSelfSigned: above.checkIssued(above) && above.verify(above.publicKey), from: above.validFromDate.toISOString(), to: above.validToDate.toISOString() },
    { ca: true, subject: 'CN=shoal internal 1', issuer: 'CN=shoal internal 1', isSelfSigned: true, from: '2026-01-02T03:04:05.000Z', to: '2126-01-02T03:04:05.000Z' },
  );
  assert.deepEqual(
    { ca: below.ca, subject: below.subject, issuer: below.issuer, names: below.subjectAltName, uses: below.keyUsage, isIssued: below.checkIssued(above) && below.verify(above.publicKey), fits: below.checkPrivateKey(createPrivateKey(leaf.key)) },
    { ca: false, subject: 'CN=shoal pod', issuer: 'CN=shoal internal 1', names: 'URI:shoal://default/pod, DNS:*.shoal-pods.default.svc', uses: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'], isIssued: true, fits: true },
  );
  assert.equal(createPrivateKey(leaf.key).asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(below.checkHost('default-0.shoal-pods.default.svc'), '*.shoal-pods.default.svc');
  assert.equal(below.checkHost('default-0.shoal-pods.other.svc'), undefined);
  assert.notEqual(new X509Certificate(leafOf(authority).certificate).serialNumber, below.serialNumber);
});

test('another authority of the same name has not issued it', () => {
  const [authority, impostor] = [makeAuthority('shoal internal', lifetime), makeAuthority('shoal internal', lifetime)];
  const leaf = new X509Certificate(leafOf(authority).certificate);
  assert.equal(leaf.verify(new X509Certificate(impostor.certificate).publicKey), false);
});

test('openssl, strictly, takes a leaf for its purposes, an authority for no server, and a leaf for no authority', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-x509-'));
  try {
    const authority = makeAuthority('shoal internal', lifetime);
    const server = leafOf(authority);
    const client = leafOf(authority, { ...pod, commonName: 'shoal gateway', uri: 'shoal://default/gateway', dnsNames: [], isServer: false });
    const below = makeLeaf(pod, lifetime, { commonName: 'shoal pod', privateKey: createPrivateKey(server.key) });
    const file = async (name: string, text: string): Promise<string> => {
      const path = join(directory, name);
      await writeFile(path, text);
      return path;
    };
    const [ca, serverFile, clientFile, belowFile] = await Promise.all([file('ca', authority.certificate), file('server', server.certificate), file('client', client.certificate), file('below', below.certificate)]);
    const verify = (purpose: string, path: string, ...more: string[]): string => {
      try {
        return execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', ca, '-purpose', purpose, ...more, path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).includes(': OK') ? 'OK' : 'refused';
      } catch {
        return 'refused';
      }
    };
    assert.deepEqual(
      {
        serverAsServer: verify('sslserver', serverFile),
        serverAsClient: verify('sslclient', serverFile),
        clientAsClient: verify('sslclient', clientFile),
        clientAsServer: verify('sslserver', clientFile),
        authorityAsServer: verify('sslserver', ca),
        belowALeaf: verify('sslserver', belowFile, '-untrusted', serverFile),
        byName: verify('sslserver', serverFile, '-verify_hostname', 'default-0.shoal-pods.default.svc'),
        byAnotherName: verify('sslserver', serverFile, '-verify_hostname', 'default-0.elsewhere.default.svc'),
      },
      { serverAsServer: 'OK', serverAsClient: 'OK', clientAsClient: 'OK', clientAsServer: 'refused', authorityAsServer: 'refused', belowALeaf: 'refused', byName: 'OK', byAnotherName: 'refused' },
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});
