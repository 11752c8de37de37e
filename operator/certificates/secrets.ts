/**
 * The Secrets of the internal authority as facts and material, and the other way round. Pure.
 *
 *     shoal-internal-ca             current.crt, current.key, next.crt, next.key, previous.crt (any number)
 *                                   annotations shoal.dev/distributed-at, shoal.dev/issued-at, shoal.dev/rotate
 *     shoal-<role>-internal-tls     tls.crt, tls.key, ca.crt (all that are to be trusted)
 */

import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { managedByLabel, operatorName } from '../desired/names.ts';
import type { SeenSecret } from '../observe/objects.ts';
import type { AuthorityFacts, AuthoritySecretFacts, LeafFacts } from './rotation.ts';
import type { CertifiedKey, LeafRequest } from './x509.ts';

export const distributedAtAnnotation = 'shoal.dev/distributed-at';
export const issuedAtAnnotation = 'shoal.dev/issued-at';
/** On the authority's Secret, with any value: replace it. */
export const rotateAnnotation = 'shoal.dev/rotate';

export interface Signer extends CertifiedKey {
  readonly commonName: string;
  readonly privateKey: KeyObject;
  readonly x509: X509Certificate;
}

export interface AuthorityMaterial {
  readonly current: Signer | undefined;
  readonly next: Signer | undefined;
  readonly previous: readonly X509Certificate[];
}

export interface SecretContent {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string; readonly labels: Readonly<Record<string, string>>; readonly annotations: Readonly<Record<string, string>> };
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

/** Whether the operator has made it. */
export function isOurs({ metadata }: SeenSecret): boolean {
  return metadata.labels?.[managedByLabel] === operatorName;
}

export function authorityMaterial(secret: SeenSecret): AuthorityMaterial | 'damaged' {
  try {
    const [current, next] = [signerIn(secret, 'current'), signerIn(secret, 'next')];
    return current === undefined && next === undefined ? 'damaged' : { current, next, previous: certificatesIn(textOf(secret, 'previous.crt') ?? '') };
  } catch {
    return 'damaged';
  }
}

export function authorityFacts({ current, next, previous }: AuthorityMaterial, { metadata }: SeenSecret): AuthoritySecretFacts {
  const { annotations = {} } = metadata;
  return {
    current: current && factsOf(current.x509),
    next: next && factsOf(next.x509),
    previous: previous.map(factsOf),
    distributedAtMs: instantIn(annotations[distributedAtAnnotation]),
    issuedAtMs: instantIn(annotations[issuedAtAnnotation]),
    isRotationAsked: annotations[rotateAnnotation] !== undefined,
  };
}

/** `authority`: what is trusted today; undefined where that was lost. */
export function leafState(secret: SeenSecret | undefined, wanted: LeafRequest, authority: AuthorityMaterial | undefined): LeafFacts['state'] {
  if (secret === undefined) return { kind: 'absent' };
  if (!isOurs(secret)) return { kind: 'foreign' };
  let certificate: X509Certificate;
  let bundle: X509Certificate[];
  try {
    certificate = new X509Certificate(textOf(secret, 'tls.crt') ?? '');
    bundle = certificatesIn(textOf(secret, 'ca.crt') ?? '');
  } catch {
    return { kind: 'damaged', why: 'certificate cannot be read' };
  }
  if (!fits(certificate, textOf(secret, 'tls.key'))) return { kind: 'damaged', why: 'key is not that of its certificate' };
  const issuer = trustedBy(authority).find((each) => certificate.checkIssued(each) && certificate.verify(each.publicKey));
  return {
    kind: 'present',
    ...lifetimeOf(certificate),
    fingerprint: certificate.fingerprint256,
    issuer: issuer?.fingerprint256,
    bundle: bundle.map(({ fingerprint256 }) => fingerprint256),
    hasNamesWanted: certificate.subjectAltName === [`URI:${wanted.uri}`, ...wanted.dnsNames.map((name) => `DNS:${name}`)].join(', '),
  };
}

