/** Certificates for tests, made by the openssl program. */

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PeerTlsFiles } from './peer-tls-files.ts';

const run = promisify(execFile);
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export interface Authority {
  readonly certificate: string;
  readonly key: string;
}

export async function makeAuthority(directory: string, name: string): Promise<Authority> {
  const authority = { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  await run('openssl', ['req', '-x509', ...newKey, '-keyout', authority.key, '-out', authority.certificate, '-days', '2', '-subj', `/CN=${name}`]);
  return authority;
}

/** Files of a pod or gateway whose certificate comes from `issuer` and who trusts `trusted`. */
export async function makeIdentity(directory: string, name: string, issuer: Authority, { trusted = issuer, hosts = 'IP:127.0.0.1', days = 1 }: { trusted?: Authority; hosts?: string; days?: number } = {}): Promise<PeerTlsFiles> {
  const files = { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`), authority: trusted.certificate };
  const request = join(directory, `${name}.csr`);
  const extensions = join(directory, `${name}.ext`);
  await writeFile(extensions, `subjectAltName=${hosts}\nextendedKeyUsage=serverAuth,clientAuth\n`);
  await run('openssl', ['req', ...newKey, '-keyout', files.key, '-out', request, '-subj', `/CN=${name}`]);
  await run('openssl', ['x509', '-req', '-in', request, '-CA', issuer.certificate, '-CAkey', issuer.key, '-CAcreateserial', '-out', files.certificate, '-days', String(days), '-extfile', extensions]);
  return files;
}