/** What every process trusts, the newest last. */
export function trustedBy(authority: AuthorityMaterial | undefined): readonly X509Certificate[] {
  if (authority === undefined) return [];
  const { current, next, previous } = authority;
  return [...previous, ...[current, next].flatMap((signer) => (signer === undefined ? [] : [signer.x509]))];
}

export function bundleIn(secret: SeenSecret): readonly X509Certificate[] {
  try {
    return certificatesIn(textOf(secret, 'ca.crt') ?? '');
  } catch {
    return [];
  }
}

export function authoritySecretContent(
  name: string,
  { current, next, previous }: { readonly current: CertifiedKey | undefined; readonly next: CertifiedKey | undefined; readonly previous: readonly X509Certificate[] },
  annotations: Readonly<Record<string, string>>,
  before: SeenSecret | undefined,
): SecretContent {
  const signers = Object.entries({ current, next }).flatMap(([key, signer]) => (signer === undefined ? [] : [[`${key}.crt`, signer.certificate], [`${key}.key`, signer.key]]));
  const others = Object.entries(before?.metadata.annotations ?? {}).filter(([key]) => ![distributedAtAnnotation, issuedAtAnnotation, rotateAnnotation].includes(key));
  return content(name, 'Opaque', Object.fromEntries([...signers, ['previous.crt', pemOf(previous)]]) as Record<string, string>, { ...Object.fromEntries(others), ...annotations }, before);
}

export function leafSecretContent(name: string, { certificate, key }: CertifiedKey, authority: AuthorityMaterial, before: SeenSecret | undefined): SecretContent {
  return content(name, 'kubernetes.io/tls', { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': pemOf(trustedBy(authority)) }, before?.metadata.annotations ?? {}, before);
}

/** The certificate and key that it has. */
export function certifiedKeyIn(secret: SeenSecret): CertifiedKey {
  return { certificate: textOf(secret, 'tls.crt') ?? '', key: textOf(secret, 'tls.key') ?? '' };
}

export function textOf({ data }: SeenSecret, key: string): string | undefined {
  const value = data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

function content(name: string, type: string, data: Readonly<Record<string, string>>, annotations: Readonly<Record<string, string>>, before: SeenSecret | undefined): SecretContent {
  const labels = { ...before?.metadata.labels, [managedByLabel]: operatorName, 'app.kubernetes.io/name': 'shoal', 'app.kubernetes.io/component': 'internal-tls' };
  return {
    metadata: { name, labels, annotations, ...(before === undefined ? {} : { resourceVersion: before.metadata.resourceVersion }) },
    type: before?.type ?? type,
    data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')])),
  };
}

function signerIn(secret: SeenSecret, name: 'current' | 'next'): Signer | undefined {
  const certificate = textOf(secret, `${name}.crt`);
  const key = textOf(secret, `${name}.key`);
  if (certificate === undefined && key === undefined) return undefined;
  const x509 = new X509Certificate(certificate ?? '');
  if (!x509.ca || !fits(x509, key)) throw new Error('they do not belong together');
  return { certificate: certificate!, key: key!, commonName: x509.subject.replace(/^CN=/, ''), privateKey: createPrivateKey(key!), x509 };
}

function fits(certificate: X509Certificate, key: string | undefined): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key ?? ''));
  } catch {
    return false;
  }
}

function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((each) => new X509Certificate(each));
}

function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join('');
}

function factsOf(certificate: X509Certificate): AuthorityFacts {
  return { fingerprint: certificate.fingerprint256, ...lifetimeOf(certificate) };
}

function lifetimeOf(certificate: X509Certificate): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  return { notBeforeMs: certificate.validFromDate.getTime(), notAfterMs: certificate.validToDate.getTime() };
}

function instantIn(text: string | undefined): number | undefined {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}
